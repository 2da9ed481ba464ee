"""Pushes that name a stored template, at both doors."""

import uuid
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage import apps, tables
from pushsvc.storage.apps import KeyKind, Scope
from tests.integration.api.conftest import Answer, Api

PATH = "/v1/pushes"
TEMPLATE: dict[str, Any] = {
    "data": {"alert": "Hello {{ name }}", "sound": "chime"},
    "variables": {"name": "you"},
    "collapse_id": "hello",
}


@pytest.fixture
async def saved(api: Api) -> Api:
    """An app with the template `hello`."""
    answer = await api.v1("PUT", "/v1/templates/hello", json=TEMPLATE)
    assert answer.status == 201
    return api


async def content_of(database: AsyncEngine, answer: Answer) -> Any:
    """Return what is stored of the push that was asked for."""
    name = answer.headers.get("X-Parse-Push-Status-Id") or answer.body["id"]
    statement = select(tables.pushes.c.content).where(tables.pushes.c.object_id == name)
    async with database.connect() as connection:
        return (await connection.execute(statement)).scalar_one()


async def send(api: Api, door: str, **body: Any) -> Answer:
    """Send a push to everybody, through one of the doors."""
    if door == "v1":
        return await api.v1("POST", PATH, json={"where": {}, **body})
    return await api.master("POST", "/push", json={"where": {}, **body})


