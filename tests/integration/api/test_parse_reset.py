"""`POST /_reset`: a suite's app is empty again, and still its own."""

import uuid
from typing import Any

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage import apps, tables
from pushsvc.storage.ids import new_object_id
from tests.integration.api.conftest import Api

#: What has rows of an app, and is emptied.
EMPTIED = (
    *("installations", "objects", "relations", "class_fields", "audiences", "templates"),
    "pushes",
)
IOS = {"deviceType": "ios", "installationId": "one", "team": "Giants"}


async def fill(database: AsyncEngine, app_id: int, push_id: int) -> None:
    """Store a row in each table that the API does not fill by itself here."""
    of_app: dict[str, Any] = {"app_id": app_id}
    of_class = of_app | {"class_name": "Team", "field": "players"}
    rows = {
        tables.objects: of_app | {"class_name": "Team", "object_id": "t"},
        tables.relations: of_class | {"owner_id": "t", "related_id": "p"},
        tables.class_fields: of_class | {"type": "Relation", "target_class": "Player"},
        tables.audiences: of_app | {"object_id": new_object_id(), "name": "all", "query": "{}"},
        tables.templates: of_app | {"name": "t", "content": {}, "variables_used": []},
        tables.batches: {"push_id": push_id, "seq": 0, "lane": "bulk"},
        tables.opens: {"push_id": push_id, "hour": func.now(), "opens": 1},
    }
    async with database.begin() as connection:
        for table, row in rows.items():
            await connection.execute(insert(table).values(row))


async def rows_of(database: AsyncEngine, app_id: int, push_id: int) -> dict[str, int]:
    """Return how many rows each table has of the app, or of its push."""
    found = {}
    async with database.connect() as connection:
        for name in (*EMPTIED, "api_keys", "batches", "opens"):
            columns = tables.metadata.tables[name].c
            mine = columns.app_id == app_id if "app_id" in columns else columns.push_id == push_id
            statement = select(func.count()).where(mine)
            found[name] = (await connection.execute(statement)).scalar_one()
    return found


async def push_key(database: AsyncEngine, app_id: int) -> int:
    async with database.connect() as connection:
        statement = select(tables.pushes.c.id).where(tables.pushes.c.app_id == app_id)
        found: int = (await connection.execute(statement)).scalar_one()
        return found


async def test_an_app_is_emptied_and_keeps_its_keys(strict_api: Api, database: AsyncEngine) -> None:
    """Every table of an app; a second time there is nothing to do."""
    app_id = strict_api.row.app.id
    await strict_api.client("POST", "/installations", json=IOS)
    pushed = {"channels": ["x"], "data": {"alert": "x"}}
    await strict_api.master("POST", "/push", json=pushed)
    push_id = await push_key(database, app_id)
    await fill(database, app_id, push_id)
    before = await rows_of(database, app_id, push_id)

    answers = [await strict_api.master("POST", "/_reset") for _ in range(2)]

    assert [(one.status, one.body) for one in answers] == [(200, {})] * 2
    assert all(before.values())
    after = await rows_of(database, app_id, push_id)
    assert after.pop("api_keys") == before["api_keys"]
    assert set(after.values()) == {0}
    again = await strict_api.client("POST", "/installations", json=IOS)
    assert again.status == 201


async def test_a_new_suite_may_give_a_field_another_type(strict_api: Api) -> None:
    """Also within the seconds that types are remembered."""
    path = "/classes/_Installation"
    await strict_api.client("POST", path, json=IOS)
    await strict_api.master("GET", path, params={"where": '{"team": "Giants"}'})
    await strict_api.master("POST", "/_reset")

    made = await strict_api.client("POST", path, json=IOS | {"team": 17})

    assert made.status == 201


async def test_other_apps_are_left_alone(strict_api: Api, database: AsyncEngine) -> None:
    """The master key's own app is emptied, and no other."""
    async with database.begin() as connection:
        other = await apps.create_app(connection, name=f"test-{uuid.uuid4().hex}")
        row = {"app_id": other.id, "object_id": "o", "device_type": "ios"}
        await connection.execute(insert(tables.installations).values(row))

    await strict_api.master("POST", "/_reset")

    assert (await rows_of(database, other.id, 0))["installations"] == 1


@pytest.mark.parametrize("given", [{}, {"_method": "DELETE"}])
async def test_it_is_for_the_master_key(strict_api: Api, given: dict[str, str]) -> None:
    """A client empties nothing, by no method."""
    answer = await strict_api.client("POST", "/_reset", json=given)

    assert answer.status == (405 if given else 403)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_without_the_setting_there_is_no_such_path(api: Api, method: str) -> None:
    """`allow_reset` is off by default, for the master key too."""
    answer = await api.master(method, "/_reset")

    assert (answer.status, answer.body) == (404, {"error": "There is no such path: _reset."})
