"""`POST {mount}/push`."""

import uuid
from typing import Any

import pytest

from tests.integration.api.conftest import Api

DATA = {"data": {"alert": "hello"}}
HEADER = "X-Parse-Push-Status-Id"


async def test_a_push_is_accepted_and_named(api: Api) -> None:
    """The reply is Parse's, and its header names the status object."""
    answer = await api.master("POST", "/push", json={"channels": ["news"], **DATA})

    assert (answer.status, answer.body) == (200, {"result": True})
    status = await api.master("GET", f"/classes/_PushStatus/{answer.headers[HEADER]}")
    assert status.body["query"] == '{"channels":{"$in":["news"]}}'


async def test_the_alias_is_a_mount_too(api: Api) -> None:
    """`/1/push` is what the hosted Parse had."""
    headers = {
        "X-Parse-Application-Id": api.row.app.application_id,
        "X-Parse-Master-Key": api.row.master_key,
    }

    answer = await api.call("POST", "/1/push", json={"where": {}, **DATA}, headers=headers)

    assert answer.status == 200


@pytest.mark.parametrize(
    ("body", "code", "error"),
    [
        (
            {"where": {}, "channels": [], **DATA},
            115,
            "Channels and query can not be set at the same time.",
        ),
        (
            DATA,
            115,
            'Sending a push requires either "channels" or a "where" query.',
        ),
        ({"where": {}, "type": "ios", **DATA}, 115, '"type" and a "where" query'),
        ({"channels": ["news"]}, 115, 'A push needs "data"'),
        ({"channels": ["news"], "data": {}}, 115, 'A push needs "data"'),
        ({"channels": "news", **DATA}, 134, "channels must be an array"),
        ({"channels": [1], **DATA}, 134, "channels must be an array"),
        ({"channels": ["1st"], **DATA}, 112, "Invalid channel name: 1st."),
        ({"where": None, **DATA}, 107, "You cannot use null as a query parameter."),
        ({"where": {"a": {"$foo": 1}}, **DATA}, 107, "bad constraint: $foo"),
        ({"where": {"$or": 1}, **DATA}, 102, "Bad $or format"),
        ({"where": {"a": {"$regex": "("}}, **DATA}, 102, "Invalid $regex value for query"),
        ({"where": {}, "push_time": None, **DATA}, 115, "null is not valid time."),
        ({"where": {}, "push_time": "soon", **DATA}, 115, "soon is not valid time."),
        ({"where": {}, "push_time": 1_000_000_000, **DATA}, 152, "lies in the past"),
        ({"where": {}, "expiration_time": "x", **DATA}, 115, "x is not valid time."),
        (
            {"where": {}, "expiration_interval": "60", **DATA},
            115,
            "expiration_interval must be a number greater than 0",
        ),
        (
            {"where": {}, "expiration_interval": None, **DATA},
            115,
            "expiration_interval must be a number greater than 0",
        ),
        (
            {"where": {}, "expiration_interval": 1, "expiration_time": 2e9, **DATA},
            115,
            "Both expiration_time and expiration_interval cannot be set",
        ),
        ({"where": {}, "data": {"badge": "many"}}, 115, "badge"),
    ],
)
async def test_a_bad_push_is_refused_as_parse_refuses_it(
    api: Api, body: dict[str, Any], code: int, error: str
) -> None:
    """Status 400, the code and the text of the guide or of Parse Server; never a 5xx."""
    answer = await api.master("POST", "/push", json=body)

    assert (400, code) == (answer.status, answer.body["code"])
    assert error in answer.body["error"]


async def test_only_the_master_sends(api: Api) -> None:
    """A client's key is refused with 403 and without a code."""
    answer = await api.client("POST", "/push", json={"where": {}, **DATA})

    assert answer.status == 403
    assert answer.body == {"error": "unauthorized: master key is required"}


async def test_a_repeated_request_id_pushes_once(api: Api) -> None:
    """An SDK that tries again gets the first push, whatever the order of its keys."""
    headers = {"X-Parse-Request-Id": str(uuid.uuid4())}

    first = await api.master("POST", "/push", json={"where": {}, **DATA}, headers=headers)
    again = await api.master("POST", "/push", json={**DATA, "where": {}}, headers=headers)

    assert (first.status, again.status) == (200, 200)
    assert first.headers[HEADER] == again.headers[HEADER]
    listed = await api.master("GET", "/classes/_PushStatus")
    assert len(listed.body["results"]) == 1


async def test_a_request_id_with_another_body_is_refused(api: Api) -> None:
    """It is a mistake of the caller, and no second push is stored."""
    headers = {"X-Parse-Request-Id": str(uuid.uuid4())}
    await api.master("POST", "/push", json={"where": {}, **DATA}, headers=headers)

    answer = await api.master("POST", "/push", json={"channels": [], **DATA}, headers=headers)

    assert (answer.status, answer.body["code"]) == (400, 159)


async def test_a_request_id_has_a_bound(api: Api) -> None:
    """It is stored, so it must not be of any length."""
    headers = {"X-Parse-Request-Id": "x" * 256}

    answer = await api.master("POST", "/push", json={"where": {}, **DATA}, headers=headers)

    assert (answer.status, answer.body["code"]) == (400, 107)
