"""The targeting case: how fast the ids of four audiences come, and by which indexes.

Each audience is read as a push's planning reads it, to its last page; nothing is written.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.progress import Progress
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench import targeting_rows
from bench.place import wait_until_stopped
from pushsvc import embedded
from pushsvc.config import Settings
from pushsvc.model import Json
from pushsvc.planner import BATCHES_PER_PIECE
from pushsvc.storage import migrate
from pushsvc.storage.engine import create_engine
from pushsvc.storage.schema import load_schema
from pushsvc.targeting.audience import criterion
from pushsvc.targeting.criterion import Criterion
from pushsvc.targeting.reading import SETTINGS, Held, members, pages
from pushsvc.targeting.rows import Reader

DEVICES: Final = 1_000_000
#: Each audience is read once unseen, which brings its rows into memory, and then so often.
ROUNDS: Final = 7
#: Ids in a page, as planning asks for them.
PAGE: Final = Settings.model_fields["batch_size"].default * BATCHES_PER_PIECE


def _near(place: tuple[float, float], miles: float) -> Json:
    latitude, longitude = place
    point = {"__type": "GeoPoint", "latitude": latitude, "longitude": longitude}
    return {"$nearSphere": point, "$maxDistanceInMiles": miles}


_NEW_YORK: Final = targeting_rows.CITIES[1][:2]
#: Of the devices a tenth, a twentieth, another twentieth, and a sixteenth whose users are near a
#: stadium (the push guide's example); then sixty of a million, and all. Of a fifth, which are on
#: every page of the table, Postgres would rightly read the table.
AUDIENCES: Final[Mapping[str, Json]] = {
    "channel": {"channels": ["Giants"]},
    "custom_field": {"where": {"plan": "pro"}},
    "geo_radius": {"where": {"location": _near(_NEW_YORK, 1.1)}},
    "in_query": {
        "where": {
            "user": {
                "$inQuery": {
                    "className": "_User",
                    "where": {"location": _near(targeting_rows.STADIUM, 1)},
                }
            }
        }
    },
    "rare_channel": {"channels": ["c77"]},
    "everyone": {"where": {}},
}
#: The four that are held to their plan and rate; the others are told beside.
HELD: Final = ("channel", "custom_field", "geo_radius", "in_query")


@dataclass(frozen=True, slots=True)
class Reading:
    """One audience, read once."""

    ids: int
    seconds: float
    first_page_seconds: float


async def run(devices: int, *, progress: Progress) -> dict[str, Any]:
    """Run the case once, on a server of its own in a directory that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="pushsvc-bench-") as name:
        directory = Path(name)
        # PostgreSQL runs as another user where we are root, and must get to its directory.
        directory.chmod(0o711)  # noqa: ASYNC240 - before anything runs
        with embedded.start("postgres", directory) as postgres:
            engine = create_engine(postgres.url, connections=2)
            try:
                await migrate.upgrade(engine)
                started = time.perf_counter()
                app_id = await targeting_rows.write(engine, devices, progress=progress)
                seconds = time.perf_counter() - started
                found = await measured(engine, app_id, progress=progress)
            finally:
                await engine.dispose()
        wait_until_stopped(directory)
    return {
        "case": "targeting",
        "devices": devices,
        "rows": devices,
        "build_seconds": round(seconds, 1),
        "built_per_second": round(devices / seconds),
        "queries": {name: found[name] for name in HELD},
        "beside": {name: found[name] for name in found.keys() - set(HELD)},
        "indexed": all(_is_indexed(found[name]["plan"]) for name in HELD),
    }


async def measured(
    engine: AsyncEngine, app_id: int, *, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Return the figures of each audience."""
    task = progress.add_task("read audiences", total=len(AUDIENCES) * (1 + ROUNDS))
    figures = {}
    reader = Reader(app_id=app_id, schema=await load_schema(engine, app_id))
    async with engine.connect() as connection:
        for name, audience in AUDIENCES.items():
            wanted = criterion(audience, reader)
            readings = []
            for _ in range(1 + ROUNDS):
                readings.append(await _read(connection, wanted))
                progress.advance(task)
            plan = await _plan(connection, wanted)
            figures[name] = _figures(readings) | {"plan": plan}
    return figures


def _figures(readings: list[Reading]) -> dict[str, Any]:
    """Return the figures of the fastest reading, and how long the others took."""
    first, *warm = readings
    best = min(warm, key=lambda reading: reading.seconds)
    return {
        "ids": best.ids,
        "seconds": round(best.seconds, 4),
        "ids_per_second": round(best.ids / best.seconds),
        "first_page_seconds": round(best.first_page_seconds, 4),
        "median_seconds": round(statistics.median(reading.seconds for reading in warm), 4),
        "unseen_seconds": round(first.seconds, 4),
    }


async def _read(connection: AsyncConnection, wanted: Criterion) -> Reading:
    started = time.perf_counter()
    ids, first_page = 0, 0.0
    async with pages(connection, wanted, after=0, size=PAGE, timeout_seconds=600) as members:
        async for page in members:
            first_page = first_page or time.perf_counter() - started
            ids += len(page.ids)
    return Reading(ids, time.perf_counter() - started, first_page)


async def _plan(connection: AsyncConnection, wanted: Criterion) -> list[str]:
    """Return the nodes of the plan, from the top, each with its index or table."""

    def explain(*args: Any) -> tuple[str, Any]:
        _connection, _cursor, statement, parameters, *_rest = args
        return f"EXPLAIN (FORMAT JSON) {statement}", parameters

    async with connection.begin():
        await connection.execute(SETTINGS)
        plain = connection.sync_connection
        event.listen(plain, "before_cursor_execute", explain, retval=True)
        try:
            explained = await connection.execute(Held(members(wanted, after=0)))
        finally:
            event.remove(plain, "before_cursor_execute", explain)
        [[top]] = explained.scalars()
    return list(_nodes(top["Plan"]))


def _nodes(node: Json) -> Iterator[str]:
    over = [node[key] for key in ("Index Name", "Relation Name") if key in node]
    yield " on ".join([node["Node Type"], *over[:1]])
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def _is_indexed(plan: list[str]) -> bool:
    return not any(node.startswith("Seq Scan") for node in plan)
