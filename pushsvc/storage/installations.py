"""Installations: found, saved under Parse's dedup rules, deleted."""

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
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.errors import NotFoundError
from pushsvc.model import Json
from pushsvc.storage import dedup, fields as rules
from pushsvc.storage.acl import may
from pushsvc.storage.encoded import refuse
from pushsvc.storage.field_types import ClassFields, relations_in
from pushsvc.storage.fields import BADGE, COLUMNS, UNSET, Fields
from pushsvc.storage.ids import new_object_id
from pushsvc.storage.object_fields import relating
from pushsvc.storage.ordering import Order, directed, within_json
from pushsvc.storage.places import place_of
from pushsvc.storage.relations import change_relations, delete_relations
from pushsvc.storage.tables import badges, installations as i

#: Two saves that meet in spite of the locks (a deadlock with a third, say): the loser tries again.
SAVE_ATTEMPTS: Final = 5
#: Unique violation, deadlock, serialization failure (PostgreSQL manual, appendix A).
_MET: Final = frozenset({"23505", "40P01", "40001"})
#: The installation's badge, by another name than that of the badges in where-clauses.
_own: Final = badges.alias("own_badge")
#: Parse's dates have milliseconds: what we show is what we store.
_NOW: Final[ColumnElement[datetime]] = func.date_trunc("milliseconds", func.clock_timestamp())

