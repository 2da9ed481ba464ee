"""Notifications for APNs.

The rules are those of Apple's pages "Generating a remote notification" (payload) and "Sending
notification requests to APNs" (headers); the keys of `data` are those of Parse's push adapter.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pushsvc.model import ApnsShape, Json, Refused
from pushsvc.shaping import limits
from pushsvc.shaping.badge import badge_change
from pushsvc.shaping.content import STEERING, Choice, Content, Envelope

#: Push type -> what it adds to the bundle id to make the topic. `mdm` is left out: its topic is
#: the subject of a certificate and its payload is not ours to write.
PUSH_TYPES: Final[Mapping[str, str]] = {
    "alert": "",
    "background": "",
    "complication": ".complication",
    "controls": ".push-type.controls",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "pushtotalk": ".voip-ptt",
    "voip": ".voip",
    "widgets": ".push-type.widgets",
}
_PAYLOAD_BYTES: Final[Mapping[str, int]] = {"voip": limits.APNS_VOIP_PAYLOAD_BYTES}
#: 10: at once; 5: as the device's power allows; 1: never wake it.
PRIORITIES: Final = frozenset({"1", "5", "10"})
_PRIORITY: Final = 10
#: Apple answers BadPriority to a background notification with 10.
_HIGHEST_PRIORITY: Final[Mapping[str, int]] = {"background": 5}
#: With one of these in `aps` the user notices; without any, a notification is for the app alone.
_NOTICED: Final = frozenset({"alert", "badge", "sound"})
#: What a bundle id is made of; anything else would also be no header value.
_BUNDLE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")

MISSING_TOPIC: Final = Refused(reason="MissingTopic")
BAD_TOPIC: Final = Refused(reason="BadTopic")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: Any) -> int | None:
    return 1 if value == 1 else None


def _sound(value: Any) -> str | Json | None:
    """A file's name, or for a critical alert `{name, critical, volume}`."""
    return value if isinstance(value, str | dict) else None


#: Key of `data` -> key of `aps`, and what reads it; a value read as None is left out.
_APS_KEYS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "sound": ("sound", _sound),
    "content-available": ("content-available", _flag),
    "mutable-content": ("mutable-content", _flag),
    "category": ("category", _text),
    "thread-id": ("thread-id", _text),
    "threadId": ("thread-id", _text),
    "interruption-level": ("interruption-level", _text),
    "interruptionLevel": ("interruption-level", _text),
    "target-content-id": ("target-content-id", _text),
    "targetContentIdentifier": ("target-content-id", _text),
}
#: Everything else in `data` is custom, and stands beside `aps`.
_TAKEN: Final = STEERING | _APS_KEYS.keys() | {"alert", "title", "badge", "aps"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A notification in one choice of texts, before it knows its topic and badge."""

    push_id: int
    suffix: str
    headers: tuple[tuple[bytes, bytes], ...]
    payload_bytes: int
    body: bytes
    #: what stands before and after a device's own badge; None where badges are not counted
    around_badge: tuple[bytes, bytes] | None


def template(content: Content, choice: Choice, envelope: Envelope) -> Template | Refused:
    """Return the notification in these texts; refused when it is too large without a badge."""
    data = content.localised(choice)
    aps = _aps(data)
    change = badge_change(content.beside)
    counted = change is not None and change.absolute is None and "badge" not in aps
    if change is not None and change.absolute is not None:
        aps.setdefault("badge", change.absolute)
    silent = aps.get("content-available") == 1 and not counted and not _NOTICED & aps.keys()
    push_type = content.option("push_type") or ("background" if silent else "alert")
    payload_bytes = _PAYLOAD_BYTES.get(push_type, limits.APNS_PAYLOAD_BYTES)
    head, tail = _halves(aps, {key: data[key] for key in data if key not in _TAKEN})
    if len(head) + len(tail) > payload_bytes:
        return limits.TOO_LARGE
    return Template(
        push_id=envelope.push_id,
        suffix=PUSH_TYPES[push_type],
        headers=_headers(content, envelope, push_type),
        payload_bytes=payload_bytes,
        body=head + tail,
        around_badge=(head + (b',"badge":' if aps else b'"badge":'), tail) if counted else None,
    )


def finish(
    template: Template, app_identifier: str | None, badge: int | None
) -> ApnsShape | Refused:
    """Return the notification for the devices of one app with one badge."""
    if not app_identifier:
        return MISSING_TOPIC
    if not _BUNDLE_ID.fullmatch(app_identifier):
        return BAD_TOPIC
    body = template.body
    if badge is not None and template.around_badge is not None:
        before, after = template.around_badge
        body = b"%b%d%b" % (before, badge, after)
        if len(body) > template.payload_bytes:
            return limits.TOO_LARGE
    topic = app_identifier + template.suffix
    return ApnsShape(
        push_id=template.push_id,
        topic=topic,
        headers=(*template.headers, (b"apns-topic", topic.encode())),
        body=body,
    )


def _aps(data: Json) -> dict[str, Any]:
    """Return `aps` as the keys of `data` make it, and over it what the caller wrote himself.

    The caller's own `aps` is meant for Apple devices alone, so it is the more particular word;
    alerts are merged key by key, so that a text in the device's language stays.
    """
    aps: dict[str, Any] = {}
    for key, (name, read) in _APS_KEYS.items():
        value = read(data.get(key))
        if value is not None:
            aps[name] = value
    alert = _alert(data.get("alert"), data.get("title"))
    own = data.get("aps") or {}
    if alert is not None:
        aps["alert"] = alert
        if "alert" in own:
            own = {**own, "alert": {**_alert_object(alert), **_alert_object(own["alert"])}}
    return {**aps, **own}


def _alert(alert: Any, title: Any) -> Any:
    if title is None:
        return alert
    return {**_alert_object(alert), "title": title}


def _alert_object(alert: Any) -> Json:
    """Return an alert in its long form: a string is its body."""
    if isinstance(alert, dict):
        return alert
    return {"body": alert} if isinstance(alert, str) else {}


def _halves(aps: Json, custom: Json) -> tuple[bytes, bytes]:
    """Return the payload cut at the end of `aps`, where a badge goes in."""
    head = b'{"aps":' + orjson.dumps(aps)[:-1]
    return head, b"}," + orjson.dumps(custom)[1:] if custom else b"}}"


def _headers(
    content: Content, envelope: Envelope, push_type: str
) -> tuple[tuple[bytes, bytes], ...]:
    priority = min(
        int(content.option("priority") or _PRIORITY),
        _HIGHEST_PRIORITY.get(push_type, _PRIORITY),
    )
    expires_at = envelope.expires_at
    headers = {
        b"apns-push-type": push_type,
        b"apns-priority": str(priority),
        # Absent means that Apple keeps it as long as it likes; 0 would mean one attempt.
        b"apns-expiration": str(int(expires_at.timestamp())) if expires_at else None,
        b"apns-collapse-id": content.option("collapse_id") or None,
    }
    return tuple((name, value.encode()) for name, value in headers.items() if value is not None)
