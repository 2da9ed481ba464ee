"""Relations over HTTP: many to many, owned by a field of an object."""

import json
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage.tables import relations
from tests.integration.api.conftest import Api

TEAM = "/classes/Team"


async def create(api: Api, path: str = TEAM, **fields: Any) -> str:
    answer = await api.master("POST", path, json=fields)
    assert answer.status in {200, 201}, answer.body
    return str(answer.body["objectId"])


def pointers(*object_ids: str, of: str = "_User") -> list[dict[str, str]]:
    return [{"__type": "Pointer", "className": of, "objectId": one} for one in object_ids]


def add(*object_ids: str, of: str = "_User") -> dict[str, Any]:
    return {"__op": "AddRelation", "objects": pointers(*object_ids, of=of)}


def remove(*object_ids: str) -> dict[str, Any]:
    return {"__op": "RemoveRelation", "objects": pointers(*object_ids)}


async def related(
    api: Api, owner: str, *, key: str = "fans", of: str = "Team", path: str = "/users"
) -> set[str]:
    """What is found in the relation."""
    (owning,) = pointers(owner, of=of)
    where = json.dumps({"$relatedTo": {"object": owning, "key": key}})
    answer = await api.master("GET", path, params={"where": where})
    return {row["objectId"] for row in answer.body["results"]}


async def owners(api: Api, user: str) -> set[str]:
    """The teams that relate to the user."""
    where = json.dumps({"fans": pointers(user)[0]})
    answer = await api.master("GET", TEAM, params={"where": where})
    return {row["objectId"] for row in answer.body["results"]}


async def test_objects_are_related_and_no_longer(api: Api) -> None:
    """By one operation, or a Batch of them; the reply has nothing of it."""
    alice, bob, carol = [await create(api, "/users", username=name) for name in "abc"]
    team = await create(api, name="x", fans=add(alice, bob))
    path = f"{TEAM}/{team}"
    assert await related(api, team) == {alice, bob}
    assert await owners(api, alice) == {team}

    again = await api.client("PUT", path, json={"fans": add(alice)})
    assert (again.status, set(again.body)) == (200, {"updatedAt"})
    both = {"__op": "Batch", "ops": [add(carol), remove(alice)]}
    assert (await api.client("PUT", path, json={"fans": both})).status == 200

    assert await related(api, team) == {bob, carol}
    assert await owners(api, alice) == set()


async def test_a_relation_is_shown_by_its_class(api: Api) -> None:
    """On every object of the class, as in Parse; and what is shown can be sent back."""
    user = await create(api, "/users", username="a")
    team = await create(api, fans=add(user))
    other = await create(api, name="x")
    shown = {"__type": "Relation", "className": "_User"}

    for object_id in (team, other):
        one = await api.client("GET", f"{TEAM}/{object_id}")
        assert one.body["fans"] == shown
    back = await api.client("PUT", f"{TEAM}/{team}", json={"fans": shown, "name": "y"})

    assert back.status == 200
    assert await related(api, team) == {user}
    assert await related(api, other) == set()


async def test_a_relation_keeps_its_class(api: Api) -> None:
    """111 for another one, and for what is no relation."""
    user = await create(api, "/users", username="a")
    team = await create(api, fans=add(user))

    for value, got in ((add("x", of="Team"), "Relation<Team>"), ("x", "String")):
        answer = await api.master("PUT", f"{TEAM}/{team}", json={"fans": value})
        text = f"schema mismatch for Team.fans; expected Relation<_User> but got {got}"
        assert answer.body == {"code": 111, "error": text}
    assert await related(api, team) == {user}


async def test_a_change_that_is_refused_relates_nobody(api: Api) -> None:
    """The row and its relations are written together, or not at all."""
    user = await create(api, "/users", username="a")
    team = await create(api, name="x", fans=add(user), prefs={"a": {}})

    body = {"fans": remove(user), "prefs.a": {"__op": "Increment", "amount": 1}}
    assert (await api.master("PUT", f"{TEAM}/{team}", json=body)).status == 400

    assert await related(api, team) == {user}


async def count_relations(database: AsyncEngine, app_id: int) -> int:
    statement = select(func.count()).select_from(relations).where(relations.c.app_id == app_id)
    async with database.connect() as connection:
        return int((await connection.execute(statement)).scalar_one())


async def test_what_is_deleted_owns_no_relation(api: Api, database: AsyncEngine) -> None:
    """Objects, installations, and those that another of the same device replaces."""
    user = await create(api, "/users", username="a")
    team = await create(api, fans=add(user))
    phone = {"deviceType": "ios", "deviceToken": "ab" * 32}
    first = await create(api, "/installations", **phone, installationId="one", friends=add(user))
    await api.master("DELETE", f"{TEAM}/{team}")
    assert await count_relations(database, api.row.app.id) == 1

    second = await create(api, "/installations", **phone, installationId="two")
    assert await count_relations(database, api.row.app.id) == 0

    assert (await api.master("GET", f"/installations/{first}")).status == 404
    await api.client("PUT", f"/installations/{second}", json={"friends": add(user)})
    assert await count_relations(database, api.row.app.id) == 1
    await api.master("DELETE", f"/installations/{second}")
    assert await count_relations(database, api.row.app.id) == 0


async def test_installations_relate_to_objects(api: Api) -> None:
    """And are found by it, as a push would."""
    team = await create(api, name="x")
    phone = {"deviceType": "ios", "installationId": "one", "teams": add(team, of="Team")}
    installation = await create(api, "/installations", **phone)

    assert await related(api, installation, key="teams", of="_Installation", path=TEAM) == {team}
    where = json.dumps({"teams": pointers(team, of="Team")[0]})
    found = await api.master("GET", "/installations", params={"where": where})
    (row,) = found.body["results"]
    assert row["objectId"] == installation
    assert row["teams"] == {"__type": "Relation", "className": "Team"}


async def test_a_role_has_users_and_roles(api: Api) -> None:
    """Whose classes Parse predefines."""
    user = await create(api, "/users", username="a")
    role = {"name": "fans", "ACL": {}}
    parent = await create(api, "/roles", **role, users=add(user))

    wrong = await api.master("PUT", f"/roles/{parent}", json={"roles": add(user)})

    text = "schema mismatch for _Role.roles; expected Relation<_Role> but got Relation<_User>"
    assert wrong.body["error"] == text
    assert await related(api, parent, key="users", of="_Role") == {user}
