"""Deliveries: pushes whose devices are named by the caller, stored in batches that need no plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.model import (
    Counts,
    Lane,
    NewBatch,
    OutcomeClass,
    PushState,
    Recipient,
    Schedule,
    Submission,
)
from pushsvc.storage import batches, pushes
from pushsvc.storage.engine import driver
from pushsvc.storage.ledger import reasons_of

if TYPE_CHECKING:
    import asyncpg


async def insert_delivery(
    connection: AsyncConnection,
    submission: Submission,
    new: Sequence[NewBatch],
    *,
    app_id: int,
    schedule: Schedule,
    lane: Lane,
    push_hash: str,
) -> pushes.Stored:
    """Store a delivery with its batches, unless its idempotency key has stored one before.

    Raises:
        MissingError: there is no partition for the batches.
    """
    planned: dict[str, Any] = {
        "state": PushState.SENDING,
        "started_at": func.now(),
        "batches_planned": len(new),
        "devices_planned": sum(batch.size for batch in new),
    }
    stored = await pushes.insert_push(
        connection,
        submission,
        app_id=app_id,
        schedule=schedule,
        lane=lane,
        push_hash=push_hash,
        planned=planned,
    )
    if not stored.replayed:
        await batches.write_batches(connection, new, push_id=stored.push.id, lane=lane, first_seq=0)
    return stored


# ---------------------------------------------------------------- what came of one


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A batch of a delivery, as far as it came."""

    recipients: Sequence[Recipient]
    #: OPEN where nothing is written down yet
    outcomes: bytes
    #: place -> the gateway's word, or ours
    reasons: Mapping[int, str]


_PARTS: Final = """
    SELECT recipients, outcomes, exceptions FROM batches WHERE push_id = $1 ORDER BY seq
"""


async def parts_of(engine: AsyncEngine, push_id: int) -> Sequence[Part]:
    """Return the batches of a delivery: those it was stored with, then what was tried again."""
    async with driver(engine) as connection:
        rows = await connection.fetch(_PARTS, push_id)
    return [_part(row) for row in rows]


def _part(row: "asyncpg.Record") -> Part:
    recipients = batches.as_recipients(row["recipients"])
    return Part(
        recipients=recipients,
        outcomes=row["outcomes"] or bytes(len(recipients)),
        reasons=reasons_of(row["exceptions"]),
    )


# ---------------------------------------------------------------- what came of a group


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The deliveries that a caller has put under one name."""

    deliveries: int
    #: deliveries that are not closed
    open: int
    devices: int
    counts: Counts


_GROUP: Final = """
    SELECT count(*) AS deliveries, coalesce(sum(devices_planned), 0)::bigint AS devices,
        count(*) FILTER (WHERE finished_at IS NULL) AS open
    FROM pushes WHERE app_id = $1 AND group_id = $2
"""
_COUNTS: Final = """
    SELECT type.key AS device_type, class.key::integer AS class,
        sum(class.value::text::bigint)::bigint AS devices
    FROM (
        SELECT counts FROM pushes
        WHERE app_id = $1 AND group_id = $2 AND finished_at IS NOT NULL
        UNION ALL
        SELECT batches.counts FROM pushes JOIN batches ON batches.push_id = pushes.id
        WHERE app_id = $1 AND group_id = $2 AND pushes.finished_at IS NULL
    ) AS said, jsonb_each(counts) AS type, jsonb_each(type.value) AS class
    GROUP BY 1, 2
"""


async def group_of(engine: AsyncEngine, *, app_id: int, group_id: str) -> Group | None:
    """Return what came so far of the deliveries of a group; None where there is none.

    Where none is open the counts are final.
    """
    async with driver(engine) as connection:
        # In this order: what is closed by now has all of its counts.
        row = await connection.fetchrow(_GROUP, app_id, group_id)
        if row is None or not row["deliveries"]:
            return None
        found = await connection.fetch(_COUNTS, app_id, group_id)
    counts: dict[str, dict[OutcomeClass, int]] = {}
    for device_type, number, devices in found:
        counts.setdefault(device_type, {})[OutcomeClass(number)] = devices
    return Group(
        deliveries=row["deliveries"], open=row["open"], devices=row["devices"], counts=counts
    )
