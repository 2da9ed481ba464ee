"""How Parse SDKs wrap their requests: keys, methods and bodies wherever they put them."""

import json
from typing import Any

import pytest
from yarl import URL

from tests.integration.api.conftest import BODY_LIMIT_BYTES, Api

CLASS = "/parse/classes/_Installation"
IOS = {"deviceType": "ios", "installationId": "one"}

FORM = "application/x-www-form-urlencoded"


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


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"{", "The body is not JSON"),
        (b'{"a": "\\ud800"}', "The body is not JSON"),
        (b"\xff", "The body is not JSON"),
    ],
)
async def test_a_broken_body_is_400_without_a_code(api: Api, data: bytes, error: str) -> None:
    """As Parse Server answers what its parser refuses."""
    answer = await api.master("POST", "/push", data=data)

    assert (answer.status, list(answer.body)) == (400, ["error"])
    assert error in answer.body["error"]


NESTED = b"[" * 300 + b"]" * 300


@pytest.mark.parametrize(
    ("data", "kind", "error"),
    [
        (b'{"a": "\\u0000"}', "text/plain", "U+0000"),
        (b'{"a":' + NESTED + b"}", "text/plain", "nested too deeply"),
        (b"a=%00", FORM, "U+0000"),
        (b'a="%5Cu0000"', FORM, "U+0000"),
        (b"a=" + NESTED, FORM, "nested too deeply"),
    ],
)
async def test_what_cannot_be_stored_is_107(api: Api, data: bytes, kind: str, error: str) -> None:
    """It is JSON, or a form, and nobody could read it back."""
    answer = await api.master("POST", "/push", data=data, headers={"Content-Type": kind})

    assert (answer.status, answer.body["code"]) == (400, 107)
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


@pytest.mark.parametrize("method", ["PATCH", "FOO", "", 5, None, {"$ne": 1}])
async def test_a_method_that_there_is_not_is_told(api: Api, method: Any) -> None:
    """107, with those that there are."""
    answer = await api.master("POST", "/installations", json={"_method": method, **IOS})

    assert (answer.status, answer.body["code"]) == (400, 107)
    assert answer.body["error"] == "_method must be one of GET, POST, PUT, DELETE."


async def test_a_method_that_the_path_does_not_take_is_405(api: Api) -> None:
    """In the body as in the request line."""
    answer = await api.master("POST", "/push", json={"_method": "GET"})

    assert (answer.status, list(answer.body)) == (405, ["error"])
    assert answer.headers["Allow"] == "POST"


async def test_a_form_is_a_body(api: Api) -> None:
    """As `curl -d` sends it: values are JSON where they are, and credentials are always text."""
    form = {
        "_ApplicationId": api.row.app.application_id,
        "_MasterKey": api.row.master_key,
        "deviceType": "android",
        "installationId": '"17"',
        "channels": '["Giants", "Zürich"]',
        "badge": "3",
    }

    made = await api.call("POST", CLASS, data=form)
    found = await api.master("GET", "/installations", data={"where": '{"badge": 3}', "limit": "1"})

    assert made.status == 400, "the channel has a name that none can have"
    assert made.body["code"] == 112
    made = await api.call("POST", CLASS, data=form | {"channels": '["Giants"]'})
    assert made.status == 201
    assert found.body == {"results": []}
    found = await api.master("GET", "/installations", data={"where": '{"badge": 3}', "limit": "1"})
    [row] = found.body["results"]
    assert (row["installationId"], row["channels"]) == ("17", ["Giants"])


async def test_credentials_of_digits_are_text_in_a_form(api: Api) -> None:
    """A key of digits is not read as a number, and so is merely wrong."""
    form = {"_ApplicationId": "17", "_MasterKey": "18", "deviceType": "ios"}

    answer = await api.call("POST", CLASS, data=form)

    assert (answer.status, answer.body) == (403, {"error": "unauthorized"})


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b'{"a": "b=c', "The body is not JSON"),
        (b"deviceType", "The body is not JSON"),
        (b"a=%ff", "not UTF-8"),
        (b"&".join([b"a=1"] * 1_001), "more than 1000 fields"),
    ],
)
async def test_a_broken_form_is_400_without_a_code(api: Api, data: bytes, error: str) -> None:
    """What begins like JSON is JSON, whatever its type: curl calls everything a form."""
    answer = await api.master("POST", "/push", data=data, headers={"Content-Type": FORM})

    assert (answer.status, list(answer.body)) == (400, ["error"])
    assert error in answer.body["error"]


@pytest.mark.parametrize("kind", [FORM, "text/plain", "image/png", ""])
async def test_json_is_json_whatever_its_type(api: Api, kind: str) -> None:
    """The JavaScript SDK says text/plain, curl that it is a form."""
    data = json.dumps({**IOS, "installationId": "=&"})

    answer = await api.master("POST", "/installations", data=data, headers={"Content-Type": kind})

    assert answer.status == 201


