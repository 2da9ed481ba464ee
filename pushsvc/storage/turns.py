"""A push's own rate: the turns of its batches, reserved one after another under the push's lock.

A turn is a time in Postgres, so that the rate holds over workers, restarts, and a Redis that has
lost everything. Devices that were asked about before do not count again when they are retried.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.storage.by_key import BATCH_STATE
from pushsvc.storage.claim import IN_TURN
from pushsvc.storage.engine import driver

SECONDS_PER_MINUTE: Final = 60.0

_RESERVE: Final = text("""
    UPDATE pushes SET paced_until = greatest(paced_until, now()) + make_interval(secs => :seconds)
    WHERE id = :push_id
    RETURNING greatest(0, extract(epoch FROM paced_until - now())::float8 - :seconds)
            AS wait_seconds,
        greatest(0, coalesce(extract(epoch FROM expires_at - now())::float8, 'Infinity'))
            AS end_seconds
""")

# What comes late, after an outage say, gets a new turn behind all others: there is no burst. It
# was not asked about, so the time until then is none of its retries': it does not age. A turn that
# the push, or its wave, does not live to see comes when it expires. What sends nothing needs none.
_TAKE: Final = f"""
    WITH batch AS (
        SELECT expires_at AS ends_at, ({IN_TURN}) OR attempt > 1
            OR coalesce(expires_at <= now(), false)
            OR coalesce(position('\\000'::bytea IN outcomes) = 0, false) AS in_turn,
            make_interval(secs => $3::float8 * greatest(cardinality(installation_ids),
                coalesce(jsonb_array_length(recipients), 0))) AS length
        FROM batches WHERE push_id = $1 AND seq = $2 AND {BATCH_STATE} = 0 AND not_before <= now()
        FOR UPDATE SKIP LOCKED
    ), turn AS (
        UPDATE pushes SET paced_until = greatest(paced_until, now()) + length
        FROM batch WHERE id = $1 AND NOT in_turn
        RETURNING least(paced_until - length, coalesce(ends_at, expires_at)) AS at
    )
    UPDATE batches SET not_before = at, paced = true, first_tried_at = first_tried_at + (at - now())
    FROM turn WHERE push_id = $1 AND seq = $2 AND at > now()
"""  # noqa: S608 - no value of a caller's


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """When devices may go."""

    wait_seconds: float
    #: until the push expires
    end_seconds: float


async def reserve(
    connection: AsyncConnection, push_id: int, *, devices: int, rate_per_minute: int
) -> Turn:
    """Reserve the next turn for so many devices."""
    seconds = devices * SECONDS_PER_MINUTE / rate_per_minute
    parameters = {"push_id": push_id, "seconds": seconds}
    found = (await connection.execute(_RESERVE, parameters)).one()
    return Turn(wait_seconds=found.wait_seconds, end_seconds=found.end_seconds)


async def take(engine: AsyncEngine, push_id: int, seq: int, *, rate_per_minute: int) -> bool:
    """Tell whether it is the turn of a batch that is due; it gets a later time where it is not."""
    async with driver(engine) as connection:
        said = await connection.execute(_TAKE, push_id, seq, SECONDS_PER_MINUTE / rate_per_minute)
    return said == "UPDATE 0"
