"""Where a demo takes place: a data directory of its own, emptied, with an app and its devices.

A place is taken by locking a file in it. All processes of a demo hold the lock, so a place is free
when the last of them has ended: a demo that was killed leaves nothing that a next one could meet,
and two demos at once take two places.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from rich.progress import Progress
from sqlalchemy import text

from pushsvc.cli.app import create_with_keys
from pushsvc.cli.demo import fleet
from pushsvc.cli.failures import CommandError
from pushsvc.config import Settings
from pushsvc.embedded.home import make_directory
from pushsvc.embedded.lock import Lock
from pushsvc.model import App, GatewayName
from pushsvc.resources import Resources
from pushsvc.storage import credentials, migrate
from pushsvc.storage.fields import RULES, Fields, parse_installation_row
from pushsvc.storage.installation_import import import_installations

#: Each has servers of its own; more at once than this is no demonstration any more.
PLACES: Final = 8
#: Where Parse's clients find it by default.
PARSE_MOUNT: Final = "/parse"
#: Installations written in one statement.
IMPORT_ROWS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A data directory that is ours while the lock is held."""

    directory: Path
    #: what a process keeps open to be part of the demo
    lock: int

    def log(self, name: str) -> Path:
        """Return where a process of the demo writes its log."""
        return self.directory / f"{name.replace(' ', '-')}.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The app that sends, and its keys in clear."""

    app: App
    keys: dict[str, str]


@contextmanager
def take(home: Path) -> Iterator[Place]:
    """Take the first place that is free.

    Raises:
        CommandError: all are taken.
    """
    for number in range(1, PLACES + 1):
        directory = _made(home / "demo" / str(number))
        with Lock(directory / "lock") as lock:
            if lock.try_exclusive():
                yield Place(directory=directory, lock=lock.descriptor)
                return
    message = f"{PLACES} demos run here already, in {home / 'demo'}. Stop one of them."
    raise CommandError(message, code="busy")


def _made(directory: Path) -> Path:
    try:
        make_directory(directory)
    except OSError as error:
        message = (
            f"Cannot create {directory}: {error.strerror}. Set PUSHSVC_DATA_DIR to a directory "
            "you can write."
        )
        raise CommandError(message, code="data_dir", field="data_dir") from error
    return directory


def settings(read: Settings, place: Place) -> Settings:
    """Return the settings of the demo's processes: ours, but on servers of the place alone."""
    return read.model_copy(
        update={
            "database_url": None,
            "redis_url": None,
            "secret_key": None,
            "data_dir": place.directory,
            "host": "127.0.0.1",
            "port": 0,
            "parse_mount": PARSE_MOUNT,
            # The simulators are on this machine, and the ledgers are compared as the wire sends.
            "gateway_proxy_url": None,
            "transport": "wire",
        }
    )


async def clear(resources: Resources) -> None:
    """Take away what a former demo left in the place, and bring the database to our level."""
    async with resources.engine.begin() as connection:
        # Whatever version made it: there is nothing to keep.
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await migrate.upgrade(resources.engine)
    assert resources.settings.redis_url
    redis = Redis.from_url(resources.settings.redis_url)
    try:
        await redis.flushall()
    finally:
        await redis.aclose()


async def populate(resources: Resources, count: int, *, seed: int, bar: Progress) -> Cast:
    """Make an app with `count` installations."""
    app, keys = await create_with_keys(resources, "demo")
    with bar:
        task = bar.add_task("installations", total=count)
        rows: list[Fields] = []
        for body in fleet.devices(count, seed=seed):
            row = parse_installation_row(body)
            await resources.schemas.settle(app.id, RULES, row)
            rows.append(row)
            if len(rows) == IMPORT_ROWS:
                await _write(resources, app, rows)
                bar.advance(task, len(rows))
                rows = []
        await _write(resources, app, rows)
        bar.advance(task, len(rows))
    return Cast(app=app, keys=keys)


async def equip(resources: Resources, cast: Cast, told: dict[str, Any]) -> None:
    """Give the app the simulators' credentials.

    Args:
        resources: of the demo's place.
        cast: whose app it is.
        told: `credentials` of the simulators' endpoints.
    """
    apns, fcm, wns = told["apns"], told["fcm"], told["wns"]
    account = fcm["service_account"]
    given: list[tuple[GatewayName, dict[str, Any], str]] = [
        (
            GatewayName.APNS,
            {"key_id": apns["key_id"], "team_id": apns["team_id"], "topics": apns["topics"]},
            apns["p8"],
        ),
        (
            GatewayName.FCM,
            {"project_id": account["project_id"], "client_email": account["client_email"]},
            json.dumps(account),
        ),
        (GatewayName.WNS, {"package_sid": wns["package_sid"]}, wns["client_secret"]),
    ]
    async with resources.engine.begin() as connection:
        for gateway, public, secret in given:
            await credentials.add_credential(
                connection,
                resources.seal,
                app=cast.app,
                gateway=gateway,
                public=public,
                secret=secret,
            )


async def _write(resources: Resources, app: App, rows: list[Fields]) -> None:
    if rows:
        async with resources.engine.begin() as connection:
            await import_installations(connection, app.id, rows)
