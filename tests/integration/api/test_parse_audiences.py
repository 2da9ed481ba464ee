"""`/push_audiences` and `/classes/_Audience`: saved queries, and pushes that use them."""

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.integration.api.conftest import Answer, Api

ROUTE = "/push_audiences"
CLASS = "/classes/_Audience"
QUERY = '{"deviceType":"ios","appName":{"$in":["b","a"]}}'
DATA = {"data": {"alert": "hello"}}
HEADER = "X-Parse-Push-Status-Id"


async def save(api: Api, name: str = "iPhones", query: str = QUERY) -> str:
    answer = await api.master("POST", ROUTE, json={"name": name, "query": query})
    assert answer.status == 201, answer.body
    object_id: str = answer.body["objectId"]
    return object_id


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [row["name"] for row in answer.body["results"]]


async def test_an_audience_is_saved_shown_changed_and_deleted(api: Api) -> None:
    """The query is sent as text, and shown as an object."""
    saved = await api.master("POST", ROUTE, json={"name": "iPhones", "query": QUERY})
    object_id = saved.body["objectId"]
    one = f"{ROUTE}/{object_id}"

    first = (await api.master("GET", one)).body
    changed = await api.master("PUT", one, json={"name": "All", "query": "{}"})
    second = (await api.master("GET", one)).body
    deleted = await api.master("DELETE", one)

    assert saved.status == 201
    assert saved.headers["Location"] == f"/parse/classes/_Audience/{object_id}"
    assert first == {
        "objectId": object_id,
        "createdAt": saved.body["createdAt"],
        "updatedAt": saved.body["createdAt"],
        "name": "iPhones",
        "query": json.loads(QUERY),
        "timesUsed": 0,
        "ACL": {},
    }
    assert (second["name"], second["query"]) == ("All", {})
    assert changed.body == {"updatedAt": second["updatedAt"]}
    assert (deleted.status, deleted.body) == (200, {})
    for method in ("GET", "PUT", "DELETE"):
        answer = await api.master(method, one, json={"name": "x"} if method == "PUT" else None)
        assert (answer.status, answer.body["code"]) == (404, 101)


async def test_as_a_class_the_query_stays_text(api: Api) -> None:
    """To the letter, as it was sent."""
    object_id = await save(api)

    one = (await api.master("GET", f"{CLASS}/{object_id}")).body
    found = (await api.master("GET", CLASS)).body["results"]

    assert one["query"] == QUERY
    assert found == [one]
    assert (await api.master("PUT", f"{CLASS}/{object_id}", json={"name": "x"})).status == 200
    created = await api.master("POST", CLASS, json={"name": "y", "query": "{}"})
    assert created.status == 201
    assert (await api.master("DELETE", f"{CLASS}/{object_id}")).status == 200


async def test_audiences_are_listed_as_asked(api: Api) -> None:
    """Oldest first, or in the order asked for; in pages; counted."""
    for name in ("b", "c", "a"):
        await save(api, name=name)

    async def find(**params: str) -> Answer:
        return await api.master("GET", ROUTE, params=params)

    assert names(await find()) == ["b", "c", "a"]
    assert names(await find(order="name")) == ["a", "b", "c"]
    assert names(await find(order="-createdAt")) == ["a", "c", "b"]
    assert names(await find(order="-lastUsed,name", skip="1", limit="1")) == ["b"]
    assert names(await find(where='{"name":"b"}')) == ["b"]
    assert names(await find(where='{"name":{"$gte":"b"},"timesUsed":0}')) == ["b", "c"]
    assert names(await find(where='{"lastUsed":null,"name":{"$in":["a","z"]}}')) == ["a"]
    counted = await find(limit="0", count="1")
    assert counted.body == {"results": [], "count": 3}
    keys = await find(keys="name", limit="1")
    assert {"name", "objectId", "createdAt", "updatedAt", "ACL"} == set(keys.body["results"][0])
    for params in ({"order": "query"}, {"where": '{"query":"{}"}'}):
        answer = await find(**params)
        assert (answer.status, answer.body["code"]) == (400, 102)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"query": {"deviceType": "ios"}}, 111),
        ({"name": 5}, 111),
        ({"name": None}, 111),
        ({"query": ""}, 107),
        ({"query": "{"}, 107),
        ({"query": "[]"}, 107),
        ({"query": '"everyone"'}, 107),
        ({"query": '{"a":{"$foo":1}}'}, 107),
        ({"query": '{"a\\u0000":1}'}, 107),
        ({"query": '{"a":' * 300 + "1" + "}" * 300}, 107),
        ({"query": '{"a-b":1}'}, 105),
        ({"query": '{"$or":1}'}, 102),
        ({"query": '{"a":{"$regex":"("}}'}, 102),
        ({"query": json.dumps({"a": "x" * 131_072})}, 116),
        ({"name": "x" * 131_073}, 116),
        ({"timesUsed": 5}, 105),
        ({"name": ...}, 135),
        ({"query": ...}, 135),
    ],
)
async def test_what_cannot_be_pushed_to_is_not_saved(
    api: Api, change: dict[str, Any], code: int
) -> None:
    """Unlike Parse Server's, where it made every list fail later."""
    body = {"name": "x", "query": "{}", **change}
    body = {name: value for name, value in body.items() if value is not ...}

    answer = await api.master("POST", ROUTE, json=body)

    assert (answer.status, answer.body["code"]) == (400, code)
    assert names(await api.master("GET", ROUTE)) == []


