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
from pushsvc.shaping.badge import badge_change
from pushsvc.shaping.content import APPLE_ONLY, STEERING, Choice, Content, Envelope

Headers = tuple[tuple[str, str], ...]

#: XML 1.0 section 2.2: no other character can be written, not even escaped.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG: Final = re.compile(rf"[A-Za-z0-9]{{1,{limits.WNS_TAG_CHARACTERS}}}")
#: Sounds that a toast may name; file names, as Apple has them, mean nothing to Windows.
_SOUNDS: Final = ("ms-winsoundevent:", "ms-appx:")
#: Keys with a place of their own in a toast, or none on Windows; the others are its arguments.
_NO_ARGUMENT: Final = APPLE_ONLY | STEERING | {"alert", "title", "sound", "uri", "aps"}
_NOT_RAW: Final = APPLE_ONLY | STEERING


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
class Template:
    """A notification in one choice of texts, before it knows its badge."""

    #: for a device whose badge is not known, and for all where there is more than a badge
    plain: WnsShape | Refused
    #: the headers of a device's own badge; None where the badge makes no difference
    badge_headers: Headers | None


def template(content: Content, choice: Choice, envelope: Envelope) -> Template:
    """Return the notification in these texts."""
    data = content.localised(choice)
    texts = _texts(data)
    change = badge_change(content.beside)
    if texts:
        kind, body = _TOAST, _toast(texts, data)
    elif change is not None and change.absolute is not None:
        kind, body = _BADGE, _badge(change.absolute)
    else:
        kind, body = _RAW, orjson.dumps({key: data[key] for key in data if key not in _NOT_RAW})
    if len(body) > limits.WNS_PAYLOAD_BYTES:
        plain: WnsShape | Refused = limits.TOO_LARGE
    else:
        plain = WnsShape(headers=_headers(kind, content, envelope), body=body)
    counted = not texts and change is not None and change.increment is not None
    return Template(
        plain=plain, badge_headers=_headers(_BADGE, content, envelope) if counted else None
    )


def finish(template: Template, badge: int | None) -> WnsShape | Refused:
    """Return the notification for the devices with one badge."""
    if badge is None or template.badge_headers is None:
        return template.plain
    return WnsShape(headers=template.badge_headers, body=_badge(badge))


def _badge(badge: int) -> bytes:
    """Return a badge; 0 takes it away, and below that Windows knows none."""
    return b'<badge value="%d"/>' % max(0, badge)


def _legal(text: Any) -> str:
    return _NOT_XML.sub("", text) if isinstance(text, str) else ""


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
    return _legal(orjson.dumps(arguments).decode()) if arguments else ""


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
