"""The plan and stages cases: each stage of a broadcast alone, in one process, nothing sent.

All batches go through a stage before the first goes through the next, one after the other. The
wire's stages are fed as `bench.wire_parts` does. A stage costs this process, which is the worker,
and the servers that it asks.
"""

import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from rich.progress import Progress
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import wire_parts
from bench.audience import CHANNEL, WITH_BADGE, Platform, seed, settle
from bench.measure import own_cpu_seconds, peak_rss_mb, usages
from bench.place import Place, migrated, opened, serving
from pushsvc import ending, log, pipeline
from pushsvc.config import Settings
from pushsvc.delivery import dispatch
from pushsvc.model import ACCEPTED, Batch, Device, Push
from pushsvc.resources import Resources, open_resources
from pushsvc.shaping.body import Shaper, badge_change
from pushsvc.storage import batches, pushes
from pushsvc.storage.devices import load_devices

DEVICES: Final = 100_000
#: Planned one after the other; the figures are of the cheapest.
PLANS: Final = 3
LEASE_SECONDS: Final = 3_600.0

_PUSH = text("SELECT id FROM pushes WHERE object_id = :push")
_PLANNED = text("SELECT sum(cardinality(installation_ids)) FROM batches WHERE push_id = :push")
_SEQS = text("SELECT seq FROM batches WHERE push_id = :push ORDER BY seq")
_ENTRIES = text("SELECT sum(length(outcomes)) FROM batches WHERE push_id = :push AND state = 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the stages work with."""

    place: Place
    engine: AsyncEngine
    resources: Resources
    devices: int
    #: of pushes that are stored and not planned
    push_ids: Sequence[int]

    async def cost(self, stage: Coroutine[Any, Any, None]) -> dict[str, float]:
        """Run a stage; return its seconds, and CPU for each device in microseconds."""
        pids = {name: self.place.pids[name] for name in ("postgres", "redis")}
        before, own, began = usages(pids), own_cpu_seconds(), time.perf_counter()
        await stage
        seconds, own = time.perf_counter() - began, own_cpu_seconds() - own
        after = usages(pids)
        cpu = {n: after[n].cpu_seconds - use.cpu_seconds for n, use in before.items()}
        us = {n: round(s / self.devices * 1e6, 2) for n, s in {"worker": own, **cpu}.items()}
        return {"seconds": round(seconds, 3), **us, "all": round(sum(us.values()), 2)}


@asynccontextmanager
async def _prepared(devices: int, *, count: int, progress: Progress) -> AsyncIterator[Bench]:
    """Write devices, and store so many pushes to them, which nobody plans."""
    log.configure(level="warning", form="console")
    with opened(processes=1) as place:
        async with migrated(place) as engine:
            key = await seed(engine, place, devices, progress=progress, platform=Platform.IOS)
            async with serving(place, workers=False) as service:
                ids = [await _stored(engine, service.url, key) for _ in range(count)]
            await settle(engine)
            settings = Settings(
                database_url=place.environment["PUSHSVC_DATABASE_URL"],
                redis_url=place.environment["PUSHSVC_REDIS_URL"],
                secret_key=place.environment["PUSHSVC_SECRET_KEY"],
                apns_url=place.sink.url,
                gateway_ca_file=place.sink.ca_file,
            )
            async with open_resources(settings) as resources:
                yield Bench(
                    place=place,
                    engine=engine,
                    resources=resources,
                    devices=devices,
                    push_ids=ids,
                )


async def _stored(engine: AsyncEngine, url: str, key: str) -> int:
    body = {"channels": [CHANNEL], "data": WITH_BADGE.body()}
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(url, headers=headers, raise_for_status=True) as session,
        session.post("/v1/pushes", json=body) as response,
    ):
        push = await response.json()
    async with engine.connect() as connection:
        number: int = (await connection.execute(_PUSH, {"push": push["id"]})).scalar_one()
    return number


# ---------------------------------------------------------------- the plan alone


async def run_plan(devices: int, *, progress: Progress) -> dict[str, Any]:
    """Plan the same audience a few times; return the figures of the cheapest."""
    async with _prepared(devices, count=PLANS, progress=progress) as bench:
        costs = [await bench.cost(_plan(bench, push)) for push in bench.push_ids]
        planned = [await _number(bench, _PLANNED, push) for push in bench.push_ids]
    best = min(costs, key=lambda cost: cost["all"])
    seconds = best.pop("seconds")
    return {
        "case": "plan",
        "devices": devices,
        "seconds": seconds,
        "devices_per_second": round(devices / seconds),
        "cpu_us_per_message": best,
        "peak_rss_mb": _peaks(),
        "planned": planned,
        "all_planned": planned == [devices] * PLANS,
    }