async def test_parameters_come_in_the_query_or_in_the_body(api: Api) -> None:
    """A GET may have both, and the query string counts; of a PUT and a POST it says nothing."""
    made = await api.master("POST", "/installations?where=[", json=IOS)
    path = f"/installations/{made.body['objectId']}"
    await api.master("PUT", f"{path}?x=1", json={"badge": 2})

    both = await api.master(
        "GET",
        "/installations",
        params={"limit": "1"},
        json={"where": {"badge": 2}, "limit": 0, "count": 1},
    )

    assert [row["badge"] for row in both.body["results"]] == [2]
    assert both.body["count"] == 1


async def test_a_parameter_nested_too_deeply_is_refused(api: Api) -> None:
    """In the query string as in a body."""
    where = '{"a":' * 300 + "1" + "}" * 300

    answer = await api.master("GET", "/installations", params={"where": where})

    assert (answer.status, answer.body["code"]) == (400, 107)


async def test_a_head_is_a_get_without_a_body(api: Api) -> None:
    """As HTTP has it."""
    made = await api.master("POST", "/installations", json=IOS)

    answer = await api.master("HEAD", f"/installations/{made.body['objectId']}")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize("mount", ["/parse", "/1"])
async def test_both_mounts_are_the_same(api: Api, mount: str) -> None:
    """And a location is under the one that was asked."""
    headers = {
        "X-Parse-Application-Id": api.row.app.application_id,
        "X-Parse-Master-Key": api.row.master_key,
    }

    made = await api.call("POST", f"{mount}/installations", json=IOS, headers=headers)

    where = made.headers["Location"]
    assert where == f"{mount}/classes/_Installation/{made.body['objectId']}"
    assert (await api.call("GET", where, headers=headers)).status == 200


async def test_the_alias_may_be_the_only_mount(strict_api: Api) -> None:
    """`/1` as the mount leaves nothing at `/parse`."""
    assert (await strict_api.master("POST", "/installations", json=IOS)).status == 201
    other = await strict_api.call("GET", "/parse/health")
    assert (other.status, other.body["code"]) == (404, "unknown_route")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("OPTIONS", "/parse/anything"),
        ("OPTIONS", "/1"),
        ("GET", "/parse/health"),
        ("GET", "/1/health"),
        ("GET", "/parse"),
        ("GET", "/parse/"),
        ("GET", "/parse/nothing"),
        ("GET", "/1/installations/%00"),
        ("GET", "/parse/%zz%ff"),
        ("GET", "/parse/installations?where=%ff%zz"),
        ("POST", "/parse/batch"),
        ("POST", "/parse/functions/hello"),
        ("TRACE", "/parse/push"),
        ("PROPFIND", "/parse"),
        ("PATCH", "/1/push"),
        ("HEAD", "/parse/nothing"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
async def test_every_reply_is_json_that_browsers_may_read(
    api: Api, method: str, path: str, *, known: bool
) -> None:
    """Under both mounts, errors too, whoever asks; exactly Parse Server's headers, each once."""
    headers = {"X-Parse-Application-Id": api.row.app.application_id}
    if known:
        headers["X-Parse-Master-Key"] = api.row.master_key

    url = URL(api.url + path, encoded=True)
    async with api.session.request(method, url, headers=headers) as answer:
        assert answer.status < 500
        for name, value in CORS.items():
            assert answer.headers.getall(name) == [value]
        if method != "OPTIONS":
            assert answer.headers["Content-Type"] == "application/json"


CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET,PUT,POST,DELETE,OPTIONS",
    "Access-Control-Allow-Headers": "X-Parse-Master-Key, X-Parse-REST-API-Key, "
    "X-Parse-Javascript-Key, X-Parse-Application-Id, X-Parse-Client-Version, "
    "X-Parse-Session-Token, X-Requested-With, X-Parse-Revocable-Session, X-Parse-Request-Id, "
    "Content-Type, Pragma, Cache-Control",
    "Access-Control-Expose-Headers": "X-Parse-Job-Status-Id, X-Parse-Push-Status-Id",
}


async def test_another_door_is_not_open_to_browsers(api: Api) -> None:
    """`/v1` has keys that no page should have."""
    answer = await api.v1("GET", "/v1/pushes")

    assert not set(CORS) & set(answer.headers)


async def test_refusals_have_long_texts_unless_they_are_to_be_short(
    api: Api, strict_api: Api
) -> None:
    """`parse_error_texts`: short is Parse Server 9, which tells nobody why."""
    find = "/classes/_Installation"
    collection = (
        "Clients aren't allowed to perform the find operation on the installation collection."
    )

    for one, of_find, of_push in (
        (api, collection, "unauthorized: master key is required"),
        (strict_api, "Permission denied", "Permission denied"),
    ):
        found = await one.client("GET", find)
        pushed = await one.client("POST", "/push", json={"where": {}, "data": {"alert": "x"}})
        nobody = await one.call("GET", f"{one.mount}{find}")
        missing = await one.client("GET", f"{find}/abcdefghij")
        assert found.status == 400
        assert found.body == {"code": 119, "error": of_find}
        assert (pushed.status, pushed.body) == (403, {"error": of_push})
        assert (nobody.status, nobody.body) == (403, {"error": "unauthorized"})
        assert missing.body == {"code": 101, "error": "Object not found."}
