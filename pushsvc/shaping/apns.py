"""Notifications for APNs.

The rules are those of Apple's pages "Generating a remote notification" (payload) and "Sending
notification requests to APNs" (headers); the keys of `data` are those of Parse's push adapter.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from pushsvc.model import ApnsHead, ApnsShape, Json, Refused
from pushsvc.shaping import aps as keys, limits
from pushsvc.shaping.content import Content, Envelope
from pushsvc.shaping.splice import BADGE_MARK, Body, Texts, cut

#: Push type -> what it adds to the bundle id to make the topic. `mdm` is left out: only who has
#: the MDM vendor's certificate may send it, and we send with provider tokens.
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
_LOWEST_PRIORITY: Final[Mapping[str, int]] = {"liveactivity": 5}
#: With one of these in `aps`, or a badge, the user notices; else it is for the app alone.
_NOTICED: Final = frozenset({"alert", "sound"})
#: What a bundle id is made of; anything else would also be no header value.
_BUNDLE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")
#: A custom key `topic` that is a bundle id, in reverse-domain form; "news" is the app's own.
_TOPIC: Final = re.compile(r"(?=.{1,255}\Z)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
#: Keys of `data` with a place of their own; all others are custom, and stand beside `aps`.
_TAKEN: Final = frozenset({"alert", "title", "badge", "aps"})

MISSING_TOPIC: Final = Refused(reason="MissingTopic")
BAD_TOPIC: Final = Refused(reason="BadTopic")

COLLAPSE_ID: Final = (
    f"at most {limits.COLLAPSE_ID_BYTES} bytes of UTF-8: no control characters, no outer spaces"
)


def is_collapse_id(value: Any) -> bool:
    """Tell whether it can be an `apns-collapse-id`, which is a header's value."""
    if not isinstance(value, str) or len(value.encode()) > limits.COLLAPSE_ID_BYTES:
        return False
    return value.strip() == value and value.isprintable()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A notification in one choice of texts, before it knows its device."""

    push_id: int
    suffix: str
    #: in place of the device's bundle id and the suffix
    topic: str | None
    headers: tuple[tuple[bytes, bytes], ...]
    body: Body
    #: bundle id -> what the notifications to this app have in common
    heads: dict[str | None, ApnsHead | Refused] = field(default_factory=dict)

    @property
    def needs(self) -> tuple[int, ...]:
        """The numbers of the texts to be filled in."""
        return self.body.needs

    def finish(
        self, app_identifier: str | None, badge: int | None, texts: Texts
    ) -> ApnsShape | Refused:
        """Return the notification for one app's devices with this badge and these texts."""
        head = self.heads.get(app_identifier)
        if head is None:
            if len(self.heads) >= limits.KEPT_HEADS:
                self.heads.clear()
            head = self.heads[app_identifier] = self._head(app_identifier)
        if isinstance(head, Refused):
            return head
        body = self.body.fill(badge, texts)
        return body if isinstance(body, Refused) else ApnsShape(head, body)

    def _head(self, app_identifier: str | None) -> ApnsHead | Refused:
        topic = self.topic
        if topic is None:
            if not app_identifier:
                return MISSING_TOPIC
            if not _BUNDLE_ID.fullmatch(app_identifier):
                return BAD_TOPIC
            topic = app_identifier + self.suffix
        headers = (*self.headers, (b"apns-topic", topic.encode()))
        return ApnsHead(push_id=self.push_id, topic=topic, headers=headers)


def flaws(content: Content, data: Json) -> Iterator[tuple[str, str]]:
    """Yield what Apple would refuse or read over of `data` as it was written.

    The place, and a sentence.
    """
    push_type = str(content.option("push_type") or "alert")
    yield from keys.flaws(data, push_type)
    topic, suffix = _own_topic(content), PUSH_TYPES[push_type]
    if topic is not None and not topic.endswith(suffix):
        # Apple answers BadTopic. Nothing else is sure: an app may be called `com.acme.voip`.
        yield "/data/topic", f"topic must end with {suffix}, as the push type {push_type} has it."


