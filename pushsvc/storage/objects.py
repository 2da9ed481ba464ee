"""Objects of Parse's classes: created, found, changed, deleted, with the relations they own."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    RowMapping,
    Text,
    any_,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.errors import NotFoundError
from pushsvc.model import Json
from pushsvc.storage.acl import may
from pushsvc.storage.field_types import ClassFields, relations_in
from pushsvc.storage.ids import new_object_id
from pushsvc.storage.object_fields import (
    CREATED_AT,
    OBJECT_ID,
    UPDATED_AT,
    ClassRules,
    Fields,
    changed,
    relating,
    results,
)
from pushsvc.storage.operations import UNSET
from pushsvc.storage.ordering import Order, directed, within_json
from pushsvc.storage.places import place_of
from pushsvc.storage.relations import change_relations, delete_relations
from pushsvc.storage.tables import objects as o

#: Parse's dates have milliseconds: what we show is what we store.
_NOW: Final[ColumnElement[datetime]] = func.date_trunc("milliseconds", func.clock_timestamp())
_COLUMNS: Final = {OBJECT_ID: "object_id", CREATED_AT: "created_at", UPDATED_AT: "updated_at"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object as stored."""

    object_id: str
    created_at: datetime
    updated_at: datetime
    #: Parse's name -> value; its relations are not among them
    fields: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which class of which app it is about."""

    app_id: int
    rules: ClassRules
    #: the types of its fields, the new ones too
    types: ClassFields

    @property
    def class_name(self) -> str:
        """The class's name."""
        return self.rules.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What an update came to."""

    updated_at: datetime
    #: what its operations came to
    results: Json


# ---------------------------------------------------------------- read


async def get_objects(
    connection: AsyncConnection, *, app_id: int, class_name: str, object_ids: Collection[str]
) -> list[StoredObject]:
    """Return those of these objects that are there."""
    asked = o.c.object_id == any_(literal(list(object_ids), ARRAY(Text)))
    statement = select(o).where(_of(app_id, class_name), asked)
    return [_stored(row) for row in (await connection.execute(statement)).mappings()]


async def find_objects(
    connection: AsyncConnection,
    table: FromClause,
    *,
    where: ColumnElement[bool],
    order: Sequence[Order | ColumnElement[Any]] = (),
    skip: int = 0,
    limit: int,
) -> list[StoredObject]:
    """Return the objects that fit, in order, else the oldest first.

    Args:
        connection: where to ask.
        table: the objects, by the name that `where` has for them.
        where: says the app and the class, too.
        order: what to sort by.
        skip: how many to leave out at the beginning.
        limit: how many to return at most.
    """
    keys = [key for one in order for key in _ordering(table, one)]
    statement = select(table).where(where).order_by(*keys, table.c.id).offset(skip).limit(limit)
    return [_stored(row) for row in (await connection.execute(statement)).mappings()]


async def count_objects(
    connection: AsyncConnection, table: FromClause, *, where: ColumnElement[bool]
) -> int:
    """Return how many objects fit; the arguments are those of `find_objects`."""
    statement = select(func.count()).select_from(table).where(where)
    return int((await connection.execute(statement)).scalar_one())


def _ordering(table: FromClause, key: Order | ColumnElement[Any]) -> list[ColumnElement[Any]]:
    if not isinstance(key, Order):
        return [key]
    if key.field in _COLUMNS:
        return directed(key, table.c[_COLUMNS[key.field]])
    return directed(key, *within_json(table.c.fields, key.field))


def _of(app_id: int, class_name: str) -> ColumnElement[bool]:
    return (o.c.app_id == app_id) & (o.c.class_name == class_name)


def _stored(row: RowMapping) -> StoredObject:
    return StoredObject(
        object_id=row["object_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        fields=row["fields"],
    )


# ---------------------------------------------------------------- write


async def create_object(engine: AsyncEngine, place: Place, fields: Fields) -> StoredObject:
    """Store a new object and its relations, in one transaction.

    Raises:
        InvalidObjectError: an operation that cannot be applied to nothing.
    """
    kept = _kept(changed(place.rules, fields, {}, types=place.types, creating=True))
    object_id = new_object_id()
    statement = (
        insert(o)
        .values(
            app_id=place.app_id,
            class_name=place.class_name,
            object_id=object_id,
            fields=kept,
            created_at=_NOW,
            updated_at=_NOW,
            **place_of(kept),
        )
        .returning(o)
    )
    async with engine.begin() as connection:
        row = (await connection.execute(statement)).mappings().one()
        await _relate(connection, place, object_id, fields=fields)
    return _stored(row)


async def update_object(
    engine: AsyncEngine, place: Place, object_id: str, *, fields: Fields, is_master: bool
) -> Changed:
    """Change an object and its relations, in one transaction; updates of one take turns.

    Raises:
        NotFoundError: it is not there, or its ACL lets only others write it.
        InvalidObjectError: an operation does not fit what is stored.
    """
    async with engine.begin() as connection:
        row_id, there = await _locked(connection, place, object_id, is_master=is_master)
        values = changed(place.rules, fields, there.fields, types=place.types, creating=False)
        kept = _kept({**there.fields, **values})
        statement = (
            update(o)
            .where(o.c.id == row_id)
            .values(fields=kept, updated_at=_NOW, **place_of(kept))
            .returning(o.c.updated_at)
        )
        updated_at = (await connection.execute(statement)).scalar_one()
        await _relate(connection, place, object_id, fields=fields)
    return Changed(updated_at=updated_at, results=results(fields, values))


async def delete_object(
    engine: AsyncEngine, place: Place, object_id: str, *, is_master: bool
) -> None:
    """Delete an object, and what it was related to.

    Raises:
        NotFoundError: it is not there, or its ACL lets only others write it.
    """
    async with engine.begin() as connection:
        row_id, _ = await _locked(connection, place, object_id, is_master=is_master)
        await connection.execute(delete(o).where(o.c.id == row_id))
        await delete_relations(
            connection,
            app_id=place.app_id,
            class_name=place.class_name,
            fields=relations_in(place.types),
            owner_ids=[object_id],
        )


async def _locked(
    connection: AsyncConnection, place: Place, object_id: str, *, is_master: bool
) -> tuple[int, StoredObject]:
    mine = _of(place.app_id, place.class_name)
    statement = select(o).where(mine, o.c.object_id == object_id).with_for_update()
    row = (await connection.execute(statement)).mappings().first()
    if row is None or not (is_master or may(row["fields"], "write")):
        raise NotFoundError("Object not found.")
    return row["id"], _stored(row)


async def _relate(
    connection: AsyncConnection, place: Place, object_id: str, *, fields: Fields
) -> None:
    await change_relations(
        connection,
        app_id=place.app_id,
        class_name=place.class_name,
        owner_id=object_id,
        changes=relating(fields),
    )


def _kept(values: Json) -> dict[str, Any]:
    """Return what of an object is kept in its row's one column."""
    return {n: v for n, v in values.items() if v is not UNSET and n not in _COLUMNS}
