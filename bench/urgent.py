"""The urgent case: how long a push to one device takes to its gateway, also beside a large one.

Sends come evenly, whether or not those before them are answered; each is timed from before its
POST to the moment the sink has the message.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

import aiohttp
from rich.progress import Progress
from sqlalchemy import text

from bench.broadcast import POLL_SECONDS, STOP_SECONDS, TOPIC, Place, opened, push_to_all, seed
from bench.measure import usages
from bench.sink import TIMED
from pushsvc.cli.processes import Children, Recipe
from pushsvc.storage import migrate
from pushsvc.storage.engine import create_engine

#: Of the large push, where the command line does not say.
DEVICES = 200_000
PER_SECOND = 8
#: Sends that bring up connections and are not counted, and those that are sent alone.
FIRST = 20
ALONE = 120
CLOSE_SECONDS = 60

_OPEN = text("SELECT count(*) FROM pushes WHERE finished_at IS NULL")


async def run(devices: int, *, processes: int, progress: Progress) -> dict[str, Any]:
    """Run the case once."""
    with opened(processes=processes) as place:
        engine = create_engine(place.environment["PUSHSVC_DATABASE_URL"], connections=2)
        try:
            await migrate.upgrade(engine)
            key = await seed(engine, place, devices, progress=progress)
        finally:
            await engine.dispose()
        async with Children(stop=asyncio.Event(), drain_seconds=STOP_SECONDS) as children:
            api, worker = await children.start(
                Recipe(name="api", arguments=["serve"], environment=place.environment),
                Recipe(name="worker", arguments=["worker"], environment=place.environment),
            )
            pids = place.pids | {"api": api["pid"], "worker": worker["pid"]}
            runs = await _sent(api["url"], key, devices, pids=pids, progress=progress)
            await _closed(place)
        return _figures(place, devices, runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Token -> when its push was posted: alone, and beside the large one."""

    alone: dict[str, float]
    beside: dict[str, float]
    #: of the large one
    seconds: float
    #: process -> CPU of a send that is alone
    cpu_ms: dict[str, float]


async def _closed(place: Place) -> None:
    """Wait until every push is."""
    engine = create_engine(place.environment["PUSHSVC_DATABASE_URL"], connections=1)
    try:
        async with asyncio.timeout(CLOSE_SECONDS), engine.connect() as connection:
            while (await connection.execute(_OPEN)).scalar_one():  # noqa: ASYNC110 - no event is ours
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await engine.dispose()


async def _sent(
    url: str, key: str, devices: int, *, pids: dict[str, int], progress: Progress
) -> Runs:
    """Send alone, then while the large push runs."""
    tokens = (f"{TIMED}{number:056x}" for number in itertools.count())
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(url, headers=headers, raise_for_status=True) as session:
        counts = iter(range(FIRST + ALONE))
        before = usages(pids)
        alone = await _stream(session, tokens, lambda: next(counts, None) is not None)
        after = usages(pids)
        cpu_ms = {
            name: round(1000 * (after[name].cpu_seconds - use.cpu_seconds) / len(alone), 2)
            for name, use in before.items()
        }
        large = asyncio.create_task(push_to_all(url, key, devices, progress=progress))
        beside = await _stream(session, tokens, lambda: not large.done())
        _, seconds = await large
    counted = dict(list(alone.items())[FIRST:])
    return Runs(alone=counted, beside=beside, seconds=seconds, cpu_ms=cpu_ms)


async def _stream(
    session: aiohttp.ClientSession, tokens: Iterator[str], goes_on: Callable[[], bool]
) -> dict[str, float]:
    """Post a push to one device after the other, evenly; return token -> when."""
    posted: dict[str, float] = {}

    async def post(token: str) -> None:
        device = {"device_type": "ios", "token": token, "app_identifier": TOPIC}
        body = {"devices": [device], "data": {"alert": "Your code is 123456."}}
        posted[token] = time.time()
        async with session.post("/v1/pushes", json=body) as response:
            await response.read()

    due = time.monotonic()
    async with asyncio.TaskGroup() as group:
        while goes_on():
            group.create_task(post(next(tokens)))
            due += 1 / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    return posted


def _figures(place: Place, devices: int, runs: Runs) -> dict[str, Any]:
    seen = place.sink.stop()
    received = place.sink.moments()
    return {
        "case": "urgent",
        "devices": devices,
        "per_second": PER_SECOND,
        "alone": _latency(runs.alone, received),
        "beside": _latency(runs.beside, received),
        "large_push_seconds": round(runs.seconds, 3),
        "cpu_ms_per_send": runs.cpu_ms,
        "sink": place.sink.name,
        "all_received": seen.requests == devices and received.keys() >= {*runs.alone, *runs.beside},
    }


def _latency(posted: dict[str, float], received: dict[str, float]) -> dict[str, float]:
    """Return how many there were, and their milliseconds."""
    taken = [1000 * (received[token] - at) for token, at in posted.items() if token in received]
    cuts = quantiles(taken, n=100, method="inclusive")
    return {
        "sends": len(taken),
        "p50_ms": round(cuts[49], 1),
        "p99_ms": round(cuts[98], 1),
        "most_ms": round(max(taken), 1),
    }
