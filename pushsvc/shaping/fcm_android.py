"""Messages for Android devices, in the form that Parse's Android SDK expects.

That form is Parse's push adapter's: `data` holds `push_id`, `time` and the content as JSON text.
The SDK drops a message whose `push_id` it has seen among the last ten, so it is the same for every
attempt.
"""

from datetime import UTC
from typing import Any

import orjson

from pushsvc.model import Refused
from pushsvc.shaping import limits
from pushsvc.shaping.android_notification import notification
from pushsvc.shaping.content import APPLE_ONLY, Content, Envelope
from pushsvc.shaping.fcm import Draft, draft_of, present
from pushsvc.shaping.splice import nested


def draft(content: Content, envelope: Envelope) -> Draft | Refused:
    """Return the message in the texts of this content; refused when it is too large."""
    android = {**_android(content, envelope), "data": data_of(content, envelope)}
    return draft_of({"android": android}, envelope)


def data_of(content: Content, envelope: Envelope) -> dict[str, str]:
    """Return the strings that the SDK looks for."""
    payload = orjson.dumps(content.custom(APPLE_ONLY)).decode()
    moment = envelope.created_at.astimezone(UTC).replace(tzinfo=None)
    return {
        "push_id": envelope.push_object_id,
        "time": moment.isoformat(timespec="milliseconds") + "Z",
        "data": nested(payload),
    }


def _android(content: Content, envelope: Envelope) -> dict[str, Any]:
    ttl = envelope.ttl_seconds
    return present(
        {
            # A data message of normal priority waits until the device wakes by itself.
            "priority": "HIGH",
            "ttl": None if ttl is None else f"{min(ttl, limits.FCM_TTL_SECONDS)}s",
            "collapse_key": content.option("collapse_id"),
            "notification": notification(content.beside.get("notification") or {}) or None,
        }
    )
