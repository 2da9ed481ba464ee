"""Messages for FCM v1: what all of its forms have in common.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
"""

from dataclasses import dataclass
from typing import Any

import orjson

from pushsvc.model import FcmShape, Json, Refused
from pushsvc.shaping import limits
from pushsvc.shaping.content import Envelope
from pushsvc.shaping.splice import Body, Texts, cut, fixed_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message in one choice of texts, before it knows its token and badge."""

    head: bytes
    body: Body

    @property
    def needs(self) -> tuple[int, ...]:
        """The numbers of the texts to be filled in."""
        return self.body.needs

    def finish(self, _trait: str | None, badge: int | None, texts: Texts) -> FcmShape | Refused:
        """Return the message for devices with this badge and these texts."""
        tail = self.body.fill(badge, texts)
        return tail if isinstance(tail, Refused) else FcmShape(self.head, tail)


def draft_of(message: Json, envelope: Envelope) -> Draft | Refused:
    """Return the draft of a message without its token; refused when it is too large."""
    tail = b",%b}" % orjson.dumps(message)[1:]
    body = cut(tail, limit=limits.FCM_PAYLOAD_BYTES, counted=counted_bytes(message))
    if isinstance(body, Refused):
        return body
    start = b'{"validate_only":true,"message"' if envelope.validate_only else b'{"message"'
    return Draft(head=start + b':{"token":', body=body)


def counted_bytes(message: Json) -> int:
    """Return how many bytes of a message count, without what is yet to be filled in.

    Google does not publish how; keys and values of what reaches the device agree with its errors.
    """
    android = message.get("android") or {}
    data = android.get("data") or message.get("data") or {}
    size = sum(len(key.encode()) + fixed_bytes(text.encode()) for key, text in data.items())
    shown = android.get("notification")
    return size + (fixed_bytes(orjson.dumps(shown)) if shown else 0)


def present(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {key: value for key, value in fields.items() if value is not None}
