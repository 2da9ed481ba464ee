"""What stops a push and what lets it go on: each step under the lock of the push's row."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from sqlalchemy import ColumnElement, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.model import Batch, Counts, Halt, Lane, OutcomeClass, Push, PushState, Schedule
from pushsvc.storage.batches import BatchRef
from pushsvc.storage.by_key import UNTAKEN
from pushsvc.storage.engine import driver, encode_json
from pushsvc.storage.pushes import COLUMNS, as_push
from pushsvc.storage.tables import campaigns, pushes

if TYPE_CHECKING:
    Driver = asyncpg.Connection[asyncpg.Record]


# ---------------------------------------------------------------- the push's row


async def lock_push(
    connection: AsyncConnection, *, app_id: int | None = None, object_id: str
) -> Push | None:
    """Return a push, of this app if one is named, as it is and stays until the transaction ends.

    Whoever comes first, this or who plans or closes it, has the row's lock; the other one finds
    the state changed.
    """
    mine = pushes.c.object_id == object_id
    if app_id is not None:
        mine &= pushes.c.app_id == app_id
    # Batches that are written refer to the row; they need not wait.
    statement = select(*COLUMNS).where(mine).with_for_update(key_share=True)
    row = (await connection.execute(statement)).mappings().first()
    return as_push(row) if row else None


async def end_unsent(connection: AsyncConnection, push: Push, *, reason: str) -> Push:
    """Cancel a locked push of which nothing is planned: it is over."""
    return await _changed(
        connection,
        push,
        **_halt(Halt.CANCEL, reason),
        state=PushState.CANCELLED,
        lease_until=None,
        finished_at=func.now(),
    )


async def cancel(connection: AsyncConnection, push: Push, *, reason: str) -> Push:
    """Cancel a locked push on its way: what is left of it has only to be written down.

    Who plans it has lost it with that, before the next piece. There is no later moment to wait for.
    """
    return await _changed(
        connection,
        push,
        **_halt(Halt.CANCEL, reason),
        state=PushState.SENDING,
        lease_until=None,
        due_at=func.least(pushes.c.due_at, func.now()),
    )


async def pause(
    connection: AsyncConnection, push: Push, *, reason: str, unconfirmed: int | None = None
) -> Push:
    """Pause a locked push: what is planned of it waits, and nothing more is begun.

    `unconfirmed` is the audience of a run that somebody must say yes to.
    """
    rules = {} if unconfirmed is None else {"rules": _with_rules(unconfirmed=unconfirmed)}
    return await _changed(connection, push, **_halt(Halt.PAUSE, reason), **rules)


async def resume(connection: AsyncConnection, push: Push, *, confirmed: int | None = None) -> Push:
    """Let a locked push go on that is paused; `confirmed`: to so many devices, should they be."""
    await connection.execute(_UNAGED, {"push_id": push.id, "halted_at": push.halted_at})
    values: dict[str, Any] = {"halt": None, "halt_reason": None, "halted_at": None}
    if confirmed is not None:
        values["rules"] = _with_rules(max_recipients=confirmed, unconfirmed=None)
    if push.rules is not None and push.rules.unconfirmed is not None and push.local_time is None:
        # It was not late when it asked: who says yes means that it goes.
        values["due_at"] = func.greatest(pushes.c.due_at, func.now())
    return await _changed(connection, push, **values)


# A pause is no time of a device's retries. What a worker is just closing needs no more time.
_UNAGED: Final = text("""
    UPDATE batches SET first_tried_at = first_tried_at + (now() - CAST(:halted_at AS timestamptz))
    WHERE (push_id, seq) IN (
        SELECT push_id, seq FROM batches
        WHERE push_id = :push_id AND state = 0 AND first_tried_at IS NOT NULL
        FOR UPDATE SKIP LOCKED
    )
""")


async def set_times(connection: AsyncConnection, push: Push, when: Schedule, *, now: bool) -> Push:
    """Give a locked push other times; `now`: it is due at once, by the database's clock."""
    return await _changed(
        connection,
        push,
        due_at=func.now() if now else when.due_at,
        expires_at=when.expires_at,
        push_time=when.push_time,
        expiration_interval=when.expiration_interval,
        local_time=when.local_time,
        zoneless=when.zoneless,
    )


