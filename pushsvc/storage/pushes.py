"""Pushes: stored at the door, leased by the plan, closed when every device has its outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from sqlalchemy import (
    ColumnElement,
    Label,
    RowMapping,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.model import (
    Counts,
    Halt,
    Json,
    Lane,
    Late,
    OnUnknown,
    OutcomeClass,
    Push,
    PushState,
    Schedule,
    Source,
    Submission,
    rules_json,
    rules_of,
)
from pushsvc.storage.by_key import PUSH_STATE
from pushsvc.storage.engine import driver, encode_json
from pushsvc.storage.ids import new_object_id
from pushsvc.storage.tables import pushes

if TYPE_CHECKING:
    import asyncpg

    Driver = asyncpg.Connection[asyncpg.Record]

#: Of a push, as `as_push` reads them.
COLUMNS = (
    pushes.c.id,
    pushes.c.object_id,
    pushes.c.app_id,
    pushes.c.source,
    pushes.c.audience,
    pushes.c.content,
    pushes.c.due_at,
    pushes.c.expires_at,
    pushes.c.push_time,
    pushes.c.expiration_interval,
    pushes.c.lane,
    pushes.c.on_unknown,
    pushes.c.rate_per_minute,
    pushes.c.state,
    pushes.c.push_hash,
    pushes.c.created_at,
    pushes.c.started_at,
    pushes.c.finished_at,
    pushes.c.error,
    pushes.c.devices_planned.label("devices"),
    pushes.c.planned_through,
    pushes.c.batches_planned.label("batches"),
    pushes.c.tokens_held,
    pushes.c.local_time,
    pushes.c.zoneless,
    pushes.c.late,
    pushes.c.halt,
    pushes.c.halt_reason,
    pushes.c.halted_at,
    pushes.c.campaign_id,
    pushes.c.rules,
    pushes.c.group_id,
)
#: The same for the bare driver.
SELECTED: Final = ", ".join(
    f"pushes.{c.element.name} AS {c.name}" if isinstance(c, Label) else f"pushes.{c.name}"
    for c in COLUMNS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What became of a submission."""

    push: Push
    #: the request was a repeat: this is the push it stored the first time
    replayed: bool
    #: the repeat came with another body than the first
    mismatched: bool


async def insert_push(
    connection: AsyncConnection,
    submission: Submission,
    *,
    app_id: int,
    schedule: Schedule,
    lane: Lane,
    push_hash: str,
) -> Stored:
    """Store a push, unless its idempotency key has stored one before."""
    statement = (
        upsert(pushes)
        .values(
            object_id=new_object_id(),
            app_id=app_id,
            source=submission.source,
            audience=submission.audience,
            content=submission.content,
            payload=encode_json(submission.content["data"]),
            query=_where_of(submission.audience),
            # What is due at once is due by the database's clock, which the planners go by.
            due_at=func.now() if submission.push_time is None else schedule.due_at,
            expires_at=schedule.expires_at,
            push_time=schedule.push_time,
            expiration_interval=schedule.expiration_interval,
            lane=lane,
            on_unknown=submission.on_unknown,
            rate_per_minute=submission.rate_per_minute,
            local_time=schedule.local_time,
            zoneless=schedule.zoneless,
            late=submission.late,
            campaign_id=submission.campaign_id,
            **_rules(submission),
            state=PushState.WAITING,
            idempotency_key=submission.idempotency_key,
            request_hash=submission.request_hash,
            push_hash=push_hash,
        )
        .on_conflict_do_nothing(
            index_elements=["app_id", "idempotency_key"],
            index_where=pushes.c.idempotency_key.is_not(None),
        )
        .returning(*COLUMNS)
    )
    while True:
        row = (await connection.execute(statement)).mappings().first()
        if row is not None:
            return Stored(push=as_push(row), replayed=False, mismatched=False)
        stored = await find_replay(connection, submission, app_id=app_id)
        if stored is not None:
            return stored
        # It was deleted between the two statements, and its key is free again.


def _rules(submission: Submission) -> dict[str, Any]:
    rules = submission.rules
    if rules is None:
        return {}
    hashes = [variant.push_hash for variant in rules.variants]
    return {"rules": rules_json(rules), "variant_hashes": hashes or None}


