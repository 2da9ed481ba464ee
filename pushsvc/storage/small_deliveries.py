"""Small deliveries: found, and leased for a volley, apps in turns.

The batch of one is there when it is stored, so that its lease is all that a volley has to take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import Batch, Lane, Push
from pushsvc.storage.batches import as_recipients
from pushsvc.storage.due import DELIVERED_IN_VOLLEYS
from pushsvc.storage.engine import driver, driver_by_index
from pushsvc.storage.firing import FIRST_LEASE
from pushsvc.storage.pushes import SELECTED, as_push

if TYPE_CHECKING:
    import asyncpg

#: Deliveries of a volley: a worker is busy with it for a few tenths of a second at most.
VOLLEY: Final = 40
#: Deliveries that one looks at; where there are more, of each app, and of all.
LOOK: Final = 200
LOOK_OF_EACH: Final = VOLLEY
LOOK_OF_ALL: Final = 2_000

_OPEN: Final = f"""
    SELECT push_id FROM batches JOIN pushes ON pushes.id = push_id
    WHERE batches.state = 0 AND batches.lane = '{Lane.URGENT}' AND not_before <= now()
        AND {DELIVERED_IN_VOLLEYS}
    ORDER BY not_before LIMIT $1
"""  # noqa: S608 - of constants
# Nobody's thousands hide another's.
_OPEN_OF_EACH: Final = f"""
    SELECT open.id FROM apps CROSS JOIN LATERAL (
        SELECT pushes.id, pushes.due_at, row_number() OVER (ORDER BY pushes.due_at) AS turn
        FROM pushes CROSS JOIN LATERAL (
            SELECT * FROM batches WHERE push_id = pushes.id AND seq = 0 OFFSET 0
        ) AS batches
        WHERE pushes.app_id = apps.id AND pushes.state = 'sending' AND batches.state = 0
            AND {DELIVERED_IN_VOLLEYS}
        ORDER BY pushes.due_at LIMIT $1
    ) AS open (id, due_at, turn)
    ORDER BY turn, due_at LIMIT $2
"""  # noqa: S608 - of constants


async def look(engine: AsyncEngine, *, most: int = LOOK) -> Sequence[int]:
    """Return small deliveries that nobody has, those that waited longest first.

    Fewer than `most`; where there are more, LOOK_OF_EACH of each app, and LOOK_OF_ALL of all.
    """
    async with driver(engine) as connection:
        rows = await connection.fetch(_OPEN, most)
        if len(rows) == most:
            rows = await connection.fetch(_OPEN_OF_EACH, LOOK_OF_EACH, LOOK_OF_ALL)
    return [row[0] for row in rows]


_LEASE: Final = f"""
    UPDATE batches SET state = 1, leases = {FIRST_LEASE},
        lease_until = now() + make_interval(secs => $3)
    FROM (
        SELECT batches.push_id, batches.seq, turn
        FROM unnest($1::bigint[]) WITH ORDINALITY AS asked(id, turn)
        JOIN pushes ON pushes.id = asked.id
        JOIN batches ON batches.push_id = pushes.id
        WHERE batches.state = 0 AND {DELIVERED_IN_VOLLEYS}
        ORDER BY turn LIMIT $2
        FOR UPDATE OF batches SKIP LOCKED
    ) AS mine, pushes
    WHERE batches.push_id = mine.push_id AND batches.seq = mine.seq AND pushes.id = mine.push_id
    RETURNING {SELECTED}, batches.seq, batches.recipients, batches.outcomes, now() AS now,
        extract(epoch FROM pushes.expires_at - now())::float8 AS seconds_left
"""  # noqa: S608 - of constants
_GIVE_BACK: Final = f"""
    WITH ours AS (
        UPDATE batches SET state = 0, leases = 0, lease_until = NULL
        WHERE push_id = ANY($1) AND leases = {FIRST_LEASE} AND state = 1
        RETURNING push_id
    )
    UPDATE pushes SET leases = pushes.leases + 1 FROM ours WHERE pushes.id = ours.push_id
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A small delivery, with its one batch, which is ours for as long as the lease lasts."""

    push: Push
    batch: Batch
    #: of the monotonic clock: the lease is no older
    asked_at: float


async def lease(
    engine: AsyncEngine,
    ids: Sequence[int],
    *,
    lease_seconds: float,
    now: float,
    limit: int = VOLLEY,
) -> list[Leased]:
    """Take the first of these deliveries that nobody else has, in this order.

    When this returns, whoever finds them without their worker is in doubt about them. `now` is of
    the monotonic clock.
    """
    async with driver_by_index(engine) as connection:
        rows = await connection.fetch(_LEASE, ids, limit, lease_seconds)
        # Read before it is committed: what a newer version has stored is left to its workers.
        found = {row["id"]: _leased(row, asked_at=now) for row in rows}
    return [found[number] for number in ids if number in found]


def _leased(row: "asyncpg.Record", *, asked_at: float) -> Leased:
    values = dict(row)
    seq, now = values.pop("seq"), values.pop("now")
    recipients = as_recipients(values.pop("recipients"))
    outcomes, seconds_left = values.pop("outcomes"), values.pop("seconds_left")
    push = as_push(values)
    batch = Batch(
        push_id=push.id,
        seq=seq,
        installation_ids=(),
        recipients=recipients,
        attempt=1,
        leases=FIRST_LEASE,
        leased_at=now,
        seconds_left=seconds_left,
        outcomes=outcomes or bytes(len(recipients)),
        badges={},
    )
    return Leased(push=push, batch=batch, asked_at=asked_at)


async def give_back(engine: AsyncEngine, leased: Sequence[Leased]) -> None:
    """Leave deliveries of which nothing was sent to others, who deliver each by itself."""
    async with driver(engine) as connection:
        await connection.execute(_GIVE_BACK, [one.push.id for one in leased])
