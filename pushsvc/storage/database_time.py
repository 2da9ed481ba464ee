"""The database's time, which all processes go by, told without asking it each time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.clock import Clock, SharedClock
from pushsvc.storage.engine import DATABASE_ERRORS

log = structlog.get_logger(__name__)

#: Monotonic clocks gain or lose some milliseconds in so long; and they stand still while a virtual
#: machine does.
MEASURE_SECONDS: Final = 30.0
#: As long as nobody knows how late it is, somebody asks this often.
RETRY_SECONDS: Final = 1.0
#: A process whose database is away starts and ends all the same.
ASK_SECONDS: Final = 2.0

_NOW: Final = text("SELECT clock_timestamp()")


async def measure(engine: AsyncEngine, clock: SharedClock) -> None:
    """Set the clock by the database's, to half the time that one question takes.

    Raises what keeps it from being asked, such as a database that is away.
    """
    async with engine.connect() as connection:
        # The first of a transaction takes longer, to begin it.
        await connection.execute(_NOW)
        before = clock.monotonic()
        theirs = (await connection.execute(_NOW)).scalar_one()
        clock.set(theirs, at=(before + clock.monotonic()) / 2)


@asynccontextmanager
async def keeping_time(engine: AsyncEngine, host: Clock) -> AsyncIterator[SharedClock]:
    """Lend a clock that tells the database's time, measured now and again."""
    clock, ended = SharedClock(host), asyncio.Event()
    known = await _measured(engine, clock)
    task = asyncio.create_task(_keep(engine, clock, ended=ended, known=known), name="time")
    try:
        yield clock
    finally:
        ended.set()
        await task


async def _keep(
    engine: AsyncEngine, clock: SharedClock, *, ended: asyncio.Event, known: bool
) -> None:
    while not ended.is_set():
        try:
            async with asyncio.timeout(MEASURE_SECONDS if known else RETRY_SECONDS):
                await ended.wait()
        except TimeoutError:
            known = await _measured(engine, clock) or known


async def _measured(engine: AsyncEngine, clock: SharedClock) -> bool:
    try:
        async with asyncio.timeout(ASK_SECONDS):
            await measure(engine, clock)
    except DATABASE_ERRORS as error:
        log.warning("time.unknown", error=type(error).__name__)
        return False
    return True
