"""Messages for FCM v1: what all of its forms have in common.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

import orjson

from pushsvc.model import FcmShape, Json, Refused
from pushsvc.shaping import limits
from pushsvc.shaping.content import APPLE_ONLY, Content, Envelope
from pushsvc.shaping.fcm_message import PARSE_KEYS, written
from pushsvc.shaping.splice import Body, Texts, cut, fixed_bytes, nested, plain_marks

#: The part of a message for each platform -> what is shown there; the rest of it is `data`.
_PLATFORMS: Final = (("android", "notification"), ("apns", "payload"), ("webpush", "notification"))
#: How large what is counted when it is finished may become until then.
_UNCOUNTED: Final = limits.CONTENT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message in one choice of texts, before it knows its token and badge."""

    head: bytes
    body: Body
    #: counted again with its texts: they do not count as they stand there
    is_counted_late: bool
    #: how much of it may count
    most_bytes: int

    @property
    def needs(self) -> tuple[int, ...]:
        """The numbers of the texts to be filled in."""
        return self.body.needs

    def finish(self, _trait: str | None, badge: int | None, texts: Texts) -> FcmShape | Refused:
        """Return the message for devices with this badge and these texts."""
        tail = self.body.fill(badge, texts)
        if isinstance(tail, Refused):
            return tail
        if self.is_counted_late:
            message = orjson.loads(b"{" + tail[1:-1])
            if counted_bytes(message) > self.most_bytes:
                return limits.TOO_LARGE
        return FcmShape(self.head, tail)


def drafter(
    message: Callable[[Content, Envelope], Json],
) -> Callable[[Content, Envelope], Draft | Refused]:
    """Return what drafts the messages of a form; `rawPayload` is one of every form."""

    def draft(content: Content, envelope: Envelope) -> Draft | Refused:
        raw = written(content.beside, "rawPayload")
        return draft_of(raw or message(content, envelope), envelope)

    return draft


def draft_of(message: Json, envelope: Envelope) -> Draft | Refused:
    """Return the draft of a message without its token; refused when it is too large."""
    counted, most = counted_bytes(message), envelope.most_bytes(limits.FCM_PAYLOAD_BYTES)
    if counted > most:
        return limits.TOO_LARGE
    tail = b",%b}" % orjson.dumps(message)[1:]
    is_counted_late = _is_counted_late(message, tail)
    body = cut(
        tail,
        limit=_UNCOUNTED if is_counted_late else most,
        counted=counted,
    )
    if isinstance(body, Refused):
        return body
    start = b'{"validate_only":true,"message"' if envelope.validate_only else b'{"message"'
    return Draft(
        head=start + b':{"token":',
        body=body,
        is_counted_late=is_counted_late and bool(body.holes),
        most_bytes=most,
    )


def _is_counted_late(message: Json, tail: bytes) -> bool:
    """Tell whether what is filled in may count otherwise than it is written.

    So it is in several platforms' parts, of which the largest counts; in strings of `data`, which
    count without JSON's escapes; and in what does not reach the device.
    """
    if sum(name in message for name, _ in _PLATFORMS) > 1:
        return True
    parts = [message.get("notification")]
    for name, shown in _PLATFORMS:
        part = message.get(name) or {}
        parts += part.get(shown), part.get("fcm_options")
    return plain_marks(tail) > sum(plain_marks(orjson.dumps(part)) for part in parts if part)


def counted_bytes(message: Json) -> int:
    """Return how many bytes of a message count, without what is yet to be filled in.

    Google does not publish how; keys and values of what reaches the device agree with its errors.
    Of several platforms' parts the largest counts, each with what is meant for all of them.
    """
    shared, data = _json_bytes(message.get("notification")), message.get("data")
    largest = 0
    for name, shown in _PLATFORMS:
        part = message.get(name) or {}
        size = _json_bytes(part.get(shown)) + _strings_bytes(part.get("data") or data)
        # A link and an image go to the device as well.
        size += _json_bytes(part.get("fcm_options"))
        largest = max(largest, size)
    return shared + largest


def _json_bytes(part: Json | None) -> int:
    return fixed_bytes(orjson.dumps(part)) if part else 0


def _strings_bytes(data: Json | None) -> int:
    return sum(len(key.encode()) + fixed_bytes(text.encode()) for key, text in (data or {}).items())


def parse_data(content: Content, envelope: Envelope) -> dict[str, str]:
    """Return the strings that Parse's SDKs look for: a push's id, its time, its `data` as JSON."""
    payload = orjson.dumps(content.custom(APPLE_ONLY)).decode()
    moment = envelope.created_at.astimezone(UTC).replace(tzinfo=None)
    strings = (
        envelope.push_object_id,
        moment.isoformat(timespec="milliseconds") + "Z",
        nested(payload),
    )
    return dict(zip(PARSE_KEYS, strings, strict=True))


def present(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that have a value."""
    return {key: value for key, value in fields.items() if value is not None}
