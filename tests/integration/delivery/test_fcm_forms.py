"""Every form of FCM's is taken by a strict FCM, through the gateway that sends in earnest."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from pushsvc.model import ACCEPTED, Device
from pushsvc.shaping.body import Envelope, Shaper, check_content
from pushsvc.simulators import Simulators
from tests.integration.delivery.building import entries
from tests.integration.delivery.sending import Clients, send

pytestmark = pytest.mark.integration

ANDROID = Device(0, "android", "dev1:APA91b-x", None, None, 3)
APPLE = ANDROID._replace(device_type="ios", app_identifier="com.example.app")
WEB = ANDROID._replace(device_type="web")

DATA = {"alert": "Hi {{ name }}", "title": "T", "badge": "Increment", "uri": "https://example.com"}
BESIDE = {
    "variables": {"name": '"Zoë"'},
    "collapse_id": "score",
    "notification": {"imageUrl": "https://example.com/i.png", "priority": "high"},
    "android": {"ttl": 3600, "notification": {"vibrateTimingsMillis": [500]}},
    "webpush": {"headers": {"Urgency": "low"}, "notification": {"actions": []}},
}
RAW = {
    "android": {"priority": "high", "data": {"k": "v"}},
    "apns": {"payload": {"aps": {"alert": {"titleLocKey": "k"}, "contentAvailable": True}}},
    "webpush": {"fcmOptions": {"link": "https://example.com"}},
}


def made(device: Device, content: dict[str, Any]) -> object:
    check_content(content)
    now = datetime(2026, 11, 22, 10, tzinfo=UTC)
    envelope = Envelope(
        push_id=7, push_object_id="abcdefghij", created_at=now, expires_at=None, now=now
    )
    return Shaper(content, envelope).shape(device)


@pytest.mark.parametrize(
    ("device", "content", "parts"),
    [
        pytest.param(ANDROID, {"data": DATA, **BESIDE}, {"android"}, id="android"),
        pytest.param(APPLE, {"data": DATA, **BESIDE}, {"apns"}, id="apple"),
        pytest.param(WEB, {"data": DATA, **BESIDE}, {"webpush"}, id="web"),
        pytest.param(WEB, {"data": {}, "rawPayload": RAW}, RAW.keys(), id="raw"),
    ],
)
async def test_a_form_is_taken(
    *,
    device: Device,
    content: dict[str, Any],
    parts: set[str],
    clients: Clients,
    simulators: Simulators,
) -> None:
    """Accepted, with what was shaped in it and nothing for another platform."""
    answers = await send(clients.fcm(), [device.token], made(device, content))

    assert answers == {device.token: ACCEPTED}
    (entry,) = entries(simulators, "fcm")
    assert orjson.loads(entry.payload)["message"].keys() == {"token", *parts}
