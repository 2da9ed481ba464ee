"""Where the storm takes place: servers, simulators and processes of the service."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
from redis.asyncio import Redis

from pushsvc import embedded
from pushsvc.cli.simulate import gateway_settings
from pushsvc.embedded import Kind, Running
from pushsvc.storage.sealing import new_secret_key
from tests.chaos.supervised import Supervised

#: Worker processes, each an operating system's process of its own.
WORKERS: Final = 3
API: Final = "api"
KINDS: Final[tuple[Kind, ...]] = ("postgres", "redis")
PORTS: Final = ("apns", "fcm", "wns", "control")
#: Pause before simulators that are being restarted are addressed again.
HEAR_SECONDS: Final = 0.5
#: How often the memory of the workers is looked at.
WATCH_SECONDS: Final = 1.0
#: A lease runs out soon, so that many takeovers fit into a storm.
SETTINGS: Final = {
    "PUSHSVC_LEASE_SECONDS": "5",
    "PUSHSVC_LOG_LEVEL": "warning",
    "PUSHSVC_LOG_FORMAT": "json",
}


@dataclass(kw_only=True)
class Stage:
    """Everything that runs. A process that ends is started again, on the same ports."""

    directory: Path
    tell: Callable[[str], None]
    session: aiohttp.ClientSession
    ports: dict[str, int]
    environment: dict[str, str]
    servers: dict[Kind, Running]
    simulators: Supervised
    api: Supervised
    workers: tuple[Supervised, ...]

    @property
    def dsn(self) -> str:
        """Where Postgres is asked."""
        return self.servers["postgres"].dsn

    @property
    def ledger_file(self) -> Path:
        """Where the simulators keep what was delivered."""
        return ledger_file(self.directory)

    @property
    def simulators_directory(self) -> Path:
        """Where the simulators keep keys and certificates."""
        return simulators_directory(self.directory)

    @property
    def api_url(self) -> str:
        """Where the API listens."""
        return f"http://127.0.0.1:{self.ports[API]}"

    @property
    def control_url(self) -> str:
        """Where the simulators take orders."""
        return f"http://127.0.0.1:{self.ports['control']}"

    @property
    def fcm_token_uri(self) -> str:
        """Where service accounts sign in."""
        return f"https://127.0.0.1:{self.ports['fcm']}/token"

    @property
    def processes(self) -> tuple[Supervised, ...]:
        """The service's processes and the simulators."""
        return (self.api, *self.workers, self.simulators)

    async def simulate(self) -> None:
        """Start the simulators, and have the service send to them."""
        told = await self.simulators.start(self.environment)
        for setting, value in gateway_settings(told).items():
            self.environment[f"PUSHSVC_{setting.upper()}"] = value

    async def serve(self) -> None:
        """Start API and workers."""
        await asyncio.gather(*(one.start(self.environment) for one in (self.api, *self.workers)))

    async def restart_server(self, kind: Kind, number: signal.Signals) -> None:
        """End a server the hard way, and start it again at once."""
        former = self.servers[kind]
        os.kill(former.server_pid, number)
        self.servers[kind] = await asyncio.to_thread(embedded.start, kind, self.directory)
        former.leave()

    async def flush_redis(self) -> None:
        """FLUSHALL."""
        redis = Redis.from_url(self.servers["redis"].url)
        try:
            await redis.flushall()
        finally:
            await redis.aclose()

    async def command(self, path: str, document: Any, *, method: str = "POST") -> None:
        """Give the simulators an order, as soon as they hear."""
        url = f"{self.control_url}{path}"
        while True:
            with suppress(aiohttp.ClientError):
                async with self.session.request(method, url, json=document) as response:
                    if not response.ok:
                        # Of two outages of one gateway the second is a part of the first.
                        self.tell(f"{path}: {await response.text()}")
                    return
            await asyncio.sleep(HEAR_SECONDS)

    async def stats(self) -> dict[str, Any]:
        """Return the simulators' sums."""
        async with self.session.get(f"{self.control_url}/stats") as response:
            found: dict[str, Any] = await response.json()
        return found

    async def ask(self, statement: str) -> Any:
        """Return the one value that a statement gives, or do what it says."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    async def open_pushes(self) -> int:
        """Return how many pushes are not at their end."""
        return int(
            await self.ask(
                "SELECT count(*) FROM pushes WHERE state IN ('waiting', 'planning', 'sending')"
            )
        )

    async def open_work(self) -> list[str]:
        """Return what is not done, for people: batches by lane, state and attempt."""
        connection = await asyncpg.connect(self.dsn)
        try:
            rows = await connection.fetch(
                "SELECT lane, state, attempt, count(*) AS batches,"
                " min(leases) AS fewest_leases, max(leases) AS most_leases,"
                " date_trunc('second', min(not_before - now())) AS first,"
                " date_trunc('second', max(not_before - now())) AS last"
                " FROM batches WHERE state <> 2 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
            )
        finally:
            await connection.close()
        return [", ".join(f"{name} {value}" for name, value in row.items()) for row in rows]

    async def watch(self) -> None:
        """Look at the workers' memory until cancelled."""
        while True:
            for worker in self.workers:
                worker.look()
            await asyncio.sleep(WATCH_SECONDS)


