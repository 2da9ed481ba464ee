"""Batches: written by the plan, leased by a worker, closed together with their ledger.

The statements each move thousands of devices, so they go to the driver as they are: ids as one
binary array, rows as the driver's records.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.model import (
    BadgeChange,
    Batch,
    Counts,
    Halt,
    Json,
    Lane,
    Ledger,
    NewBatch,
    OutcomeClass,
    Recipient,
)
from pushsvc.storage import caps, stepwise_lease, token_events, usual_lease
from pushsvc.storage.by_key import BATCH_STATE
from pushsvc.storage.claim import Terms
from pushsvc.storage.due import DELIVERED_IN_VOLLEYS
from pushsvc.storage.engine import driver, encode_json
from pushsvc.storage.halted import MAY_LEASE
from pushsvc.storage.partitions import MissingError

if TYPE_CHECKING:
    Driver = asyncpg.Connection[asyncpg.Record]


@dataclass(frozen=True, slots=True)
class BatchRef:
    """Names a batch in the queue, and says whose it is and how large."""

    push_id: int
    seq: int
    lane: Lane
    app_id: int
    devices: int


# Writing: the plan's pieces, and what must be tried again.

_INSERT: Final = """
    INSERT INTO batches (push_id, seq, lane, installation_ids, first_id, last_id, recipients,
        outcomes, attempt, first_tried_at, paced, badges_applied, zone, variant,
        expires_at, not_before)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
        $13, $14, $15, least(now() + make_interval(secs => $16), $15))
"""


async def write_batches(
    connection: AsyncConnection,
    new: Sequence[NewBatch],
    *,
    push_id: int,
    lane: Lane,
    first_seq: int,
) -> None:
    """Write batches, numbered from `first_seq`, in the transaction the caller has begun.

    Raises:
        MissingError: there is no partition for them.
    """
    raw = await connection.get_raw_connection()
    assert raw.driver_connection is not None
    try:
        await _insert(raw.driver_connection, new, push_id=push_id, lane=lane, first_seq=first_seq)
    except asyncpg.CheckViolationError as error:
        raise MissingError from error


_RECIPIENT: Final = tuple(field.name for field in fields(Recipient))


def recipients_text(recipients: Sequence[Recipient]) -> str | None:
    """Return explicit devices as the table takes them: what one of them lacks is left out."""
    if not recipients:
        return None
    told = [
        {name: value for name in _RECIPIENT if (value := getattr(r, name)) is not None}
        for r in recipients
    ]
    return encode_json(told)


async def _insert(
    connection: "Driver", new: Sequence[NewBatch], *, push_id: int, lane: Lane, first_seq: int
) -> None:
    rows = [
        (
            push_id,
            first_seq + place,
            lane.value,
            batch.installation_ids,
            batch.installation_ids[0] if batch.installation_ids else None,
            batch.installation_ids[-1] if batch.installation_ids else None,
            recipients_text(batch.recipients),
            batch.outcomes,
            batch.attempt,
            batch.first_tried_at,
            batch.paced,
            batch.badges_applied,
            batch.zone,
            batch.variant,
            batch.expires_at,
            batch.delay_seconds,
        )
        for place, batch in enumerate(new)
    ]
    await connection.executemany(_INSERT, rows)


# Leasing: the batch and its badges in one transaction, so that a badge moves once per device.

_UNLEASE: Final = f"""
    UPDATE batches SET state = 0, leases = leases - 1, lease_until = NULL
    WHERE push_id = $1 AND seq = $2 AND leases = $3 AND {BATCH_STATE} = 1