async def as_stored(connection: AsyncConnection, content: Json) -> Json:
    """Return content as a push has it when it is read again: JSONB has its own order of keys."""
    found: Json = (await connection.execute(select(literal(content, JSONB)))).scalar_one()
    return found


def _where_of(audience: Json) -> str | None:
    return encode_json(audience["where"]) if "where" in audience else None


class Keyed(Protocol):
    """A request that may be a repeat."""

    @property
    def idempotency_key(self) -> str | None:
        """Which a repeat has, too."""
        ...

    @property
    def request_hash(self) -> bytes | None:
        """By which it is told from another request under the same key."""
        ...


async def find_replay(
    connection: AsyncConnection, submission: Keyed, *, app_id: int
) -> Stored | None:
    """Return the push that this submission's idempotency key has stored before."""
    statement = select(*COLUMNS, pushes.c.request_hash).where(
        pushes.c.app_id == app_id, pushes.c.idempotency_key == submission.idempotency_key
    )
    row = (await connection.execute(statement)).mappings().first()
    if row is None:
        return None
    values = dict(row)
    same = values.pop("request_hash") == submission.request_hash
    return Stored(push=as_push(values), replayed=True, mismatched=not same)


async def find_push(connection: AsyncConnection, *, app_id: int, object_id: str) -> Push | None:
    """Return the app's push with this public id."""
    statement = select(*COLUMNS).where(pushes.c.app_id == app_id, pushes.c.object_id == object_id)
    row = (await connection.execute(statement)).mappings().first()
    return as_push(row) if row else None


_READ: Final = f"SELECT {SELECTED} FROM pushes WHERE id = $1"  # noqa: S608 - of constants


class PushGoneError(Exception):
    """The push was deleted after somebody had read its key."""


async def get_push(connection: AsyncConnection, push_id: int) -> Push:
    """Return the push with this key.

    Raises:
        PushGoneError: it is there no more.
    """
    statement = select(*COLUMNS).where(pushes.c.id == push_id)
    row = (await connection.execute(statement)).mappings().first()
    if row is None:
        raise PushGoneError
    return as_push(row)


async def read_push(engine: AsyncEngine, push_id: int) -> Push:
    """Return the same by the bare driver, for whoever reads many.

    Raises:
        PushGoneError: it is there no more.
    """
    async with driver(engine) as connection:
        row = await connection.fetchrow(_READ, push_id)
    if row is None:
        raise PushGoneError
    return as_push(dict(row))


async def list_pushes(
    connection: AsyncConnection, *, app_id: int, days: int, before: int | None, limit: int
) -> list[Push]:
    """Return the app's pushes of so many days, newest first, below the id `before`."""
    statement = select(*COLUMNS).where(pushes.c.app_id == app_id, of_days(days))
    if before is not None:
        statement = statement.where(pushes.c.id < before)
    statement = statement.order_by(pushes.c.id.desc()).limit(limit)
    return [as_push(row) for row in (await connection.execute(statement)).mappings()]


def of_days(days: int) -> ColumnElement[bool]:
    """Return the condition that a push is of the last so many days."""
    return pushes.c.created_at > func.now() - func.make_interval(0, 0, 0, days)


# Of most pushes nearly all batches have the same counts; and of so many as there may be in them,
# Postgres would start other processes to add them up.
_ADDED_UP: Final = """
    WITH alike AS MATERIALIZED (
        SELECT push_id, counts, count(*) AS batches FROM batches
        WHERE push_id = ANY({push_ids}) AND counts IS NOT NULL
        GROUP BY 1, 2
    )
    SELECT push_id, type.key AS device_type, class.key AS class,
        sum(class.value::text::bigint * batches)::bigint AS n
    FROM alike, jsonb_each(counts) AS type, jsonb_each(type.value) AS class
    GROUP BY 1, 2, 3
"""
_LIVE_COUNTS: Final = text(_ADDED_UP.format(push_ids=":push_ids"))


async def counts_of(connection: AsyncConnection, push: Push) -> Counts:
    """Return what came of the push so far: derived from its batches, final once it is closed."""
    return (await counts_of_all(connection, [push]))[push.id]


