"""The ingest case: devices register themselves over the Parse API, one by one and in batches.

API, PostgreSQL, Redis and the client share this machine. Every save is of another installation,
and is there afterwards.
"""

import asyncio
import os
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from rich.progress import Progress
from sqlalchemy import text

from bench.http1 import Answers, ask
from bench.measure import own_cpu_seconds, usages
from bench.place import STOP_SECONDS, wait_until_stopped
from pushsvc import embedded
from pushsvc.cli.processes import Children, Recipe
from pushsvc.model import App
from pushsvc.storage import apps, migrate
from pushsvc.storage.apps import KeyKind
from pushsvc.storage.engine import create_engine
from pushsvc.storage.sealing import new_secret_key

DEVICES: Final = 20_000
#: As the peer was asked: so many connections, and so many saves in a batch.
CONNECTIONS: Final = 32
BATCH_CONNECTIONS: Final = 4
BATCH_SAVES: Final = 50
CLASS_PATH: Final = "/parse/classes/_Installation"

#: Saves a second of parse-server 9.10.0 with PostgreSQL 15 at its defaults, an empty table, asked
#: in the same way; measured on the machine of docs/benchmarks.md on 2026-11-22, not in this run.
PARSE_SERVER: Final[Mapping[str, float]] = {"create": 574, "create_batch": 962}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """A way to save."""

    name: str
    connections: int
    #: saves in one request
    saves: int


CREATE: Final = Mode(name="create", connections=CONNECTIONS, saves=1)
UPDATE: Final = Mode(name="update", connections=CONNECTIONS, saves=1)
CREATE_BATCH: Final = Mode(name="create_batch", connections=BATCH_CONNECTIONS, saves=BATCH_SAVES)
UPDATE_BATCH: Final = Mode(name="update_batch", connections=BATCH_CONNECTIONS, saves=BATCH_SAVES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """One installation as it is sent."""

    method: str
    path: str
    body: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run takes place."""

    host: str
    port: int
    pids: Mapping[str, int]
    #: of every request
    headers: bytes


async def run(devices: int, *, progress: Progress) -> Json:
    """Run the case once, on servers of its own in a directory that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="pushsvc-bench-") as name:
        directory = Path(name)
        # PostgreSQL runs as another user where we are root, and must get to its directory.
        directory.chmod(0o711)  # noqa: ASYNC240 - before anything runs
        with (
            embedded.start("postgres", directory) as postgres,
            embedded.start("redis", directory) as redis,
        ):
            environment = os.environ | {
                "PUSHSVC_DATABASE_URL": postgres.url,
                "PUSHSVC_REDIS_URL": redis.url,
                "PUSHSVC_SECRET_KEY": new_secret_key(),
                "PUSHSVC_PORT": "0",
                "PUSHSVC_LOG_LEVEL": "warning",
            }
            pids = {"postgres": postgres.server_pid}
            figures = await _measured(environment, pids, devices, progress=progress)
        wait_until_stopped(directory)
        return figures


async def _measured(
    environment: Mapping[str, str], pids: Mapping[str, int], devices: int, *, progress: Progress
) -> Json:
    engine = create_engine(environment["PUSHSVC_DATABASE_URL"], connections=1)
    try:
        await migrate.upgrade(engine)
        async with engine.begin() as connection:
            app = await apps.create_app(connection, name="bench")
            await apps.create_key(connection, app, kind=KeyKind.MASTER)
            _, key = await apps.create_key(connection, app, kind=KeyKind.CLIENT)
        async with Children(stop=asyncio.Event(), drain_seconds=STOP_SECONDS) as children:
            [hello] = await children.start(
                Recipe(name="api", arguments=["serve"], environment=environment)
            )
            url = urlsplit(hello["url"])
            assert url.hostname
            assert url.port
            place = Place(
                host=url.hostname,
                port=url.port,
                pids={**pids, "api": hello["pid"]},
                headers=_headers(url.netloc, app, key),
            )
            modes = await _modes(place, devices, progress=progress)
        async with engine.connect() as connection:
            found = await connection.execute(text("SELECT count(*) FROM installations"))
            rows: int = found.scalar_one()
    finally:
        await engine.dispose()
    return {
        "case": "ingest",
        "devices": devices,
        "modes": modes,
        "parse_server_per_second": PARSE_SERVER,
        "rows": rows,
        "rows_match": rows == 2 * devices,
    }


def _headers(host: str, app: App, key: str) -> bytes:
    lines = (
        f"Host: {host}",
        f"X-Parse-Application-Id: {app.application_id}",
        f"X-Parse-Client-Key: {key}",
        "X-Parse-Client-Version: i1.19.4",
        f"X-Parse-Installation-Id: {uuid.uuid4()}",
        "Content-Type: application/json; charset=utf-8",
    )
    return "\r\n".join(lines).encode()