"""  # noqa: S608 - of constants


async def lease_batch(
    engine: AsyncEngine,
    push_id: int,
    seq: int,
    *,
    lease_seconds: float,
    expires_at: datetime | None,
    halt: Halt | None = None,
    badge: BadgeChange | None,
    validate_only: bool = False,
    left_out: OutcomeClass | None = None,
    cap: caps.Cap | None = None,
) -> Batch | None:
    """Take an open batch that is due, and apply the push's badge change to its devices.

    Of a push that is halted only what is not sent any more: what has expired, or is taken over.

    Badges are changed at the first lease only, and never once the push has expired: a batch
    that is tried again, or taken over, reads them. With `validate_only` they are never changed,
    and are what they would be. Who is left out, all devices or by the cap those that had enough, is
    settled here for good, and keeps its badge. None where the batch is not to be had.
    """
    terms = Terms(
        seconds=lease_seconds,
        expires_at=expires_at,
        halt=halt,
        badge=badge,
        validate_only=validate_only,
        left_out=left_out,
        cap=cap,
    )
    async with driver(engine) as connection:
        if terms.are_usual:
            usual = await usual_lease.lease(connection, push_id, seq, terms=terms)
            if usual is not None:
                row, changed = usual
                try:
                    return _leased(push_id, seq, row, badges=changed)
                except Exception:
                    # A newer version has stored it, whose workers find it as it was.
                    await connection.execute(_UNLEASE, push_id, seq, row["leases"] + 1)
                    raise
            if badge is None:
                return None
        async with connection.transaction():
            leased = await stepwise_lease.lease(connection, push_id, seq, terms=terms)
    if leased is None:
        return None
    row, settled, badges = leased
    return _leased(push_id, seq, row, settled=settled, badges=badges)


def _leased(
    push_id: int,
    seq: int,
    row: "asyncpg.Record",
    *,
    settled: bytes | None = None,
    badges: Mapping[int, int],
) -> Batch:
    return Batch(
        push_id=push_id,
        seq=seq,
        installation_ids=tuple(row["installation_ids"]),
        recipients=as_recipients(row["recipients"]),
        attempt=row["attempt"],
        first_tried_at=row["first_tried_at"],
        paced=row["paced"],
        leases=row["leases"] + 1,
        leased_at=row["now"],
        seconds_left=row["seconds_left"],
        outcomes=settled or row["outcomes"] or bytes(_size(row)),
        zone=row["zone"],
        variant=row["variant"],
        expires_at=row["expires_at"],
        badges=badges,
    )


def as_recipients(stored: Sequence[Json] | None) -> tuple[Recipient, ...]:
    """Return explicit devices as they are read from the table."""
    return tuple(Recipient(**told) for told in stored or ())


def _size(row: "asyncpg.Record") -> int:
    return len(row["installation_ids"]) or len(row["recipients"] or ())


# Fenced by the number of the lease alone: a batch whose lease ran out is ours until it is claimed.
_RENEW: Final = f"""
    UPDATE batches SET state = 1, lease_until = now() + make_interval(secs => $4)
    WHERE push_id = $1 AND seq = $2 AND leases = $3 AND {BATCH_STATE} <> 2
"""  # noqa: S608 - of constants


async def renew_lease(engine: AsyncEngine, batch: Batch, *, lease_seconds: float) -> bool:
    """Renew the batch's lease; False where another worker has claimed it, or it is gone."""
    async with driver(engine) as connection:
        said = await connection.execute(
            _RENEW, batch.push_id, batch.seq, batch.leases, lease_seconds
        )
    return said == "UPDATE 1"


# Closing: ledger, counts, follow-ups and evidence in one transaction, which happens once.

_FINISH: Final = f"""
    UPDATE batches SET state = 2, lease_until = NULL, finished_at = now(),
        outcomes = $4, counts = $5, exceptions = $6, answered = $7
    WHERE push_id = $1 AND seq = $2 AND leases = $3 AND {BATCH_STATE} <> 2
    RETURNING lane
"""  # noqa: S608 - of constants

_RESERVE: Final = """
    UPDATE pushes SET batches_planned = batches_planned + $2 WHERE id = $1
    RETURNING batches_planned - $2
"""


async def finish_batch(engine: AsyncEngine, batch: Batch, ledger: Ledger) -> bool:
    """Close a batch with all that came of it; False where its lease was lost to another worker."""
    async with driver(engine) as connection:
        if not ledger.follow_ups and not ledger.evidence:
            return await _close(connection, batch, ledger) is not None
        async with connection.transaction():
            lane = await _close(connection, batch, ledger)
            if lane is None:
                return False
            await carry_on(connection, batch, ledger, lane=Lane(lane))
    return True


async def _close(connection: "Driver", batch: Batch, ledger: Ledger) -> str | None:
    lane: str | None = await connection.fetchval(
        _FINISH, batch.push_id, batch.seq, batch.leases, *as_written(ledger)
    )
    return lane


