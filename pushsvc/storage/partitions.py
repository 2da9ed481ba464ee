"""The partitions of `batches`: one for each day of pushes, made ahead and dropped as a whole.

A push's id begins with the day it was stored on, so its batches are all in that day's partition.
"""

from typing import TYPE_CHECKING, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage.engine import driver

if TYPE_CHECKING:
    import asyncpg

    Driver = asyncpg.Connection[asyncpg.Record]

#: Partitions are there for so many days to come.
DAYS_AHEAD: Final = 7
#: Pushes deleted in one transaction.
PUSHES_AT_ONCE: Final = 1_000
#: One process at a time changes partitions: an arbitrary number for pg_advisory_xact_lock.
UPKEEP_LOCK: Final = 0x70757369
#: What waits for a lock has others wait behind it. Shorter than `deadlock_timeout` (1 s), so that
#: it is never somebody's work that is ended.
_LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '200ms'"
_TURN: Final = "SELECT pg_try_advisory_xact_lock($1)"

#: The partitions, and the ids that each is for.
_PARTITIONS: Final = r"""
    WITH parts AS (
        SELECT child.oid::regclass::text AS name,
            coalesce((regexp_match(bound, 'FROM \(''(\d+)''\)'))[1]::bigint, 0) AS since,
            (regexp_match(bound, 'TO \(''(\d+)''\)'))[1]::bigint AS upto
        FROM pg_inherits
        JOIN pg_class AS child ON child.oid = inhrelid
        CROSS JOIN LATERAL pg_get_expr(child.relpartbound, child.oid) AS bound
        WHERE inhparent = 'batches'::regclass
    )
"""
# The days to come, and the one of a push that has to be planned.
_MISSING: Final = f"""
    {_PARTITIONS}
    SELECT day, 'batches_' || to_char(date '1970-01-01' + day, 'YYYYMMDD') AS name FROM (
        SELECT floor(extract(epoch FROM now()) / 86400)::integer + later AS day
        FROM generate_series(0, $1) AS later
        UNION SELECT $2
    ) AS days
    WHERE NOT EXISTS (
        SELECT 1 FROM parts WHERE since <= day::bigint << 32 AND upto > day::bigint << 32
    ) AND day IS NOT NULL
    ORDER BY day
"""  # noqa: S608 - of constants
_DAY: Final = """
    CREATE TABLE {name} (LIKE batches INCLUDING DEFAULTS INCLUDING STORAGE);
    ALTER TABLE batches ATTACH PARTITION {name} FOR VALUES FROM ({since}) TO ({upto});
"""


#: Open, or ended lately: a push may wait two weeks for its time.
_NEEDED: Final = """
    (state IN ('waiting', 'planning', 'sending')
        OR coalesce(finished_at > now() - make_interval(days => $1::integer), false))
"""
#: Where the days begin that are kept.
_KEPT: Final = "((floor(extract(epoch FROM now()) / 86400)::bigint - $1::integer) << 32)"
_OLDEST: Final = f"""
    {_PARTITIONS}
    SELECT name FROM parts WHERE upto <= {_KEPT}
        AND NOT EXISTS (SELECT 1 FROM pushes WHERE id >= since AND id < upto AND {_NEEDED})
    ORDER BY upto LIMIT 1
"""  # noqa: S608 - of constants
# In this order the migration locks them, too.
_LOCK: Final = "LOCK TABLE pushes, ONLY batches IN ACCESS EXCLUSIVE MODE"
# After their batches: of a row of `batches` that is there, the push is there.
_FORGET: Final = f"""
    {_PARTITIONS}
    DELETE FROM pushes WHERE id IN (
        SELECT id FROM pushes WHERE id < {_KEPT} AND NOT {_NEEDED}
            AND NOT EXISTS (SELECT 1 FROM parts WHERE id >= since AND id < upto)
        ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""  # noqa: S608 - of constants


class MissingError(Exception):
    """There is no partition for the day of a push."""


async def make_ahead(engine: AsyncEngine, *, push_id: int | None = None) -> list[str]:
    """Make the partitions that lack for today and the days to come, and for the day of a push.

    Returns their names; none where another process is at it.
    """
    day = None if push_id is None else push_id >> 32
    async with driver(engine) as connection:
        if not await connection.fetch(_MISSING, DAYS_AHEAD, day):
            return []
        async with connection.transaction():
            if not await _my_turn(connection):
                return []
            made = await connection.fetch(_MISSING, DAYS_AHEAD, day)
            for number, name in made:
                bounds = {"since": number << 32, "upto": (number + 1) << 32}
                await connection.execute(_DAY.format(name=name, **bounds))
    return [name for _, name in made]


async def drop_oldest(engine: AsyncEngine, *, keep_days: int) -> str | None:
    """Drop the oldest day that is older than `keep_days`, with nothing in it that is needed.

    Returns its partition's name; None where there is no such day, or another process is at it.
    """
    async with driver(engine) as connection, connection.transaction():
        if not await _my_turn(connection):
            return None
        name: str | None = await connection.fetchval(_OLDEST, keep_days)
        if name is not None:
            await connection.execute(_LOCK)
            await connection.execute(f"DROP TABLE {name}")
    return name


async def forget_pushes(engine: AsyncEngine, *, keep_days: int) -> int:
    """Delete some pushes whose day is dropped, and their opens; return how many."""
    async with driver(engine) as connection, connection.transaction():
        if not await _my_turn(connection):
            return 0
        said = await connection.execute(_FORGET, keep_days, PUSHES_AT_ONCE)
    return int(said.removeprefix("DELETE "))


async def _my_turn(connection: "Driver") -> bool:
    await connection.execute(_LOCK_TIMEOUT)
    mine: bool = await connection.fetchval(_TURN, UPKEEP_LOCK)
    return mine
