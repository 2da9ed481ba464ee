"""The sizing case: what a million installations, messages and small pushes take, by measurement.

Disk by table, Postgres's log (WAL) and commits, Redis's commands and memory, CPU by process; and
from these what more of them would take, computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis
from rich.progress import Progress
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.audience import WARM_CHANNEL, WARM_DEVICES, seed
from bench.broadcast import push_to_all
from bench.measure import MEGABYTE, per_message, usages
from bench.place import PROCESSES, Place, Service, migrated, opened, serving
from bench.singles import closed, warmed
from bench.singles_client import Client

DEVICES: Final = 1_000_000
MILLION: Final = 1_000_000
#: Small pushes are sent for so long.
SINGLES_SECONDS: Final = 5.0
#: Installations that the growth is computed for.
GROWTH: Final = (1_000_000, 10_000_000, 100_000_000)
#: A campaign to all of them is to be over by then.
CAMPAIGN_SECONDS: Final = 600

#: What installations are, and what pushes leave.
INSTALLATIONS: Final = ("installations", "badges", "installation_pointers")
PUSHES: Final = ("pushes", "batches")

_SIZES = text("""
    SELECT coalesce(above.relname, own.relname) AS name, sum(pg_table_size(own.oid))::bigint,
        sum(pg_indexes_size(own.oid))::bigint
    FROM pg_class AS own
        LEFT JOIN pg_inherits ON inhrelid = own.oid
        LEFT JOIN pg_class AS above ON above.oid = inhparent
    WHERE own.relkind = 'r' AND own.relnamespace = 'public'::regnamespace GROUP BY 1
""")
_MARK = text("""
    SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint,
        (SELECT sum(xact_commit)::bigint FROM pg_stat_database)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What everything has come to at a moment."""

    #: table -> bytes of its rows and of its indexes
    sizes: Mapping[str, tuple[int, int]]
    wal_bytes: int
    commits: int
    redis: Mapping[str, int]

    def since(self, before: "Mark", *, count: int) -> dict[str, float]:
        """Return what a million of `count` things have taken."""
        took = {
            "wal_mb": (self.wal_bytes - before.wal_bytes) / MEGABYTE,
            "commits": self.commits - before.commits,
            "redis_commands": self.redis["commands"] - before.redis["commands"],
            "redis_net_mb": (self.redis["net"] - before.redis["net"]) / MEGABYTE,
        }
        for name in PUSHES:
            grown = sum(self.sizes[name]) - sum(before.sizes[name])
            took[f"{name}_mb"] = grown / MEGABYTE
        return {name: round(one / count * MILLION, 1) for name, one in took.items()}


async def run(devices: int, *, progress: Progress) -> dict[str, Any]:
    """Measure the units, and compute the growth."""
    with opened(processes=PROCESSES) as place:
        async with migrated(place) as engine:
            empty = await _mark(engine, place)
            key = await seed(engine, place, devices, progress=progress, warm=True)
            written = await _mark(engine, place)
            async with serving(place) as service:
                work = _messages(
                    place, service, engine, key=key, devices=devices, progress=progress
                )
                messages, all_sent = await service.children.during(work)
                pushes = await service.children.during(
                    _small_pushes(place, service, engine, key=key)
                )
            memory = _redis_of(place)["memory_peak"]
    installations = _installations(empty, written, count=devices + WARM_DEVICES)
    return {
        "case": "sizing",
        "devices": devices,
        "million_installations_mb": installations,
        "million_messages": messages,
        "million_small_pushes": pushes,
        "redis_peak_mb": round(memory / MEGABYTE, 1),
        "growth": {f"{n // MILLION}M": _growth(n, installations, messages) for n in GROWTH},
        "all_sent": all_sent,
    }


async def _messages(
    place: Place,
    service: Service,
    engine: AsyncEngine,
    *,
    key: str,
    devices: int,
    progress: Progress,
) -> tuple[dict[str, Any], bool]:
    """Push to all; return what a million messages take."""
    await push_to_all(service.url, key, WARM_DEVICES, channel=WARM_CHANNEL, progress=progress)
    before, used = await _mark(engine, place), usages(service.pids)
    push, seconds = await push_to_all(service.url, key, devices, progress=progress)
    figures = per_message(used, usages(service.pids), devices)
    took = (await _mark(engine, place)).since(before, count=devices)
    sent = push["counts"]["sent"] == devices
    return {**took, "seconds": round(seconds / devices * MILLION, 1), **figures}, sent


async def _small_pushes(
    place: Place, service: Service, engine: AsyncEngine, *, key: str
) -> dict[str, Any]:
    """Send to one device each; return what a million such pushes take."""
    client = Client(service.url, key)
    await client.connect()
    try:
        await warmed(client)
        await closed(engine)
        before, used = await _mark(engine, place), usages(service.pids)
        sent = await client.at_most(SINGLES_SECONDS)
        await closed(engine)
    finally:
        client.close()
    count = len(sent.accepted)
    figures = per_message(used, usages(service.pids), count)
    return {**(await _mark(engine, place)).since(before, count=count), "sent": count, **figures}


async def _mark(engine: AsyncEngine, place: Place) -> Mark:
    async with engine.connect() as connection:
        sizes = {row[0]: (row[1], row[2]) for row in await connection.execute(_SIZES)}
        wal_bytes, commits = (await connection.execute(_MARK)).one()
    return Mark(sizes=sizes, wal_bytes=wal_bytes, commits=commits, redis=_redis_of(place))


def _redis_of(place: Place) -> dict[str, int]:
    with redis.Redis.from_url(place.environment["PUSHSVC_REDIS_URL"]) as client:
        told: dict[str, Any] = client.info()
    return {
        "commands": told["total_commands_processed"],
        "net": told["total_net_input_bytes"] + told["total_net_output_bytes"],
        "memory_peak": told["used_memory_peak"],
    }


def _installations(before: Mark, after: Mark, *, count: int) -> dict[str, float]:
    """Return the megabytes of a million installations by table, rows and indexes."""
    found = {}
    for name in INSTALLATIONS:
        for place, part in enumerate(("rows", "indexes")):
            grown = after.sizes[name][place] - before.sizes[name][place]
            found[f"{name} {part}"] = round(grown / count * MILLION / MEGABYTE, 1)
    return {**found, "all": round(sum(found.values()), 1)}


def _growth(
    installations: int, units: Mapping[str, float], messages: Mapping[str, Any]
) -> dict[str, float]:
    """Return what so many installations take, and a campaign to all of them in ten minutes."""
    millions = installations / MILLION
    cpu = messages["cpu_us_per_message"]
    rate = installations / CAMPAIGN_SECONDS
    return {
        "installations_gb": round(units["all"] * millions / 1024, 1),
        "ledger_of_a_campaign_gb": round(messages["batches_mb"] * millions / 1024, 2),
        "wal_of_a_campaign_gb": round(messages["wal_mb"] * millions / 1024, 1),
        "messages_per_second": round(rate),
        "worker_cores": round(rate * cpu["worker"] / MILLION, 2),
        "postgres_cores": round(rate * cpu["postgres"] / MILLION, 2),
        "redis_cores": round(rate * cpu["redis"] / MILLION, 2),
        "redis_commands_per_second": round(rate * messages["redis_commands"] / MILLION),
        "wal_mb_per_second": round(rate * messages["wal_mb"] / MILLION, 1),
    }
