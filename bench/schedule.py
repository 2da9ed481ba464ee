"""The schedule case: thousands of pushes to one device each, due over the same seconds.

Two workers, one of which is killed in the middle. A push is late by the time from when it was due
to when a worker took it up, both by the database's clock; and what is received, by when the sink
has its message.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

import orjson
from rich.progress import Progress
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.audience import TOPIC, seed
from bench.measure import usages
from bench.place import POLL_SECONDS, STOP_SECONDS, Place, opened
from bench.sink import TIMED
from pushsvc.cli.processes import Children, Recipe
from pushsvc.storage import migrate
from pushsvc.storage.engine import create_engine

#: Where the command line does not say.
PUSHES = 10_000
SECONDS = 10.0
WORKERS = 2
#: Until the first is due, workers start and look at what waits.
BEFORE_SECONDS = 3.0
#: What a killed worker has claimed comes back when its lease runs out, and is retried.
CLOSE_SECONDS = 120
#: Upper ends of the histogram's bars, in milliseconds.
BARS = (50, 100, 150, 200, 250, 300, 400, 500, 750, 1_000)

_SCHEDULE = text("""
    WITH device AS (
        INSERT INTO installations (app_id, object_id, installation_id, device_token, device_type,
            app_identifier, locale_identifier, time_zone)
        SELECT (SELECT id FROM apps WHERE name = 'bench'), 's' || lpad(to_hex(n), 9, '0'),
            'scheduled-' || n, :timed || lpad(to_hex(n), 56, '0'), 'ios', :topic, 'en-US',
            'Europe/Paris'
        FROM generate_series(1, CAST(:pushes AS integer)) AS n
        RETURNING id, app_id, object_id
    ), badge AS (
        INSERT INTO badges (installation_id) SELECT id FROM device
    )
    INSERT INTO pushes (object_id, app_id, source, audience, content, due_at, push_time, lane,
        on_unknown, state, push_hash)
    SELECT object_id, app_id, 'v1',
        jsonb_build_object('devices',
            jsonb_build_array(jsonb_build_object('object_id', object_id))),
        CAST(:content AS jsonb),
        now() + make_interval(secs => CAST(:before AS float8) + CAST(:seconds AS float8)
            * (row_number() OVER (ORDER BY id) - 1) / CAST(:pushes AS integer)),
        '2026-01-01T00:00:00.000Z', 'urgent', 'resend', 'waiting', md5('')
    FROM device
    RETURNING extract(epoch FROM now())::float8
""")
_OPEN = text("SELECT count(*) FROM pushes WHERE finished_at IS NULL")
# A push fires once when it has one first batch, whatever came of that; and each device one end.
_FIRED = text("""
    SELECT pushes.object_id, extract(epoch FROM due_at)::float8 AS due,
        extract(epoch FROM started_at - due_at)::float8 AS late, pushes.state,
        (SELECT count(*) FROM batches WHERE push_id = pushes.id AND attempt = 1
            AND first_tried_at IS NULL) AS first_batches,
        (SELECT count(*) FROM batches WHERE push_id = pushes.id AND outcomes = '\\x01') AS sent,
        (SELECT count(*) FROM batches WHERE push_id = pushes.id AND outcomes = '\\x10') AS resent
    FROM pushes WHERE source = 'v1' AND object_id LIKE 's%'
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    pushes: int = PUSHES
    #: over which they are due
    seconds: float = SECONDS
    #: whether one of the workers is killed in the middle
    kill: bool = True


async def run(options: Options, *, progress: Progress) -> dict[str, Any]:
    """Run the case once."""
    with opened(processes=1) as place:
        engine = create_engine(place.environment["PUSHSVC_DATABASE_URL"], connections=2)
        try:
            await migrate.upgrade(engine)
            await seed(engine, place, 1, progress=progress)
            cpu_ms = await _fired(place, engine, options, progress=progress)
            async with engine.connect() as connection:
                rows = (await connection.execute(_FIRED)).mappings().all()
        finally:
            await engine.dispose()
        place.sink.stop()
        return _figures(options, rows, received=place.sink.received(), cpu_ms=cpu_ms)


