"""Batches before they are leased: what they are of, and whether they can wait."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage.by_key import BATCH_STATE
from pushsvc.storage.engine import driver

_FIND: Final = f"""
    SELECT zone, variant, now() AS now, leases > 0 AS is_begun,
        outcomes IS NOT NULL AND position('\\000'::bytea IN outcomes) = 0 AS is_settled,
        coalesce(coalesce(expires_at, $3::timestamptz) <= now(), false) AS is_expired
    FROM batches WHERE push_id = $1 AND seq = $2 AND {BATCH_STATE} = 0 AND not_before <= now()
"""  # noqa: S608 - of constants

# It gives up the turn it had, if it had one: at the end of the night all of them come at once. To
# wait is no try, so that nobody ages meanwhile; and who expires does so in time.
_DEFER: Final = f"""
    UPDATE batches
    SET not_before = at, paced = false, first_tried_at = first_tried_at + (at - now())
    FROM (
        SELECT least($3::timestamptz, expires_at, $4::timestamptz) AS at
        FROM batches WHERE push_id = $1 AND seq = $2
    ) AS later
    WHERE push_id = $1 AND seq = $2 AND {BATCH_STATE} = 0 AND leases = 0 AND not_before <= now()
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What an open batch is of."""

    zone: str | None
    variant: str | None
    #: by the database's clock
    now: datetime
    #: a worker has had it before
    is_begun: bool
    #: none of its devices is to be sent to
    is_settled: bool
    is_expired: bool


async def find(
    engine: AsyncEngine, push_id: int, seq: int, *, expires_at: datetime | None
) -> Head | None:
    """Return what an open batch that is due is of; None where it is no such batch any more.

    `expires_at` is the push's, for where the batch has none of its own.
    """
    async with driver(engine) as connection:
        row = await connection.fetchrow(_FIND, push_id, seq, expires_at)
    return None if row is None else Head(**row)


async def defer(
    engine: AsyncEngine,
    push_id: int,
    seq: int,
    *,
    until: datetime,
    expires_at: datetime | None,
) -> None:
    """Have an open batch wait until then, or until it expires; this is no attempt."""
    async with driver(engine) as connection:
        await connection.execute(_DEFER, push_id, seq, until, expires_at)
