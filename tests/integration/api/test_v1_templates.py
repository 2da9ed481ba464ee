"""`/v1/templates`."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine
from yarl import URL

from pushsvc.api.v1.template_views import TemplatePage, TemplateView
from pushsvc.api.v1.views import Problem
from pushsvc.model import App
from pushsvc.storage import apps, tables
from pushsvc.storage.apps import KeyKind, Scope
from pushsvc.storage.templates import TEMPLATES_LIMIT
from tests.integration.api.conftest import Api

PATH = "/v1/templates"
DATA: dict[str, Any] = {"data": {"alert": "Hello {{ name }}"}}


async def key_of(database: AsyncEngine, app: App, scope: Scope) -> dict[str, str]:
    """Return the headers of a new key with this scope alone."""
    async with database.begin() as connection:
        _, key = await apps.create_key(connection, app, kind=KeyKind.API, scopes=[scope])
    return {"Authorization": f"Bearer {key}"}


async def stranger(database: AsyncEngine) -> dict[str, str]:
    """Return the headers of another app."""
    async with database.begin() as connection:
        other = await apps.create_app(connection, name=uuid.uuid4().hex)
    return await key_of(database, other, Scope.ADMIN)


async def fill(database: AsyncEngine, app_id: int, count: int) -> None:
    """Store as many templates, beside the API."""
    row = {"app_id": app_id, "content": DATA, "variables_used": ["name"]}
    async with database.begin() as connection:
        rows = [{**row, "name": f"t{number:04}"} for number in range(count)]
        await connection.execute(insert(tables.templates), rows)


async def test_a_template_is_stored_shown_replaced_and_deleted(api: Api) -> None:
    """201 with its place, then 200; afterwards there is none."""
    content = DATA | {
        "notification": {"title": "{{ shop }}"},
        "variables": {"shop": "Ours", "unused": None},
        "collapse_id": "one",
        "truncate": True,
    }

    made = await api.v1("PUT", f"{PATH}/Welcome.v1", json=content)

    assert (made.status, made.headers["Location"]) == (201, f"{PATH}/Welcome.v1")
    body = dict(made.body)
    times = body.pop("created_at"), body.pop("updated_at")
    assert body == content | {"name": "Welcome.v1", "variables_used": ["name", "shop"]}
    shown = await api.v1("GET", made.headers["Location"])
    assert (shown.status, shown.body) == (200, made.body)
    TemplateView.model_validate(shown.body)

    replaced = await api.v1("PUT", f"{PATH}/Welcome.v1", json={"data": {"alert": "Hi"}})

    assert (replaced.status, "Location" in replaced.headers) == (200, False)
    assert (replaced.body["data"], replaced.body["variables_used"]) == ({"alert": "Hi"}, [])
    assert "notification" not in replaced.body
    assert replaced.body["created_at"] == times[0]
    assert replaced.body["updated_at"] > times[1]

    deleted = [await api.v1("DELETE", f"{PATH}/Welcome.v1") for _ in range(2)]

    assert [one.status for one in deleted] == [204, 404]
    gone = await api.v1("GET", f"{PATH}/Welcome.v1")
    assert (gone.status, gone.body["code"]) == (404, "not_found")
    Problem.model_validate(gone.body)


@pytest.mark.parametrize("name", ["a", "A" * 64, "_-.", "..a", "9"])
async def test_a_name_has_letters_digits_and_some_signs(api: Api, name: str) -> None:
    """Up to 64 of them."""
    made = await api.v1("PUT", f"{PATH}/{name}", json=DATA)
    shown = await api.v1("GET", f"{PATH}/{name}")

    assert (made.status, shown.status, shown.body["name"]) == (201, 200, name)


@pytest.mark.parametrize("name", ["A" * 65, "a b", "%C3%A9", "a%0A", "%00", "a:b"])
async def test_another_name_is_refused(api: Api, name: str) -> None:
    """When it is stored, with the rule; elsewhere there is no such template."""
    answers = [
        await api.v1(method, f"{PATH}/{name}", json=DATA) for method in ("PUT", "GET", "DELETE")
    ]

    assert [one.status for one in answers] == [400, 404, 404]
    assert answers[0].body["code"] == "invalid_template"
    assert "1 to 64 characters" in answers[0].body["detail"]


@pytest.mark.parametrize("name", ["%2e", "%2e%2e"])
async def test_dots_alone_are_no_name(api: Api, name: str) -> None:
    """No URL can name them, so the path is read as it is sent."""
    path = URL(f"{api.url}{PATH}/{name}", encoded=True)
    headers = {"Authorization": f"Bearer {api.row.api_key}"}
    statuses = []
    for method in ("PUT", "GET", "DELETE"):
        async with api.session.request(method, path, json=DATA, headers=headers) as response:
            statuses.append(response.status)

    assert statuses == [400, 404, 404]


async def test_names_differ_by_case(api: Api) -> None:
    """They are two templates."""
    statuses = [(await api.v1("PUT", f"{PATH}/{name}", json=DATA)).status for name in ("a", "A")]

    assert statuses == [201, 201]


@pytest.mark.parametrize(
    ("body", "pointers", "code"),
    [
        ({}, ["/data"], "missing_key"),
        ({"data": None}, ["/data"], "invalid_value"),
        ({"data": [1]}, ["/data"], "invalid_value"),
        ({"data": {}}, ["/data"], "invalid_template"),
        ({"dta": {}, **DATA}, ["/dta"], "unknown_key"),
        ({"channels": ["a"], **DATA}, ["/channels"], "unknown_key"),
        ({"template": "other", **DATA}, ["/template"], "unknown_key"),
        ({"variables": ["name"], **DATA}, ["/variables"], "invalid_value"),
        ({"truncate": "yes", **DATA}, ["/truncate"], "invalid_template"),
        ({"notification": 1, **DATA}, ["/notification"], "invalid_template"),
        ({"collapse_id": "x" * 65, **DATA}, ["/collapse_id"], "invalid_template"),
        ({"data": {"alert": 1}}, ["/data/alert"], "invalid_template"),
        ({"data": {"badge": "many"}}, ["/data/badge"], "invalid_template"),
        ({"data": {"alert": "{{ name"}}, ["/data/alert"], "invalid_template"),
        ({"data": {"alert": "{{ name | shout }}"}}, ["/data/alert"], "invalid_template"),
        ({"data": {"alert-fr": "{% for a in b %}x{% endfor %}"}}, ["/data/alert-fr"], None),
        ({"data": {"alert": "x", "own": ["{{ f() }}"]}}, ["/data/own"], "invalid_template"),
        ({"notification": {"title": "{{ 1 + }}"}, **DATA}, ["/notification"], "invalid_template"),
        ({"variables": {"x": "a" * 140_000}, **DATA}, ["/data"], "invalid_template"),
        ({"data": {"alert": "x", "own": "a" * 9_000}}, ["/data"], "invalid_template"),
        ({"variables": {"x": "\ufdd0"}, **DATA}, ["/variables/x"], "invalid_template"),
    ],
)
async def test_a_bad_template_is_refused_with_the_field(
    api: Api, body: dict[str, Any], pointers: list[str], code: str | None
) -> None:
    """When it is stored, and not when somebody sends it; nothing is kept."""
    answer = await api.v1("PUT", f"{PATH}/bad", json=body)

    assert (answer.status, answer.pointers) == (400, pointers)
    assert code is None or answer.codes == [code]
    assert (await api.v1("GET", f"{PATH}/bad")).status == 404


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"[]", 400, "invalid_request"),
        (b'{"data": {"alert": "\\u0000"}}', 400, "unstorable"),
        (b" " * 400_000, 413, "body_too_large"),
    ],
)
async def test_what_is_no_template_at_all_is_refused(
    api: Api, raw: bytes, status: int, code: str
) -> None:
    """As any other body."""
    answer = await api.v1("PUT", f"{PATH}/bad", data=raw)

    assert (answer.status, answer.body["code"]) == (status, code)


async def test_an_unknown_key_comes_with_the_nearest_known(api: Api) -> None:
    """Of a template's, not of a push's."""
    answer = await api.v1("PUT", f"{PATH}/t", json={**DATA, "variable": {}})

    assert 'Did you mean "variables"?' in answer.body["detail"]


async def test_templates_come_in_pages_by_name(api: Api) -> None:
    """Each once, in the order of their characters, though some come and go."""
    names = ["Zoo", "_a", "a", "a.b", "ab", "b"]
    for name in reversed(names):
        await api.v1("PUT", f"{PATH}/{name}", json=DATA)

    first = await api.v1("GET", PATH, params={"limit": 2})
    await api.v1("PUT", f"{PATH}/Aaa", json=DATA)
    await api.v1("DELETE", f"{PATH}/_a")
    second = await api.v1("GET", PATH, params={"limit": 2, "cursor": first.body["next_cursor"]})
    last = await api.v1("GET", PATH, params={"limit": 2, "cursor": second.body["next_cursor"]})

    pages = [first, second, last]
    assert [one["name"] for page in pages for one in page.body["templates"]] == names
    assert last.body["next_cursor"] is None
    assert first.body["templates"][0]["variables_used"] == ["name"]
    TemplatePage.model_validate(first.body)


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"limit": "0"}, "?limit"),
        ({"limit": "101"}, "?limit"),
        ({"cursor": "x"}, "?cursor"),
        ({"cursor": "AAAAAAAAAAE"}, "?cursor"),
        ({"cursr": "x"}, "?cursr"),
    ],
)
async def test_a_bad_page_is_refused(api: Api, params: dict[str, str], pointer: str) -> None:
    """Also with a cursor of another list."""
    answer = await api.v1("GET", PATH, params=params)

    assert (answer.status, answer.pointers) == (400, [pointer])


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_parameters_that_nobody_reads_are_refused(api: Api, method: str) -> None:
    """They are a mistake."""
    answer = await api.v1(method, f"{PATH}/t", params={"dry": "1"}, json=DATA)

    assert (answer.status, answer.pointers) == (400, ["?dry"])


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [
        (Scope.SEND, {"PUT": 201, "GET": 403, "DELETE": 204}),
        (Scope.READ, {"PUT": 403, "GET": 404, "DELETE": 403}),
        (Scope.ADMIN, {"PUT": 201, "GET": 200, "DELETE": 204}),
    ],
)
async def test_a_key_may_do_what_its_scopes_say(
    api: Api, database: AsyncEngine, scope: Scope, statuses: dict[str, int]
) -> None:
    """Who sends pushes may say what they are made of; who reads may look."""
    headers = await key_of(database, api.row.app, scope)

    answers = {
        method: await api.call(method, f"{PATH}/t", json=DATA, headers=headers)
        for method in statuses
    }
    listed = await api.call("GET", PATH, headers=headers)

    assert {method: one.status for method, one in answers.items()} == statuses
    assert listed.status == (403 if scope is Scope.SEND else 200)


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_without_a_key_there_is_nothing(api: Api, method: str) -> None:
    """401, whatever there is."""
    assert (await api.call(method, f"{PATH}/t", json=DATA)).status == 401


async def test_apps_do_not_see_each_other_s(api: Api, database: AsyncEngine) -> None:
    """A name is of one app: another one's template neither shows nor goes away."""
    headers = await stranger(database)
    await api.v1("PUT", f"{PATH}/t", json=DATA)

    seen = await api.call("GET", f"{PATH}/t", headers=headers)
    listed = await api.call("GET", PATH, headers=headers)
    deleted = await api.call("DELETE", f"{PATH}/t", headers=headers)
    theirs = await api.call("PUT", f"{PATH}/t", json={"data": {"alert": "Ours"}}, headers=headers)

    assert (seen.status, listed.body["templates"], deleted.status) == (404, [], 404)
    assert theirs.status == 201
    assert (await api.v1("GET", f"{PATH}/t")).body["data"] == DATA["data"]


