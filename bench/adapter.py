"""The adapter case: a push of a real Parse Server, by the stock push adapter and by ours.

Both send to the same sink, at Parse Server's batch of 100 and at 1,000, one after the other, each
in a Parse Server of its own that has sent a small push before. A push takes from its POST until its
`_PushStatus` is settled and the sink has its last message, whichever is later.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rich.progress import Progress, TaskID
from sqlalchemy import text

from bench import parse_server
from bench.adapter_stage import WARM_CHANNEL, WARM_DEVICES, Stage, setup, staged
from bench.measure import Usage, usages
from bench.parse_server import ParseServer
from bench.place import Place, opened
from bench.sink import TIMES_FILE, Seen
from bench.tail import Tail
from tests import node_packages

#: Of a run where the command line does not say.
DEVICES = 50_000
#: The adapter and Parse Server's batch size, in the order of the runs: what gets slower or faster
#: on the machine meanwhile meets both adapters.
ADAPTERS: Final = ("stock", "ours")
BATCH_SIZES: Final = (100, 1000)
RUNS: Final = (("stock", 100), ("ours", 100), ("ours", 1000), ("stock", 1000))
#: A push that is not settled by then is not going to be.
PUSH_SECONDS: Final = 180
POLL_SECONDS: Final = 0.05
ALERT: Final = "The Giants won against the Mets 2-3."

_STATUS = text("""
    SELECT status, "numSent", "numFailed" FROM "_PushStatus" WHERE "objectId" = :push
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one push."""

    status: str
    sent: int
    failed: int
    #: from the POST to the settled status, and to the sink's last message
    status_seconds: float
    sink_seconds: float
    seen: Seen

    @property
    def seconds(self) -> float:
        """Return how long it took until status and sink have had their last."""
        return max(self.status_seconds, self.sink_seconds)


async def run(devices: int, *, progress: Progress) -> dict[str, Any]:
    """Run the case once, on servers of its own in a directory that is removed afterwards."""
    try:
        node_packages.install(parse_server.HOME)
    except node_packages.MissingError as error:
        raise SystemExit(f"A Parse Server cannot be started: {error}.") from error
    runs = {}
    with opened(processes=1) as place:
        async with staged(place, devices, progress=progress) as stage:
            for adapter, batch_size in RUNS:
                run = await measured(stage, adapter, batch_size=batch_size, data={"alert": ALERT})
                runs[adapter, batch_size] = _run_figures(run)
    return _figures(place, devices, runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One push to all devices, and what each process had used before and after it."""

    outcome: Outcome
    before: Mapping[str, Usage]
    after: Mapping[str, Usage]


async def measured(
    stage: Stage, adapter: str, *, batch_size: int, data: Mapping[str, Any]
) -> Measured:
    """Push to all devices by this adapter, from a Parse Server that has pushed to a few before."""
    task = stage.progress.add_task(f"{adapter}, batches of {batch_size}", total=stage.devices)
    async with parse_server.running(setup(stage, adapter, batch_size=batch_size)) as server:
        warm = {"channels": [WARM_CHANNEL], "data": {"alert": ALERT}}
        await _pushed(stage, server, warm, task=None)
        pids = {**stage.pids, "parse_server": server.pid}
        before = usages(pids)
        everyone = {"where": {"deviceType": "ios"}, "data": data}
        outcome = await _pushed(stage, server, everyone, task=task)
        return Measured(outcome=outcome, before=before, after=usages(pids))


async def _pushed(
    stage: Stage, server: ParseServer, push: Mapping[str, Any], *, task: TaskID | None
) -> Outcome:
    """Push, and wait until its status is settled and the sink gets nothing more."""
    tail = Tail.of(stage.place.sink.directory / TIMES_FILE)
    started = time.time()
    name = await server.push(push)
    while (settled := await _settled(stage, name)) is None and time.time() < started + PUSH_SECONDS:
        server.require_running()
        if task is not None:
            stage.progress.update(task, completed=tail.read())
        await asyncio.sleep(POLL_SECONDS)
    ended = time.time()
    await tail.drained(min(WARM_DEVICES, stage.devices) if task is None else stage.devices)
    status, sent, failed = settled or ("not settled", 0, 0)
    return Outcome(
        status=status,
        sent=sent,
        failed=failed,
        status_seconds=ended - started,
        sink_seconds=max(0.0, tail.last - started),
        seen=tail.seen,
    )


async def _settled(stage: Stage, push: str) -> tuple[str, int, int] | None:
    """Return the status of a push, and what it counts as sent and as failed; None if it goes on."""
    row = (await stage.connection.execute(_STATUS, {"push": push})).one()
    if row.status not in {"succeeded", "failed"}:
        return None
    return row.status, round(row.numSent or 0), round(row.numFailed or 0)


def _run_figures(run: Measured) -> dict[str, Any]:
    outcome, before, after = run.outcome, run.before, run.after
    return {
        # Of those that got it: nobody is sent to faster by being lost.
        "devices_per_second": round(outcome.seen.devices / outcome.seconds),
        "seconds": round(outcome.seconds, 3),
        "seconds_to_status": round(outcome.status_seconds, 3),
        "seconds_to_sink": round(outcome.sink_seconds, 3),
        "status": outcome.status,
        "reported_sent": outcome.sent,
        "reported_failed": outcome.failed,
        "sink_received": {"requests": outcome.seen.requests, "devices": outcome.seen.devices},
        "cpu_seconds": {
            name: round(after[name].cpu_seconds - use.cpu_seconds, 2)
            for name, use in before.items()
        },
        "parse_server_peak_rss_mb": round(after["parse_server"].peak_rss_mb),
    }


def _figures(
    place: Place, devices: int, runs: Mapping[tuple[str, int], dict[str, Any]]
) -> dict[str, Any]:
    def rate(adapter: str, batch_size: int) -> float:
        figure: int = runs[adapter, batch_size]["devices_per_second"]
        return figure

    ours_whole = all(
        _whole(devices, figures) for (name, _), figures in runs.items() if name == "ours"
    )
    faster = {size: rate("ours", size) / rate("stock", size) for size in BATCH_SIZES}
    return {
        "case": "adapter",
        "devices": devices,
        "versions": parse_server.versions(),
        "sink": place.sink.name,
        **{
            adapter: {f"batch_{size}": runs[adapter, size] for size in BATCH_SIZES}
            for adapter in ADAPTERS
        },
        "ratio_to_stock": {f"batch_{size}": round(ratio, 2) for size, ratio in faster.items()},
        "ours_whole": ours_whole,
        "as_it_should": ours_whole and faster[100] >= 1,
    }


def _whole(devices: int, figures: Mapping[str, Any]) -> bool:
    """Tell whether each device got one message, and is reported as sent to."""
    once = {"requests": devices, "devices": devices}
    return bool(figures["reported_sent"] == devices and figures["sink_received"] == once)
