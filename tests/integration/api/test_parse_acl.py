"""What an ACL lets clients do, and what an app lets them write."""

import json
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage.tables import apps
from tests.integration.api.conftest import Api

TEAM = "/classes/Team"
READ: dict[str, Any] = {"*": {"read": True}}
WRITE: dict[str, Any] = {"*": {"write": True}}
ROLES: dict[str, Any] = {"role:admin": {"read": True, "write": True}}


async def create(api: Api, path: str = TEAM, **fields: Any) -> str:
    answer = await api.master("POST", path, json=fields)
    assert answer.status == 201, answer.body
    return f"{path}/{answer.body['objectId']}"


@pytest.mark.parametrize(
    ("acl", "readable", "writable"),
    [
        (None, True, True),
        ({}, False, False),
        (READ, True, False),
        (WRITE, False, True),
        (ROLES, False, False),
        ({"*": {"read": False}}, False, False),
        ({**ROLES, "*": {"read": True, "write": True}}, True, True),
    ],
)
async def test_an_acl_says_what_clients_may(
    api: Api, acl: Any, *, readable: bool, writable: bool
) -> None:
    """By what it grants to everybody; whatever it denies is as if it was not there."""
    path = await create(api, name="x", ACL=acl)
    found = await api.client("GET", TEAM, params={"count": "1"})

    assert (await api.client("GET", path)).status == (200 if readable else 404)
    assert (len(found.body["results"]), found.body["count"]) == ((1, 1) if readable else (0, 0))
    for method, body in (("PUT", {"name": "y"}), ("DELETE", None)):
        answer = await api.client(method, path, json=body)
        assert answer.status == (200 if writable else 404), method
        if not writable:
            assert answer.body == {"code": 101, "error": "Object not found."}


async def test_the_master_is_above_every_acl(api: Api) -> None:
    """Read, found, counted, changed and deleted."""
    path = await create(api, name="x", ACL={})

    found = await api.master("GET", TEAM, params={"count": "1"})

    assert (len(found.body["results"]), found.body["count"]) == (1, 1)
    assert (await api.master("GET", path)).body["ACL"] == {}
    assert (await api.master("PUT", path, json={"name": "y"})).status == 200
    assert (await api.master("DELETE", path)).status == 200


async def test_an_acl_can_be_changed_and_taken_away(api: Api) -> None:
    """Who may write an object may hide it; null and Delete are no ACL."""
    path = await create(api, name="x")
    await api.client("PUT", path, json={"ACL": {}})
    assert (await api.client("GET", path)).status == 404

    for gone in (None, {"__op": "Delete"}):
        await api.master("PUT", path, json={"ACL": {}})
        await api.master("PUT", path, json={"ACL": gone})
        one = await api.client("GET", path)
        assert (one.status, "ACL" in one.body) == (200, False)


async def test_a_query_within_a_query_sees_no_more_than_its_caller(api: Api) -> None:
    """What is hidden leads to nobody."""
    team = await create(api, name="x", ACL={})
    pointer = {"__type": "Pointer", "className": "Team", "objectId": team.rpartition("/")[2]}
    await create(api, "/classes/Game", home=pointer)
    where = json.dumps({"home": {"$inQuery": {"className": "Team", "where": {"name": "x"}}}})

    by_client = await api.client("GET", "/classes/Game", params={"where": where})
    by_master = await api.master("GET", "/classes/Game", params={"where": where})

    assert by_client.body["results"] == []
    assert len(by_master.body["results"]) == 1


INSTALLATIONS_ARE_NOT_FOUND = {
    "code": 119,
    "error": "Clients aren't allowed to perform the find operation on the installation collection.",
}


@pytest.mark.parametrize("operator", ["$inQuery", "$notInQuery", "$select", "$dontSelect"])
async def test_a_clients_query_does_not_lead_to_installations(api: Api, operator: str) -> None:
    """However deep it lies: else it could ask for their tokens, letter by letter."""
    await create(api, name="ios")
    query = {"className": "_Installation", "where": {"deviceToken": {"$regex": "^a"}}}
    is_value = operator in {"$select", "$dontSelect"}
    asked = {operator: {"query": query, "key": "deviceType"} if is_value else query}
    deep = {"className": "Team", "where": {"$or": [{"name": asked}]}}

    for where in ({"name": asked}, {"$or": [{"name": asked}]}, {"of": {"$inQuery": deep}}):
        params = {"where": json.dumps(where)}
        by_client = await api.client("GET", TEAM, params=params)
        assert (by_client.status, by_client.body) == (400, INSTALLATIONS_ARE_NOT_FOUND)
        assert (await api.master("GET", TEAM, params=params)).status == 200


