"""The broadcast case: one push to all devices, from the POST to the closed push.

API, worker, PostgreSQL, Redis and the sink share this machine. Devices are written by SQL first;
that is not part of the figures, nor is a small push before, for which a worker that has just
started makes its connections. Afterwards h2load makes the same requests to the same sink.
"""

import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import aiohttp
from rich.progress import Progress
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import same_requests
from bench.audience import (
    CHANNEL,
    WARM_CHANNEL,
    WARM_DEVICES,
    WITH_BADGE,
    Content,
    Platform,
    android_of,
    seed,
)
from bench.measure import per_message, usages
from bench.place import PROCESSES, Place, Service, migrated, opened, pause, serving
from bench.sink import Seen

#: Of a run where the command line does not say.
DEVICES = 100_000
#: A push that is not closed by then is not going to be; it is never so slow as that.
LEAST_SECONDS, DEVICES_PER_SECOND = 120, 1_000

#: Between two questions, each of which costs the API some 3 ms.
ASK_SECONDS = 0.1

_LEDGER = text("""
    SELECT count(*) FILTER (WHERE byte = 1), count(*) FROM batches,
        generate_series(0, length(outcomes) - 1) AS place, get_byte(outcomes, place) AS byte
    WHERE push_id = (SELECT id FROM pushes WHERE object_id = :push)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    devices: int = DEVICES
    processes: int = PROCESSES
    platform: Platform = Platform.IOS
    content: Content = WITH_BADGE


#: Every size and platform with badges; every other content at one of them.
MATRIX: Final = tuple(
    Options(devices=devices, platform=platform, content=content)
    for devices, platform, content in (
        *((n, platform, WITH_BADGE) for n in (10_000, 100_000, 1_000_000) for platform in Platform),
        (100_000, Platform.IOS, Content(badge=False)),
        (100_000, Platform.IOS, Content(locales=True)),
        (100_000, Platform.MIXED, Content(locales=True, templates=True)),
    )
)


async def run_matrix(processes: int, *, progress: Progress) -> dict[str, Any]:
    """Run every row of the matrix, each on servers of its own."""
    task = progress.add_task("runs", total=len(MATRIX))
    runs = []
    for options in MATRIX:
        runs.append(await run(replace(options, processes=processes), progress=progress))
        progress.advance(task)
    return {
        "case": "broadcast",
        "runs": runs,
        "ledger_match": all(one["ledger_match"] for one in runs),
    }


async def run(options: Options, *, progress: Progress) -> dict[str, Any]:
    """Run the case once, on servers of its own in a directory that is removed afterwards."""
    with opened(processes=options.processes) as place:
        async with migrated(place) as engine:
            figures = await _measured(place, engine, options, progress=progress)
        rate = await same_requests.per_second(
            place, options.devices, platform=options.platform, content=options.content
        )
        seen = place.sink.stop()
        return figures | {
            "ledger_match": figures["ledger_match"] and seen == _expected(options),
            "sink": place.sink.name,
            "stage_shares": place.sampler.shares(),
            "h2load_requests_per_second": rate,
            "ratio_to_h2load": rate and round(figures["devices_per_second"] / rate, 2),
        }


def _expected(options: Options) -> Seen:
    """Return what the sink has seen where each device got one message."""
    every = options.devices + WARM_DEVICES
    android = android_of(options.platform, every)
    ios = every - android
    return Seen(requests=ios, devices=ios, unnamed=android)


async def _measured(
    place: Place, engine: AsyncEngine, options: Options, *, progress: Progress
) -> dict[str, Any]:
    devices, content = options.devices, options.content
    key = await seed(
        engine,
        place,
        devices,
        progress=progress,
        platform=options.platform,
        named=content.templates,
        warm=True,
    )
    async with serving(place) as service:
        work = _pushed(place, service, key, options=options, progress=progress)
        push, seconds, costs = await service.children.during(work)
    async with engine.connect() as connection:
        sent, entries = (await connection.execute(_LEDGER, {"push": push["id"]})).one()
    return {
        "case": "broadcast",
        "devices": devices,
        "platform": options.platform.value,
        "content": str(content),
        "processes": options.processes,
        "seconds": round(seconds, 3),
        "devices_per_second": round(devices / seconds),
        **costs,
        "outcomes": {name: n for name, n in push["counts"].items() if n},
        "ledger_match": (sent, entries) == (devices, devices),
    }


async def _pushed(
    place: Place, service: Service, key: str, *, options: Options, progress: Progress
) -> tuple[dict[str, Any], float, dict[str, Any]]:
    """Push to the few and then to all; return that push, its seconds, and what it cost."""
    url, content = service.url, options.content
    await push_to_all(
        url, key, WARM_DEVICES, content=content, channel=WARM_CHANNEL, progress=progress
    )
    before = usages(service.pids)
    with place.sampler.measuring():
        push, seconds = await push_to_all(
            url, key, options.devices, content=content, progress=progress
        )
    return push, seconds, per_message(before, usages(service.pids), options.devices)


async def push_to_all(
    url: str,
    key: str,
    devices: int,
    *,
    progress: Progress,
    content: Content = WITH_BADGE,
    channel: str = CHANNEL,
) -> tuple[dict[str, Any], float]:
    """Post the push and wait until it is closed; return it, and the seconds from POST to close.

    The close has its own time in it, by the one clock of this machine, so that it may be asked for
    seldom.

    Raises:
        TimeoutError: it was not closed in time.
    """
    task = progress.add_task("push", total=devices)
    body = {"channels": [channel], "data": content.body()}
    headers = {"Authorization": f"Bearer {key}"}
    deadline = time.monotonic() + LEAST_SECONDS + devices / DEVICES_PER_SECOND
    async with aiohttp.ClientSession(url, headers=headers, raise_for_status=True) as session:
        posted_at, began = time.time(), time.monotonic()
        async with session.post("/v1/pushes", json=body) as response:
            push = await response.json()
        while push["state"] not in {"done", "failed"}:
            if time.monotonic() > deadline:
                raise TimeoutError(f"The push is still {push['state']}: {push['counts']}")
            await pause(began, least=ASK_SECONDS)
            async with session.get(f"/v1/pushes/{push['id']}") as response:
                push = await response.json()
            progress.update(task, completed=push["counts"]["sent"])
    finished_at = datetime.fromisoformat(push["finished_at"]).timestamp()
    return push, finished_at - posted_at
