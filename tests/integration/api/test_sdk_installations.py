"""Installation saves in the very shapes that Parse's SDKs send."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from tests.integration.api.conftest import Answer, Api

CLASS = "/classes/_Installation"
#: What the iOS SDK sends with every first save.
IOS: dict[str, Any] = {
    "deviceType": "ios",
    "deviceToken": "0123456789abcdef" * 4,
    "installationId": "8c4f9bd6-6c4f-4a6e-9ed1-1f2f3a4b5c6d",
    "badge": 0,
    "timeZone": "America/Los_Angeles",
    "localeIdentifier": "en-US",
    "appName": "Sample",
    "appVersion": "1.0",
    "appIdentifier": "com.example.sample",
    "parseVersion": "4.1.1",
}
#: What the Android SDK sends for a device that FCM reaches.
ANDROID: dict[str, Any] = {
    "deviceType": "android",
    "deviceToken": "cXY1:APA91bH-x_Y",
    "installationId": "d5a7e0a2-2b0c-4f6e-8b53-0b8e6f2d5c11",
    "pushType": "gcm",
    "GCMSenderId": "1076345567071",
    "timeZone": "Europe/Zurich",
    "localeIdentifier": "de-CH",
    "appName": "Sample",
    "appVersion": "1.0",
    "appIdentifier": "com.example.sample",
    "parseVersion": "4.3.0",
}


def mobile(installation_id: str) -> dict[str, str]:
    """The headers of the mobile SDKs."""
    return {
        "X-Parse-App-Build-Version": "1",
        "X-Parse-App-Display-Version": "1.0",
        "X-Parse-OS-Version": "17.4",
        "X-Parse-Client-Version": "i4.1.1",
        "X-Parse-Installation-Id": installation_id,
        "Content-Type": "application/json; charset=utf-8",
    }


async def send(
    api: Api, method: str, path: str, device: Mapping[str, Any], **request: Any
) -> Answer:
    """Send it as the device's SDK does."""
    return await api.client(method, path, headers=mobile(device["installationId"]), **request)


async def create(api: Api, device: Mapping[str, Any]) -> str:
    answer = await send(api, "POST", CLASS, device, json=device)
    assert (answer.status, set(answer.body)) == (201, {"objectId", "createdAt"})
    return str(answer.body["objectId"])


async def test_an_iphone_registers_subscribes_and_clears_its_badge(api: Api) -> None:
    """A create, then only what has changed, with the operations of the SDK's sets."""
    path = f"{CLASS}/{await create(api, IOS)}"
    body = {
        "badge": 0,
        "channels": {"__op": "AddUnique", "objects": ["Giants"]},
        "deviceToken": IOS["deviceToken"].upper(),
    }

    changed = await send(api, "PUT", path, IOS, json=body)

    assert (changed.status, set(changed.body)) == (200, {"updatedAt", "channels"})
    one = (await send(api, "GET", path, IOS)).body
    assert {name: one[name] for name in (*IOS, "channels")} == {**IOS, "channels": ["Giants"]}


async def test_an_android_device_drops_its_token_before_it_gets_another(api: Api) -> None:
    """By the operation that Parse Server refuses; and unsubscribes by Remove."""
    path = f"{CLASS}/{await create(api, ANDROID)}"
    dropped = {"deviceToken": {"__op": "Delete"}, "pushType": {"__op": "Delete"}}

    assert (await send(api, "PUT", path, ANDROID, json=dropped)).status == 200
    body = {"deviceToken": "new", "channels": {"__op": "Remove", "objects": ["Giants"]}}
    answer = await send(api, "PUT", path, ANDROID, json=body)

    assert answer.body["channels"] == []
    one = (await send(api, "GET", path, ANDROID)).body
    assert (one["deviceToken"], "pushType" in one) == ("new", False)


async def test_android_gets_its_installation_by_a_find(api: Api) -> None:
    """A POST with `_method`, whose `where` is a string of JSON, and a limit of one."""
    object_id = await create(api, ANDROID)
    for where in ({"objectId": object_id}, {"installationId": ANDROID["installationId"]}):
        body = {"_method": "GET", "where": json.dumps(where), "limit": "1"}

        answer = await send(api, "POST", CLASS, ANDROID, json=body)

        (row,) = answer.body["results"]
        assert row["objectId"] == object_id


async def test_a_device_whose_row_is_gone_creates_it_anew(api: Api) -> None:
    """101 tells the SDK to: it posts all fields, as sets, without an object id."""
    path = f"{CLASS}/{await create(api, IOS)}"
    await api.master("DELETE", path)

    gone = await send(api, "PUT", path, IOS, json={"badge": 0})
    again = await send(api, "POST", CLASS, IOS, json={**IOS, "channels": ["Giants"]})

    assert (gone.status, gone.body["code"]) == (404, 101)
    assert again.status == 201


async def test_a_reinstalled_app_takes_its_token_along(api: Api) -> None:
    """A new installation id with the old token: the old row is gone, for its SDK too."""
    old = f"{CLASS}/{await create(api, IOS)}"
    new = {**IOS, "installationId": str(uuid.uuid4())}

    await create(api, new)

    assert (await send(api, "PUT", old, IOS, json={"badge": 0})).body["code"] == 101


async def javascript(api: Api, method: str, path: str, **body: Any) -> Answer:
    """Send what the JavaScript SDK does: always a POST of text, with everything in the body."""
    envelope = {
        "_method": method,
        "_ApplicationId": api.row.app.application_id,
        "_MasterKey": api.row.master_key,
        "_ClientVersion": "js5.3.0",
        "_InstallationId": "0e1a7c3e-13a5-4b1b-9d0e-1d6f5f3a8f10",
    }
    return await api.call(
        "POST",
        f"/parse{path}",
        data=json.dumps({**body, **envelope}),
        headers={"Content-Type": "text/plain"},
    )


async def test_the_javascript_sdk_saves_finds_and_destroys(api: Api) -> None:
    """An installation with pointers and relations, as `Parse.Object` encodes them."""
    user = await javascript(api, "POST", "/classes/_User", username="alice")
    pointer = {"__type": "Pointer", "className": "_User", "objectId": user.body["objectId"]}
    relate = {"__op": "AddRelation", "objects": [pointer]}
    body = {"deviceType": "web", "installationId": "web-1", "user": pointer, "friends": relate}

    made = await javascript(api, "POST", CLASS, **body)

    assert made.status == 201
    path = f"{CLASS}/{made.body['objectId']}"
    changed = await javascript(
        api, "PUT", path, score={"__op": "Increment", "amount": 2}, user={"__op": "Delete"}
    )
    assert changed.body["score"] == 2
    found = await javascript(api, "GET", CLASS, where={"friends": pointer}, limit=1, count=1)
    (row,) = found.body["results"]
    assert (found.body["count"], row["score"], "user" in row) == (1, 2, False)
    assert row["friends"] == {"__type": "Relation", "className": "_User"}
    assert (await javascript(api, "DELETE", path)).body == {}
