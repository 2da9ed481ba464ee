"""`POST {mount}/push`."""

import asyncio
import uuid
from typing import Any

import pytest
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc import pipeline
from pushsvc.api.parse.envelope import KEY_HEADERS
from pushsvc.model import Json
from pushsvc.resources import Resources
from pushsvc.storage import pushes
from pushsvc.storage.apps import KeyKind, create_key
from pushsvc.storage.tables import api_keys, apps
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
    ("channels", "query", "expected"),
    [
        ({"$in": ["a", "b"]}, '{"channels":{"$in":["a","b"]}}', 2),
        ({"$all": ["a", "b"]}, '{"channels":{"$all":["a","b"]}}', 1),
        ({"$nin": ["a"]}, '{"channels":{"$nin":["a"]}}', 1),
        ({"$in": []}, '{"channels":{"$in":[]}}', 0),
    ],
)
async def test_channels_may_be_asked_by_operator(
    api: Api,
    database: AsyncEngine,
    resources: Resources,
    *,
    channels: Json,
    query: str,
    expected: int,
) -> None:
    """As Parse Server allows: it is a query over channels, and an empty list is nobody."""
    subscribed = {1: ["a", "b"], 2: ["a"], 3: ["c"]}
    for number, names in subscribed.items():
        token = f"{number:064x}"
        device = {"deviceType": "ios", "deviceToken": token, "channels": names}
        await api.client("POST", "/installations", json=device)

    answer = await api.master("POST", "/push", json={"channels": channels, **DATA})

    assert answer.status == 200, answer.body
    object_id = answer.headers[HEADER]
    status = await api.master("GET", f"/classes/_PushStatus/{object_id}")
    assert status.body["query"] == query
    async with database.connect() as connection:
        push = await pushes.find_push(connection, app_id=api.row.app.id, object_id=object_id)
    assert push is not None
    await pipeline.plan_push(resources, push.id)
    async with database.connect() as connection:
        planned = await pushes.get_push(connection, push.id)
    assert planned.devices == expected


# ---------------------------------------------------------------- without the master key


async def allow(database: AsyncEngine, api: Api, **settings: bool) -> None:
    """Set the app's settings, before its first call."""
    async with database.begin() as connection:
        statement = update(apps).where(apps.c.id == api.row.app.id).values(settings=settings)
        await connection.execute(statement)


async def with_keys(database: AsyncEngine, api: Api, *kinds: KeyKind) -> dict[str, str]:
    """Headers with a new key of each kind."""
    names = {kind: header.decode() for header, kind in KEY_HEADERS.items()}
    headers = {"X-Parse-Application-Id": api.row.app.application_id}
    async with database.begin() as connection:
        for kind in kinds:
            _, headers[names[kind]] = await create_key(connection, api.row.app, kind=kind)
    return headers


async def test_only_the_master_sends(api: Api) -> None:
    """Where nothing else was set: 403 and no code, in Parse Server's words."""
    answer = await api.client("POST", "/push", json={"where": {}, **DATA})

    assert answer.status == 403
    assert answer.body == {"error": "unauthorized: master key is required"}


@pytest.mark.parametrize(
    ("kinds", "settings", "status"),
    [
        ([KeyKind.REST], {"client_push": True}, 403),
        ([KeyKind.REST], {"rest_push": True}, 200),
        ([KeyKind.REST], {"rest_push": False, "client_push": True}, 400),
        ([KeyKind.JAVASCRIPT], {"rest_push": True}, 403),
        ([KeyKind.JAVASCRIPT], {"client_push": True}, 200),
        ([KeyKind.JAVASCRIPT], {"client_push": False}, 400),
        ([KeyKind.CLIENT], {"client_push": True}, 200),
        ([KeyKind.WINDOWS], {"client_push": True}, 200),
        ([KeyKind.REST, KeyKind.CLIENT], {"rest_push": False, "client_push": True}, 200),
        ([KeyKind.REST, KeyKind.CLIENT], {"rest_push": True, "client_push": False}, 200),
        ([KeyKind.REST, KeyKind.CLIENT], {"rest_push": False}, 400),
        ([KeyKind.MASTER], {"rest_push": False, "client_push": False}, 200),
    ],
)
async def test_the_app_says_who_else_sends(
    api: Api,
    database: AsyncEngine,
    *,
    kinds: list[KeyKind],
    settings: dict[str, bool],
    status: int,
) -> None:
    """Clients by `client_push`, REST by `rest_push`; of several keys the best one counts."""
    await allow(database, api, **settings)
    headers = await with_keys(database, api, *kinds)

    answer = await api.call("POST", "/parse/push", json={"where": {}, **DATA}, headers=headers)

    assert answer.status == status, answer.body
    if status == 400:
        assert answer.body["code"] == 115
        forbidding = "rest_push" if settings.get("rest_push") is False else "client_push"
        assert f"setting {forbidding} is false" in answer.body["error"]
    if status == 403:
        assert answer.body == {"error": "unauthorized: master key is required"}


