"""Apps whose installations point to objects, stored row by row as saves do."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import Json
from pushsvc.storage.field_types import FieldType
from pushsvc.storage.fields import CLASS_NAME as INSTALLATION
from pushsvc.storage.schema import Schema
from pushsvc.storage.tables import apps, installations, objects
from pushsvc.targeting.audience import criterion
from pushsvc.targeting.reading import Page, pages
from pushsvc.targeting.rows import Reader

SCHEMA = Schema(
    {
        INSTALLATION: {
            "user": FieldType("Pointer", "_User"),
            "friends": FieldType("Array"),
            "location": FieldType("GeoPoint"),
        },
        "_User": {"location": FieldType("GeoPoint"), "team": FieldType("Pointer", "Team")},
        "Team": {"fans": FieldType("Relation", INSTALLATION)},
    }
)


def pointer(object_id: str, class_name: str = "_User") -> dict[str, str]:
    return {"__type": "Pointer", "className": class_name, "objectId": object_id}


async def new_app(connection: AsyncConnection) -> int:
    name = f"test-{uuid.uuid4().hex}"
    statement = insert(apps).values(application_id=name, name=name).returning(apps.c.id)
    return int((await connection.execute(statement)).scalar_one())


async def install(connection: AsyncConnection, app_id: int, **columns: Any) -> int:
    """Store an installation with a token of its own; return its id."""
    unique = uuid.uuid4().hex
    row = {"app_id": app_id, "object_id": unique, "device_type": "ios", "device_token": unique}
    statement = insert(installations).values(row | columns).returning(installations.c.id)
    return int((await connection.execute(statement)).scalar_one())


async def keep(
    connection: AsyncConnection, app_id: int, *names: str, class_name: str = "_User", **fields: Any
) -> None:
    """Store objects of a class that have the same fields."""
    shared = {"app_id": app_id, "class_name": class_name, "fields": fields}
    await connection.execute(insert(objects), [shared | {"object_id": name} for name in names])


async def read(
    connection: AsyncConnection, app_id: int, audience: Json, *, after: int = 0, size: int = 1000
) -> list[Page]:
    """Return the pages of an audience; the connection is outside of a transaction."""
    wanted = criterion(audience, Reader(app_id=app_id, schema=SCHEMA))
    async with pages(connection, wanted, after=after, size=size, timeout_seconds=60) as members:
        return [page async for page in members]


async def members_of(connection: AsyncConnection, app_id: int, where: Json) -> list[int]:
    return [
        an_id for page in await read(connection, app_id, {"where": where}) for an_id in page.ids
    ]


async def all_of(connection: AsyncConnection, app_id: int) -> Sequence[int]:
    statement = select(installations.c.id).where(installations.c.app_id == app_id)
    return (await connection.execute(statement.order_by(installations.c.id))).scalars().all()
