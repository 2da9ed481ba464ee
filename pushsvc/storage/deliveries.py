"""Deliveries: pushes whose devices are named by the caller, stored in batches that need no plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import (
    DEVICE_COUNT,
    Counts,
    Lane,
    NewBatch,
    OutcomeClass,
    Push,
    PushState,
    Recipient,
    Schedule,
    Submission,
)
from pushsvc.storage import batches, pushes
from pushsvc.storage.engine import driver, encode_json
from pushsvc.storage.ids import new_object_id
from pushsvc.storage.ledger import reasons_of
from pushsvc.storage.partitions import MissingError
from pushsvc.storage.pushes import SELECTED

# One statement, and so one round trip and one commit.
_INSERT: Final = f"""
    WITH new AS (
        INSERT INTO pushes (object_id, app_id, source, audience, content, payload, due_at,
            expires_at, push_time, expiration_interval, lane, on_unknown, late, state, started_at,
            idempotency_key, request_hash, group_id, push_hash, batches_planned, devices_planned)
        VALUES ($1, $2, $3, $4, $5, $6, now(), $7, $8, $9, $10, $11, $12, '{PushState.SENDING}',
            now(), $13, $14, $15, $16, $17, $18)
        ON CONFLICT (app_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
        RETURNING *
    ), parts AS (
        INSERT INTO batches (push_id, seq, lane, recipients, outcomes)
        SELECT new.id, part.seq - 1, new.lane, part.recipients::jsonb, part.outcomes
        FROM new, unnest($19::text[], $20::bytea[])
            WITH ORDINALITY AS part(recipients, outcomes, seq)
    )
    SELECT {SELECTED} FROM new AS pushes
"""  # noqa: S608 - of constants


async def insert_delivery(
    engine: AsyncEngine,
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
    while True:
        row = await _inserted(
            engine,
            new_object_id(),
            app_id,
            submission.source,
            encode_json(submission.audience),
            encode_json(submission.content),
            encode_json(submission.content["data"]),
            schedule.expires_at,
            schedule.push_time,
            schedule.expiration_interval,
            lane,
            submission.on_unknown,
            submission.late,
            submission.idempotency_key,
            submission.request_hash,
            submission.group_id,
            push_hash,
            len(new),
            sum(batch.size for batch in new),
            [batches.recipients_text(batch.recipients) for batch in new],
            [batch.outcomes for batch in new],
        )
        if row is not None:
            return pushes.Stored(push=pushes.as_push(dict(row)), replayed=False, mismatched=False)
        async with engine.connect() as connection:
            stored = await pushes.find_replay(connection, submission, app_id=app_id)
        if stored is not None:
            return stored
        # It was deleted between the two statements, and its key is free again.


async def _inserted(engine: AsyncEngine, *values: Any) -> asyncpg.Record | None:
    async with driver(engine) as connection:
        try:
            return await connection.fetchrow(_INSERT, *values)
        except asyncpg.CheckViolationError as error:
            raise MissingError from error


# ---------------------------------------------------------------- what came of one


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A batch of a delivery, as far as it came."""

    recipients: Sequence[Recipient]
    #: OPEN where nothing is written down yet
    outcomes: bytes
    #: place -> the gateway's word, or ours
    reasons: Mapping[int, str]


_FOUND: Final = f"""
    SELECT {SELECTED}, batches.recipients AS part_recipients, batches.outcomes AS part_outcomes,
        batches.exceptions AS part_exceptions
    FROM pushes JOIN batches ON batches.push_id = pushes.id
    WHERE pushes.app_id = $1 AND pushes.object_id = $2 AND pushes.audience ? '{DEVICE_COUNT}'
    ORDER BY batches.seq
"""  # noqa: S608 - of constants


async def find_delivery(
    engine: AsyncEngine, *, app_id: int, object_id: str
) -> tuple[Push, Sequence[Part]] | None:
    """Return a delivery of the app, as far as it came.

    Its batches are those it was stored with, and then what was tried again.
    """
    async with driver(engine) as connection:
        rows = await connection.fetch(_FOUND, app_id, object_id)
    if not rows:
        return None
    return pushes.as_push({name: rows[0][name] for name in _COLUMNS}), [_part(row) for row in rows]


_COLUMNS: Final = [column.name for column in pushes.COLUMNS]


def _part(row: asyncpg.Record) -> Part:
    recipients = batches.as_recipients(row["part_recipients"])
    return Part(
        recipients=recipients,
        outcomes=row["part_outcomes"] or bytes(len(recipients)),
        reasons=reasons_of(row["part_exceptions"]),
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
