"""The end-to-end case: one push with badge Increment, from the POST to the closed push.

API, worker, PostgreSQL, Redis and the sink share this machine. Devices are written by SQL first;
that is not part of the figures.
"""

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rich.progress import Progress
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.measure import Usage, usages
from bench.sink import Seen, Sink, running
from pushsvc import embedded
from pushsvc.cli.processes import Children, Recipe
from pushsvc.model import GatewayName
from pushsvc.storage import apps, migrate
from pushsvc.storage.apps import KeyKind, Scope
from pushsvc.storage.credentials import add_credential
from pushsvc.storage.engine import create_engine
from pushsvc.storage.sealing import Seal, new_secret_key

#: Of a run where the command line does not say.
DEVICES = 100_000
TOPIC = "com.example.bench"
CHANNEL = "all"
STOP_SECONDS = 15
POLL_SECONDS = 0.02
#: Devices in one statement, so that progress shows.
SEED_ROWS = 50_000

_SEED = text("""
    WITH new AS (
        INSERT INTO installations (app_id, object_id, installation_id, device_token, device_type,
            app_identifier, locale_identifier, time_zone, channels)
        SELECT :app_id, 'b' || lpad(to_hex(n), 9, '0'), 'bench-' || n,
            md5(n::text) || md5('t' || n::text), 'ios', :topic,
            (ARRAY['en-US', 'fr-FR', 'de-DE'])[1 + n % 3], 'Europe/Paris',
            ARRAY[:channel, 'c' || n % 100]
        FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n
        RETURNING id
    )
    INSERT INTO badges (installation_id) SELECT id FROM new
""")