async def write_all(api: Api, class_name: str) -> list[Any]:
    """What a client is answered to create, update and delete."""
    path = f"/classes/{class_name}"
    body = {"name": "x", "ACL": {"*": {"read": True, "write": True}}}
    one = await create(api, path, **body)
    requests = (("POST", path, body), ("PUT", one, body), ("DELETE", one, None))
    return [await api.client(method, at, json=sent) for method, at, sent in requests]


@pytest.mark.parametrize("class_name", ["_User", "_Role", "_Product"])
async def test_clients_do_not_write_parses_own_classes(api: Api, class_name: str) -> None:
    """119, unless the app's settings say otherwise; reading is by ACL."""
    answers = await write_all(api, class_name)

    assert [(answer.status, answer.body["code"]) for answer in answers] == [(400, 119)] * 3
    for answer, operation in zip(answers, ("create", "update", "delete"), strict=True):
        text = f"Permission denied for action {operation} on class {class_name}."
        assert answer.body["error"] == text
    assert (await api.client("GET", f"/classes/{class_name}")).status == 200


async def test_the_app_says_which_classes_clients_write(api: Api, database: AsyncEngine) -> None:
    """These and no others."""
    mine = apps.c.id == api.row.app.id
    async with database.begin() as connection:
        settings = {"client_writes": ["Game", "_User"]}
        await connection.execute(update(apps).where(mine).values(settings=settings))

    for class_name, statuses in (
        ("Game", [201, 200, 200]),
        ("_User", [201, 200, 200]),
        ("Team", [400, 400, 400]),
    ):
        assert [answer.status for answer in await write_all(api, class_name)] == statuses


async def test_the_email_of_a_user_is_for_the_master_alone(api: Api) -> None:
    """Clients neither see it nor find a user by it, in a query within a query neither."""
    user = {"username": "ada", "email": "ada@example.org"}
    made = await api.master("POST", "/users", json=user)
    user_id = made.body["objectId"]
    pointer = {"__type": "Pointer", "className": "_User", "objectId": user_id}
    await api.master("POST", "/classes/Team", json={"lead": pointer})
    by_email = {"where": json.dumps({"email": {"$regex": "^ada"}})}
    within = {"className": "_User", "where": {"email": "ada@example.org"}}
    by_lead = {"where": json.dumps({"lead": {"$inQuery": within}})}
    included = {"include": "lead"}

    seen = await api.client("GET", f"/users/{user_id}")
    found = await api.client("GET", "/users", params=by_email)
    led = await api.client("GET", "/classes/Team", params=by_lead)
    shown = await api.client("GET", "/classes/Team", params=included)

    assert seen.body["username"] == "ada"
    assert "email" not in seen.body
    assert (found.body["results"], led.body["results"]) == ([], [])
    assert "email" not in shown.body["results"][0]["lead"]
    assert (await api.master("GET", f"/users/{user_id}")).body["email"] == "ada@example.org"
    master_led = await api.master("GET", "/classes/Team", params=by_lead)
    assert len(master_led.body["results"]) == 1


@pytest.mark.parametrize("grant", [{"read": 1}, {"read": "yes"}, {"delete": True}, {"read": None}])
async def test_what_is_no_acl_is_refused(api: Api, grant: dict[str, Any]) -> None:
    """It would hide the object from its own device, which then could not mend it."""
    device = {"deviceType": "ios", "installationId": "one", "ACL": {"*": grant}}

    answers = [
        await api.client("POST", "/installations", json=device),
        await api.client("POST", TEAM, json={"ACL": {"*": grant}}),
    ]

    assert {(one.status, one.body["code"]) for one in answers} == {(400, 111)}
