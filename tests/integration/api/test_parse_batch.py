"""`/batch`: many requests in one, each answered in its place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import App
from tests.integration.api.conftest import BATCH_LIMIT, Api

INSTALLATIONS = "/parse/classes/_Installation"


def save(number: int, **more: Any) -> dict[str, Any]:
    body = {"deviceType": "ios", "installationId": f"device-{number}", **more}
    return {"method": "POST", "path": INSTALLATIONS, "body": body}


async def test_requests_are_answered_in_their_order(api: Api) -> None:
    """Saves, changes and deletes together; an error is told in its place and harms no other."""
    first = await api.client("POST", "/installations", json=save(0)["body"])
    one = f"{INSTALLATIONS}/{first.body['objectId']}"

    answer = await api.master(
        "POST",
        "/batch",
        json={
            "requests": [
                *(save(number) for number in range(1, 120)),
                save(120, deviceType=17),
                {
                    "method": "put",
                    "path": one,
                    "body": {"badge": {"__op": "Increment", "amount": 1}},
                },
                {"method": "DELETE", "path": f"{INSTALLATIONS}/nobody"},
                {"method": "GET", "path": f"{one}?keys=deviceType"},
                {"method": "GET", "path": INSTALLATIONS, "body": {"limit": 0, "count": 1}},
            ]
        },
    )

    assert (answer.status, len(answer.body)) == (200, 124)
    made, (bad, changed, missing, got, found) = answer.body[:119], answer.body[119:]
    ids = [one["success"]["objectId"] for one in made]
    shown = await api.master("GET", "/installations", params={"limit": "1000"})
    by_id = {row["objectId"]: row["installationId"] for row in shown.body["results"]}
    assert [by_id[one] for one in ids] == [f"device-{number}" for number in range(1, 120)]
    assert bad["error"]["code"] == 133
    assert set(changed["success"]) == {"updatedAt", "badge"}
    assert missing == {"error": {"code": 101, "error": "Object not found."}}
    assert got["success"]["deviceType"] == "ios"
    assert "results" in found["success"]


@pytest.mark.parametrize("mount", ["/parse", "/1"])
async def test_the_javascript_sdk_s_batch(api: Api, mount: str) -> None:
    """Keys and method in the body around it; the paths are below the SDK's own mount."""
    answer = await api.call(
        "POST",
        f"{mount}/batch",
        json={
            "requests": [{**save(1), "path": f"{mount}/classes/_Installation"}],
            "_method": "POST",
            "_ApplicationId": api.row.app.application_id,
            "_MasterKey": api.row.master_key,
        },
    )

    assert list(answer.body[0]["success"]) == ["objectId", "createdAt"]


async def test_requests_have_the_rights_of_the_batch(api: Api) -> None:
    """A client's are a client's; and every error in a batch has a code."""
    requests = [
        save(1),
        {"method": "GET", "path": INSTALLATIONS},
        {"method": "POST", "path": "/parse/push", "body": {"channels": [], "data": {}}},
        {"method": "POST", "path": "/parse/nothing"},
        {"method": "PUT", "path": "/parse/push"},
        {"method": "POST", "path": "/parse/login"},
    ]

    answer = await api.client("POST", "/batch", json={"requests": requests})

    saved, *refused = answer.body
    assert "success" in saved
    assert [one["error"]["code"] for one in refused] == [119, 119, 107, 107, 108]
    assert refused[1]["error"]["error"] == "unauthorized: master key is required"


async def test_its_refusals_can_be_short(strict_api: Api) -> None:
    """`parse_error_texts` counts in a batch, too."""
    requests = [
        {"method": "GET", "path": "/1/classes/_Installation"},
        {"method": "POST", "path": "/1/push", "body": {}},
    ]

    answer = await strict_api.client("POST", "/batch", json={"requests": requests})

    told = {"error": {"code": 119, "error": "Permission denied"}}
    assert answer.body == [told, told]


async def test_the_same_device_in_one_batch_is_one_installation(api: Api) -> None:
    """They run at once, and Parse's dedup rules hold."""
    answer = await api.client("POST", "/batch", json={"requests": [save(1)] * 24})

    assert len({one["success"]["objectId"] for one in answer.body}) == 1


async def test_a_header_installation_id_counts_for_each(api: Api) -> None:
    """As it does for a single request."""
    await api.client("POST", "/installations", json=save(7)["body"])
    request = {"method": "POST", "path": INSTALLATIONS, "body": {"badge": 4}}

    answer = await api.client(
        "POST",
        "/batch",
        json={"requests": [request]},
        headers={"X-Parse-Installation-Id": "device-7"},
    )

    assert "updatedAt" in answer.body[0]["success"]