@asynccontextmanager
async def staged(
    directory: Path,
    tell: Callable[[str], None],
    *,
    settings: Mapping[str, str] | None = None,
    knobs: Sequence[str] = (),
) -> AsyncIterator[Stage]:
    """Start the servers and prepare the rest; end everything at the end.

    Args:
        directory: where all files are.
        tell: told what processes do.
        settings: of the service, beside `SETTINGS`.
        knobs: of the simulators, `NAME=VALUE`.
    """
    reading, writing = os.pipe()
    servers: dict[Kind, Running] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        try:
            for kind in KINDS:
                servers[kind] = await asyncio.to_thread(embedded.start, kind, directory)
            stage = _stage(
                directory,
                session,
                ports=_free_ports((*PORTS, API)),
                servers=servers,
                tell=tell,
                lifeline=reading,
                knobs=knobs,
            )
            stage.environment.update(settings or {})
            try:
                yield stage
            finally:
                await asyncio.gather(*(one.end() for one in stage.processes))
        finally:
            for server in servers.values():
                server.leave()
            os.close(writing)
            os.close(reading)


def ledger_file(directory: Path) -> Path:
    """Where simulators of this directory keep what was delivered."""
    return directory / "ledger"


def simulators_directory(directory: Path) -> Path:
    """Where simulators of this directory keep keys and certificates."""
    return directory / "simulators"


def _stage(
    directory: Path,
    session: aiohttp.ClientSession,
    *,
    ports: Mapping[str, int],
    servers: dict[Kind, Running],
    tell: Callable[[str], None],
    lifeline: int,
    knobs: Sequence[str],
) -> Stage:
    def process(name: str, *arguments: str) -> Supervised:
        log = directory / f"{name}.log"
        return Supervised(name, *arguments, log=log, lifeline=lifeline, tell=tell)

    options = (
        *(f"--knob={knob}" for knob in knobs),
        f"--directory={simulators_directory(directory)}",
        f"--ledger-file={ledger_file(directory)}",
    )
    listen = (f"--{name}-port={ports[name]}" for name in PORTS)
    return Stage(
        directory=directory,
        tell=tell,
        session=session,
        ports=dict(ports),
        servers=servers,
        simulators=process("simulators", "simulate", *options, *listen),
        api=process(API, "serve"),
        workers=tuple(
            process(f"worker-{number}", "worker", "--processes=1") for number in range(WORKERS)
        ),
        environment={
            **os.environ,
            **SETTINGS,
            "PUSHSVC_DATABASE_URL": servers["postgres"].url,
            "PUSHSVC_REDIS_URL": servers["redis"].url,
            "PUSHSVC_SECRET_KEY": new_secret_key(),
            "PUSHSVC_PORT": str(ports[API]),
        },
    )


def _free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """Return ports that nobody has: everything must come back on its own after a kill."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}
    for one in sockets:
        one.close()
    return ports
