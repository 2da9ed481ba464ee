"""Random worlds in a database, and whom clauses pick there."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, false, func, insert, select, true
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.storage.places import place_of
from pushsvc.storage.tables import apps, badges, installations, objects, relations
from pushsvc.targeting.compile import compile_condition
from pushsvc.targeting.rows import Reader, Rows, installation_rows, object_rows
from pushsvc.targeting.where import parse_where
from tests.integration.mongo import Document
from tests.integration.worlds import INSTALLATION, SCHEMA, World

COLUMNS = {
    "objectId": "object_id",
    "deviceType": "device_type",
    "timeZone": "time_zone",
    "channels": "channels",
    "channelUris": "channel_uris",
    "createdAt": "created_at",
}
MICROSECONDS = timedelta(microseconds=456)


async def new_app(connection: AsyncConnection) -> int:
    """Return the id of an app without anything."""
    name = f"test-{uuid.uuid4().hex}"
    app = insert(apps).values(application_id=name, name=name).returning(apps.c.id)
    return int((await connection.execute(app)).scalar_one())


async def keep(connection: AsyncConnection, documents: Sequence[Document]) -> int:
    """Store the installations in an app of their own; return its id."""
    app_id = await new_app(connection)
    await keep_installations(connection, documents, app_id)
    return app_id


async def keep_installations(
    connection: AsyncConnection, documents: Sequence[Document], app_id: int
) -> None:
    """Store the installations."""
    for found in documents:
        row = insert(installations).values(app_id=app_id, **columns(found))
        made = await connection.execute(row.returning(installations.c.id))
        if "badge" in found:
            badge = {"installation_id": made.scalar_one(), "badge": found["badge"]}
            await connection.execute(insert(badges).values(badge))


def columns(found: Document) -> dict[str, Any]:
    """Return an installation's row."""
    special = {COLUMNS[key]: value for key, value in found.items() if key in COLUMNS}
    custom = {key: found[key] for key in found if key not in COLUMNS and key != "badge"}
    return {**special, "created_at": created(found), "custom": custom, **place_of(custom)}


def created(found: Document) -> datetime:
    """Return the moment that the column keeps: more than the milliseconds that people see."""
    return datetime.fromisoformat(found["createdAt"]["iso"]) + MICROSECONDS


async def keep_world(connection: AsyncConnection, given: World) -> int:
    """Store a world in an app of its own; return its id."""
    app_id = await keep(connection, given.documents[INSTALLATION])
    rows = [
        {
            "app_id": app_id,
            "class_name": class_name,
            "object_id": found["objectId"],
            "created_at": created(found),
            "fields": {k: v for k, v in found.items() if k not in {"objectId", "createdAt"}},
            **place_of(found),
        }
        for class_name, documents in given.documents.items()
        if class_name != INSTALLATION
        for found in documents
    ]
    await connection.execute(insert(objects), rows)
    names = ("class_name", "field", "owner_id", "related_id")
    related = [dict(zip(names, row, strict=True)) for row in given.relations]
    await connection.execute(insert(relations), [{"app_id": app_id, **row} for row in related])
    return app_id


def rows_of(class_name: str, app_id: int) -> Rows:
    """Return the rows of a class of a world."""
    reader = Reader(app_id=app_id, schema=SCHEMA)
    if class_name == INSTALLATION:
        return installation_rows(reader)
    return object_rows(reader, class_name)


def asked(where: dict[str, Any], rows: Rows) -> ColumnElement[bool]:
    """Return the clause as an expression over the rows."""
    return compile_condition(parse_where(where, class_name=rows.class_name), rows)


async def picked_of(
    connection: AsyncConnection, conditions: Sequence[ColumnElement[bool]], rows: Rows
) -> list[set[str]]:
    """Return the object ids that each of the conditions picks, asked all at once."""
    told = [func.coalesce(condition, false()) for condition in conditions]
    own = rows.are(true())
    statement: Select[Any] = select(rows.table.c.object_id, array(told)).where(own)
    found = (await connection.execute(statement)).all()
    return [{name for name, fit in found if fit[place]} for place in range(len(conditions))]


async def picked(
    connection: AsyncConnection, condition: ColumnElement[bool], app_id: int
) -> set[str]:
    """Return the object ids of the installations that the condition picks."""
    statement = select(installations.c.object_id).where(installations.c.app_id == app_id, condition)
    return set((await connection.execute(statement)).scalars())


async def picked_by_each(
    connection: AsyncConnection, conditions: Sequence[ColumnElement[bool]], app_id: int
) -> list[set[str]]:
    """Return the object ids of the installations that each of the conditions picks."""
    return await picked_of(connection, conditions, rows_of(INSTALLATION, app_id))
