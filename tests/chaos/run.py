"""One storm from its beginning to the verdict."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tests.chaos import pushes, senders, storm
from tests.chaos.blows import blow
from tests.chaos.callers import Callers
from tests.chaos.fleet import APP_SHARES, Fleet
from tests.chaos.judge import Evidence, figures_of, judge
from tests.chaos.ledgers import read_database, read_receipts
from tests.chaos.population import populate
from tests.chaos.pushes import Planned
from tests.chaos.stage import WORKERS, Stage, staged

#: After the storm every push must have come to its end in this time, beside the longest wait that a
#: retry can have by then. A minute does it, unless the machine has much else to do.
CLOSE_SECONDS: Final = 240.0
#: A wait grows with the time that a device has been tried, up to this (delivery/retry.py).
LONGEST_WAIT_SECONDS: Final = 900.0
POLL_SECONDS: Final = 0.5
#: It is told when so large a part of the pushes is left of those that were told last.
TOLD_SHARE: Final = 0.8
#: How often it is told how far things are.
TELL_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a storm is."""

    seed: int
    devices: int
    installations: int
    seconds: float


async def run(size: Size, directory: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run a storm; return its figures, with examples of what must not be."""
    begun = time.monotonic()
    fleet = Fleet.of(size.seed, size.installations)
    plan = pushes.planned(size.seed, fleet=fleet, devices=size.devices, seconds=size.seconds)
    events = storm.events(size.seed, seconds=size.seconds, workers=WORKERS)
    async with staged(directory, tell) as stage:
        callers = await _prepare(stage, fleet, seed=size.seed)
        tell(f"{len(plan)} pushes to {size.devices:,} devices, {len(events)} events")
        stormed = time.monotonic()
        began = time.time()
        await _storm(stage, callers, plan, events=events, tell=tell)
        calm = time.monotonic()
        await _close(stage, tell, stormed_seconds=calm - stormed)
        closed = time.monotonic()
        evidence = replace(
            await _gather(stage, callers, plan, fleet),
            deaf_until=lambda moment: began + storm.deaf_until(events, moment - began),
        )
    verdict = judge(plan, evidence)
    for number, said in callers.refused.items():
        verdict.blame("submits_refused", f"push {number}: {said}")
    return {
        "seed": size.seed,
        **figures_of(verdict),
        "submits_repeated": callers.repeats,
        "peak_rss_mb": round(max(worker.peak_rss_mb for worker in stage.workers)),
        "ended_by_themselves": {one.name: one.ended_by_itself for one in stage.processes},
        "events": dict(Counter(event.kind.value for event in events)),
        "storm_seconds": round(calm - stormed, 1),
        "close_seconds": round(closed - calm, 1),
        "wall_seconds": round(time.monotonic() - begun, 1),
        "examples": verdict.examples,
    }


async def _prepare(stage: Stage, fleet: Fleet, *, seed: int) -> Callers:
    told = [senders.make(app) for app in range(len(APP_SHARES))]
    senders.write(stage.gateways.directory, told, token_uri=stage.gateways.token_uri)
    await stage.simulate()
    keys = await populate(stage, fleet, told)
    await stage.serve()
    return Callers(url=stage.api_url, keys=keys, seed=seed, session=stage.session)


async def _storm(
    stage: Stage,
    callers: Callers,
    plan: list[Planned],
    *,
    events: list[storm.Event],
    tell: Callable[[str], None],
) -> None:
    watching = asyncio.create_task(stage.watch())
    telling = asyncio.create_task(_tell_progress(callers, len(plan), tell))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(callers.post_all(plan, asyncio.get_running_loop().time()))
            group.create_task(blow(stage, events, tell))
    finally:
        for task in (watching, telling):
            task.cancel()
        await asyncio.gather(watching, telling, return_exceptions=True)


async def _tell_progress(callers: Callers, wished: int, tell: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(TELL_SECONDS)
        tell(f"{len(callers.accepted)} of {wished} pushes accepted")


async def _close(stage: Stage, tell: Callable[[str], None], *, stormed_seconds: float) -> None:
    """Wait until no push is open, or until it has taken too long."""
    waits = min(stormed_seconds, LONGEST_WAIT_SECONDS)
    deadline, told = time.monotonic() + CLOSE_SECONDS + waits, math.inf
    while time.monotonic() < deadline and (left := await stage.open_pushes()):
        if left < told * TOLD_SHARE:
            tell(f"{left} pushes are open")
            told = left
        await asyncio.sleep(POLL_SECONDS)
    for line in await stage.open_work():
        tell(line)
    for worker in stage.workers:
        worker.look()


async def _gather(stage: Stage, callers: Callers, plan: list[Planned], fleet: Fleet) -> Evidence:
    shown = {}
    for push in plan:
        if (accepted := callers.accepted.get(push.number)) is not None:
            shown[accepted.object_id] = (await callers.look(push))["counts"]
    return Evidence(
        fleet=fleet,
        accepted=callers.accepted,
        halted=callers.halted,
        shown=shown,
        database=await read_database(stage.dsn),
        receipts=await asyncio.to_thread(read_receipts, stage.gateways.ledger_files),
    )
