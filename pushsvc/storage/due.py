"""What the clock asks of pushes: which are due, and which could be closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import Lane, Late
from pushsvc.storage.halted import MAY_PLAN

#: More devices are a volley by themselves.
FEW_DEVICES: Final = 20
#: A volley is sent for two seconds at most, and asks of none of its pushes whether it has expired
#: meanwhile; where one may, it goes by itself.
SOON_SECONDS: Final = 5
#: What goes in a volley with others (storage/firing.py): pushes that name few devices, and that
#: nothing is to be asked about while they are sent. Those that a volley has failed with, or two
#: workers have died over, go by themselves.
IN_VOLLEYS: Final = f"""
    leases <= 1 AND batches_planned = 0 AND lane = '{Lane.URGENT}'
    AND halt IS NULL AND local_time IS NULL AND rules IS NULL AND rate_per_minute IS NULL
    AND late = '{Late.SEND}'
    AND coalesce(jsonb_array_length(audience -> 'devices') <= {FEW_DEVICES}, false)
    AND coalesce(content -> 'validate_only', 'false') = 'false'
    AND (expires_at IS NULL OR expires_at <= now()
        OR expires_at > now() + interval '{SOON_SECONDS} seconds')
"""

#: Devices of what was stored with its batch and goes in a volley; more are worth a job.
SMALL_DELIVERY: Final = 200
#: Of `batches` and `pushes`: what was stored with its one batch, a delivery or a push, and is
#: small goes in a volley, too. What a volley has failed with, what is tried again, or may expire
#: meanwhile, goes by itself; and so does what was planned, for a plan is leased.
DELIVERED_IN_VOLLEYS: Final = f"""
    batches.leases = 0 AND batches.lane = '{Lane.URGENT}' AND pushes.leases = 0
    AND pushes.batches_planned = 1 AND pushes.devices_planned <= {SMALL_DELIVERY}
    AND pushes.halt IS NULL
    AND (pushes.expires_at IS NULL
        OR pushes.expires_at > now() + interval '{SOON_SECONDS} seconds')
"""

# What the clock asks. Redis only wakes: whatever it forgot is found here.

# Apps take turns: thousands that one of them has made due at once do not hide another's. Those that
# go in volleys are not looked for here.
_DUE = text(f"""
    SELECT id, lane, app_id FROM (
        SELECT id, lane, app_id, due_at, row_number() OVER (PARTITION BY app_id ORDER BY due_at)
            AS turn
        FROM pushes
        WHERE state IN ('waiting', 'planning') AND due_at <= now()
            AND (lease_until IS NULL OR lease_until < now()) AND {MAY_PLAN}
            AND NOT ({IN_VOLLEYS})
    ) AS due
    ORDER BY turn, due_at LIMIT :limit
""")  # noqa: S608 - of constants

_COMPLETE = text("""
    SELECT id FROM pushes
    WHERE state = 'sending'
        AND NOT EXISTS (
            SELECT 1 FROM batches WHERE batches.push_id = pushes.id AND batches.state <> 2
        )
    LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class DuePush:
    """A push to plan, and whose it is."""

    id: int
    lane: Lane
    app_id: int


async def due_pushes(connection: AsyncConnection, *, limit: int) -> Sequence[DuePush]:
    """Return pushes that are due and that nobody plans: of each app those that waited longest."""
    rows = await connection.execute(_DUE, {"limit": limit})
    return [DuePush(row.id, Lane(row.lane), row.app_id) for row in rows]


async def complete_pushes(connection: AsyncConnection, *, limit: int) -> Sequence[int]:
    """Return pushes all of whose batches are done, but which nobody closed."""
    return [row.id for row in await connection.execute(_COMPLETE, {"limit": limit})]
