"""The scaling case: what a second worker process adds where there is a core for it.

Two cores have none: one process keeps them busy, together with PostgreSQL and the sink. So each
worker process is held to a quarter of a core, and all else has the rest, which is more than it
needs: what is seen is whether processes stand in each other's way. Rounds take turns, since the
machine is not always as fast, and the middle one counts.
"""

from statistics import median
from typing import Any, Final

import psutil
from rich.progress import Progress
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.audience import WARM_CHANNEL, WARM_DEVICES, seed
from bench.broadcast import push_to_all
from bench.held import held
from bench.measure import per_message, usages
from bench.place import Place, Service, migrated, opened, serving

#: Of a push where the command line does not say.
DEVICES: Final = 200_000
#: Of a core, that each process has.
SHARE: Final = 0.25
PROCESSES: Final = (1, 2)
ROUNDS: Final = 3


async def run(devices: int, *, progress: Progress) -> dict[str, Any]:
    """Push to all with one process and with two, in turns."""
    task = progress.add_task("rounds", total=ROUNDS * len(PROCESSES))
    runs: dict[int, list[dict[str, Any]]] = {processes: [] for processes in PROCESSES}
    for _ in range(ROUNDS):
        for processes, done in runs.items():
            done.append(await _round(devices, processes, progress=progress))
            progress.advance(task)
    figures = {f"processes_{processes}": _middle(done) for processes, done in runs.items()}
    one, two = (figures[f"processes_{n}"]["devices_per_second"] for n in PROCESSES)
    return {
        "case": "scaling",
        "devices": devices,
        "share_of_a_core": SHARE,
        **figures,
        "ratio": round(two / one, 2),
        "all_sent": all(run["sent"] == devices for done in runs.values() for run in done),
    }


def _middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "devices_per_second": median(run["devices_per_second"] for run in runs),
        "worker_us_per_message": median(run["cpu"]["worker"] for run in runs),
        "all_us_per_message": median(run["cpu"]["all"] for run in runs),
        "runs": [run["devices_per_second"] for run in runs],
    }


async def _round(devices: int, processes: int, *, progress: Progress) -> dict[str, Any]:
    with opened(processes=processes) as place:
        async with migrated(place) as engine:
            return await _pushed(place, engine, devices, progress=progress)


async def _pushed(
    place: Place, engine: AsyncEngine, devices: int, *, progress: Progress
) -> dict[str, Any]:
    key = await seed(engine, place, devices, progress=progress, warm=True)
    async with serving(place) as service:
        return await service.children.during(_held(service, key, devices, progress=progress))


async def _held(service: Service, key: str, devices: int, *, progress: Progress) -> dict[str, Any]:
    """Push to the few, and then to all with every process held."""
    await push_to_all(service.url, key, WARM_DEVICES, channel=WARM_CHANNEL, progress=progress)
    worker = psutil.Process(service.pids["worker"])
    # Where there is more than one, who was started only watches them.
    workers = worker.children() or [worker]
    with held([one.pid for one in workers], share=SHARE):
        before = usages(service.pids)
        push, seconds = await push_to_all(service.url, key, devices, progress=progress)
        figures = per_message(before, usages(service.pids), devices)
    return {
        "devices_per_second": round(devices / seconds),
        "cpu": figures["cpu_us_per_message"],
        "sent": push["counts"]["sent"],
    }