async def test_a_repeated_batch_pushes_once(api: Api) -> None:
    """Its request id stands for each of its pushes; two pushes in it are two."""
    push = {
        "method": "POST",
        "path": "/parse/push",
        "body": {"channels": ["none"], "data": {"alert": "x"}},
    }
    other = {**push, "body": {"channels": ["other"], "data": {"alert": "x"}}}
    body, headers = {"requests": [push, other]}, {"X-Parse-Request-Id": "the-same"}

    first = await api.master("POST", "/batch", json=body, headers=headers)
    again = await api.master("POST", "/batch", json=body, headers=headers)

    assert first.body == again.body == [{"success": {"result": True}}] * 2
    listed = await api.master("GET", "/classes/_PushStatus")
    assert len(listed.body["results"]) == 2


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "requests must be an array"),
        ({"requests": {"0": save(1)}}, "requests must be an array"),
        ({"requests": [1]}, "requests[0] must be an object."),
        ({"requests": [{"path": INSTALLATIONS}]}, "method must be one of GET, POST, PUT, DELETE."),
        (
            {"requests": [{"method": {}, "path": INSTALLATIONS}]},
            "method must be one of GET, POST, PUT, DELETE.",
        ),
        ({"requests": [{"method": "POST"}]}, "path must be text."),
        (
            {"requests": [{"method": "POST", "path": "/classes/_Installation"}]},
            "cannot route batch path /classes/_Installation",
        ),
        (
            {"requests": [{"method": "POST", "path": "/parsed/push"}]},
            "cannot route batch path /parsed/push",
        ),
        (
            {"requests": [{"method": "POST", "path": "/parse/batch", "body": {"requests": []}}]},
            "nested batch requests are not allowed",
        ),
        (
            {"requests": [{"method": "POST", "path": "/1//batch/?x=1"}]},
            "nested batch requests are not allowed",
        ),
        (
            {"requests": [{"method": "GET", "path": INSTALLATIONS}] * 51},
            "requests has 51 reads; at most 50 are taken.",
        ),
    ],
)
async def test_a_batch_that_cannot_be_read_is_refused_whole(
    api: Api, body: dict[str, Any], error: str
) -> None:
    """107, before anything of it is begun."""
    if isinstance(body.get("requests"), list):
        body = {"requests": [save(1), *body["requests"]]}
        error = error.replace("requests[0]", "requests[1]")

    answer = await api.master("POST", "/batch", json=body)

    assert (answer.status, answer.body) == (400, {"code": 107, "error": error})
    assert (await api.master("GET", "/installations")).body["results"] == []


@pytest.mark.parametrize("body", [[], "text", 1, False])
async def test_the_body_of_a_request_must_be_an_object(api: Api, body: Any) -> None:
    """An error in its place; none at all is an empty object."""
    wrong = {"method": "POST", "path": INSTALLATIONS, "body": body}

    answer = await api.client("POST", "/batch", json={"requests": [wrong, save(1)]})

    assert answer.body[0] == {"error": {"code": 107, "error": "The body must be a JSON object."}}
    assert "success" in answer.body[1]


async def test_a_batch_has_a_bound(strict_api: Api) -> None:
    """`parse_batch_limit`."""
    requests = [{**save(n), "path": "/1/installations"} for n in range(BATCH_LIMIT + 1)]

    most = await strict_api.client("POST", "/batch", json={"requests": requests[:-1]})
    over = await strict_api.client("POST", "/batch", json={"requests": requests})

    assert len(most.body) == BATCH_LIMIT
    assert over.status == 400
    assert over.body["error"] == "requests has 6 items; at most 5 are taken."


async def test_an_empty_batch_has_an_empty_answer(api: Api) -> None:
    """The JavaScript SDK may send one."""
    answer = await api.client("POST", "/batch", json={"requests": [], "transaction": False})

    assert (answer.status, answer.body) == (200, [])


async def test_transactions_are_refused(api: Api) -> None:
    """108: nothing is begun that could not be undone."""
    answer = await api.client("POST", "/batch", json={"requests": [save(1)], "transaction": True})

    assert (answer.status, answer.body["code"]) == (400, 108)
    assert (await api.master("GET", "/installations")).body["results"] == []


@asynccontextmanager
async def failing(database: AsyncEngine, app: App, sqlstate: str) -> AsyncIterator[str]:
    """Let the database fail to store installations whose id begins with the name it yields."""
    name = f"failing_{app.id}"
    function = (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE 'a secret' USING ERRCODE = '{sqlstate}'; END $$"
    )
    trigger = (
        f"CREATE TRIGGER {name} BEFORE INSERT ON installations FOR EACH ROW "
        f"WHEN (NEW.installation_id LIKE '{name}%') EXECUTE FUNCTION {name}()"
    )
    async with database.begin() as connection:
        await connection.execute(text(function))
        await connection.execute(text(trigger))
    try:
        yield name
    finally:
        async with database.begin() as connection:
            await connection.execute(text(f"DROP FUNCTION {name} CASCADE"))


async def test_a_mistake_of_ours_is_told_in_its_place(api: Api, database: AsyncEngine) -> None:
    """Code 1 for the request it struck, and nothing of the cause; the others are answered."""
    async with failing(database, api.row.app, "22012") as name:
        requests = [save(1, installationId=name), save(2)]
        answer = await api.client("POST", "/batch", json={"requests": requests})

    broken, saved = answer.body
    assert answer.status == 200
    assert broken == {"error": {"code": 1, "error": "Internal server error."}}
    assert "success" in saved


async def test_a_database_that_goes_away_is_told_by_each_or_by_the_whole(
    api: Api, database: AsyncEngine
) -> None:
    """503 for a batch of which nothing succeeded; else code 100 for what did not."""
    async with failing(database, api.row.app, "57P01") as name:
        gone = [save(1, installationId=f"{name}-1"), save(2, installationId=f"{name}-2")]
        some = await api.client("POST", "/batch", json={"requests": [*gone, save(3)]})
        none = await api.client("POST", "/batch", json={"requests": gone})

    assert [one.get("error", {}).get("code") for one in some.body] == [100, 100, None]
    assert (none.status, none.body["code"]) == (503, 100)
    assert int(none.headers["Retry-After"]) > 0
