"""The mixed case: pushes to one device each while one goes to all."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from rich.progress import Progress
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.audience import seed
from bench.broadcast import push_to_all
from bench.measure import own_cpu_seconds, usages
from bench.place import PROCESSES, Place, Service, migrated, opened, serving
from bench.singles import closed, cost_of, latency, ledger_of, proof, warmed
from bench.singles_client import Client, Sent
from bench.sink import Seen

#: Of the large push, where the command line does not say.
DEVICES: Final = 1_000_000
PER_SECOND: Final = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    devices: int = DEVICES
    rate: float = PER_SECOND
    processes: int = PROCESSES


async def run(options: Options, *, progress: Progress) -> dict[str, Any]:
    """Run the case once."""
    with opened(processes=options.processes) as place:
        async with migrated(place) as engine:
            key = await seed(engine, place, options.devices, progress=progress)
            async with serving(place) as service:
                work = _measured(
                    place, service, engine, key=key, options=options, progress=progress
                )
                warm, sent, figures = await service.children.during(work)
            ledger = await ledger_of(engine)
        seen = place.sink.stop()
        received = place.sink.received()
        found = proof([warm, sent], received, ledger=ledger)
        whole = seen == Seen(options.devices, options.devices) and figures["all_sent"]
        return {
            "case": "mixed",
            "devices": options.devices,
            "rate": options.rate,
            "processes": options.processes,
            "singles": len(sent.posted),
            **latency(sent.posted, dict(received)),
            **figures,
            "stage_shares": place.sampler.shares(),
            "sink": place.sink.name,
            **found,
            "as_it_should": found["delivered_once"] and whole,
        }


async def _measured(
    place: Place,
    service: Service,
    engine: AsyncEngine,
    *,
    key: str,
    options: Options,
    progress: Progress,
) -> tuple[Sent, Sent, dict[str, Any]]:
    """Push to all, and to one after the other while that goes on; return what came of it."""
    client = Client(service.url, key)
    await client.connect()
    try:
        warm = await warmed(client)
        await closed(engine)
        before, own = usages(service.pids), own_cpu_seconds()
        with place.sampler.measuring():
            async with asyncio.TaskGroup() as tasks:
                large = tasks.create_task(
                    push_to_all(service.url, key, options.devices, progress=progress)
                )
                sent = await client.evenly(options.rate, lambda _: not large.done())
            push, seconds = large.result()
            await closed(engine)
            after, own = usages(service.pids), own_cpu_seconds() - own
    finally:
        client.close()
    messages = options.devices + len(sent.posted)
    return (
        warm,
        sent,
        {
            "broadcast_seconds": round(seconds, 3),
            "broadcast_devices_per_second": round(options.devices / seconds),
            "all_sent": push["counts"]["sent"] == options.devices,
            **cost_of(before, after, own=own, sends=messages),
        },
    )
