"""Messages for FCM v1, in the form that Parse's Android SDK expects.

The rules are those of Firebase's reference of `projects.messages`; the form is that of Parse's
push adapter: `data` holds `push_id`, `time` and the content as JSON text. The SDK drops a message
whose `push_id` it has seen among the last ten, so it is the same for every attempt.
"""

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, Final

import orjson

from pushsvc.model import FcmShape, Json, Refused
from pushsvc.shaping import limits
from pushsvc.shaping.content import APPLE_ONLY, Choice, Content, Envelope

_LEFT_OUT: Final = APPLE_ONLY | {"priority", "expiration_time"}


def _same(value: Any) -> Any:
    return value


def _upper(value: Any) -> str:
    return str(value).upper()


def _priority(value: Any) -> str:
    return f"PRIORITY_{_upper(value)}"


#: Keys of `notification` as Firebase's own senders spell them -> as FCM v1 does. The others are
#: spelled alike.
_NOTIFICATION_KEYS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "bodyLocArgs": ("body_loc_args", _same),
    "bodyLocKey": ("body_loc_key", _same),
    "channelId": ("channel_id", _same),
    "clickAction": ("click_action", _same),
    "imageUrl": ("image", _same),
    "priority": ("notification_priority", _priority),
    "titleLocArgs": ("title_loc_args", _same),
    "titleLocKey": ("title_loc_key", _same),
    "visibility": ("visibility", _upper),
}


def shape(content: Content, choice: Choice, envelope: Envelope) -> FcmShape | Refused:
    """Return the message in these texts, without its token."""
    data = {
        "push_id": envelope.push_object_id,
        "time": _time(envelope),
        "data": _payload(content, choice),
    }
    android = _android(content, envelope)
    notification = android.get("notification")
    size = sum(len(key) + len(text.encode()) for key, text in data.items())
    if notification:
        size += len(orjson.dumps(notification))
    if size > limits.FCM_PAYLOAD_BYTES:
        return limits.TOO_LARGE
    tail = b',"data":%b,"android":%b}}' % (orjson.dumps(data), orjson.dumps(android))
    return FcmShape(head=b'{"message":{"token":', tail=tail)


def _payload(content: Content, choice: Choice) -> str:
    """Return `data` as the app gets it, as JSON text."""
    data = content.localised(choice)
    return orjson.dumps({key: data[key] for key in data if key not in _LEFT_OUT}).decode()


def _android(content: Content, envelope: Envelope) -> dict[str, Any]:
    ttl = envelope.ttl_seconds
    fields = {
        # A data message of normal priority waits until the device wakes by itself.
        "priority": "HIGH",
        "ttl": None if ttl is None else f"{min(ttl, limits.FCM_TTL_SECONDS)}s",
        "collapse_key": content.option("collapse_id") or None,
        "notification": _notification(content.beside.get("notification") or {}) or None,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _notification(given: Json) -> dict[str, Any]:
    renamed = {}
    for key, value in given.items():
        name, read = _NOTIFICATION_KEYS.get(key, (key, _same))
        renamed[name] = read(value)
    return renamed


def _time(envelope: Envelope) -> str:
    moment = envelope.created_at.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