def _halt(halt: Halt, reason: str) -> dict[str, Any]:
    return {"halt": halt, "halt_reason": reason, "halted_at": func.now()}


def _with_rules(**changes: int | None) -> ColumnElement[Any]:
    """Return a run's rules with some of them changed."""
    return pushes.c.rules.op("||")(literal(changes, JSONB))


async def _changed(connection: AsyncConnection, push: Push, **values: Any) -> Push:
    statement = update(pushes).where(pushes.c.id == push.id).values(**values).returning(*COLUMNS)
    return as_push((await connection.execute(statement)).mappings().one())


# ---------------------------------------------------------------- what a worker asks


_HALTED: Final = "SELECT id, halt FROM pushes WHERE id = ANY($1) AND halt IS NOT NULL"


async def halted(engine: AsyncEngine, push_ids: Collection[int]) -> Mapping[int, Halt]:
    """Return which of these pushes are halted, and how."""
    async with driver(engine) as connection:
        return {push_id: Halt(halt) for push_id, halt in await connection.fetch(_HALTED, push_ids)}


# One batch stands for all of its push: whoever has it writes down the others, too.
_CANCELLED: Final = text(f"""
    SELECT id, seq, batches.lane, app_id, batches_planned
    FROM pushes CROSS JOIN LATERAL (
        SELECT seq, lane FROM batches
        WHERE push_id = pushes.id AND {UNTAKEN} AND batches.leases = 0 LIMIT 1
    ) AS batches
    WHERE pushes.state IN ('waiting', 'planning', 'sending') AND halt = 'cancel'
    LIMIT :limit
""")  # noqa: S608 - of constants


async def cancelled(connection: AsyncConnection, *, limit: int) -> Sequence[BatchRef]:
    """Return a batch of each cancelled push of which there is something to write down."""
    rows = await connection.execute(_CANCELLED, {"limit": limit})
    return [BatchRef(row.id, row.seq, Lane(row.lane), row.app_id, 0) for row in rows]


# ---------------------------------------------------------------- what is left of a cancelled push

_LEFT: Final = f"""
    SELECT seq, attempt, installation_ids, recipients, outcomes FROM batches
    WHERE push_id = $1 AND {UNTAKEN} AND leases = 0
    ORDER BY seq LIMIT $2 FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - of constants
_TYPES: Final = "SELECT id, device_type FROM installations WHERE id = ANY($1)"
_END: Final = """
    UPDATE batches SET state = 2, finished_at = now(), outcomes = $3, counts = $4, exceptions = $5
    WHERE push_id = $1 AND seq = $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A batch that no worker has begun."""

    #: of each device; None where it was deleted since
    device_types: Sequence[str | None]
    #: one OutcomeClass for each; the plan may have settled some
    outcomes: bytes
    #: places whose message may have arrived in an earlier attempt
    in_doubt: Collection[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of it."""

    outcomes: bytes
    counts: Counts
    exceptions: Mapping[str, Sequence[int]]


async def end_left(
    engine: AsyncEngine, push_id: int, *, end: Callable[[Left], Ended], limit: int
) -> int:
    """Close batches of a cancelled push that nobody has begun, up to `limit`; return how many.

    Several may do it at a time, each with batches of its own.
    """
    async with driver(engine) as connection, connection.transaction():
        rows = await connection.fetch(_LEFT, push_id, limit)
        ids = [number for row in rows for number in row["installation_ids"]]
        found = await connection.fetch(_TYPES, ids) if ids else []
        types: dict[int, str] = {row["id"]: row["device_type"] for row in found}
        ended = []
        for row in rows:
            keys = row["installation_ids"] or [one["token"] for one in row["recipients"] or ()]
            doubtful: Collection[int] = ()
            if row["attempt"] > 1:
                doubtful = await _in_doubt(connection, push_id, keys)
            named = [one["device_type"] for one in row["recipients"] or ()]
            left = Left(
                device_types=[types.get(key) for key in row["installation_ids"]] or named,
                outcomes=row["outcomes"] or bytes(len(keys)),
                in_doubt=doubtful,
            )
            ended.append((row["seq"], end(left)))
        await connection.executemany(
            _END,
            [
                (push_id, seq, one.outcomes, _counts(one.counts), encode_json(one.exceptions))
                for seq, one in ended
            ],
        )
    return len(rows)


