"""Saved audiences: Parse's `_Audience`, queries over installations with a name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import Json
from pushsvc.storage import plain_where
from pushsvc.storage.ids import new_object_id
from pushsvc.storage.ordering import Order
from pushsvc.storage.tables import audiences

_CLASS: Final = "_Audience"
_FIELDS: Final[plain_where.Fields] = {
    "objectId": plain_where.text(audiences.c.object_id),
    "name": plain_where.text(audiences.c.name),
    "createdAt": plain_where.moment(func.date_trunc("milliseconds", audiences.c.created_at)),
    "updatedAt": plain_where.moment(func.date_trunc("milliseconds", audiences.c.updated_at)),
    "lastUsed": plain_where.moment(func.date_trunc("milliseconds", audiences.c.last_used)),
    "timesUsed": plain_where.number(audiences.c.times_used),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """A saved audience."""

    object_id: str
    name: str
    #: JSON text of a where-clause
    query: str
    last_used: datetime | None
    times_used: int
    created_at: datetime
    updated_at: datetime


_COLUMNS: Final = (
    audiences.c.object_id,
    audiences.c.name,
    audiences.c.query,
    audiences.c.last_used,
    audiences.c.times_used,
    audiences.c.created_at,
    audiences.c.updated_at,
)


async def create_audience(
    connection: AsyncConnection, *, app_id: int, name: str, query: str
) -> Audience:
    """Store a new audience."""
    statement = (
        insert(audiences)
        .values(object_id=new_object_id(), app_id=app_id, name=name, query=query)
        .returning(*_COLUMNS)
    )
    return _audience((await connection.execute(statement)).mappings().one())


async def find_audience(
    connection: AsyncConnection, *, app_id: int, object_id: str
) -> Audience | None:
    """Return the app's audience with this id."""
    statement = select(*_COLUMNS).where(
        audiences.c.app_id == app_id, audiences.c.object_id == object_id
    )
    row = (await connection.execute(statement)).mappings().first()
    return _audience(row) if row else None


async def named_audiences(
    connection: AsyncConnection, *, app_id: int, key: str, limit: int
) -> list[Audience]:
    """Return the app's audience with this id or, where none has it, those of this name."""
    by_id = await find_audience(connection, app_id=app_id, object_id=key)
    if by_id is not None:
        return [by_id]
    statement = (
        select(*_COLUMNS)
        .where(audiences.c.app_id == app_id, audiences.c.name == key)
        .order_by(audiences.c.id)
        .limit(limit)
    )
    return [_audience(row) for row in (await connection.execute(statement)).mappings()]


async def list_audiences(
    connection: AsyncConnection,
    *,
    app_id: int,
    where: Json,
    order: Sequence[Order],
    skip: int,
    limit: int,
) -> list[Audience]:
    """Return the app's audiences that fit; oldest first where no order is given.

    Raises:
        InvalidQueryError: what cannot be asked.
    """
    wanted = plain_where.condition(where, _FIELDS, class_name=_CLASS)
    order_by = plain_where.ordering(order, _FIELDS, class_name=_CLASS, key=audiences.c.id)
    statement = select(*_COLUMNS).where(audiences.c.app_id == app_id, wanted)
    statement = statement.order_by(*order_by).offset(skip).limit(limit)
    return [_audience(row) for row in (await connection.execute(statement)).mappings()]


async def count_audiences(connection: AsyncConnection, *, app_id: int, where: Json) -> int:
    """Return how many of the app's audiences fit."""
    wanted = plain_where.condition(where, _FIELDS, class_name=_CLASS)
    statement = (
        select(func.count()).select_from(audiences).where(audiences.c.app_id == app_id, wanted)
    )
    count: int = (await connection.execute(statement)).scalar_one()
    return count


async def change_audience(
    connection: AsyncConnection, *, app_id: int, object_id: str, changes: Mapping[str, Any]
) -> datetime | None:
    """Change `name` or `query`; return when that was, None where there is no such audience."""
    statement = (
        update(audiences)
        .where(audiences.c.app_id == app_id, audiences.c.object_id == object_id)
        .values(**changes, updated_at=func.now())
        .returning(audiences.c.updated_at)
    )
    changed: datetime | None = (await connection.execute(statement)).scalar_one_or_none()
    return changed


async def use_audience(connection: AsyncConnection, *, app_id: int, object_id: str) -> bool:
    """Count one more use of an audience; return whether there is one."""
    statement = (
        update(audiences)
        .where(audiences.c.app_id == app_id, audiences.c.object_id == object_id)
        .values(times_used=audiences.c.times_used + 1, last_used=func.now(), updated_at=func.now())
    )
    return (await connection.execute(statement)).rowcount == 1


async def delete_audience(connection: AsyncConnection, *, app_id: int, object_id: str) -> bool:
    """Delete an audience; return whether there was one."""
    statement = delete(audiences).where(
        audiences.c.app_id == app_id, audiences.c.object_id == object_id
    )
    return (await connection.execute(statement)).rowcount == 1


def _audience(row: RowMapping) -> Audience:
    return Audience(**row)
