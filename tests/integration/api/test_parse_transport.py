"""How Parse SDKs wrap their requests: keys, methods and bodies wherever they put them."""

import base64
import json
from typing import Any

import pytest

from tests.integration.api.conftest import BODY_LIMIT_BYTES, Api

CLASS = "/parse/classes/_Installation"
IOS = {"deviceType": "ios", "installationId": "one"}


def ids(api: Api, **more: Any) -> dict[str, Any]:
    return {"_ApplicationId": api.row.app.application_id, **more}


async def test_the_javascript_sdk_puts_everything_into_the_body(api: Api) -> None:
    """POST, text/plain, keys and method as fields; none of them is stored."""
    wrapped = ids(
        api,
        _MasterKey=api.row.master_key,
        _ClientVersion="js5.3.0",
        _InstallationId="browser",
        _method="POST",
        **IOS,
    )
    plain = {"Content-Type": "text/plain"}

    made = await api.call("POST", CLASS, data=json.dumps(wrapped), headers=plain)
    found = await api.call(
        "POST",
        CLASS,
        data=json.dumps(
            ids(api, _MasterKey=api.row.master_key, _method="GET", where={"installationId": "one"})
        ),
        headers=plain,
    )

    assert made.status == 201
    [row] = found.body["results"]
    assert {"objectId", "createdAt", "updatedAt", "badge", *IOS} == set(row)


async def test_an_sdk_may_get_and_put_and_delete_by_post(api: Api) -> None:
    """`_method` counts, in any case; the keys may stand in the headers, as Android has it."""
    made = await api.master("POST", "/installations", json=IOS)
    path = f"/installations/{made.body['objectId']}"

    put = await api.master("POST", path, json={"_method": "put", "badge": 1})
    got = await api.master("POST", path, json={"_method": "GET", "keys": "badge"})
    gone = await api.master("POST", path, json={"_method": "DELETE"})

    assert (put.status, got.body["badge"], gone.body) == (200, 1, {})


async def test_android_sends_parameters_as_text(api: Api) -> None:
    """A where-clause and a limit as strings in the body of a POST."""
    await api.master("POST", "/installations", json=IOS)
    body = {"_method": "GET", "where": '{"deviceType":"ios"}', "limit": "1"}

    answer = await api.master("POST", "/classes/_Installation", json=body)

    assert len(answer.body["results"]) == 1


@pytest.mark.parametrize("scheme", ["Basic", "basic"])
async def test_basic_authentication_with_the_master_key(api: Api, scheme: str) -> None:
    """User: the application id; password: the key."""
    pair = f"{api.row.app.application_id}:{api.row.master_key}"
    headers = {"Authorization": f"{scheme} {base64.b64encode(pair.encode()).decode()}"}

    answer = await api.call("GET", CLASS, headers=headers)

    assert answer.status == 200


@pytest.mark.parametrize(
    "authorization", ["Basic", "Basic !", "Basic " + base64.b64encode(b"\xff").decode()]
)
async def test_broken_basic_authentication_is_no_key(api: Api, authorization: str) -> None:
    """403, as with every wrong key."""
    answer = await api.call("GET", CLASS, headers={"Authorization": authorization})

    assert (answer.status, answer.body) == (403, {"error": "unauthorized"})


async def test_wrong_keys_are_refused_without_a_code(api: Api) -> None:
    """No app, an unknown app, no key, a wrong key, a key of another kind: all the same."""
    application = {"X-Parse-Application-Id": api.row.app.application_id}
    for headers in (
        {},
        {"X-Parse-Application-Id": "nobody", "X-Parse-Master-Key": api.row.master_key},
        application,
        application | {"X-Parse-REST-API-Key": "wrong"},
        application | {"X-Parse-Javascript-Key": api.row.rest_key},
        application | {"X-Parse-Master-Key": api.row.rest_key},
    ):
        answer = await api.call("GET", CLASS, headers=headers)

        assert (answer.status, answer.body) == (403, {"error": "unauthorized"}), headers


