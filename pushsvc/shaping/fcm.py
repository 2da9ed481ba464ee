"""Messages for FCM v1, in the form that Parse's Android SDK expects.

The rules are those of Firebase's reference of `projects.messages`; the form is that of Parse's
push adapter: `data` holds `push_id`, `time` and the content as JSON text. The SDK drops a message
whose `push_id` it has seen among the last ten, so it is the same for every attempt.
"""

from datetime import UTC
from typing import Any, Final

import orjson

from pushsvc.model import FcmShape, Refused
from pushsvc.shaping import limits
from pushsvc.shaping.android_notification import notification
from pushsvc.shaping.content import APPLE_ONLY, Choice, Content, Envelope

_LEFT_OUT: Final = APPLE_ONLY | {"priority", "expiration_time"}


def shape(content: Content, choice: Choice, envelope: Envelope) -> FcmShape | Refused:
    """Return the message in these texts, without its token."""
    data = {
        "push_id": envelope.push_object_id,
        "time": _time(envelope),
        "data": _payload(content, choice),
    }
    android = _android(content, envelope)
    shown = android.get("notification")
    size = sum(len(key) + len(text.encode()) for key, text in data.items())
    if shown:
        size += len(orjson.dumps(shown))
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
        "notification": notification(content.beside.get("notification") or {}) or None,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _time(envelope: Envelope) -> str:
    moment = envelope.created_at.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
