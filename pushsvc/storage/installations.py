"""Installations: what one is, how it is found and deleted. `saving` has what saves it."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    any_,
    delete,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import Json
from pushsvc.storage import fields as rules
from pushsvc.storage.field_types import ClassFields
from pushsvc.storage.fields import BADGE, COLUMNS, RULES, Fields
from pushsvc.storage.object_fields import ClassRules
from pushsvc.storage.ordering import Order, directed, within_json
from pushsvc.storage.relations import delete_relations
from pushsvc.storage.tables import badges, installations as i

#: The installation's badge, by another name than that of the badges in where-clauses.
_own: Final = badges.alias("own_badge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An installation as stored."""

    id: int
    app_id: int
    object_id: str
    created_at: datetime
    updated_at: datetime
    #: Parse's name -> value; what has none is not in it
    fields: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveRequest:
    """A create, or an update of the installation with this object id."""

    fields: Fields
    object_id: str | None = None
    #: sent in a header; never stored
    header_installation_id: str | None = None
    #: the master key may write what the ACL denies to others
    is_master: bool = False
    #: of the class's custom fields, those of this save too
    types: ClassFields = field(default_factory=dict)
    rules: ClassRules = RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a save came to."""

    installation: Installation
    created: bool
    #: what the body's operations came to
    results: Json


# ---------------------------------------------------------------- read


async def get_installations(
    connection: AsyncConnection, *, app_id: int, object_ids: Sequence[str]
) -> list[Installation]:
    """Return those of the app's installations that have these object ids."""
    asked = i.c.object_id == any_(literal(object_ids, ARRAY(Text)))
    rows = await connection.execute(_select().where(i.c.app_id == app_id, asked))
    return [installation_of(dict(row)) for row in rows.mappings()]


async def find_installations(
    connection: AsyncConnection,
    *,
    app_id: int,
    where: ColumnElement[bool],
    order: Sequence[Order | ColumnElement[Any]] = (),
    skip: int = 0,
    limit: int,
) -> list[Installation]:
    """Return the app's installations that fit, in order, else the oldest first."""
    statement = (
        _select()
        .where(i.c.app_id == app_id, where)
        .order_by(*(key for one in order for key in _ordering(one)), i.c.id)
        .offset(skip)
        .limit(limit)
    )
    return [installation_of(dict(row)) for row in (await connection.execute(statement)).mappings()]


async def count_installations(
    connection: AsyncConnection, *, app_id: int, where: ColumnElement[bool]
) -> int:
    """Return how many of the app's installations fit."""
    statement = select(func.count()).select_from(_joined()).where(i.c.app_id == app_id, where)
    return int((await connection.execute(statement)).scalar_one())


def _ordering(key: Order | ColumnElement[Any]) -> list[ColumnElement[Any]]:
    return directed(key, *_sortable(key.field)) if isinstance(key, Order) else [key]


def _sortable(key: str) -> list[ColumnElement[Any]]:
    own = {"objectId": i.c.object_id, "createdAt": i.c.created_at, "updatedAt": i.c.updated_at}
    if key in own:
        return [own[key]]
    if key == BADGE:
        return [_own.c.badge]
    return [i.c[COLUMNS[key]]] if key in COLUMNS else within_json(i.c.custom, key)


def _joined() -> Any:
    # Every installation has a badge.
    return i.join(_own, _own.c.installation_id == i.c.id)


def _select() -> Select[Any]:
    return select(i, _own.c.badge).select_from(_joined())


def installation_of(row: Mapping[str, Any]) -> Installation:
    """Return the installation of a row, which has its badge, too."""
    named = {name: row[column] for name, column in COLUMNS.items() if row[column] is not None}
    return Installation(
        id=row["id"],
        app_id=row["app_id"],
        object_id=row["object_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        fields={**row["custom"], **named, BADGE: row["badge"]},
    )


# ---------------------------------------------------------------- write


async def delete_installation(connection: AsyncConnection, *, app_id: int, object_id: str) -> bool:
    """Delete an installation; return whether there was one."""
    await connection.execute(_LOCK_SHARED, {"app_key": import_lock(app_id)})
    statement = delete(i).where(i.c.app_id == app_id, i.c.object_id == object_id)
    return (await connection.execute(statement)).rowcount == 1


async def forget_relations(
    connection: AsyncConnection, app_id: int, object_ids: Sequence[str], *, fields: Collection[str]
) -> None:
    """Forget what installations that are deleted were related to."""
    await delete_relations(
        connection,
        app_id=app_id,
        class_name=rules.CLASS_NAME,
        fields=fields,
        owner_ids=object_ids,
    )


_LOCK_SHARED: Final = text("SELECT pg_advisory_xact_lock_shared(:app_key)")


def import_lock(app_id: int) -> int:
    """Return the advisory lock that saves of an app share and an import has alone."""
    return lock_key(app_id, "import", "")


def lock_key(app_id: int, kind: str, name: str) -> int:
    """Return the advisory lock of an id or token of an app."""
    digest = hashlib.blake2b(f"installation {app_id} {kind} {name}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), signed=True)


def custom_of(fields: Json) -> dict[str, Any]:
    """Return those of the fields that have no column of their own."""
    return {n: v for n, v in shown(fields).items() if n not in COLUMNS and n != BADGE}


def shown(fields: Json) -> dict[str, Any]:
    """Return the fields without those that Parse keeps itself."""
    own = {rules.OBJECT_ID, rules.CREATED_AT, rules.UPDATED_AT}
    return {name: value for name, value in fields.items() if name not in own}