async def counts_of_all(connection: AsyncConnection, some: Sequence[Push]) -> Mapping[int, Counts]:
    """Return the same for several pushes, by their ids."""
    closed = [push.id for push in some if push.state in _COUNTED]
    found = await _live_counts(connection, [p.id for p in some if p.state not in _COUNTED])
    if closed:
        statement = select(pushes.c.id, pushes.c.counts).where(pushes.c.id.in_(closed))
        for row in await connection.execute(statement):
            found[row.id] = _counts(row.counts or {})
    return {push.id: found.get(push.id, {}) for push in some}


#: In these a push has its final counts; one that was cancelled before its plan has none.
_COUNTED = frozenset({PushState.DONE, PushState.CANCELLED})


async def _live_counts(connection: AsyncConnection, push_ids: Sequence[int]) -> dict[int, Counts]:
    if not push_ids:
        return {}
    found: dict[int, dict[str, dict[str, int]]] = {}
    for row in await connection.execute(_LIVE_COUNTS, {"push_ids": list(push_ids)}):
        of_push = found.setdefault(row.push_id, {})
        of_push.setdefault(row.device_type, {})[row[2]] = row.n
    return {push_id: _counts(of_push) for push_id, of_push in found.items()}


def _counts(stored: Mapping[str, Mapping[str, int]]) -> Counts:
    return {
        device_type: {OutcomeClass(int(number)): n for number, n in classes.items()}
        for device_type, classes in stored.items()
    }


@dataclass(frozen=True, slots=True)
class Complete:
    """A push none of whose batches is open, so that it can be closed."""

    #: whether gateways spoke against tokens
    has_evidence: bool


async def complete(engine: AsyncEngine, push_id: int) -> Complete | None:
    """Tell whether nothing of the push is open; most batches are not the last."""
    async with driver(engine) as connection:
        row = await connection.fetchrow(_IS_COMPLETE, push_id)
    return Complete(row["has_evidence"]) if row else None


_IS_COMPLETE: Final = f"""
    SELECT EXISTS (SELECT 1 FROM token_events WHERE push_id = pushes.id) AS has_evidence
    FROM pushes
    WHERE id = $1 AND {PUSH_STATE} = 'sending' AND NOT EXISTS (
        SELECT 1 FROM batches WHERE batches.push_id = pushes.id AND batches.state <> 2
    )
"""  # noqa: S608 - of constants


_LOCK: Final = "SELECT FROM pushes WHERE id = $1 FOR UPDATE"
_CLOSE: Final = f"""
    UPDATE pushes SET state = CASE halt WHEN 'cancel' THEN 'cancelled' ELSE 'done' END,
        halt = CASE halt WHEN 'cancel' THEN halt END, tokens_held = $2, finished_at = now(),
        counts = (
            SELECT coalesce(jsonb_object_agg(device_type, classes), '{{}}') FROM (
                SELECT device_type, jsonb_object_agg(class, n) AS classes
                FROM ({_ADDED_UP.format(push_ids="ARRAY[$1::bigint]")}) AS counted GROUP BY 1
            ) AS of_type
        )
    WHERE id = $1 AND {PUSH_STATE} = 'sending'
        AND NOT EXISTS (SELECT FROM batches WHERE push_id = $1 AND state <> 2)
    RETURNING {SELECTED}, counts
"""  # noqa: S608 - of constants


async def close_push(
    connection: "Driver", push_id: int, *, tokens_held: int
) -> tuple[Push, Counts] | None:
    """Close the push if nothing of it is open; return it and its counts if this call did.

    One that was cancelled on its way is so now, with its counts; a pause that it has outlived by
    expiring is over.

    In the caller's transaction, and under the row's lock, so that of the last two batches to finish
    not both, and not neither, see the push complete.
    """
    await connection.execute(_LOCK, push_id)
    row = await connection.fetchrow(_CLOSE, push_id, tokens_held)
    if row is None:
        return None
    values = dict(row)
    counts = _counts(values.pop("counts"))
    return as_push(values), counts


def as_push(row: RowMapping | dict[str, Any]) -> Push:
    """Return the push in a row of COLUMNS."""
    values = dict(row)
    values["source"] = Source(values["source"])
    values["lane"] = Lane(values["lane"])
    values["on_unknown"] = OnUnknown(values["on_unknown"])
    values["state"] = PushState(values["state"])
    values["late"] = Late(values["late"])
    values["halt"] = None if values["halt"] is None else Halt(values["halt"])
    values["rules"] = None if values["rules"] is None else rules_of(values["rules"])
    return Push(**values)