async def test_an_app_has_at_most_a_thousand(api: Api, database: AsyncEngine) -> None:
    """One more is refused with what to do; those there are can be replaced; others have room."""
    await fill(database, api.row.app.id, TEMPLATES_LIMIT)

    refused = await api.v1("PUT", f"{PATH}/one-more", json=DATA)

    assert (refused.status, refused.body["code"]) == (409, "too_many_templates")
    assert "1,000" in refused.body["detail"]
    assert "DELETE /v1/templates/{name}" in refused.body["detail"]
    assert (await api.v1("PUT", f"{PATH}/t0000", json=DATA)).status == 200
    await api.v1("DELETE", f"{PATH}/t0001")
    assert (await api.v1("PUT", f"{PATH}/one-more", json=DATA)).status == 201
    other = await stranger(database)
    assert (await api.call("PUT", f"{PATH}/t", json=DATA, headers=other)).status == 201


async def test_the_bound_holds_for_templates_that_come_at_once(
    api: Api, database: AsyncEngine
) -> None:
    """Of ten into the last places only as many as there are; of ten of one name one is new."""
    of_app = tables.templates.c.app_id == api.row.app.id
    await fill(database, api.row.app.id, TEMPLATES_LIMIT - 3)

    names = [f"new{number}" for number in range(10)]
    answers = await asyncio.gather(*(api.v1("PUT", f"{PATH}/{name}", json=DATA) for name in names))

    assert sorted(one.status for one in answers) == [201] * 3 + [409] * 7
    async with database.begin() as connection:
        counted = await connection.execute(
            select(func.count()).select_from(tables.templates).where(of_app)
        )
        assert counted.scalar_one() == TEMPLATES_LIMIT
        await connection.execute(delete(tables.templates).where(of_app))
    same = await asyncio.gather(*(api.v1("PUT", f"{PATH}/same", json=DATA) for _ in range(10)))
    assert sorted(one.status for one in same) == [200] * 9 + [201]