async def _plan(bench: Bench, push: int) -> None:
    await pipeline.plan_push(bench.resources, push)


# ---------------------------------------------------------------- each stage alone


@dataclass(slots=True, kw_only=True)
class _Work:
    """What one stage leaves to the next, batch by batch."""

    push: Push
    batches: list[Batch] = field(default_factory=list)
    devices: list[list[Device]] = field(default_factory=list)
    sheets: list[dispatch.Sheet] = field(default_factory=list)


async def run(devices: int, *, progress: Progress) -> dict[str, Any]:
    """Measure each stage alone."""
    async with _prepared(devices, count=1, progress=progress) as bench:
        [push] = bench.push_ids
        task = progress.add_task("stages", total=len(_STAGES) + 1)
        stages = {"plan": await bench.cost(_plan(bench, push))}
        async with bench.engine.connect() as connection:
            work = _Work(push=await pushes.get_push(connection, push))
        for name, stage in _STAGES.items():
            progress.advance(task)
            stages[name] = await bench.cost(stage(bench, work))
        entries = await _number(bench, _ENTRIES, push)
    stages |= {f"wire: {name}": {"worker": us, "all": us} for name, us in wire_parts.ends().items()}
    every = sum(stage["all"] for stage in stages.values())
    return {
        "case": "stages",
        "devices": devices,
        "us_per_message": stages,
        "all_us_per_message": round(every, 2),
        "stage_shares": {name: round(stage["all"] / every, 3) for name, stage in stages.items()},
        "peak_rss_mb": _peaks(),
        "ledger_entries": entries,
        "all_in_ledger": entries == devices,
    }


async def _lease(bench: Bench, work: _Work) -> None:
    """Lease every batch, which raises its badges."""
    async with bench.engine.connect() as connection:
        seqs = (await connection.execute(_SEQS, {"push": work.push.id})).scalars().all()
    for seq in seqs:
        batch = await batches.lease_batch(
            bench.resources.engine,
            work.push.id,
            seq,
            lease_seconds=LEASE_SECONDS,
            expires_at=work.push.expires_at,
            badge=badge_change(work.push.content),
        )
        assert batch is not None
        work.batches.append(batch)


async def _load(bench: Bench, work: _Work) -> None:
    work.devices = [await load_devices(bench.resources.engine, one) for one in work.batches]


async def _shape(bench: Bench, work: _Work) -> None:
    """Make the messages, and choose the gateway of each."""
    gateways = await bench.resources.gateways.of(work.push.app_id)
    for batch, devices in zip(work.batches, work.devices, strict=True):
        shaper = Shaper.of(work.push, now=bench.resources.clock.now())
        work.sheets.append(dispatch.Sheet(batch.outcomes))
        dispatch.address(
            devices,
            work.sheets[-1],
            into={},
            shape_of=shaper.shape,
            kinds_of=shaper.kinds_of,
            route_of=gateways.choose,
            key_of=dispatch.keys_of(batch),
        )


async def _settle(bench: Bench, work: _Work) -> None:
    """Write down that every device was sent to."""
    ends = zip(work.batches, work.devices, work.sheets, strict=True)
    for batch, devices, sheet in ends:
        for place in range(batch.size):
            sheet.settle(place, ACCEPTED)
        await ending.finish(
            bench.resources,
            work.push,
            batch,
            devices=devices,
            sheet=sheet,
            now=bench.resources.clock.now(),
        )


async def _close(bench: Bench, work: _Work) -> None:
    await pipeline.close_push(bench.resources, work.push.id)


_STAGES: Final[dict[str, Callable[[Bench, _Work], Coroutine[Any, Any, None]]]] = {
    "lease and badges": _lease,
    "load": _load,
    "shape and route": _shape,
    "ledger": _settle,
    "close": _close,
}


async def _number(bench: Bench, statement: Any, push: int) -> int:
    async with bench.engine.connect() as connection:
        found = (await connection.execute(statement, {"push": push})).scalar_one()
    return int(found or 0)


def _peaks() -> dict[str, float]:
    return {"worker": round(peak_rss_mb(os.getpid()), 1)}