@pytest.mark.parametrize("door", ["v1", "parse"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, TEMPLATE),
        ({"data": None, "variables": None, "collapse_id": None}, TEMPLATE),
        (
            {"data": {"alert": "Hi {{ name }}", "own": 1}, "variables": {"shop": {"a": [1]}}},
            {
                "data": {"alert": "Hi {{ name }}", "sound": "chime", "own": 1},
                "variables": {"name": "you", "shop": {"a": [1]}},
                "collapse_id": "hello",
            },
        ),
        (
            {"collapse_id": "other", "push_type": "alert"},
            TEMPLATE | {"collapse_id": "other", "push_type": "alert"},
        ),
    ],
)
async def test_a_push_takes_over_what_it_does_not_say(
    saved: Api, database: AsyncEngine, door: str, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    """It is stored with the content in full, and the template's name."""
    answer = await send(saved, door, template="hello", **given)

    assert answer.status == (202 if door == "v1" else 200), answer.body
    assert await content_of(database, answer) == {**expected, "template": "hello"}


async def test_the_push_is_shown_with_its_template_and_content(saved: Api) -> None:
    """By `/v1` in full, by `_PushStatus` with what devices are sent."""
    made = await send(saved, "v1", template="hello", variables={"name": "Ada"})

    shown = await saved.v1("GET", made.headers["Location"])
    status = await saved.master("GET", f"/classes/_PushStatus/{made.body['id']}")

    assert shown.body == made.body
    assert (shown.body["template"], shown.body["data"]) == ("hello", TEMPLATE["data"])
    assert shown.body["variables"] == {"name": "Ada"}
    assert "Hello {{ name }}" in status.body["payload"]


async def test_variables_need_no_template(api: Api, database: AsyncEngine) -> None:
    """They are for the texts of the push itself, too."""
    for door in ("v1", "parse"):
        answer = await send(api, door, data={"alert": "{{ a }}"}, variables={"a": 1})

        stored = await content_of(database, answer)
        assert stored == {"data": {"alert": "{{ a }}"}, "variables": {"a": 1}}


@pytest.mark.parametrize(
    ("given", "pointer", "code"),
    [
        ({"template": "unknown"}, "/template", "invalid_push"),
        ({"template": "Hello"}, "/template", "invalid_push"),
        ({"template": ""}, "/template", "invalid_push"),
        ({"template": "a b"}, "/template", "invalid_push"),
        ({"template": "x" * 70_000}, "/template", "invalid_push"),
        ({"template": 5}, "/template", "invalid_value"),
        ({"template": None}, "/data", "missing_key"),
        ({"template": "hello", "data": []}, "/data", "invalid_value"),
        ({"template": "hello", "data": {"alert": 1}}, "/data/alert", "invalid_push"),
        ({"template": "hello", "data": {"badge": "x"}}, "/data/badge", "invalid_push"),
        ({"template": "hello", "data": {"alert": "{{ a"}}, "/data/alert", "invalid_push"),
        ({"template": "hello", "data": {"own": "a" * 9_000}}, "/data", "invalid_push"),
        ({"template": "hello", "variables": []}, "/variables", "invalid_value"),
        ({"data": {"alert": "x"}, "variables": "x"}, "/variables", "invalid_value"),
        ({"template": "hello", "variables": {"a": "a" * 140_000}}, "/data", "invalid_push"),
        ({"variables": {"a": 1}}, "/data", "missing_key"),
    ],
)
async def test_a_bad_push_is_refused_with_the_field(
    saved: Api, given: dict[str, Any], pointer: str, code: str
) -> None:
    """Whichever of the two it has the fault from; by the Parse API with 115."""
    answer = await send(saved, "v1", **given)
    parse = await send(saved, "parse", **given)

    assert (answer.status, answer.pointers, answer.codes) == (400, [pointer], [code])
    assert (parse.status, parse.body["code"]) == (400, 115)


async def test_an_unknown_template_comes_with_what_to_do(saved: Api) -> None:
    """The error says where the names are."""
    for door in ("v1", "parse"):
        answer = await send(saved, door, template="helo")

        told = answer.body["detail" if door == "v1" else "error"]
        assert "no template helo" in told
        assert "GET /v1/templates" in told


async def test_malformed_times_are_told_before_the_template(saved: Api) -> None:
    """In Parse Server's order."""
    answer = await send(saved, "parse", template="unknown", push_time="soon")

    assert "push_time" in answer.body["error"] or "time" in answer.body["error"]
    assert "template" not in answer.body["error"]


async def test_a_template_of_another_app_is_unknown(saved: Api, database: AsyncEngine) -> None:
    """Names are an app's own."""
    async with database.begin() as connection:
        other = await apps.create_app(connection, name=uuid.uuid4().hex)
        _, key = await apps.create_key(connection, other, kind=KeyKind.API, scopes=[Scope.ADMIN])
    headers = {"Authorization": f"Bearer {key}"}

    answer = await saved.call(
        "POST", PATH, json={"where": {}, "template": "hello"}, headers=headers
    )

    assert (answer.status, answer.pointers) == (400, ["/template"])


async def test_a_repeat_finds_its_push_though_the_template_is_another_or_gone(saved: Api) -> None:
    """The key stands for the request as it was sent."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"where": {}, "template": "hello"}
    first = await saved.v1("POST", PATH, json=body, headers=headers)

    await saved.v1("PUT", "/v1/templates/hello", json={"data": {"alert": "Bye"}})
    changed = await saved.v1("POST", PATH, json=body, headers=headers)
    await saved.v1("DELETE", "/v1/templates/hello")
    gone = await saved.v1("POST", PATH, json=body, headers=headers)
    other = await saved.v1("POST", PATH, json=body | {"variables": {}}, headers=headers)

    assert [one.status for one in (first, changed, gone, other)] == [202, 202, 202, 422]
    assert first.body == changed.body == gone.body
    assert changed.headers["Idempotent-Replayed"] == "true"


async def test_a_client_gets_no_uri_by_a_template(api: Api, database: AsyncEngine) -> None:
    """What it may not send itself it may not have from elsewhere."""
    async with database.begin() as connection:
        await apps.change_settings(
            connection, api.row.app, {"rest_push": None, "client_push": True}
        )
        _, key = await apps.create_key(connection, api.row.app, kind=KeyKind.JAVASCRIPT)
    headers = {
        "X-Parse-Application-Id": api.row.app.application_id,
        "X-Parse-Javascript-Key": key,
    }
    await api.v1("PUT", "/v1/templates/hello", json=TEMPLATE)
    await api.v1("PUT", "/v1/templates/link", json={"data": {"alert": "x", "uri": "{{ u }}"}})
    body = {"where": {}, "variables": {"u": "https://example.com"}}

    answers = {
        name: await api.call("POST", "/parse/push", json=body | {"template": name}, headers=headers)
        for name in ("link", "hello")
    }

    assert {name: one.status for name, one in answers.items()} == {"link": 400, "hello": 200}
    assert (answers["link"].body["code"], "uri" in answers["link"].body["error"]) == (115, True)
    assert (await send(api, "parse", template="link", variables={"u": "x"})).status == 200
