"""Pushes as `_PushStatus` finds them, and their end before anything was sent."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import BIGINT
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import BatchState, Halt, Json, OutcomeClass, Push, PushState
from pushsvc.storage import plain_where
from pushsvc.storage.ordering import Order
from pushsvc.storage.pushes import COLUMNS, as_push, of_days
from pushsvc.storage.tables import batches, pushes

_CLASS: Final = "_PushStatus"
#: Pushes loaded at once: each comes with its whole audience, of which only a line is shown.
SLICE: Final = 100

#: Our states in Parse's words, and one of ours; what waits for its time is `scheduled`.
_STATUS: Final[ColumnElement[str]] = case(
    (
        or_(
            pushes.c.state == PushState.CANCELLED.value,
            and_(pushes.c.halt == Halt.CANCEL.value, pushes.c.finished_at.is_(None)),
        ),
        "cancelled",
    ),
    (
        and_(pushes.c.state == PushState.WAITING.value, pushes.c.due_at > func.now()),
        "scheduled",
    ),
    (pushes.c.state == PushState.WAITING.value, "pending"),
    (pushes.c.state == PushState.DONE.value, "succeeded"),
    (pushes.c.state == PushState.FAILED.value, "failed"),
    else_="running",
)
_UPDATED_AT: Final = func.coalesce(
    pushes.c.finished_at, pushes.c.halted_at, pushes.c.started_at, pushes.c.created_at
)
#: Batches that are still to do, as Parse counts them while a push runs.
_OPEN_BATCHES: Final = (
    select(func.count())
    .where(batches.c.push_id == pushes.c.id, batches.c.state != BatchState.DONE)
    .scalar_subquery()
)


def _milliseconds(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Times are shown to the millisecond, and asked for as they are shown."""
    return func.date_trunc("milliseconds", column)


FIELDS: Final[plain_where.Fields] = {
    "objectId": plain_where.text(pushes.c.object_id),
    "status": plain_where.text(_STATUS),
    "source": plain_where.text(literal("rest")),
    "pushTime": plain_where.text(pushes.c.push_time),
    "pushHash": plain_where.text(pushes.c.push_hash),
    "expiry": plain_where.number(
        cast(func.floor(func.extract("epoch", pushes.c.expires_at) * 1000), BIGINT)
    ),
    # Keys grow with time, and there is an index of them.
    "createdAt": plain_where.moment(_milliseconds(pushes.c.created_at), sorts_by=pushes.c.id),
    "updatedAt": plain_where.moment(_milliseconds(_UPDATED_AT)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PushStatus:
    """A push with what only `_PushStatus` shows of it."""

    push: Push
    status: str
    updated_at: datetime
    open_batches: int
    #: JSON text as it was sent; None where an older version stored the push
    payload: str | None
    #: the same of the where-clause; None also where there was none
    query: str | None


async def find_status(
    connection: AsyncConnection, *, app_id: int, object_id: str
) -> PushStatus | None:
    """Return one of the app's pushes, however old."""
    statement = _statuses().where(pushes.c.app_id == app_id, pushes.c.object_id == object_id)
    return next(iter(await _read(connection, statement)), None)


async def find_statuses(
    connection: AsyncConnection,
    *,
    app_id: int,
    days: int,
    where: Json,
    order: Sequence[Order],
    skip: int,
    limit: int,
) -> AsyncIterator[Sequence[PushStatus]]:
    """Yield the app's pushes of so many days that fit, up to SLICE at a time.

    Raises:
        InvalidQueryError: what cannot be asked.
    """
    order_by = plain_where.ordering(order, FIELDS, class_name=_CLASS, key=pushes.c.id)
    statement = select(pushes.c.id).where(_wanted(app_id, days, where))
    statement = statement.order_by(*order_by).offset(skip).limit(limit)
    keys = (await connection.execute(statement)).scalars().all()
    for first in range(0, len(keys), SLICE):
        some = keys[first : first + SLICE]
        found = await _read(connection, _statuses().where(pushes.c.id.in_(some)))
        places = {key: place for place, key in enumerate(some)}
        yield sorted(found, key=lambda one: places[one.push.id])


async def count_statuses(
    connection: AsyncConnection, *, app_id: int, days: int, where: Json
) -> int:
    """Return how many of the app's pushes of so many days fit."""
    statement = select(func.count()).select_from(pushes).where(_wanted(app_id, days, where))
    count: int = (await connection.execute(statement)).scalar_one()
    return count


_BY_ZONE: Final = text("""
    SELECT batches.push_id, batches.zone, class.key AS class,
        sum(class.value::text::bigint)::bigint AS n
    FROM batches, jsonb_each(batches.counts) AS type, jsonb_each(type.value) AS class
    WHERE batches.push_id = ANY(:push_ids) AND batches.zone IS NOT NULL
    GROUP BY 1, 2, 3
""")
#: what came of the devices of each zone
ZoneCounts = Mapping[str, Mapping[OutcomeClass, int]]


async def counts_by_zone(
    connection: AsyncConnection, some: Sequence[Push]
) -> Mapping[int, ZoneCounts]:
    """Return what came of pushes in local time so far by zone; of others nothing."""
    found: dict[int, dict[str, dict[OutcomeClass, int]]] = {push.id: {} for push in some}
    asked = [push.id for push in some if push.local_time is not None]
    if asked:
        for row in await connection.execute(_BY_ZONE, {"push_ids": asked}):
            classes = found[row.push_id].setdefault(row.zone, {})
            classes[OutcomeClass(int(row[2]))] = row.n
    return found


async def delete_push(connection: AsyncConnection, *, app_id: int, object_id: str) -> bool:
    """Delete a push of which nothing is planned, nor ever was; return whether it was deleted."""
    statement = delete(pushes).where(
        pushes.c.app_id == app_id,
        pushes.c.object_id == object_id,
        pushes.c.state.in_([PushState.WAITING.value, PushState.CANCELLED.value]),
        pushes.c.batches_planned == 0,
    )
    return (await connection.execute(statement)).rowcount == 1


def _wanted(app_id: int, days: int, where: Json) -> ColumnElement[bool]:
    asked = plain_where.condition(where, FIELDS, class_name=_CLASS)
    return and_(pushes.c.app_id == app_id, of_days(days), asked)


def _statuses() -> Select[Any]:
    return select(
        *COLUMNS,
        _STATUS.label("status"),
        _UPDATED_AT.label("updated_at"),
        _OPEN_BATCHES.label("open_batches"),
        pushes.c.payload,
        pushes.c.query,
    )


async def _read(connection: AsyncConnection, statement: Select[Any]) -> list[PushStatus]:
    found = []
    for row in (await connection.execute(statement)).mappings():
        values = dict(row)
        of_status = {name: values.pop(name) for name in _OF_STATUS}
        found.append(PushStatus(push=as_push(values), **of_status))
    return found


_OF_STATUS: Final = ("status", "updated_at", "open_batches", "payload", "query")
