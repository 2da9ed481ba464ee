"""What the clock asks of pushes: which are due, and which could be closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.model import Halt, Lane, Late
from pushsvc.storage.engine import driver
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

_IS_COMPLETE: Final = """
    state = 'sending' AND NOT EXISTS (
        SELECT FROM batches WHERE batches.push_id = pushes.id AND batches.state <> 2
    )
"""
_COMPLETE = text(f"SELECT id FROM pushes WHERE {_IS_COMPLETE} LIMIT :limit")  # noqa: S608 - same

# All that the clock has to do something about: mostly it is nothing, and then this is all it asks.
_LOOK: Final = f"""
    SELECT
        EXISTS (
            SELECT FROM campaigns WHERE state = 'active' AND next_run_at <= now()
        ) AS campaigns,
        EXISTS (
            SELECT FROM pushes WHERE state IN ('waiting', 'planning') AND due_at <= now()
        ) AS plans,
        EXISTS (SELECT FROM batches WHERE state = 1 AND lease_until < now()) AS leases,
        EXISTS (
            SELECT FROM batches WHERE state = 0 AND lane = '{Lane.URGENT}' AND not_before <= now()
        ) AS urgent,
        EXISTS (
            SELECT FROM batches WHERE state = 0 AND lane = '{Lane.BULK}' AND not_before <= now()
        ) AS bulk,
        EXISTS (
            SELECT FROM pushes
            WHERE state IN ('waiting', 'planning', 'sending') AND halt = '{Halt.CANCEL}'
        ) AS cancelled,
        EXISTS (SELECT FROM pushes WHERE {_IS_COMPLETE}) AS complete,
        EXISTS (
            SELECT FROM pushes
            WHERE state IN ('planning', 'sending') AND campaign_id IS NOT NULL AND halt IS NULL
        ) AS runs,
        EXISTS (SELECT FROM installations WHERE token_quarantined_until <= now())
            OR EXISTS (
                SELECT FROM token_events WHERE created_at < now() - make_interval(days => $1)
            ) AS tokens
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What there may be for the clock to do, each looked at more closely by who does it."""

    #: campaigns that are due
    campaigns: bool
    #: pushes that are due, or were taken up and not planned
    plans: bool
    #: batches whose worker let the lease run out
    leases: bool
    #: batches of that lane that are due
    urgent: bool
    bulk: bool
    #: cancelled pushes that are not over
    cancelled: bool
    #: pushes without an open batch
    complete: bool
    #: runs of campaigns under way, which may have a rule to pause by
    runs: bool
    #: tokens that are through with their quarantine, and old events
    tokens: bool


@dataclass(frozen=True, slots=True)
class DuePush:
    """A push to plan, and whose it is."""

    id: int
    lane: Lane
    app_id: int


async def look(engine: AsyncEngine, *, token_days: int) -> Work:
    """Return what there is to do, by the database's time; events of tokens are kept so long."""
    async with driver(engine) as connection:
        row = await connection.fetchrow(_LOOK, token_days)
    assert row is not None
    return Work(**row)


async def due_pushes(connection: AsyncConnection, *, limit: int) -> Sequence[DuePush]:
    """Return pushes that are due and that nobody plans: of each app those that waited longest."""
    rows = await connection.execute(_DUE, {"limit": limit})
    return [DuePush(row.id, Lane(row.lane), row.app_id) for row in rows]


async def complete_pushes(connection: AsyncConnection, *, limit: int) -> Sequence[int]:
    """Return pushes all of whose batches are done, but which nobody closed."""
    return [row.id for row in await connection.execute(_COMPLETE, {"limit": limit})]
