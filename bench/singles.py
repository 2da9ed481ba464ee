"""The singles case: pushes to one device each, from their POST to the sink's receipt.

At a rate they come evenly for so long; without one, as fast as 64 connections get their answers.
Every push must be closed, its device sent to in the ledger, and the sink have its message once.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any, Final

from rich.progress import Progress
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.audience import seed
from bench.measure import Usage, own_cpu_seconds, per_message, usages
from bench.place import PROCESSES, Place, Service, migrated, opened, pause, serving
from bench.singles_client import Client, Sent

#: Installations of the app: none is sent to, but tables are not empty in earnest either.
DEVICES: Final = 10_000
#: Where the command line does not say: of a rate, and of as many as can be.
SECONDS, MOST_SECONDS = 15.0, 10.0
#: Sends that bring up connections, plans of statements and a provider token, and are not counted.
WARM_SENDS, WARM_PER_SECOND = 60, 60.0
CLOSE_SECONDS: Final = 120

_OPEN = text("SELECT count(*) FROM pushes WHERE finished_at IS NULL")
# Those of the pushes to one device each.
_LEDGER = text("""
    SELECT (SELECT count(*) FROM pushes WHERE state = 'done' AND devices_planned = 1) AS done,
        count(*) FILTER (WHERE outcomes = '\\x01') AS sent,
        count(*) FILTER (WHERE outcomes <> '\\x01') AS others
    FROM batches WHERE push_id IN (SELECT id FROM pushes WHERE devices_planned = 1)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    #: sends a second; None: as many as can be
    rate: float | None = None
    seconds: float | None = None
    processes: int = PROCESSES


async def run(options: Options, *, progress: Progress) -> dict[str, Any]:
    """Run the case once."""
    with opened(processes=options.processes) as place:
        async with migrated(place) as engine:
            key = await seed(engine, place, DEVICES, progress=progress)
            async with serving(place) as service:
                work = _measured(
                    place, service, engine, key=key, options=options, progress=progress
                )
                warm, sent, cost = await service.children.during(work)
            ledger = await ledger_of(engine)
        place.sink.stop()
        received = place.sink.received()
        return {
            "case": "singles",
            "devices": len(sent.posted),
            "rate": options.rate,
            "processes": options.processes,
            **rates(sent, dict(received)),
            **latency(sent.posted, dict(received)),
            **cost,
            "stage_shares": place.sampler.shares(),
            "sink": place.sink.name,
            **proof([warm, sent], received, ledger=ledger),
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
    """Send, and wait until every push is closed; return what was, and what it cost."""
    seconds = options.seconds or (SECONDS if options.rate else MOST_SECONDS)
    task = progress.add_task("send", total=None)
    client = Client(service.url, key)
    await client.connect()
    try:
        warm = await warmed(client)
        await closed(engine)
        before, own = usages(service.pids), own_cpu_seconds()
        with place.sampler.measuring():
            if options.rate:
                wanted = round(options.rate * seconds)
                sent = await client.evenly(options.rate, lambda sends: sends < wanted)
            else:
                sent = await client.at_most(seconds)
            own = own_cpu_seconds() - own
            await closed(engine)
            after = usages(service.pids)
    finally:
        client.close()
    progress.update(task, total=1, completed=1)
    return warm, sent, cost_of(before, after, own=own, sends=len(sent.posted))


async def warmed(client: Client) -> Sent:
    """Send what is not counted."""
    return await client.evenly(WARM_PER_SECOND, lambda sends: sends < WARM_SENDS)


async def closed(engine: AsyncEngine) -> None:
    """Wait until every push is.

    Raises:
        TimeoutError: some are still open.
    """
    began = time.monotonic()
    while True:
        async with engine.connect() as connection:
            left = (await connection.execute(_OPEN)).scalar_one()
        if not left:
            return
        if time.monotonic() > began + CLOSE_SECONDS:
            raise TimeoutError(f"{left} pushes are still open")
        await pause(began)


async def ledger_of(engine: AsyncEngine) -> Mapping[str, int]:
    """Return how many pushes are done, and batches of one by whether they were sent."""
    async with engine.connect() as connection:
        return dict((await connection.execute(_LEDGER)).mappings().one())


def cost_of(
    before: Mapping[str, Usage], after: Mapping[str, Usage], *, own: float, sends: int
) -> dict[str, Any]:
    """Return the figures of all processes, this one too, which is the client."""
    figures = per_message(before, after, sends)
    figures["cpu_us_per_message"]["client"] = round(own / sends * 1e6, 2)
    return figures


def rates(sent: Sent, received: Mapping[str, float]) -> dict[str, Any]:
    """Return what was accepted a second, to the last answer, and delivered, to the last receipt."""
    began = min(sent.posted.values())
    last = max((received[token] for token in sent.posted if token in received), default=began)
    return {
        "seconds": round(last - began, 3),
        "accepted": len(sent.accepted),
        "accepted_per_second": round(sent.accepted_per_second, 1),
        "delivered_per_second": round(len(sent.accepted) / (last - began), 1),
    }


def latency(posted: Mapping[str, float], received: Mapping[str, float]) -> dict[str, float]:
    """Return the milliseconds from the POST to the sink; the sink's clock has whole ones."""
    taken = [1000 * (received[token] - at) for token, at in posted.items() if token in received]
    cuts = quantiles(taken, n=1000, method="inclusive")
    return {
        "p50_ms": round(cuts[499], 1),
        "p99_ms": round(cuts[989], 1),
        "p999_ms": round(cuts[998], 1),
        "most_ms": round(max(taken), 1),
    }


def proof(
    sends: Sequence[Sent], received: Sequence[tuple[str, float]], *, ledger: Mapping[str, int]
) -> dict[str, Any]:
    """Return whether each accepted push came to the sink once, and is done and sent."""
    accepted = {token for sent in sends for token in sent.accepted}
    times = Counter(token for token, _ in received)
    missing, twice = len(accepted - times.keys()), sum(n > 1 for n in times.values())
    refused = sum(len(sent.posted) - len(sent.accepted) for sent in sends)
    whole = ledger == {"done": len(accepted), "sent": len(accepted), "others": 0}
    return {
        "refused": refused,
        "missing": missing,
        "received_twice": twice,
        "ledger": dict(ledger),
        "delivered_once": not missing and not twice and len(times) == len(accepted) and whole,
    }
