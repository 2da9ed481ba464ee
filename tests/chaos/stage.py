"""Where the storm takes place: servers, simulators and processes of the service."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
from redis.asyncio import Redis

from pushsvc import embedded
from pushsvc.embedded import Kind, Running
from pushsvc.storage.sealing import new_secret_key
from tests.chaos import gateways
from tests.chaos.gateways import Gateways
from tests.chaos.supervised import Supervised

#: Worker processes, each an operating system's process of its own.
WORKERS: Final = 3
KINDS: Final[tuple[Kind, ...]] = ("postgres", "redis")
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
    session: aiohttp.ClientSession
    api_port: int
    environment: dict[str, str]
    servers: dict[Kind, Running]
    gateways: Gateways
    api: Supervised
    workers: tuple[Supervised, ...]

    @property
    def dsn(self) -> str:
        """Where Postgres is asked."""
        return self.servers["postgres"].dsn

    @property
    def api_url(self) -> str:
        """Where the API listens."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def processes(self) -> tuple[Supervised, ...]:
        """The service's processes and the simulators."""
        return (self.api, *self.workers, *self.gateways.processes.values())

    async def simulate(self) -> None:
        """Start the simulators, and have the service send to them."""
        for setting, value in (await self.gateways.start(self.environment)).items():
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
    workers: int = WORKERS,
) -> AsyncIterator[Stage]:
    """Start the servers and prepare the rest; end everything at the end.

    Args:
        directory: where all files are.
        tell: told what processes do.
        settings: of the service, beside `SETTINGS`.
        knobs: of the simulators, `NAME=VALUE`.
        workers: how many there are.
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
                servers=servers,
                tell=tell,
                lifeline=reading,
                knobs=knobs,
                workers=workers,
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


def _stage(
    directory: Path,
    session: aiohttp.ClientSession,
    *,
    servers: dict[Kind, Running],
    tell: Callable[[str], None],
    lifeline: int,
    knobs: Sequence[str],
    workers: int,
) -> Stage:
    def making(name: str, *arguments: str) -> Supervised:
        log = directory / f"{name}.log"
        return Supervised(name, *arguments, log=log, lifeline=lifeline, tell=tell)

    api_port, *ports = _free_ports(1 + 2 * len(gateways.NAMES))
    return Stage(
        directory=directory,
        session=session,
        api_port=api_port,
        servers=servers,
        gateways=Gateways.of(
            directory / "simulators",
            making=making,
            ports=ports,
            knobs=knobs,
            session=session,
            tell=tell,
        ),
        api=making("api", "serve"),
        workers=tuple(
            making(f"worker-{number}", "worker", "--processes=1") for number in range(workers)
        ),
        environment={
            **os.environ,
            **SETTINGS,
            "PUSHSVC_DATABASE_URL": servers["postgres"].url,
            "PUSHSVC_REDIS_URL": servers["redis"].url,
            "PUSHSVC_SECRET_KEY": new_secret_key(),
            "PUSHSVC_PORT": str(api_port),
        },
    )


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody has: everything must come back on its own after a kill."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
