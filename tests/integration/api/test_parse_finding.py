"""What finds may cost, and where they are led."""

import asyncio
import json
from typing import Any

from tests.integration.api.conftest import Api

#: Looks ahead from each place of the text to its end.
COSTLY = {"s": {"$regex": "(?=.*c)(?=.*d)a*"}}


async def find(api: Api, path: str, where: Any = None, **params: str) -> Any:
    """Return the body of a find with the master key."""
    asked = {"where": json.dumps(where or {}), **params}
    return (await api.master("GET", path, params=asked)).body


async def test_a_query_that_takes_too_long_ends_with_124(strict_api: Api) -> None:
    """However many there are, others go on being served."""
    await strict_api.master("POST", "/classes/Rx", json={"s": "a" * 100_000})
    params = {"where": json.dumps(COSTLY)}

    costly = [strict_api.client("GET", "/classes/Rx", params=params) for _ in range(15)]
    finds = asyncio.gather(*costly)
    health = await strict_api.call("GET", "/1/health")
    saved = await strict_api.master("POST", "/classes/Other", json={"x": 1})

    assert (health.status, saved.status) == (200, 201)
    answers = await finds
    assert {(one.status, one.body["code"]) for one in answers} == {(400, 124)}


async def test_a_find_may_mean_what_a_field_leads_to(api: Api) -> None:
    """SDKs ask so for a relation whose class they do not know; the reply names the class."""
    child = (await api.master("POST", "/classes/Child", json={"name": "Ada"})).body["objectId"]
    device = {"deviceType": "ios", "installationId": "one"}
    device_id = (await api.master("POST", "/installations", json=device)).body["objectId"]
    pointers = {
        "kids": {"__type": "Pointer", "className": "Child", "objectId": child},
        "devices": {"__type": "Pointer", "className": "_Installation", "objectId": device_id},
    }
    related = {
        key: {"__op": "AddRelation", "objects": [pointer]} for key, pointer in pointers.items()
    }
    parent = (await api.master("POST", "/classes/Parent", json=related)).body["objectId"]
    owner = {"__type": "Pointer", "className": "Parent", "objectId": parent}

    for key, (class_name, object_id) in {
        "kids": ("Child", child),
        "devices": ("_Installation", device_id),
    }.items():
        where = {"$relatedTo": {"object": owner, "key": key}}
        found = await find(api, "/classes/Parent", where, redirectClassNameForKey=key)
        assert found["className"] == class_name
        assert [row["objectId"] for row in found["results"]] == [object_id]
    unknown = await find(api, "/classes/Parent", redirectClassNameForKey="name")
    assert [row["objectId"] for row in unknown["results"]] == [parent]


async def test_a_redirected_find_asks_for_the_rights_of_where_it_leads(api: Api) -> None:
    """A client that may find parents does not find their installations."""
    device = {"deviceType": "ios", "installationId": "one"}
    device_id = (await api.master("POST", "/installations", json=device)).body["objectId"]
    pointer = {"__type": "Pointer", "className": "_Installation", "objectId": device_id}
    await api.master("POST", "/classes/Parent", json={"device": pointer})

    answer = await api.client(
        "GET", "/classes/Parent", params={"redirectClassNameForKey": "device"}
    )

    assert (answer.status, answer.body["code"]) == (400, 119)


async def test_a_redirect_is_to_a_field(api: Api) -> None:
    """102 says which parameter is wrong."""
    body = await find(api, "/classes/Parent", redirectClassNameForKey="5")

    assert (body["code"], "redirectClassNameForKey" in body["error"]) == (102, True)
