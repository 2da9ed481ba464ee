"""Random queries over random worlds mean the same in Postgres and in a plain reference."""

import asyncio
import gc
import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage.engine import create_engine
from tests.integration.picking import asked, keep_world, picked_of, rows_of
from tests.integration.world_clauses import clause
from tests.integration.worlds import INSTALLATION, TEAM, USER, meant, world

pytestmark = pytest.mark.integration

#: Clauses, each held against every object of its class; so many in one statement that round trips
#: are few, and so many over one world.
CLAUSES = 20_000
CLAUSES_PER_STATEMENT = 50
CLAUSES_PER_WORLD = 500
#: Most clauses are over installations, which is what pushes are about.
TURNS = [INSTALLATION, INSTALLATION, USER, INSTALLATION, TEAM]
PROCESSES = 2
#: Without, Postgres takes every table for a row or two, and goes over them again and again.
STATISTICS = text("ANALYZE installations, installation_pointers, badges, objects, relations")


async def test_picks_whom_the_reference_picks(
    database: AsyncEngine,  # noqa: ARG001 - migrated
    servers: tuple[str, str],
) -> None:
    """Each of 20,000 clauses picks the same objects here and there."""
    seeds = range(CLAUSES // CLAUSES_PER_WORLD)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn) as pool:
        loop = asyncio.get_running_loop()
        told = [loop.run_in_executor(pool, differences, servers[0], seed) for seed in seeds]
        found = [one for each in await asyncio.gather(*told) for one in each]
    assert not found, "\n".join(found)


def differences(url: str, seed: int) -> list[str]:
    """Return what is not the same in one world; a process of its own, where time is spent."""
    # Statements are trees of many small objects: looked through once, at the end of each world.
    gc.disable()
    gc.freeze()
    found = asyncio.run(compared(url, seed))
    gc.collect()
    return found


async def compared(url: str, seed: int) -> list[str]:
    """Hold the clauses of one seed against a world."""
    dice = random.Random(seed)
    engine = create_engine(url, connections=2)
    found: list[str] = []
    try:
        # No statement comes twice.
        async with engine.execution_options(compiled_cache=None).connect() as connection:
            given = world(dice)
            app_id = await keep_world(connection, given)
            await connection.commit()
            await connection.execute(STATISTICS)
            await connection.commit()
            for turn in range(CLAUSES_PER_WORLD // CLAUSES_PER_STATEMENT):
                class_name = TURNS[turn % len(TURNS)]
                clauses = [clause(dice, class_name) for _ in range(CLAUSES_PER_STATEMENT)]
                rows = rows_of(class_name, app_id)
                each = [asked(where, rows) for where in clauses]
                picked = await picked_of(connection, each, rows)
                for where, ids in zip(clauses, picked, strict=True):
                    expected = meant(where, class_name, given)
                    if ids != expected:
                        wrong = sorted(ids ^ expected)
                        found.append(f"seed {seed}, {class_name}: {where} differs for {wrong}")
    finally:
        await engine.dispose()
    return found