async def test_keys_in_the_body_must_be_text(api: Api) -> None:
    """Anything else is no key."""
    answer = await api.call("POST", CLASS, json=ids(api, _MasterKey={"$ne": ""}, **IOS))

    assert (answer.status, answer.body) == (403, {"error": "unauthorized"})


async def test_with_a_known_app_in_the_header_the_body_gives_no_rights(api: Api) -> None:
    """The master key in the body is then a field like any other, and a bad one."""
    headers = {"X-Parse-Application-Id": api.row.app.application_id}
    body = {"_MasterKey": api.row.master_key, **IOS}

    assert (await api.call("POST", CLASS, json=body, headers=headers)).status == 403


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"{", "The body is not JSON"),
        (b'{"a": "\\u0000"}', "U+0000"),
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", "nested too deeply"),
        (b'{"a": "\\ud800"}', "The body is not JSON"),
        (b"\xff", "The body is not JSON"),
    ],
)
async def test_a_broken_body_is_400_without_a_code(api: Api, data: bytes, error: str) -> None:
    """As Parse Server answers what its parser refuses."""
    answer = await api.master("POST", "/push", data=data)

    assert (answer.status, list(answer.body)) == (400, ["error"])
    assert error in answer.body["error"]


async def test_a_body_must_be_an_object(api: Api) -> None:
    """107: JSON, but not the right one."""
    answer = await api.master("POST", "/push", data=b"[]")

    assert (answer.status, answer.body["code"]) == (400, 107)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_not_read(api: Api, *, announced: bool) -> None:
    """413, whether its length was announced or found out."""

    async def chunks() -> Any:
        for _ in range(4):
            yield b" " * (BODY_LIMIT_BYTES // 3)

    data = b" " * (BODY_LIMIT_BYTES + 1) if announced else chunks()

    answer = await api.master("POST", "/push", data=data)

    assert (answer.status, answer.body["code"]) == (413, 116)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "", 404),
        ("POST", "/nothing/here", 404),
        ("GET", "/push", 405),
        ("PATCH", "/installations", 405),
        ("PUT", "/classes/_PushStatus", 405),
    ],
)
async def test_an_unknown_route_is_json_without_a_code(
    api: Api, method: str, path: str, status: int
) -> None:
    """101 would tell an SDK that its object is gone."""
    answer = await api.master(method, path)

    assert (status, ["error"]) == (answer.status, list(answer.body))
    assert (status == 405) == ("Allow" in answer.headers)


async def test_browsers_may_call_from_everywhere(api: Api) -> None:
    """Every reply says so, errors too; the SDK splits the exposed headers at ", "."""
    preflight = await api.call("OPTIONS", "/parse/push")
    refused = await api.call("POST", "/parse/push")

    assert (preflight.status, refused.status) == (200, 403)
    for answer in (preflight, refused):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert (
            answer.headers["Access-Control-Expose-Headers"]
            == "X-Parse-Job-Status-Id, X-Parse-Push-Status-Id"
        )
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET,PUT,POST,DELETE,OPTIONS"
    assert "X-Parse-Request-Id" in preflight.headers["Access-Control-Allow-Headers"]


async def test_health_needs_no_key(api: Api) -> None:
    """As Parse Server answers it."""
    answer = await api.call("GET", "/parse/health")

    assert (answer.status, answer.body) == (200, {"status": "ok"})


async def test_the_header_installation_id_finds_and_is_not_stored(api: Api) -> None:
    """A device that is known by its id alone saves without repeating it."""
    headers = {"X-Parse-Installation-Id": "ONE"}
    made = await api.client("POST", "/installations", json=IOS)

    answer = await api.client("POST", "/installations", json={"badge": 4}, headers=headers)
    new = await api.client(
        "POST",
        "/installations",
        json={"deviceType": "ios"},
        headers={"X-Parse-Installation-Id": "two"},
    )

    assert made.body["objectId"] == answer.body["objectId"]
    row = await api.client("GET", f"/installations/{new.body['objectId']}")
    assert "installationId" not in row.body