#: Of a device that registers, even one whose token a gateway has called dead. The time is that of
#: the write, not of the transaction, which may have waited for its locks.
_ALIVE: Final[Mapping[str, Any]] = {
    "token_set_at": func.clock_timestamp(),
    "token_retired_at": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An installation as stored."""

    id: int
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
    return [_installation(dict(row)) for row in rows.mappings()]


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
    return [_installation(dict(row)) for row in (await connection.execute(statement)).mappings()]


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


def _installation(row: dict[str, Any]) -> Installation:
    named = {name: row[column] for name, column in COLUMNS.items() if row[column] is not None}
    return Installation(
        id=row["id"],
        object_id=row["object_id"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        fields={**row["custom"], **named, BADGE: row["badge"]},
    )


# ---------------------------------------------------------------- save


async def save_installation(engine: AsyncEngine, app_id: int, request: SaveRequest) -> Saved:
    """Create or update an installation by Parse's rules, in one transaction.

    Saves of one installation id, or of one token, take turns.

    Raises:
        NotFoundError: the installation is not there, or its ACL hides it.
        InvalidInstallationError: the request contradicts itself or what is stored.
    """
    for _ in range(SAVE_ATTEMPTS - 1):
        try:
            return await _save_once(engine, app_id, request)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _MET:
                raise
    return await _save_once(engine, app_id, request)


async def delete_installation(connection: AsyncConnection, *, app_id: int, object_id: str) -> bool:
    """Delete an installation; return whether there was one."""
    await connection.execute(_LOCK_SHARED, {"app_key": import_lock(app_id)})
    statement = delete(i).where(i.c.app_id == app_id, i.c.object_id == object_id)
    return (await connection.execute(statement)).rowcount == 1


async def _save_once(engine: AsyncEngine, app_id: int, request: SaveRequest) -> Saved:
    save = _identity(request)
    dedup.check_identified(save)
    async with engine.begin() as connection:
        await _lock(connection, app_id, save)
        known = {one.id: one for one in await _lookup(connection, app_id, save)}
        decision = dedup.decide(save, [_known(one) for one in known.values()])
        target = None if decision.target is None else known[decision.target]
        values = rules.changed(request.fields, target.fields if target else {}, request.types)
        if target and not (request.is_master or may(target.fields, "write")):
            raise NotFoundError("Object not found.")
        if decision.obsolete:
            await connection.execute(delete(i).where(i.c.id.in_(decision.obsolete)))
            dropped = [known[one].object_id for one in decision.obsolete]
            await forget_relations(connection, app_id, dropped, fields=relations_in(request.types))
        written = await (
            _update(connection, target, values) if target else _insert(connection, app_id, values)
        )
        await change_relations(
            connection,
            app_id=app_id,
            class_name=rules.CLASS_NAME,
            owner_id=written.object_id,
            changes=relating(request.fields),
        )
        others = known.keys() - {written.id, *decision.obsolete}
        if any(known[n].fields.get("deviceToken") == save.device_token for n in others):
            await _mark_shared(connection, app_id, save.device_token)
    results = rules.results(request.fields, values)
    return Saved(installation=written, created=target is None, results=results)


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


def _identity(request: SaveRequest) -> dedup.Save:
    fields = request.fields
    header = request.header_installation_id
    return dedup.Save(
        object_id=request.object_id,
        names_object_id=request.object_id is not None
        and fields.get(rules.OBJECT_ID) == request.object_id,
        installation_id=_sent(fields, "installationId"),
        # Parse Server looks only at what the master's body says.
        header_installation_id=header.lower() if header and not request.is_master else None,
        device_token=_sent(fields, "deviceToken"),
        device_type=_sent(fields, "deviceType"),
        app_identifier=_sent(fields, "appIdentifier"),
    )


def _sent(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _known(one: Installation) -> dedup.Known:
    return dedup.Known(
        id=one.id,
        object_id=one.object_id,
        installation_id=one.fields.get("installationId"),
        device_token=one.fields.get("deviceToken"),
        device_type=one.fields["deviceType"],
        app_identifier=one.fields.get("appIdentifier"),
    )


_LOCK_SHARED: Final = text("SELECT pg_advisory_xact_lock_shared(:app_key)")
#: In ascending order, so that two saves never wait for each other.
_LOCK: Final = text("""
    SELECT pg_advisory_xact_lock_shared(:app_key), (
        SELECT count(pg_advisory_xact_lock(key)) FROM unnest(CAST(:keys AS bigint[])) AS key
    )
""")


async def _lock(connection: AsyncConnection, app_id: int, save: dedup.Save) -> None:
    named = (("id", save.matched_id), ("token", save.device_token))
    keys = sorted({_lock_key(app_id, kind, name) for kind, name in named if name})
    await connection.execute(_LOCK, {"app_key": import_lock(app_id), "keys": keys})


def import_lock(app_id: int) -> int:
    """Return the advisory lock that saves of an app share and an import has alone."""
    return _lock_key(app_id, "import", "")


def _lock_key(app_id: int, kind: str, name: str) -> int:
    digest = hashlib.blake2b(f"installation {app_id} {kind} {name}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), signed=True)


async def _lookup(
    connection: AsyncConnection, app_id: int, save: dedup.Save
) -> Sequence[Installation]:
    """Return, locked, what the save may be about; after its locks, so that nobody adds to it."""
    same: list[ColumnElement[bool]] = []
    if save.object_id is not None:
        same.append(i.c.object_id == save.object_id)
    if save.matched_id:
        same.append(i.c.installation_id == save.matched_id)
    if save.device_token:
        same.append(i.c.device_token == save.device_token)
    statement = _select().where(i.c.app_id == app_id, or_(*same)).order_by(i.c.id)
    rows = (await connection.execute(statement.with_for_update())).mappings()
    return [_installation(dict(row)) for row in rows]


async def _insert(connection: AsyncConnection, app_id: int, values: Json) -> Installation:
    fields = {name: value for name, value in values.items() if value is not UNSET}
    object_id = new_object_id()
    new = (
        insert(i)
        .values(
            app_id=app_id, object_id=object_id, created_at=_NOW, updated_at=_NOW, **_row(fields)
        )
        .returning(i.c.id, i.c.created_at, i.c.updated_at)
        .cte("new")
    )
    badge = fields.get(BADGE, 0)
    with_badge = insert(badges).from_select(
        ["installation_id", "badge"], select(new.c.id, literal(badge))
    )
    row = (await connection.execute(select(new).add_cte(with_badge.cte("badge")))).one()
    return Installation(
        id=row.id,
        object_id=object_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        fields=_shown({**fields, BADGE: badge}),
    )


async def _update(connection: AsyncConnection, target: Installation, values: Json) -> Installation:
    merged = {**target.fields, **values}
    fields = {name: value for name, value in merged.items() if value is not UNSET}
    alive = _ALIVE if _registers(target.fields, fields, values) else {}
    statement = (
        update(i)
        .where(i.c.id == target.id)
        .values(updated_at=_NOW, **_row(fields), **alive)
        .returning(i.c.updated_at)
    )
    updated_at = (await connection.execute(statement)).scalar_one()
    if BADGE in values:
        badge = fields.setdefault(BADGE, 0)
        await connection.execute(
            update(badges).where(badges.c.installation_id == target.id).values(badge=badge)
        )
    return Installation(
        id=target.id,
        object_id=target.object_id,
        created_at=target.created_at,
        updated_at=updated_at,
        fields=_shown(fields),
    )


def _registers(before: Json, after: Json, sent: Json) -> bool:
    """Tell whether the device registers where it is reached: a token that is sent is in use."""
    changed = any(before.get(name) != after.get(name) for name in ("deviceToken", "channelUris"))
    return changed or isinstance(sent.get("deviceToken"), str)


async def _mark_shared(connection: AsyncConnection, app_id: int, token: str | None) -> None:
    same = (i.c.app_id == app_id, i.c.device_token == token, i.c.token_shared.is_(False))
    await connection.execute(update(i).where(*same).values(token_shared=True))


def _row(fields: Json) -> dict[str, Any]:
    """Return the columns of these fields, which are all that the installation is to have."""
    if "deviceType" not in fields:
        refuse(136, "deviceType", "deviceType may not be changed in this operation")
    custom = custom_of(fields)
    named = {column: fields.get(name) for name, column in COLUMNS.items()}
    return {**named, "custom": custom, **place_of(custom)}


def custom_of(fields: Json) -> dict[str, Any]:
    """Return those of the fields that have no column of their own."""
    shown = _shown(fields)
    return {n: v for n, v in shown.items() if n not in COLUMNS and n != BADGE}


def _shown(fields: Json) -> dict[str, Any]:
    own = {rules.OBJECT_ID, rules.CREATED_AT, rules.UPDATED_AT}
    return {name: value for name, value in fields.items() if name not in own}
