"""The requests of Parse's SDKs, as they leave a device or a browser."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage.apps import KeyKind, create_key
from pushsvc.storage.tables import apps
from tests.integration.api.conftest import Answer, Api

STATUS_ID = "X-Parse-Push-Status-Id"
INSTALLATION_ID = "6a7d1b0c-5a6e-4a3c-8f8e-0c7c8a4c8a51"
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
async def client_key(api: Api, database: AsyncEngine) -> str:
    """The key of a mobile SDK, in an app that lets clients push."""
    async with database.begin() as connection:
        allowed = update(apps).where(apps.c.id == api.row.app.id)
        await connection.execute(allowed.values(settings={"client_push": True}))
        _, key = await create_key(connection, api.row.app, kind=KeyKind.CLIENT)
    return key


def android(api: Api, client_key: str) -> dict[str, str]:
    """The headers of the Android SDK."""
    return {
        "X-Parse-Application-Id": api.row.app.application_id,
        "X-Parse-Client-Key": client_key,
        "X-Parse-Client-Version": "a4.3.0",
        "X-Parse-App-Build-Version": "42",
        "X-Parse-App-Display-Version": "1.4.2",
        "X-Parse-OS-Version": "14",
        "X-Parse-Installation-Id": INSTALLATION_ID,
        "X-Parse-Request-Id": str(uuid.uuid4()),
        "User-Agent": "Parse Android SDK API Level 34",
        "Content-Type": "application/json",
    }


def ios(api: Api, client_key: str) -> dict[str, str]:
    """The headers of the iOS SDK."""
    return {
        "X-Parse-Application-Id": api.row.app.application_id,
        "X-Parse-Client-Key": client_key,
        "X-Parse-Client-Version": "i4.2.0",
        "X-Parse-OS-Version": "17.4 (21E219)",
        "X-Parse-App-Build-Version": "42",
        "X-Parse-App-Display-Version": "1.4.2",
        "X-Parse-Installation-Id": INSTALLATION_ID,
        "Content-Type": "application/json; charset=utf-8",
    }


def javascript(api: Api, **fields: Any) -> str:
    """The body of a JavaScript SDK: credentials and method are in it, so that no preflight is."""
    return json.dumps(
        {
            **fields,
            "_ApplicationId": api.row.app.application_id,
            "_MasterKey": api.row.master_key,
            "_JavaScriptKey": "unused",
            "_ClientVersion": "js5.3.0",
            "_InstallationId": INSTALLATION_ID,
        }
    )


async def by_javascript(api: Api, path: str, method: str = "POST", **fields: Any) -> Answer:
    """Every call is a POST of `text/plain`."""
    body = javascript(api, **fields, **({} if method == "POST" else {"_method": method}))
    headers = {"Content-Type": "text/plain", "Origin": "https://example.com"}
    return await api.call("POST", f"/parse{path}", data=body, headers=headers)


async def status_of(api: Api, answer: Answer) -> dict[str, Any]:
    assert (answer.status, answer.body) == (200, {"result": True})
    found = await api.master("GET", f"/classes/_PushStatus/{answer.headers[STATUS_ID]}")
    return dict(found.body)


# ---------------------------------------------------------------- Android


async def test_android_pushes_to_channels_in_seconds(api: Api, client_key: str) -> None:
    """`ParsePush.sendInBackground`: times are whole seconds since 1970."""
    due, expiry = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    body = {
        "channels": ["Giants", "Mets"],
        "expiration_time": int(expiry.timestamp()),
        "push_time": int(due.timestamp()),
        "data": {"alert": "The Giants won!"},
    }

    answer = await api.call("POST", "/1/push", json=body, headers=android(api, client_key))

    status = await status_of(api, answer)
    assert status["pushTime"] == due.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert status["expiry"] == int(expiry.timestamp()) * 1000
    assert (status["status"], status["query"]) == (
        "scheduled",
        '{"channels":{"$in":["Giants","Mets"]}}',
    )


async def test_android_pushes_to_a_query_for_an_interval(api: Api, client_key: str) -> None:
    """`setQuery` and `setExpirationTimeInterval`; an interval is in seconds."""
    body = {
        "where": {"deviceType": {"$in": ["ios", "android"]}, "injuryReports": True},
        "expiration_interval": 518_400,
        "data": {"alert": "Willie Hayes injured.", "badge": "Increment"},
    }

    answer = await api.call("POST", "/1/push", json=body, headers=android(api, client_key))

    status = await status_of(api, answer)
    assert status["expiration_interval"] == 518_400
    assert json.loads(status["query"]) == body["where"]


async def test_android_asks_again_with_the_same_request_id(api: Api, client_key: str) -> None:
    """After a timeout it does not know whether the push was taken."""
    headers = android(api, client_key)
    body = {"channels": ["Giants"], "data": {"alert": "Hi"}}

    first = await api.call("POST", "/1/push", json=body, headers=headers)
    again = await api.call("POST", "/1/push", json=body, headers=headers)

    assert first.headers[STATUS_ID] == again.headers[STATUS_ID]


async def test_android_tells_that_a_push_was_opened(api: Api, client_key: str) -> None:
    """`ParseAnalytics.trackAppOpenedInBackground`: the hash of the alert, and a Date."""
    sent = await api.master("POST", "/push", json={"where": {}, "data": {"alert": "hello"}})
    body = {
        "push_hash": "5d41402abc4b2a76b9719d911017c592",
        "at": {"__type": "Date", "iso": NOW.strftime("%Y-%m-%dT%H:%M:%S.000Z")},
    }

    answer = await api.call(
        "POST", "/1/events/AppOpened", json=body, headers=android(api, client_key)
    )

    assert (answer.status, answer.body) == (200, {})
    assert (await api.v1("GET", f"/v1/pushes/{sent.headers[STATUS_ID]}")).body["opens"] == 1


# ---------------------------------------------------------------- iOS


async def test_ios_pushes_to_everyone_with_an_empty_query(api: Api, client_key: str) -> None:
    """`PFPush` without channels or a query sends `where: {}`; times are ISO with milliseconds."""
    due, expiry = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    body = {
        "where": {},
        "expiration_time": expiry.strftime("%Y-%m-%dT%H:%M:%S.123Z"),
        "push_time": due.strftime("%Y-%m-%dT%H:%M:%S.456Z"),
        "data": {"alert": "Hi", "badge": "Increment", "sound": "cheering.caf"},
    }

    answer = await api.call("POST", "/1/push", json=body, headers=ios(api, client_key))

    status = await status_of(api, answer)
    assert (status["query"], status["pushTime"]) == ("{}", body["push_time"])
    assert status["expiry"] == int(expiry.timestamp()) * 1000 + 123


async def test_ios_pushes_to_one_channel_and_an_interval(api: Api, client_key: str) -> None:
    """`setChannel:` is an array of one; `expireAfterTimeInterval:` whole seconds."""
    body = {
        "channels": ["Giants"],
        "expiration_interval": 604_800,
        "data": {"alert": "Season tickets on sale until next week!"},
    }

    answer = await api.call("POST", "/1/push", json=body, headers=ios(api, client_key))

    assert (await status_of(api, answer))["expiration_interval"] == 604_800


async def test_ios_tells_that_it_was_opened(api: Api, client_key: str) -> None:
    """With a hash, and without one where no push was the reason."""
    at = {"__type": "Date", "iso": NOW.strftime("%Y-%m-%dT%H:%M:%S.789Z")}

    for body in ({"at": at}, {"at": at, "push_hash": "0" * 32}, {"at": at, "dimensions": {}}):
        answer = await api.call(
            "POST", "/1/events/AppOpened", json=body, headers=ios(api, client_key)
        )
        assert (answer.status, answer.body) == (200, {})


# ---------------------------------------------------------------- JavaScript


async def test_javascript_pushes_and_reads_the_status_id(api: Api) -> None:
    """`Parse.Push.send`: the SDK sees a header only if it is exposed."""
    due = NOW + timedelta(hours=1)
    answer = await by_javascript(
        api,
        "/push",
        where={"channels": {"$in": ["Giants"]}},
        push_time=due.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        data={"alert": "Hi", "title": "Giants"},
    )

    status = await status_of(api, answer)
    assert STATUS_ID in answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert status["payload"] == '{"alert":"Hi","title":"Giants"}'
    assert status["query"] == '{"channels":{"$in":["Giants"]}}'


async def test_javascript_gets_the_push_status(api: Api) -> None:
    """`Parse.Push.getPushStatus`: a find with the id, by POST with `_method`."""
    sent = await by_javascript(api, "/push", channels=["Giants"], data={"alert": "Hi"})
    where = {"objectId": sent.headers[STATUS_ID]}

    found = await by_javascript(api, "/classes/_PushStatus", method="GET", where=where, limit=1)

    (row,) = found.body["results"]
    assert (row["objectId"], row["status"]) == (where["objectId"], "pending")


async def test_javascript_calls_a_push_off(api: Api) -> None:
    """`pushStatus.save` and `pushStatus.destroy` with the master key."""
    due = (NOW + timedelta(hours=1)).isoformat()
    sent = await by_javascript(api, "/push", where={}, data={"alert": "Hi"}, push_time=due)
    path = f"/classes/_PushStatus/{sent.headers[STATUS_ID]}"

    saved = await by_javascript(api, path, method="PUT", status="cancelled")
    destroyed = await by_javascript(api, path, method="DELETE")

    assert saved.status == 200, saved.body
    assert (destroyed.status, destroyed.body) == (200, {})


async def test_javascript_tracks_events(api: Api) -> None:
    """`Parse.Analytics.track`."""
    answer = await by_javascript(api, "/events/search", dimensions={"priceRange": "1000-1500"})

    assert (answer.status, answer.body) == (200, {})