async def test_audiences_are_for_the_master_alone(api: Api) -> None:
    """403 at the route, 119 at the class."""
    object_id = await save(api)

    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("GET", f"/{object_id}"),
        ("PUT", f"/{object_id}"),
        ("DELETE", f"/{object_id}"),
    ):
        at_route = await api.client(method, ROUTE + path)
        at_class = await api.client(method, CLASS + path)
        assert (at_route.status, at_route.body) == (
            403,
            {"error": "unauthorized: master key is required"},
        )
        assert (at_class.status, at_class.body["code"]) == (400, 119)
        assert "operation on the _Audience collection" in at_class.body["error"]


async def test_an_audience_of_another_app_is_not_there(api: Api) -> None:
    """Neither to be seen nor to be pushed to."""
    answer = await api.master("GET", f"{ROUTE}/abcdefghij")

    assert (answer.status, answer.body["code"]) == (404, 101)


# ---------------------------------------------------------------- pushes


async def test_a_push_to_a_saved_audience_asks_its_query(api: Api) -> None:
    """The push has the query as it was then, and the audience is marked as used."""
    object_id = await save(api)

    answer = await api.master("POST", "/push", json={"audience_id": object_id, **DATA})

    assert answer.status == 200, answer.body
    status = (await api.master("GET", f"/classes/_PushStatus/{answer.headers[HEADER]}")).body
    assert status["query"] == QUERY
    used = (await api.master("GET", f"{ROUTE}/{object_id}")).body
    assert used["timesUsed"] == 1
    assert used["lastUsed"] == {"__type": "Date", "iso": used["updatedAt"]}
    assert names(await api.master("GET", ROUTE, params={"order": "-lastUsed"})) == ["iPhones"]


@pytest.mark.parametrize("audience", [{"where": {}}, {"channels": ["a"]}])
async def test_beside_an_audience_the_id_only_marks(api: Api, audience: dict[str, Any]) -> None:
    """Dashboards send the query themselves, and say where they have it from."""
    object_id = await save(api)

    answer = await api.master("POST", "/push", json={**audience, "audience_id": object_id, **DATA})

    status = (await api.master("GET", f"/classes/_PushStatus/{answer.headers[HEADER]}")).body
    assert status["query"] in {"{}", '{"channels":{"$in":["a"]}}'}
    assert (await api.master("GET", f"{ROUTE}/{object_id}")).body["timesUsed"] == 1


async def test_uses_are_counted_once_for_each_push(api: Api) -> None:
    """Repeats of a request count no second time, and none is lost of many at once."""
    object_id = await save(api)
    body = {"audience_id": object_id, "where": {}, **DATA}

    async def push(request_id: str) -> Answer:
        return await api.master(
            "POST", "/push", json=body, headers={"X-Parse-Request-Id": request_id}
        )

    requests = [str(uuid.uuid4()) for _ in range(5)]
    answers = await asyncio.gather(*(push(one) for one in requests * 4))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.headers[HEADER] for answer in answers}) == 5
    assert (await api.master("GET", f"{ROUTE}/{object_id}")).body["timesUsed"] == 5


async def test_a_refused_push_uses_no_audience(api: Api) -> None:
    """The count changes with the push, or not at all."""
    object_id = await save(api)
    body = {"audience_id": object_id, "where": {}, **DATA, "push_time": 1_000_000_000}

    refused = await api.master("POST", "/push", json=body)

    assert (refused.status, refused.body["code"]) == (400, 152)
    assert (await api.master("GET", f"{ROUTE}/{object_id}")).body["timesUsed"] == 0


async def test_a_repeat_is_answered_when_its_audience_is_gone(api: Api) -> None:
    """The push was stored; that its audience was deleted since is no reason to say otherwise."""
    object_id = await save(api)
    headers = {"X-Parse-Request-Id": str(uuid.uuid4())}
    body = {"audience_id": object_id, **DATA}
    first = await api.master("POST", "/push", json=body, headers=headers)
    await api.master("DELETE", f"{ROUTE}/{object_id}")

    again = await api.master("POST", "/push", json=body, headers=headers)
    other = await api.master("POST", "/push", json=body)

    assert (first.status, again.status, other.status) == (200, 200, 400)
    assert first.headers[HEADER] == again.headers[HEADER]
