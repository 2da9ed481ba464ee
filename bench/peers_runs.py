"""A push to all devices of one app, by the service and by a Parse Server, measured alike.

Each run has processes of its own, which have pushed to a few devices before, and tables that have
just been vacuumed. Servers of databases, devices and the sink are there for all runs.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from rich.progress import Progress
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import adapter
from bench.adapter_stage import WARM_DEVICES, Stage
from bench.audience import settle
from bench.broadcast import push_to_all
from bench.measure import Usage, usages
from bench.place import POLL_SECONDS, Place, serving
from bench.sink import PATHS_FILE, Seen
from bench.tail import Tail

_LEDGER = text("""
    SELECT count(*) FILTER (WHERE byte = 1), count(*) FROM batches,
        generate_series(0, length(outcomes) - 1) AS place, get_byte(outcomes, place) AS byte
    WHERE push_id = (SELECT id FROM pushes WHERE object_id = :push)
""")
#: The ids that `audience.seed` gives to the first devices.
WARM: Final = {
    "where": {"installationId": {"$in": [f"bench-{n}" for n in range(1, WARM_DEVICES + 1)]}},
    "data": {"alert": adapter.ALERT},
}
#: What `broadcast.push_to_all` sends.
DATA: Final = {"alert": adapter.ALERT, "badge": "Increment"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One push to everyone."""

    seconds: float
    #: as sent, by the one that sent
    reported: int
    seen: Seen
    cpu_seconds: Mapping[str, float]
    peak_rss_mb: Mapping[str, float]
    #: what only one of the two has to tell
    own: Mapping[str, Any]

    @property
    def devices_per_second(self) -> float:
        """Of those that got it: nobody is sent to faster by being lost."""
        return self.seen.devices / self.seconds

    def is_whole(self, devices: int) -> bool:
        """Tell whether each device got one message, and is reported as sent to."""
        return self.reported == devices and self.seen == Seen(devices, devices)

    def as_json(self) -> dict[str, Any]:
        """Return the figures as they are published."""
        cpu = {name: round(seconds, 2) for name, seconds in self.cpu_seconds.items()}
        return {
            "devices_per_second": round(self.devices_per_second),
            "seconds": round(self.seconds, 3),
            **self.own,
            "reported": self.reported,
            "sink_got": {"requests": self.seen.requests, "devices": self.seen.devices},
            "cpu_seconds": cpu | {"all": round(sum(self.cpu_seconds.values()), 2)},
            "peak_rss_mb": {name: round(size) for name, size in self.peak_rss_mb.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """The service, with an app and its devices."""

    place: Place
    engine: AsyncEngine
    #: an api key of the app
    key: str
    devices: int
    progress: Progress

    async def run(self) -> Run:
        """Push once, with an API and a worker of their own.

        Raises:
            CommandError: one of them ended, or the push does not.
        """
        await settle(self.engine)
        async with serving(self.place) as service:
            work = self._pushed(service.url, service.pids)
            return await service.children.during(work, seconds=adapter.PUSH_SECONDS)

    async def _pushed(self, url: str, pids: Mapping[str, int]) -> Run:
        await self._warm(url)
        tail = Tail.of(self.place.sink.directory / PATHS_FILE)
        before = usages(pids)
        push, seconds = await push_to_all(url, self.key, self.devices, progress=self.progress)
        after = usages(pids)
        await tail.drained(self.devices)
        async with self.engine.connect() as connection:
            sent, entries = (await connection.execute(_LEDGER, {"push": push["id"]})).one()
        return Run(
            seconds=seconds,
            reported=push["counts"]["sent"],
            seen=tail.seen,
            cpu_seconds=_cpu(before, after),
            peak_rss_mb={name: usage.peak_rss_mb for name, usage in after.items()},
            own={"ledger": {"sent": sent, "entries": entries}},
        )

    async def _warm(self, url: str) -> None:
        """Push to a few, and wait until that is over and the sink has written it down."""
        tail = Tail.of(self.place.sink.directory / PATHS_FILE)
        headers = {"Authorization": f"Bearer {self.key}"}
        async with aiohttp.ClientSession(url, headers=headers, raise_for_status=True) as session:
            async with session.post("/v1/pushes", json=WARM) as response:
                push = await response.json()
            while push["state"] not in {"done", "failed"}:
                await asyncio.sleep(POLL_SECONDS)
                async with session.get(f"/v1/pushes/{push['id']}") as response:
                    push = await response.json()
        await tail.drained(min(WARM_DEVICES, self.devices))


async def theirs(stage: Stage, *, batch_size: int) -> Run:
    """Push once, with a Parse Server of its own.

    Raises:
        RuntimeError: it ended.
    """
    await settle(stage.engine)
    run = await adapter.measured(stage, "stock", batch_size=batch_size, data=DATA)
    outcome = run.outcome
    return Run(
        seconds=outcome.seconds,
        reported=outcome.sent,
        seen=outcome.seen,
        cpu_seconds=_cpu(run.before, run.after),
        peak_rss_mb={name: usage.peak_rss_mb for name, usage in run.after.items()},
        own={
            "seconds_to_status": round(outcome.status_seconds, 3),
            "seconds_to_sink": round(outcome.sink_seconds, 3),
            "status": outcome.status,
            "reported_failed": outcome.failed,
        },
    )


def _cpu(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, float]:
    return {name: after[name].cpu_seconds - use.cpu_seconds for name, use in before.items()}
