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
#: Longer than the sink keeps to itself what it is to write down.
QUIET_SECONDS: Final = 2.5

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
                runs[adapter, batch_size] = await _measured(stage, adapter, batch_size=batch_size)
    return _figures(place, devices, runs)


async def _measured(stage: Stage, adapter: str, *, batch_size: int) -> dict[str, Any]:
    """Push to all devices by this adapter; return the run's figures."""
    task = stage.progress.add_task(f"{adapter}, batches of {batch_size}", total=stage.devices)
    async with parse_server.running(setup(stage, adapter, batch_size=batch_size)) as server:
        await _pushed(stage, server, {"channels": [WARM_CHANNEL]}, task=None)
        pids = {**stage.pids, "parse_server": server.pid}
        before = usages(pids)
        outcome = await _pushed(stage, server, {"where": {"deviceType": "ios"}}, task=task)
        after = usages(pids)
    return _run_figures(outcome, before=before, after=after)


async def _pushed(
    stage: Stage, server: ParseServer, to: Mapping[str, Any], *, task: TaskID | None
) -> Outcome:
    """Push, and wait until its status is settled and the sink gets nothing more."""
    tail = Tail.of(stage.place.sink.directory / TIMES_FILE)
    started = time.time()
    push = await server.push({**to, "data": {"alert": "The Giants won against the Mets 2-3."}})
    status, sent, failed = await _settled(stage, push, tail, task=task)
    settled = time.time()
    await _drained(
        tail, expected=min(WARM_DEVICES, stage.devices) if task is None else stage.devices
    )
    return Outcome(
        status=status,
        sent=sent,
        failed=failed,
        status_seconds=settled - started,
        sink_seconds=max(0.0, tail.last - started),
        seen=tail.seen,
    )


async def _settled(
    stage: Stage, push: str, tail: Tail, *, task: TaskID | None
) -> tuple[str, int, int]:
    """Wait for the end of a push; return its status, and what it counts as sent and as failed."""
    deadline = time.monotonic() + PUSH_SECONDS
    while True:
        row = (await stage.connection.execute(_STATUS, {"push": push})).one()
        if row.status in {"succeeded", "failed"} or time.monotonic() > deadline:
            return row.status, round(row.numSent or 0), round(row.numFailed or 0)
        if task is not None:
            stage.progress.update(task, completed=tail.read())
        await asyncio.sleep(POLL_SECONDS)


async def _drained(tail: Tail, *, expected: int) -> None:
    """Wait until the sink has written down so many messages, or nothing for a while."""
    count, quiet_since = tail.read(), time.monotonic()
    while count < expected and time.monotonic() < quiet_since + QUIET_SECONDS:
        await asyncio.sleep(POLL_SECONDS)
        if tail.read() > count:
            count, quiet_since = len(tail.lines), time.monotonic()


def _run_figures(
    outcome: Outcome, *, before: Mapping[str, Usage], after: Mapping[str, Usage]
) -> dict[str, Any]:
    seconds = max(outcome.status_seconds, outcome.sink_seconds)
    return {
        # Of those that got it: nobody is sent to faster by being lost.
        "devices_per_second": round(outcome.seen.devices / seconds),
        "seconds": round(seconds, 3),
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
