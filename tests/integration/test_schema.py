"""The types of fields, as several writers note them at once."""

import asyncio
from functools import partial

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.storage.field_types import FieldType
from pushsvc.storage.schema import add_fields
from pushsvc.storage.tables import class_fields
from tests.integration.conftest import AppRow
from tests.integration.pushing import until

pytestmark = pytest.mark.integration

STRING, PLACE = FieldType("String"), FieldType("GeoPoint")


async def both_wait(connection: AsyncConnection) -> bool:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return bool((await connection.execute(waiting)).scalar_one() >= 2)


async def test_new_fields_and_places_wait_in_one_order(
    database: AsyncEngine, app_row: AppRow
) -> None:
    """However the places are named: a class has one, and nobody waits for who waits for him."""
    app_id = app_row.app.id
    held = {"app_id": app_id, "field": "m", "type": "String"}

    for class_name in map("Round{}".format, range(4)):
        async with database.connect() as other:
            await other.execute(insert(class_fields).values(class_name=class_name, **held))
            writers = [
                asyncio.ensure_future(
                    add_fields(
                        database,
                        app_id=app_id,
                        class_name=class_name,
                        new={"m": STRING, name: PLACE},
                    )
                )
                for name in ("a", "z")
            ]

            await until(partial(both_wait, other))
            await other.rollback()
        found = await asyncio.gather(*writers)
        assert sorted(map(len, found)) == [1, 2]
