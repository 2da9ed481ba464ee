"""Notifications for WNS: a toast where there is text, a badge, or raw data for the app.

The rules are those of Microsoft's pages "Push notification service request and response headers",
"App notification content schema" and "Badge notifications".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as ET

import orjson

from pushsvc.model import Json, Refused, WnsShape
from pushsvc.shaping import limits
from pushsvc.shaping.content import APPLE_ONLY, STEERING, Content, Envelope
from pushsvc.shaping.splice import Body, Texts, cut, in_json, in_xml, nested

Headers = tuple[tuple[str, str], ...]

_TAG: Final = re.compile(rf"[A-Za-z0-9]{{1,{limits.WNS_TAG_CHARACTERS}}}")
#: Sounds that a toast may name; file names, as Apple has them, mean nothing to Windows.
_SOUNDS: Final = ("ms-winsoundevent:", "ms-appx:")
#: Keys with a place of their own in a toast, or none on Windows; the others are its arguments.
_NO_ARGUMENT: Final = APPLE_ONLY | STEERING | {"alert", "title", "sound", "uri", "aps"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A kind of notification, with the headers that depend on it."""

    wns_type: str
    content_type: str = "text/xml"
    #: whether `X-WNS-Cache-Policy` applies to it; toasts are kept without asking
    has_cache_policy: bool
    #: whether a later one of the same tag replaces it
    has_tag: bool = False


_TOAST: Final = _Kind(wns_type="wns/toast", has_cache_policy=False, has_tag=True)
_BADGE: Final = _Kind(wns_type="wns/badge", has_cache_policy=True)
_RAW: Final = _Kind(
    wns_type="wns/raw", content_type="application/octet-stream", has_cache_policy=True
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A notification in one choice of texts, before it knows its device."""

    headers: Headers
    body: Body
    #: for a device whose own badge is known, in place of the others
    badge_headers: Headers | None

    @property
    def needs(self) -> tuple[int, ...]:
        """The numbers of the texts to be filled in."""
        return self.body.needs

    def finish(self, _trait: str | None, badge: int | None, texts: Texts) -> WnsShape | Refused:
        """Return the notification for devices with this badge and these texts."""
        if badge is not None and self.badge_headers is not None:
            return WnsShape(self.badge_headers, _badge(badge))
        body = self.body.fill(badge, texts)
        return body if isinstance(body, Refused) else WnsShape(self.headers, body)


def draft(content: Content, envelope: Envelope) -> Draft | Refused:
    """Return the notification in the texts of this content; refused when it is too large."""
    data = content.data
    texts, change, escape = _texts(data), content.badge, in_json
    if texts:
        kind, body, escape = _TOAST, _toast(texts, data), in_xml
    elif change is not None and change.absolute is not None:
        kind, body = _BADGE, _badge(change.absolute)
    else:
        kind, body = _RAW, orjson.dumps(content.custom(APPLE_ONLY))
    found = cut(body, limit=limits.WNS_PAYLOAD_BYTES, escape=escape)
    if isinstance(found, Refused):
        return found
    counted = not texts and content.counts_badges
    return Draft(
        headers=_headers(kind, content, envelope),
        body=found,
        badge_headers=_headers(_BADGE, content, envelope) if counted else None,
    )


def _badge(badge: int) -> bytes:
    """Return a badge; 0 takes it away, and below that Windows knows none."""
    return b'<badge value="%d"/>' % max(0, badge)


def _legal(text: Any) -> str:
    return limits.NOT_XML.sub("", text) if isinstance(text, str) else ""


def _texts(data: Json) -> list[str]:
    """Return the lines of a toast, at most the three that the template has room for."""
    alert = data.get("alert")
    parts: Mapping[str, Any] = alert if isinstance(alert, dict) else {"body": alert}
    lines = (data.get("title") or parts.get("title"), parts.get("subtitle"), parts.get("body"))
    return [text for text in map(_legal, lines) if text]


def _toast(texts: list[str], data: Json) -> bytes:
    toast = ET.Element("toast")
    if launch := _launch(data):
        toast.set("launch", launch)
    visual = ET.SubElement(toast, "visual")
    binding = ET.SubElement(visual, "binding", template="ToastGeneric")
    for text in texts:
        ET.SubElement(binding, "text").text = text
    sound = _legal(data.get("sound"))
    if sound.startswith(_SOUNDS):
        ET.SubElement(toast, "audio", src=sound)
    return ET.tostring(toast, encoding="unicode").encode()


def _launch(data: Json) -> str:
    """Return what the app is started with: the push's `uri`, or else its custom keys as JSON."""
    if uri := _legal(data.get("uri")):
        return uri
    arguments = {key: data[key] for key in data if key not in _NO_ARGUMENT}
    return _legal(nested(orjson.dumps(arguments).decode())) if arguments else ""


def _headers(kind: _Kind, content: Content, envelope: Envelope) -> Headers:
    ttl = envelope.ttl_seconds
    tag = content.option("collapse_id") or ""
    headers = {
        "Content-Type": kind.content_type,
        "X-WNS-Type": kind.wns_type,
        "X-WNS-Cache-Policy": "cache" if kind.has_cache_policy else None,
        # WNS answers 400 to 0 for what it is to keep.
        "X-WNS-TTL": None if ttl is None else str(max(1, ttl)),
        "X-WNS-Tag": tag if kind.has_tag and _TAG.fullmatch(tag) else None,
    }
    return tuple((name, value) for name, value in headers.items() if value is not None)
