"""Small deliveries: found, and leased for a volley, apps in turns.

The batch of one is there when it is stored, so that its lease is all that a volley has to take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import Batch, Lane, Push
from pushsvc.storage.batches import as_recipients
from pushsvc.storage.by_key import BATCH_STATE
from pushsvc.storage.due import DELIVERED_IN_VOLLEYS
from pushsvc.storage.engine import driver
from pushsvc.storage.firing import FIRST_LEASE
from pushsvc.storage.pushes import COLUMNS, SELECTED, as_push

if TYPE_CHECKING:
    import asyncpg

log = structlog.get_logger(__name__)

#: Deliveries of a volley, and devices after which no other is taken into it: a worker is busy with
#: it for a few tenths of a second at most.
VOLLEY: Final = 100
MOST_DEVICES: Final = 2_000
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


# Which one is locked is decided row by row, before it is known how many devices they have together:
# what is locked in vain is free again at once. Where another has changed it meanwhile, it is held
# again to the conditions that stand beside `batches`, and not to those of the inner SELECT.
_LEASE: Final = """
    UPDATE batches SET state = 1, leases = {first_lease},
        lease_until = now() + make_interval(secs => $2)
    FROM (
        SELECT *, sum(devices) OVER (ROWS UNBOUNDED PRECEDING) AS devices_so_far FROM (
            SELECT batches.push_id, batches.seq, pushes.*
            FROM {batches} CROSS JOIN LATERAL (
                SELECT {selected} FROM pushes
                WHERE pushes.id = batches.push_id AND {in_volleys} OFFSET 0
            ) AS pushes
            WHERE {state} = 0 AND batches.lane = '{lane}' AND not_before <= now()
                AND batches.leases = 0
            ORDER BY {order} LIMIT $1
            FOR UPDATE OF batches SKIP LOCKED
        ) AS free
    ) AS pushes
    WHERE batches.push_id = pushes.push_id AND batches.seq = pushes.seq
        AND devices_so_far - devices < $3
    RETURNING {returned}, batches.seq, batches.recipients, batches.outcomes, now() AS now,
        extract(epoch FROM pushes.expires_at - now())::float8 AS seconds_left
"""
_WORDS: Final = {
    "first_lease": FIRST_LEASE,
    "selected": SELECTED,
    "returned": ", ".join(f"pushes.{column.name}" for column in COLUMNS),
    "in_volleys": DELIVERED_IN_VOLLEYS,
    "lane": Lane.URGENT,
}
_LEASE_NEXT: Final = _LEASE.format(
    batches="batches", state="batches.state", order="not_before", **_WORDS
)
_LEASE_ASKED: Final = _LEASE.format(
    batches="""unnest($4::bigint[]) WITH ORDINALITY AS asked(id, turn)
        JOIN batches ON batches.push_id = asked.id""",
    state=BATCH_STATE,
    order="turn",
    **_WORDS,
)
_GIVE_BACK: Final = f"""
    WITH ours AS (
        UPDATE batches SET state = 0, leases = 0, lease_until = NULL
        WHERE push_id = ANY($1) AND leases = {FIRST_LEASE} AND {BATCH_STATE} = 1
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


async def lease_next(
    engine: AsyncEngine,
    *,
    lease_seconds: float,
    now: float,
    limit: int = VOLLEY,
    most_devices: int = MOST_DEVICES,
) -> tuple[list[Leased], bool]:
    """Take those that waited longest, of whatever app; and tell whether there may be more.

    When this returns, whoever finds them without their worker is in doubt about them. `now` is of
    the monotonic clock.
    """
    async with driver(engine) as connection:
        rows = await connection.fetch(_LEASE_NEXT, limit, lease_seconds, most_devices)
    is_full = len(rows) == limit or sum(row["devices"] for row in rows) >= most_devices
    return await _read(engine, rows, asked_at=now), is_full


async def lease(
    engine: AsyncEngine,
    ids: Sequence[int],
    *,
    lease_seconds: float,
    now: float,
    limit: int = VOLLEY,
) -> list[Leased]:
    """Take the first of these deliveries that nobody else has, in this order; see `lease_next`."""
    async with driver(engine) as connection:
        rows = await connection.fetch(_LEASE_ASKED, limit, lease_seconds, MOST_DEVICES, ids)
    found = {one.push.id: one for one in await _read(engine, rows, asked_at=now)}
    return [found[number] for number in ids if number in found]


async def _read(
    engine: AsyncEngine, rows: Sequence["asyncpg.Record"], *, asked_at: float
) -> list[Leased]:
    """Return what is in rows; what a newer version has stored is given back to its workers."""
    found: list[Leased] = []
    unread: list[int] = []
    for row in rows:
        try:
            found.append(_leased(row, asked_at=asked_at))
        except Exception:
            log.exception("delivery.unreadable", push=row["object_id"])
            unread.append(row["id"])
    if unread:
        await _give_back(engine, unread)
    return found


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
    await _give_back(engine, [one.push.id for one in leased])


async def _give_back(engine: AsyncEngine, push_ids: Sequence[int]) -> None:
    async with driver(engine) as connection:
        await connection.execute(_GIVE_BACK, push_ids)