def as_written(ledger: Ledger) -> tuple[bytes, str, str, str | None]:
    """Return outcomes, counts, exceptions and what was answered as the table takes them."""
    answered = {scope: list(said) for scope, said in ledger.answered.items()}
    return (
        ledger.outcomes,
        encode_json(plain_counts(ledger.counts)),
        encode_json(ledger.exceptions),
        encode_json(answered) if answered else None,
    )


def plain_counts(counts: Counts) -> Json:
    """Return counts as they are stored."""
    return {t: {str(int(c)): n for c, n in by.items()} for t, by in counts.items()}


async def carry_on(connection: "Driver", batch: Batch, ledger: Ledger, *, lane: Lane) -> None:
    """Write down what is left of a batch that is closed in the same transaction."""
    if ledger.follow_ups:
        first = await connection.fetchval(_RESERVE, batch.push_id, len(ledger.follow_ups))
        await _insert(
            connection, ledger.follow_ups, push_id=batch.push_id, lane=lane, first_seq=first
        )
    await token_events.add(
        connection, ledger.evidence, push_id=batch.push_id, asked_at=batch.leased_at
    )


# What the clock asks: leases that ran out, and open batches that no job in Redis names any more.

_EXPIRE: Final = """
    UPDATE batches SET state = 0, lease_until = NULL
    WHERE (push_id, seq) IN (
        SELECT push_id, seq FROM batches WHERE state = 1 AND lease_until < now()
        ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    RETURNING seq
"""

# Small deliveries go in volleys, and are looked for there.
# The size is about that of the push's batches: to count the ids of each, they would all be read.
_OPEN: Final = f"""
    SELECT push_id, seq, app_id, devices_planned / greatest(batches_planned, 1)
    FROM batches JOIN pushes ON pushes.id = push_id
    WHERE batches.state = 0 AND batches.lane = $1 AND not_before <= now() AND {MAY_LEASE}
        AND NOT ({DELIVERED_IN_VOLLEYS})
    ORDER BY not_before LIMIT $2
"""  # noqa: S608 - of constants

# Where more are due than one looks at, a few of each push, and apps take turns: nobody's thousands,
# of batches or of pushes, hide another's. Each push's own are looked up by it: where a day's table
# was not analyzed yet, they were held against all that are open, a second for 15,000 of them.
_OPEN_OF_EACH: Final = f"""
    SELECT id, seq, app_id, size FROM (
        SELECT id, seq, app_id, devices_planned / greatest(batches_planned, 1) AS size, not_before,
            row_number() OVER (PARTITION BY app_id ORDER BY not_before) AS turn
        FROM pushes CROSS JOIN LATERAL (
            SELECT seq, not_before FROM (
                SELECT * FROM batches WHERE push_id = pushes.id AND state <> 2 OFFSET 0
            ) AS batches
            WHERE batches.state = 0 AND not_before <= now() AND {MAY_LEASE}
                AND NOT ({DELIVERED_IN_VOLLEYS})
            ORDER BY not_before LIMIT $3
        ) AS batches
        WHERE pushes.state IN ('planning', 'sending') AND lane = $1
    ) AS open
    ORDER BY turn, not_before LIMIT $2
"""  # noqa: S608 - of constants

#: Batches that one looks at; where there are more, of each push, and of all.
LOOK: Final = 1_000
LOOK_OF_EACH: Final = 10
LOOK_OF_ALL: Final = 5_000


async def expire_leases(engine: AsyncEngine, *, limit: int) -> int:
    """Open the batches whose worker let the lease run out, and return how many."""
    async with driver(engine) as connection:
        return len(await connection.fetch(_EXPIRE, limit))


async def open_batches(
    engine: AsyncEngine, lane: Lane, *, look: int = LOOK, most: int = LOOK_OF_ALL
) -> list[BatchRef]:
    """Return open batches of the lane that are due, those that waited longest first.

    Fewer than `look`; where there are more, LOOK_OF_EACH of each push, and `most` of all.
    """
    async with driver(engine) as connection:
        rows = await connection.fetch(_OPEN, lane.value, look)
        if len(rows) == look:
            rows = await connection.fetch(_OPEN_OF_EACH, lane.value, most, LOOK_OF_EACH)
    return [BatchRef(push_id, seq, lane, app, devices) for push_id, seq, app, devices in rows]