def draft(content: Content, envelope: Envelope) -> Draft | Refused:
    """Return the notification in the texts of this content; refused when it is too large."""
    push_type, aps = aps_of(content, envelope)
    topic, expiry = _own_topic(content), _own_expiry(content)
    custom = custom_keys(content, push_type)
    for name, given in (("topic", topic), ("expiry", expiry)):
        if given is not None:
            del custom[name]
    payload_bytes = _PAYLOAD_BYTES.get(push_type, limits.APNS_PAYLOAD_BYTES)
    body = cut(orjson.dumps({"aps": aps, **custom}), limit=envelope.most_bytes(payload_bytes))
    if isinstance(body, Refused):
        return body
    return Draft(
        push_id=envelope.push_id,
        suffix=PUSH_TYPES[push_type],
        topic=topic,
        headers=tuple(
            (f"apns-{name}".encode(), value.encode())
            for name, value in headers(content, envelope, push_type, expiry=expiry).items()
        ),
        body=body,
    )


def aps_of(content: Content, envelope: Envelope) -> tuple[str, dict[str, Any]]:
    """Return the push type, and `aps` with a mark where each device's own badge goes.

    The caller's own `aps` is meant for Apple devices alone, so it is the more particular word;
    alerts are merged key by key, so that a text in the device's language stays.
    """
    data, asked = content.data, str(content.option("push_type") or "")
    aps = keys.read(data, asked)
    alert = _alert(data.get("alert"), data.get("title"))
    own = data.get("aps") or {}
    if alert is not None:
        aps["alert"] = alert
        if own.get("alert") is not None:
            own = {**own, "alert": {**_alert_object(alert), **_alert_object(own["alert"])}}
    aps |= {key: value for key, value in own.items() if value is not None}
    if isinstance(aps.get("alert"), dict):
        aps["alert"] = _alert_object(aps["alert"])
    aps = keys.with_numbers(aps)
    badge = aps.pop("badge", _badge(content))
    push_type = asked or ("background" if badge is None and _is_silent(aps) else "alert")
    if push_type == "background":
        aps.setdefault("content-available", 1)
    if push_type in keys.WIDGETS:
        aps.setdefault("content-changed", True)
    if push_type == keys.LIVE_ACTIVITY:
        # Of two updates a device shows the one with the later time.
        aps.setdefault("timestamp", int(envelope.created_at.timestamp()))
    if badge is not None:
        # Last, so that it can be left out with the comma before it.
        aps["badge"] = badge
    return push_type, aps


def _is_silent(aps: Json) -> bool:
    return aps.get("content-available") == 1 and not _NOTICED & aps.keys()


def _badge(content: Content) -> int | str | None:
    if content.counts_badges:
        return BADGE_MARK
    return None if content.badge is None else content.badge.absolute


def custom_keys(content: Content, push_type: str) -> dict[str, Any]:
    """Return what stands beside `aps`."""
    spelled = keys.spellings(push_type)
    return {key: value for key, value in content.custom(_TAKEN).items() if key not in spelled}


def _alert(alert: Any, title: Any) -> Any:
    if title is None:
        return _alert_object(alert) if isinstance(alert, dict) else alert
    return {**_alert_object(alert), "title": title}


def _alert_object(alert: Any) -> Json:
    """Return an alert in its long form: a string is its body. What is null is not given."""
    if isinstance(alert, dict):
        return {key: value for key, value in alert.items() if value is not None}
    return {"body": alert} if isinstance(alert, str) else {}


def headers(
    content: Content, envelope: Envelope, push_type: str, *, expiry: int | None = None
) -> dict[str, str]:
    """Return the header fields without `apns-`; `expiry` wins over the push's own."""
    priority = int(content.option("priority") or _PRIORITY)
    priority = min(priority, _HIGHEST_PRIORITY.get(push_type, priority))
    priority = max(priority, _LOWEST_PRIORITY.get(push_type, priority))
    if expiry is None and envelope.expires_at is not None:
        # Absent means that Apple keeps it as long as it likes; 0 would mean one attempt.
        expiry = int(envelope.expires_at.timestamp())
    fields = {
        "push-type": push_type,
        "priority": str(priority),
        "expiration": None if expiry is None else str(expiry),
        "collapse-id": content.option("collapse_id"),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _own_topic(content: Content) -> str | None:
    """Return the topic that `data` names, as it does in Parse's push adapter."""
    topic = content.data.get("topic")
    return topic if isinstance(topic, str) and _TOPIC.fullmatch(topic) else None


def _own_expiry(content: Content) -> int | None:
    """Return the seconds since 1970 that `data.expiry` names; 0 is one attempt."""
    expiry = content.data.get("expiry")
    if not isinstance(expiry, int | float) or isinstance(expiry, bool):
        return None
    return int(expiry) if 0 <= expiry < limits.LATEST_EXPIRY else None
