"""Where the adapter case takes place: the service, and Parse Server's own database with devices."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from rich.progress import Progress
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench import parse_server
from bench.audience import TOPIC, new_p8, settle
from bench.parse_server import Setup
from bench.place import Place, serving
from bench.sink import TIMED
from pushsvc.model import GatewayName
from pushsvc.storage import apps, migrate
from pushsvc.storage.apps import KeyKind, Scope
from pushsvc.storage.credentials import add_credential
from pushsvc.storage.engine import create_engine
from pushsvc.storage.sealing import Seal

DATABASE: Final = "parse"
#: The channel of the first devices, to which each Parse Server pushes before it is measured.
WARM_CHANNEL: Final = "warm"
WARM_DEVICES: Final = 200

_SEED = text("""
    INSERT INTO "_Installation" ("objectId", "createdAt", "updatedAt", "installationId",
        "deviceToken", "deviceType", "appIdentifier", "localeIdentifier", "timeZone",
        channels, badge)
    SELECT 'b' || lpad(to_hex(n), 9, '0'), now(), now(), 'bench-' || n,
        :timed || substr(md5(n::text) || md5('t' || n::text), 1, 56), 'ios', :topic, 'en-US',
        'Europe/Paris', CASE WHEN n <= :warm THEN jsonb_build_array(CAST(:channel AS text))
        ELSE '[]' END, 0
    FROM generate_series(1, CAST(:devices AS bigint)) AS n
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What all runs share."""

    place: Place
    devices: int
    #: for node-postgres
    database: Mapping[str, Any]
    engine: AsyncEngine
    connection: AsyncConnection
    #: adapter -> its options
    options: Mapping[str, Mapping[str, Any]]
    pids: Mapping[str, int]
    progress: Progress


@asynccontextmanager
async def staged(place: Place, devices: int, *, progress: Progress) -> AsyncIterator[Stage]:
    """Start the service, and make Parse Server's database beside its own."""
    key = await _service(place)
    async with (
        serving(place) as service,
        parse_staged(
            place,
            devices,
            database_url=place.environment["PUSHSVC_DATABASE_URL"],
            options={
                "stock": {"ios": stock_options(place)},
                "ours": {"serverURL": service.url, "apiKey": key},
            },
            pids=service.pids,
            progress=progress,
        ) as stage,
    ):
        yield stage


@asynccontextmanager
async def parse_staged(
    place: Place,
    devices: int,
    *,
    database_url: str,
    options: Mapping[str, Mapping[str, Any]],
    pids: Mapping[str, int],
    progress: Progress,
) -> AsyncIterator[Stage]:
    """Make Parse Server's database on this PostgreSQL, with its devices."""
    url = make_url(database_url)
    engine = create_engine(
        url.set(database=DATABASE).render_as_string(hide_password=False), connections=2
    )
    try:
        await _make_database(url)
        async with engine.connect() as connection:
            stage = Stage(
                place=place,
                devices=devices,
                database={
                    "host": url.query["host"],
                    "user": url.username,
                    "database": DATABASE,
                },
                engine=engine,
                connection=await connection.execution_options(isolation_level="AUTOCOMMIT"),
                options=options,
                pids=pids,
                progress=progress,
            )
            await _seed(stage)
            yield stage
    finally:
        await engine.dispose()


async def _service(place: Place) -> str:
    """Make an app of the service with its credential; return an api key that may send."""
    engine = create_engine(place.environment["PUSHSVC_DATABASE_URL"], connections=1)
    try:
        await migrate.upgrade(engine)
        async with engine.begin() as connection:
            app = await apps.create_app(connection, name="bench")
            _, key = await apps.create_key(connection, app, kind=KeyKind.API, scopes=[Scope.SEND])
            await add_credential(
                connection,
                Seal(place.environment["PUSHSVC_SECRET_KEY"]),
                app=app,
                gateway=GatewayName.APNS,
                public={"key_id": "BENCHKEY01", "team_id": "BENCHTEAM1", "topics": [TOPIC]},
                secret=new_p8(),
            )
    finally:
        await engine.dispose()
    return key


async def _make_database(url: URL) -> None:
    engine = create_engine(url.render_as_string(hide_password=False), connections=1)
    try:
        async with engine.connect() as connection:
            connection = await connection.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901 - it is the same one
            await connection.execute(text(f"CREATE DATABASE {DATABASE}"))
    finally:
        await engine.dispose()


def stock_options(place: Place) -> dict[str, Any]:
    """Return what points node-apn at the sink; all else is as it comes."""
    host, _, port = place.sink.url.removeprefix("https://").partition(":")
    return {
        "token": {"key": new_p8(), "keyId": "BENCHKEY01", "teamId": "BENCHTEAM1"},
        "topic": TOPIC,
        "address": host,
        "port": int(port),
        "ca": str(place.sink.ca_file),
    }


async def _seed(stage: Stage) -> None:
    """Have Parse Server make its tables, and write the devices."""
    task = stage.progress.add_task("write devices", total=stage.devices)
    async with parse_server.running(setup(stage, "stock", batch_size=100)) as server:
        # The table has the columns of a first row that was saved.
        await server.save({"deviceType": "ios", "deviceToken": "0" * 64, "channels": []})
    await stage.connection.execute(text('DELETE FROM "_Installation"'))
    await stage.connection.execute(
        _SEED,
        {
            "timed": TIMED,
            "topic": TOPIC,
            "warm": WARM_DEVICES,
            "channel": WARM_CHANNEL,
            "devices": stage.devices,
        },
    )
    await settle(stage.engine)
    stage.progress.update(task, completed=stage.devices)


def setup(stage: Stage, adapter: str, *, batch_size: int) -> Setup:
    """Return what a Parse Server with this adapter is started with."""
    return Setup(
        adapter=adapter,
        options=stage.options[adapter],
        batch_size=batch_size,
        database=stage.database,
        log=stage.place.directory / "parse.log",
    )