async def _modes(place: Place, devices: int, *, progress: Progress) -> Json:
    """Measure all ways: an update is of what the create before it has made."""
    modes: Json = {}
    for create, update in ((CREATE, UPDATE), (CREATE_BATCH, UPDATE_BATCH)):
        new = [Save(method="POST", path=CLASS_PATH, body=device()) for _ in range(devices)]
        figures, made = await _mode(place, create, new, progress=progress)
        modes[create.name] = figures
        again = [
            Save(method="PUT", path=f"{CLASS_PATH}/{one['objectId']}", body=changed(save.body))
            for one, save in zip(made, new, strict=True)
        ]
        modes[update.name], _ = await _mode(place, update, again, progress=progress)
    return modes


def device() -> Json:
    """Return an installation as an iPhone's SDK sends it."""
    token = os.urandom(32)
    return {
        "deviceType": "ios",
        "deviceToken": token.hex(),
        "installationId": str(uuid.uuid4()),
        "appIdentifier": "com.example.bench",
        "appName": "Bench",
        "appVersion": "4.2.1",
        "parseVersion": "1.19.4",
        "localeIdentifier": "en-US",
        "timeZone": "Europe/Berlin",
        "badge": 0,
        "channels": ["news", f"team-{token[0]}"],
        "plan": ("free", "pro")[token[1] % 2],
        "score": token[2],
    }


def changed(body: Json) -> Json:
    """Return what the SDK sends when the app was updated and the user has chosen a channel."""
    return {
        "installationId": body["installationId"],
        "deviceToken": body["deviceToken"],
        "appVersion": "4.3.0",
        "badge": 1,
        "channels": [*body["channels"], "sale"],
        "score": body["score"] + 1,
    }


async def _mode(
    place: Place, mode: Mode, saves: Sequence[Save], *, progress: Progress
) -> tuple[Json, list[Json]]:
    """Send the saves in this way; return the figures, and what was answered to each save."""
    requests = _requests(place, mode, saves)
    task = progress.add_task(mode.name, total=len(requests))
    before, client_before = usages(place.pids), own_cpu_seconds()
    answers = await ask(
        place.host,
        place.port,
        requests,
        connections=mode.connections,
    )
    after, client_after = usages(place.pids), own_cpu_seconds()
    progress.update(task, completed=len(requests))
    made = _made(mode, answers)
    cpu = {name: after[name].cpu_seconds - used.cpu_seconds for name, used in before.items()}
    cpu["client"] = client_after - client_before
    rate = len(saves) / answers.seconds
    latencies = sorted(answer.seconds * 1e3 for answer in answers.answers)
    peer = PARSE_SERVER.get(mode.name)
    return {
        "saves": len(saves),
        "seconds": round(answers.seconds, 3),
        "saves_per_second": round(rate),
        "ratio_to_parse_server": round(rate / peer, 2) if peer else None,
        "p50_ms": round(latencies[len(latencies) // 2], 1),
        "p99_ms": round(latencies[len(latencies) * 99 // 100], 1),
        "cpu_us_per_save": {name: round(n / len(saves) * 1e6) for name, n in cpu.items()},
        "peak_rss_mb": {name: round(use.peak_rss_mb, 1) for name, use in after.items()},
    }, made


def _requests(place: Place, mode: Mode, saves: Sequence[Save]) -> list[bytes]:
    if mode.saves == 1:
        return [_request(place, save) for save in saves]
    batches = [saves[n : n + mode.saves] for n in range(0, len(saves), mode.saves)]
    return [_request(place, _batch(batch)) for batch in batches]


def _batch(saves: Sequence[Save]) -> Save:
    requests = [{"method": save.method, "path": save.path, "body": save.body} for save in saves]
    return Save(method="POST", path="/parse/batch", body={"requests": requests})


def _request(place: Place, save: Save) -> bytes:
    content = orjson.dumps(save.body)
    head = b"%b %b HTTP/1.1\r\n%b\r\nContent-Length: %d\r\n\r\n"
    return head % (save.method.encode(), save.path.encode(), place.headers, len(content)) + content


def _made(mode: Mode, answers: Answers) -> list[Json]:
    """Return what was answered to each save.

    Raises:
        RuntimeError: a save was refused.
    """
    made: list[Json] = []
    for answer in answers.answers:
        body = orjson.loads(answer.body)
        if answer.status >= 400:  # noqa: PLR2004 - RFC 9110
            message = f"{mode.name} was answered {answer.status}: {body}"
            raise RuntimeError(message)
        made += [body] if mode.saves == 1 else [one["success"] for one in body]
    return made
