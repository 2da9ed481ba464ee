"""Where a case takes place: PostgreSQL, Redis, the sink, and the service's own processes."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from bench import sampling
from bench.sink import Sink, running
from pushsvc import embedded
from pushsvc.cli.processes import Children, Recipe
from pushsvc.storage import migrate
from pushsvc.storage.engine import create_engine
from pushsvc.storage.sealing import new_secret_key

#: Worker processes where the command line does not say: the best for two cores.
PROCESSES: Final = 2
STOP_SECONDS: Final = 15
POLL_SECONDS: Final = 0.02
#: Of the time that has passed: what waiting adds to a figure, and spares of asking.
POLL_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Servers and the sink, started."""

    directory: Path
    sink: Sink
    environment: dict[str, str]
    pids: dict[str, int]
    sampler: sampling.Sampler


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The service's processes, too."""

    url: str
    pids: Mapping[str, int]
    #: tells of one that ends
    children: Children


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
            sampler = sampling.Sampler(directory / "samples")
            yield Place(
                directory=directory,
                sink=sink,
                environment=os.environ
                | _settings(sink, processes=processes)
                | {"PUSHSVC_DATABASE_URL": postgres.url, "PUSHSVC_REDIS_URL": redis.url}
                | sampler.environment,
                pids={
                    "postgres": postgres.server_pid,
                    "redis": redis.server_pid,
                    "sink": sink.process.pid,
                },
                sampler=sampler,
            )
        wait_until_stopped(directory)


def _settings(sink: Sink, *, processes: int) -> dict[str, str]:
    return {
        "PUSHSVC_SECRET_KEY": new_secret_key(),
        "PUSHSVC_PORT": "0",
        "PUSHSVC_APNS_URL": sink.url,
        "PUSHSVC_FCM_URL": sink.url,
        # The quota of a project, 10,000 a second, is not what is measured.
        "PUSHSVC_FCM_RATE_PER_MINUTE": str(10**9),
        "PUSHSVC_FCM_RAMP_SECONDS": "0",
        "PUSHSVC_GATEWAY_CA_FILE": str(sink.ca_file),
        "PUSHSVC_PROCESSES": str(processes),
        "PUSHSVC_LOG_LEVEL": "warning",
    }


@asynccontextmanager
async def migrated(place: Place) -> AsyncIterator[AsyncEngine]:
    """Bring the database forward; yield what asks it."""
    engine = create_engine(place.environment["PUSHSVC_DATABASE_URL"], connections=2)
    try:
        await migrate.upgrade(engine)
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def serving(place: Place, *, workers: bool = True) -> AsyncIterator[Service]:
    """Run the API, and the workers where they are wanted."""
    recipes = {"api": "serve"} | ({"worker": "worker"} if workers else {})
    async with Children(stop=asyncio.Event(), drain_seconds=STOP_SECONDS) as children:
        hellos = await children.start(
            *(
                Recipe(name=name, arguments=[command], environment=place.environment)
                for name, command in recipes.items()
            )
        )
        pids = {name: hello["pid"] for name, hello in zip(recipes, hellos, strict=True)}
        yield Service(url=hellos[0]["url"], pids=place.pids | pids, children=children)


def wait_until_stopped(directory: Path) -> None:
    """Wait until both servers are down: their directory is removed next."""
    deadline = time.monotonic() + STOP_SECONDS
    for kind in ("postgres", "redis"):
        while not embedded.stopped(kind, directory) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


async def pause(since: float, *, least: float = POLL_SECONDS) -> None:
    """Wait a moment before the next look at what began then, by the monotonic clock."""
    await asyncio.sleep(max(least, POLL_SHARE * (time.monotonic() - since)))
