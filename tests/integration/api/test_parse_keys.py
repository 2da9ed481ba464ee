"""Whose request it is: every way of giving keys, and what is none."""

import base64
import json
import uuid
from typing import Any

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.api.parse.envelope import KEY_HEADERS, TEXT_FIELDS
from pushsvc.storage import apps
from pushsvc.storage.apps import KeyKind
from tests.integration.api.conftest import Api
from tests.integration.conftest import AppRow

CLASS = "/parse/classes/_Installation"
UNAUTHORIZED = (403, {"error": "unauthorized"})
IOS = {"deviceType": "ios", "installationId": "one"}


def application(api: Api) -> dict[str, str]:
    return {"X-Parse-Application-Id": api.row.app.application_id}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


async def key_of(database: AsyncEngine, api: Api, kind: KeyKind) -> str:
    async with database.begin() as connection:
        _, key = await apps.create_key(connection, api.row.app, kind=kind)
    return key


@pytest.mark.parametrize(("header", "kind"), list(KEY_HEADERS.items()))
async def test_every_key_has_a_header(
    api: Api, database: AsyncEngine, header: bytes, kind: KeyKind
) -> None:
    """Any of the client keys lets a client in, the Windows key too; in any case of the name."""
    key = await key_of(database, api, kind)

    answer = await api.call(
        "POST", CLASS, json=IOS, headers=application(api) | {header.decode().title(): key}
    )

    assert answer.status == 201


@pytest.mark.parametrize("field", ["_MasterKey", "_JavaScriptKey", "_ClientKey"])
async def test_a_key_of_the_wrong_kind_opens_nothing(api: Api, field: str) -> None:
    """The REST key is no JavaScript key, and none is the master key."""
    body = {"_ApplicationId": api.row.app.application_id, field: api.row.rest_key, **IOS}

    answer = await api.call("POST", CLASS, json=body)

    assert (answer.status, answer.body) == UNAUTHORIZED


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


async def test_the_javascript_key_by_basic_authentication(api: Api, database: AsyncEngine) -> None:
    """The password is `javascript-key=` and the key; it is no master key."""
    key = await key_of(database, api, KeyKind.JAVASCRIPT)
    headers = basic(api.row.app.application_id, f"javascript-key={key}")

    made = await api.call("POST", CLASS, json=IOS, headers=headers)
    found = await api.call("GET", CLASS, headers=headers)

    assert (made.status, found.body["code"]) == (201, 119)


async def test_basic_authentication_of_a_stranger_is_passed_over(api: Api) -> None:
    """A proxy's own login leaves the keys in the headers what they are."""
    headers = application(api) | {"X-Parse-REST-API-Key": api.row.rest_key}

    answer = await api.call("POST", CLASS, json=IOS, headers=headers | basic("proxy", "secret"))

    assert answer.status == 201


async def test_an_app_in_the_body_may_have_its_key_in_a_header(api: Api) -> None:
    """What the body does not say, the headers may."""
    headers = {"X-Parse-Master-Key": api.row.master_key}
    body = {"_ApplicationId": api.row.app.application_id, "_method": "GET"}

    assert (await api.call("POST", CLASS, json=body, headers=headers)).status == 200


async def test_an_unknown_app_in_the_header_leaves_it_to_the_body(api: Api) -> None:
    """Whose credentials are then taken out of it."""
    body = {
        "_ApplicationId": api.row.app.application_id,
        "_MasterKey": api.row.master_key,
        "_ContentType": "application/json",
        "_noBody": True,
        "_RevocableSession": "1",
        **IOS,
    }

    answer = await api.call("POST", CLASS, json=body, headers={"X-Parse-Application-Id": "?"})

    assert answer.status == 201


async def test_with_a_known_app_in_the_header_the_body_is_data(api: Api) -> None:
    """`_MasterKey` gives no rights, and is a field with a bad name."""
    body = {"_MasterKey": api.row.master_key, "_method": "GET"}
    found = await api.client("POST", "/classes/_Installation", json=body)
    made = await api.client(
        "POST", "/classes/_Installation", json={"_MasterKey": api.row.master_key, **IOS}
    )

    assert found.body["code"] == 119
    assert (made.status, made.body["code"]) == (400, 105)


@pytest.mark.parametrize("field", sorted(TEXT_FIELDS))
@pytest.mark.parametrize("value", [{"$ne": ""}, 1, True, ["a"]])
async def test_credentials_in_the_body_must_be_text(api: Api, field: str, value: Any) -> None:
    """Whatever the field: anything else is refused as a wrong key is."""
    body = {
        "_ApplicationId": api.row.app.application_id,
        "_MasterKey": api.row.master_key,
        **IOS,
        field: value,
    }

    answer = await api.call("POST", CLASS, json=body)

    assert (answer.status, answer.body) == UNAUTHORIZED


async def test_an_app_without_client_keys_wants_none(server: str, database: AsyncEngine) -> None:
    """Its id alone is enough; with the first client key it no longer is."""
    async with database.begin() as connection:
        app = await apps.create_app(connection, name=f"test-{uuid.uuid4().hex}")
        await apps.create_key(connection, app, kind=KeyKind.MASTER)
    row = AppRow(app=app, master_key="", rest_key="", api_key="")
    async with aiohttp.ClientSession() as session:
        api = Api(session=session, url=server, row=row)
        headers = application(api)

        assert (await api.call("POST", CLASS, json=IOS, headers=headers)).status == 201
        wrong = headers | {"X-Parse-REST-API-Key": "wrong"}
        assert (await api.call("POST", CLASS, json=IOS, headers=wrong)).status == 200


@pytest.mark.parametrize(
    "header", ["X-Parse-Maintenance-Key", "X-Parse-Session-Token", "X-Parse-Revocable-Session"]
)
async def test_what_is_no_key_of_ours_gives_no_rights(api: Api, header: str) -> None:
    """We keep no sessions and have no maintenance key: beside a key they are ignored."""
    given = {header: api.row.master_key}

    alone = await api.call("GET", CLASS, headers=application(api) | given)
    beside = await api.client("POST", "/classes/_Installation", json=IOS, headers=given)
    found = await api.client("GET", "/classes/_Installation", headers=given)

    assert (alone.status, alone.body) == UNAUTHORIZED
    assert (beside.status, found.body["code"]) == (201, 119)


@pytest.mark.parametrize("context", ["[1]", "null", "{", '"text"', "1"])
async def test_a_context_must_be_an_object(api: Api, context: str) -> None:
    """In the header or in the body; 107 in Parse Server's words."""
    body = {"_ApplicationId": api.row.app.application_id, "_MasterKey": api.row.master_key, **IOS}

    header = await api.client(
        "POST", "/installations", json=IOS, headers={"X-Parse-Cloud-Context": context}
    )
    in_body = await api.call("POST", CLASS, json=body | {"_context": context})

    for answer in (header, in_body):
        assert answer.status == 400
        assert answer.body == {"code": 107, "error": "Invalid object for context."}


@pytest.mark.parametrize("context", [{"a": 1}, '{"a": 1}'])
async def test_a_context_that_is_one_is_taken_and_dropped(api: Api, context: Any) -> None:
    """There is no Cloud Code to give it to."""
    body = {
        "_ApplicationId": api.row.app.application_id,
        "_MasterKey": api.row.master_key,
        "_context": context,
        **IOS,
    }
    text = context if isinstance(context, str) else json.dumps(context)

    made = await api.call("POST", CLASS, json=body)
    again = await api.client(
        "POST", "/installations", json=IOS, headers={"X-Parse-Cloud-Context": text}
    )

    assert (made.status, again.status) == (201, 200)
