"""Devices of each kind that FCM reaches, and the message that one gets."""

from typing import Any

import orjson

from pushsvc.model import Device, FcmShape, Json
from tests.unit.shaping.one_device import ANDROID, IOS, shaped

TOKEN = "the:token"
ON_FCM = ANDROID._replace(token=TOKEN, badge=3)
APPLE = IOS._replace(token=TOKEN, badge=3)
WEB = ANDROID._replace(device_type="web", token=TOKEN, badge=3)
#: What every push of these tests has as its id, and its time.
STAMPS = {"push_id": "abcdefghij", "time": "2026-11-22T10:00:00.000Z"}


def message_of(made: object) -> Json:
    """Return a shape's message, but for its token."""
    assert isinstance(made, FcmShape), made
    body = orjson.loads(made.head + orjson.dumps(TOKEN) + made.tail)
    assert body.keys() == {"message"}
    found: dict[str, Any] = body["message"]
    assert found.pop("token") == TOKEN
    return found


def message(device: Device, data: dict[str, Any], **rest: Any) -> Json:
    """Return what this device gets of content that was let in, but for its token."""
    return message_of(shaped(device, data, **rest))