_LEDGER = text("""
    SELECT count(*) FILTER (WHERE byte = 1), count(*) FROM batches,
        generate_series(0, length(outcomes) - 1) AS place, get_byte(outcomes, place) AS byte
    WHERE push_id = (SELECT id FROM pushes WHERE object_id = :push)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One run."""

    devices: int
    seconds: float
    before: dict[str, Usage]
    after: dict[str, Usage]
    outcomes: dict[str, int]
    ledger: tuple[int, int]
    seen: Seen
    sink: str
    h2load_per_second: float | None

    def as_json(self) -> dict[str, Any]:
        """Return the figures as they are published."""
        cpu = {
            name: round((self.after[name].cpu_seconds - u.cpu_seconds) / self.devices * 1e6, 2)
            for name, u in self.before.items()
        }
        all_sent = self.ledger == (self.devices, self.devices)
        rate = self.devices / self.seconds
        return {
            "case": "broadcast",
            "devices": self.devices,
            "seconds": round(self.seconds, 3),
            "devices_per_second": round(rate),
            "cpu_us_per_message": cpu | {"all": round(sum(cpu.values()), 2)},
            "peak_rss_mb": {name: round(u.peak_rss_mb, 1) for name, u in self.after.items()},
            "outcomes": self.outcomes,
            "ledger_match": all_sent and self.seen == Seen(self.devices, self.devices),
            "sink": self.sink,
            "h2load_per_second": self.h2load_per_second,
            "ratio_to_h2load": (
                round(rate / self.h2load_per_second, 2) if self.h2load_per_second else None
            ),
        }


async def run(devices: int, *, processes: int, progress: Progress) -> Figures:
    """Run the case once, on servers of its own in a directory that is removed afterwards."""
    with opened(processes=processes) as place:
        return await _measured(place, devices, progress=progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run takes place."""

    directory: Path
    sink: Sink
    environment: dict[str, str]
    pids: dict[str, int]


@contextmanager
def opened(*, processes: int) -> Iterator[Place]:
    """Start servers and the sink in a directory of their own, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="pushsvc-bench-") as name:
        directory = Path(name)
        # PostgreSQL runs as another user where we are root, and must get to its directory.
        directory.chmod(0o711)
        with (
            embedded.start("postgres", directory) as postgres,
            embedded.start("redis", directory) as redis,
            running(directory) as sink,
        ):
            yield Place(
                directory=directory,
                sink=sink,
                environment=_environment(postgres.url, redis.url, sink, processes=processes),
                pids={
                    "postgres": postgres.server_pid,
                    "redis": redis.server_pid,
                    "sink": sink.process.pid,
                },
            )
        wait_until_stopped(directory)


def _environment(database: str, redis: str, sink: Sink, *, processes: int) -> dict[str, str]:
    return os.environ | {
        "PUSHSVC_DATABASE_URL": database,
        "PUSHSVC_REDIS_URL": redis,
        "PUSHSVC_SECRET_KEY": new_secret_key(),
        "PUSHSVC_PORT": "0",
        "PUSHSVC_APNS_URL": sink.url,
        "PUSHSVC_GATEWAY_CA_FILE": str(sink.ca_file),
        "PUSHSVC_PROCESSES": str(processes),
        "PUSHSVC_LOG_LEVEL": "warning",
    }


async def _measured(place: Place, devices: int, *, progress: Progress) -> Figures:
    engine = create_engine(place.environment["PUSHSVC_DATABASE_URL"], connections=2)
    try:
        await migrate.upgrade(engine)
        key = await seed(engine, place, devices, progress=progress)
        async with Children(stop=asyncio.Event(), drain_seconds=STOP_SECONDS) as children:
            hellos = await children.start(
                Recipe(name="api", arguments=["serve"], environment=place.environment),
                Recipe(name="worker", arguments=["worker"], environment=place.environment),
            )
            pids = place.pids | {"api": hellos[0]["pid"], "worker": hellos[1]["pid"]}
            before = usages(pids)
            push, seconds = await push_to_all(hellos[0]["url"], key, devices, progress=progress)
            after = usages(pids)
        async with engine.connect() as connection:
            sent, entries = (await connection.execute(_LEDGER, {"push": push["id"]})).one()
    finally:
        await engine.dispose()
    return Figures(
        devices=devices,
        seconds=seconds,
        before=before,
        after=after,
        outcomes={name: n for name, n in push["counts"].items() if n},
        ledger=(sent, entries),
        h2load_per_second=await h2load(place.sink.url, requests=devices),
        seen=place.sink.stop(),
        sink=place.sink.name,
    )


async def seed(engine: AsyncEngine, place: Place, devices: int, *, progress: Progress) -> str:
    """Write an app, its credential and its devices; return an api key."""
    task = progress.add_task("write devices", total=devices)
    seal = Seal(place.environment["PUSHSVC_SECRET_KEY"])
    async with engine.begin() as connection:
        app = await apps.create_app(connection, name="bench")
        _, key = await apps.create_key(connection, app, kind=KeyKind.API, scopes=[Scope.ADMIN])
        public = {"key_id": "BENCHKEY01", "team_id": "BENCHTEAM1", "topics": [TOPIC]}
        await add_credential(
            connection, seal, app=app, gateway=GatewayName.APNS, public=public, secret=new_p8()
        )
    for first in range(1, devices + 1, SEED_ROWS):
        last = min(first + SEED_ROWS - 1, devices)
        parameters = {"app_id": app.id, "topic": TOPIC, "channel": CHANNEL}
        async with engine.begin() as connection:
            await connection.execute(_SEED, parameters | {"first": first, "last": last})
        progress.update(task, completed=last)
    async with engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901 - it is the same one
        # What autovacuum does within a minute of such an import.
        await connection.execute(text("VACUUM ANALYZE"))
        await connection.execute(text("CHECKPOINT"))
    return key


async def push_to_all(
    url: str, key: str, devices: int, *, progress: Progress
) -> tuple[dict[str, Any], float]:
    """Post the push and wait until it is closed; return it and the seconds in between."""
    task = progress.add_task("push", total=devices)
    body = {
        "channels": [CHANNEL],
        "data": {"alert": "The Giants won against the Mets 2-3.", "badge": "Increment"},
    }
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(url, headers=headers, raise_for_status=True) as session:
        started = time.perf_counter()
        async with session.post("/v1/pushes", json=body) as response:
            push = await response.json()
        while push["state"] not in {"done", "failed"}:
            await asyncio.sleep(POLL_SECONDS)
            async with session.get(f"/v1/pushes/{push['id']}") as response:
                push = await response.json()
            progress.update(task, completed=push["counts"]["sent"])
        return push, time.perf_counter() - started


def new_p8() -> str:
    """Return a fresh key in the form of Apple's .p8 files."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


async def h2load(url: str, *, requests: int) -> float | None:
    """Ask the same sink for as many requests with h2load (C), where the system has it."""
    if shutil.which("h2load") is None:
        return None
    process = await asyncio.create_subprocess_exec(
        *("h2load", "-n", str(requests), "-c", "1", "-m", "1000", f"{url}/h2load"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    found = re.search(rb"([\d.]+) req/s", said)
    return round(float(found[1])) if found else None


def wait_until_stopped(directory: Path) -> None:
    """Wait until both servers are down: their directory is removed next."""
    deadline = time.monotonic() + STOP_SECONDS
    for kind in ("postgres", "redis"):
        while not embedded.stopped(kind, directory) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
