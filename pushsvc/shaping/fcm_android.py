"""Messages for Android devices, in the form that Parse's Android SDK expects.

That form is Parse's push adapter's: `data` holds `push_id`, `time` and the content as JSON text.
The SDK drops a message whose `push_id` it has seen among the last ten, so it is the same for every
attempt. What the caller writes in `android` wins over what is made of the rest.
"""

from typing import Any

from pushsvc.model import Json
from pushsvc.shaping import limits
from pushsvc.shaping.content import Content, Envelope
from pushsvc.shaping.fcm import parse_data, present
from pushsvc.shaping.fcm_kinds import seconds
from pushsvc.shaping.fcm_message import written


def message(content: Content, envelope: Envelope) -> Json:
    """Return the message in the texts of this content, but for its token."""
    own = written(content.beside, "android")
    shown = {**written(content.beside, "notification"), **own.get("notification", {})}
    android: dict[str, Any] = {
        # A data message of normal priority waits until the device wakes by itself.
        "priority": "HIGH",
        "collapse_key": content.option("collapse_id"),
        **own,
        "ttl": _ttl(own.get("ttl"), envelope.ttl_seconds),
        "notification": shown or None,
        "data": {**parse_data(content, envelope), **own.get("data", {})},
    }
    return {"android": present(android)}


def _ttl(own: str | None, left: int | None) -> str | None:
    """Return how long FCM may keep it: as long as the caller says, and as the push has left."""
    if left is None:
        return own
    left = min(left, limits.FCM_TTL_SECONDS)
    return own if own is not None and float(own.removesuffix("s")) <= left else seconds(left)