@pytest.mark.parametrize(("client_push", "status"), [(None, 403), (False, 400), (True, 200)])
async def test_who_needs_no_key_is_a_client(
    api: Api, database: AsyncEngine, *, client_push: bool | None, status: int
) -> None:
    """An app without client keys lets everybody in by its id; not to push."""
    async with database.begin() as connection:
        statement = update(api_keys).where(api_keys.c.app_id == api.row.app.id)
        await connection.execute(statement.values(revoked_at=func.now()))
    if client_push is not None:
        await allow(database, api, client_push=client_push)
    headers = {"X-Parse-Application-Id": api.row.app.application_id}

    answer = await api.call("POST", "/parse/push", json={"where": {}, **DATA}, headers=headers)

    assert answer.status == status, answer.body


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ([KeyKind.CLIENT], 400),
        ([KeyKind.JAVASCRIPT], 400),
        ([KeyKind.REST], 200),
        ([KeyKind.MASTER], 200),
    ],
)
async def test_a_client_sends_no_uri(
    api: Api, database: AsyncEngine, *, kinds: list[KeyKind], status: int
) -> None:
    """It would open where the client likes on other people's devices: 115 (ClientPushWithURI)."""
    await allow(database, api, client_push=True, rest_push=True)
    headers = await with_keys(database, api, *kinds)
    body = {"where": {}, "data": {"alert": "hello", "uri": "https://example.com"}}

    answer = await api.call("POST", "/parse/push", json=body, headers=headers)

    assert answer.status == status, answer.body
    if status == 400:
        assert (answer.body["code"], "uri" in answer.body["error"]) == (115, True)


@pytest.mark.parametrize(
    ("beside", "place"),
    [
        ({"notification": {"click_action": "OPEN"}}, "click_action"),
        ({"notification": {"clickAction": "OPEN"}}, "clickAction"),
        ({"android": {"notification": {"click_action": "OPEN"}}}, "android"),
        ({"android": {"notification": {"clickAction": "OPEN"}}}, "android"),
        ({"webpush": {"fcm_options": {"link": "https://example.com"}}}, "webpush"),
        ({"webpush": {"fcmOptions": {"link": "https://example.com"}}}, "webpush"),
        ({"webpush": {"notification": {"click_action": "https://example.com"}}}, "webpush"),
        ({"webpush": {"notification": {"data": {"url": "https://example.com"}}}}, "webpush"),
        ({"webpush": {"data": {"url": "https://example.com"}}}, "webpush"),
        ({"wns": {"launch": "https://example.com"}}, "wns"),
        ({"wns": {"type": "raw", "raw": "https://example.com"}}, "wns"),
        ({"rawPayload": {"data": {"k": "v"}}}, "rawPayload"),
    ],
)
async def test_a_client_sends_no_uri_by_another_name(
    api: Api, database: AsyncEngine, *, beside: dict[str, Any], place: str
) -> None:
    """FCM and WNS have places of their own that say what a tap opens."""
    await allow(database, api, client_push=True)
    body = {"where": {}, "data": {"alert": "hello"}, **beside}
    answers = [
        await api.call(
            "POST", "/parse/push", json=body, headers=await with_keys(database, api, kind)
        )
        for kind in (KeyKind.CLIENT, KeyKind.MASTER)
    ]

    assert [answer.status for answer in answers] == [400, 200]
    assert (answers[0].body["code"], place in answers[0].body["error"]) == (115, True)


# ---------------------------------------------------------------- once


async def test_a_repeated_request_id_pushes_once(api: Api) -> None:
    """An SDK that tries again gets the first push, whatever the order of its keys."""
    headers = {"X-Parse-Request-Id": str(uuid.uuid4())}

    first = await api.master("POST", "/push", json={"where": {}, **DATA}, headers=headers)
    again = await api.master("POST", "/push", json={**DATA, "where": {}}, headers=headers)

    assert (first.status, again.status) == (200, 200)
    assert first.headers[HEADER] == again.headers[HEADER]
    listed = await api.master("GET", "/classes/_PushStatus")
    assert len(listed.body["results"]) == 1


async def test_of_many_at_once_one_pushes(api: Api, database: AsyncEngine) -> None:
    """Twenty repeats that overtake each other, from a client: one push, and all name it."""
    await allow(database, api, rest_push=True)
    headers = {"X-Parse-Request-Id": str(uuid.uuid4())}

    answers = await asyncio.gather(
        *(
            api.client("POST", "/push", json={"where": {}, **DATA}, headers=headers)
            for _ in range(20)
        )
    )

    assert {answer.status for answer in answers} == {200}
    assert len({answer.headers[HEADER] for answer in answers}) == 1
    listed = await api.master("GET", "/classes/_PushStatus")
    assert len(listed.body["results"]) == 1


async def test_a_request_id_with_another_body_is_refused(api: Api) -> None:
    """It is a mistake of the caller, and no second push is stored."""
    headers = {"X-Parse-Request-Id": str(uuid.uuid4())}
    await api.master("POST", "/push", json={"where": {}, **DATA}, headers=headers)

    answer = await api.master("POST", "/push", json={"channels": [], **DATA}, headers=headers)

    assert (answer.status, answer.body["code"]) == (400, 159)


async def test_an_empty_request_id_is_none(api: Api) -> None:
    """Two pushes whose header says nothing are two pushes, not a repeat of the first."""
    headers = {"X-Parse-Request-Id": ""}

    first = await api.master("POST", "/push", json={"where": {}, **DATA}, headers=headers)
    other = await api.master("POST", "/push", json={"channels": [], **DATA}, headers=headers)

    assert (first.status, other.status) == (200, 200)
    assert first.headers[HEADER] != other.headers[HEADER]


async def test_a_request_id_has_a_bound(api: Api) -> None:
    """It is stored, so it must not be of any length."""
    headers = {"X-Parse-Request-Id": "x" * 256}

    answer = await api.master("POST", "/push", json={"where": {}, **DATA}, headers=headers)

    assert (answer.status, answer.body["code"]) == (400, 107)