def _counts(counts: Counts) -> str:
    return encode_json({t: {str(int(c)): n for c, n in by.items()} for t, by in counts.items()})


# Of the push's batches those are few that a gateway has left without an answer.
_DOUBTFUL: Final = f"""
    SELECT key FROM batches CROSS JOIN LATERAL ({{keys}}) AS device (key, place)
    WHERE push_id = $1 AND state = 2 AND key = ANY($2) AND get_byte(outcomes, place::int - 1) =
        {OutcomeClass.RESENT:d} AND EXISTS (
            SELECT FROM jsonb_each(counts) AS type WHERE type.value ? '{OutcomeClass.RESENT:d}'
        )
"""  # noqa: S608 - of constants
_DOUBTFUL_IDS: Final = _DOUBTFUL.format(
    keys="SELECT * FROM unnest(installation_ids) WITH ORDINALITY"
)
_DOUBTFUL_TOKENS: Final = _DOUBTFUL.format(
    keys="SELECT device ->> 'token', place "
    "FROM jsonb_array_elements(recipients) WITH ORDINALITY AS one (device, place)"
)


async def in_doubt(engine: AsyncEngine, batch: Batch) -> Collection[int]:
    """Return the places of a retried batch whose message may have arrived in an earlier attempt."""
    keys = batch.installation_ids or [one.token for one in batch.recipients]
    async with driver(engine) as connection:
        return await _in_doubt(connection, batch.push_id, keys)


async def _in_doubt(
    connection: "Driver", push_id: int, keys: Sequence[int] | Sequence[str]
) -> Collection[int]:
    by_id = bool(keys) and isinstance(keys[0], int)
    rows = await connection.fetch(_DOUBTFUL_IDS if by_id else _DOUBTFUL_TOKENS, push_id, keys)
    found = {row["key"] for row in rows}
    return {place for place, key in enumerate(keys) if key in found}


# ---------------------------------------------------------------- runs that pause themselves


async def guarded(connection: AsyncConnection, *, limit: int) -> Sequence[Push]:
    """Return runs on their way that are to be paused when too much of them fails."""
    statement = (
        select(*COLUMNS)
        .where(
            pushes.c.state.in_([PushState.PLANNING.value, PushState.SENDING.value]),
            pushes.c.campaign_id.is_not(None),
            pushes.c.halt.is_(None),
            func.jsonb_typeof(pushes.c.rules["pause_when"]) == "object",
        )
        .order_by(pushes.c.id)
        .limit(limit)
    )
    return [as_push(row) for row in (await connection.execute(statement)).mappings()]


async def trip(connection: AsyncConnection, push: Push, *, reason: str) -> bool:
    """Pause a run and its campaign by the run's rule, which holds once; tell whether this did."""
    # In the order in which campaigns lock their runs.
    campaign = campaigns.c.id == push.campaign_id
    await connection.execute(select(campaigns.c.id).where(campaign).with_for_update(key_share=True))
    found = await lock_push(connection, object_id=push.object_id)
    armed = found is not None and found.rules is not None and found.rules.pause_when is not None
    if found is None or not armed or found.halt is not None or found.state not in _ON_ITS_WAY:
        return False
    rules = _with_rules(pause_when=None)
    await _changed(connection, found, **_halt(Halt.PAUSE, reason), rules=rules)
    await connection.execute(
        update(campaigns)
        .where(campaign, campaigns.c.state == "active")
        .values(state="paused", state_reason=reason, updated_at=func.now())
    )
    return True


_ON_ITS_WAY: Final = frozenset({PushState.PLANNING, PushState.SENDING})