async def _fired(
    place: Place, engine: AsyncEngine, options: Options, *, progress: Progress
) -> dict[str, float]:
    """Schedule and wait until every push is closed; return process -> CPU of a push."""
    task = progress.add_task("fire", total=options.pushes)
    async with Children(stop=asyncio.Event(), drain_seconds=STOP_SECONDS) as children:
        hellos = await children.start(
            *(
                Recipe(name=f"worker-{n}", arguments=["worker"], environment=place.environment)
                for n in range(WORKERS)
            )
        )
        pids = place.pids | {f"worker_{n}": hello["pid"] for n, hello in enumerate(hellos)}
        content = {"data": {"alert": "Your match begins.", "badge": "Increment"}}
        async with engine.begin() as connection:
            await connection.execute(
                _SCHEDULE,
                {
                    "timed": TIMED,
                    "topic": TOPIC,
                    "pushes": options.pushes,
                    "before": BEFORE_SECONDS,
                    "seconds": options.seconds,
                    "content": orjson.dumps(content).decode(),
                },
            )
        before = usages(pids)
        killed_at = time.monotonic() + BEFORE_SECONDS + options.seconds / 2
        killed = "worker_1" if options.kill else None
        used: dict[str, float] = {}
        async with asyncio.timeout(CLOSE_SECONDS + options.seconds):
            while left := await _left(engine):
                progress.update(task, completed=options.pushes - left)
                if killed and not used and time.monotonic() >= killed_at:
                    used[killed] = usages({killed: pids[killed]})[killed].cpu_seconds
                    os.kill(pids.pop(killed), signal.SIGKILL)
                await asyncio.sleep(POLL_SECONDS)
        used |= {name: use.cpu_seconds for name, use in usages(pids).items()}
        return {
            name: round(1000 * (used[name] - before[name].cpu_seconds) / options.pushes, 3)
            for name in before
        }


async def _left(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        left: int = (await connection.execute(_OPEN)).scalar_one()
    return left


def _figures(
    options: Options,
    rows: Sequence[RowMapping],
    *,
    received: Sequence[tuple[str, float]],
    cpu_ms: Mapping[str, float],
) -> dict[str, Any]:
    times = Counter(token for token, _ in received)
    first = dict(reversed(received))
    token_of = {row["object_id"]: f"{TIMED}{int(row['object_id'][1:], 16):056x}" for row in rows}
    late = [1000 * row["late"] for row in rows]
    seen = [
        1000 * (first[token] - row["due"])
        for row in rows
        if (token := token_of[row["object_id"]]) in first
    ]
    return {
        "case": "schedule",
        "devices": options.pushes,
        "pushes": options.pushes,
        "seconds": options.seconds,
        "worker_killed": options.kill,
        "fired_once": sum(_fires_once(row) for row in rows),
        "received": len(times),
        "received_twice": sum(n > 1 for n in times.values()),
        "resent_in_doubt": sum(row["resent"] for row in rows),
        **_named("lateness", late),
        **_named("received", seen),
        "histogram": _histogram(late),
        "received_histogram": _histogram(seen),
        "cpu_ms_per_push": {**cpu_ms, "all": round(sum(cpu_ms.values()), 3)},
        "as_it_should": (
            sum(_fires_once(row) for row in rows) == options.pushes == len(times)
            and {token for token, n in times.items() if n > 1}
            <= {token_of[row["object_id"]] for row in rows if row["resent"]}
        ),
    }


def _fires_once(row: RowMapping) -> bool:
    return bool(row["state"] == "done" and row["first_batches"] == 1 and row["sent"] == 1)


def _named(name: str, milliseconds: Sequence[float]) -> dict[str, float]:
    cuts = quantiles(milliseconds, n=100, method="inclusive")
    return {
        f"{name}_p50_ms": round(cuts[49], 1),
        f"{name}_p99_ms": round(cuts[98], 1),
        f"{name}_max_ms": round(max(milliseconds), 1),
    }


def _histogram(milliseconds: Sequence[float]) -> dict[str, int]:
    """Return how many were below each bar's end, and not below the one before."""
    bars = Counter(
        next((f"<{end}" for end in BARS if one < end), f">={BARS[-1]}") for one in milliseconds
    )
    names = [*(f"<{end}" for end in BARS), f">={BARS[-1]}"]
    return {name: bars[name] for name in names if bars[name]}
