"""Notifications for WNS: a toast, a badge, a tile, or raw data for the app.

The rules are those of Microsoft's page "Push notification service request and response headers".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pushsvc.model import Json, Refused, WnsShape
from pushsvc.shaping import limits, wns_xml
from pushsvc.shaping.content import APPLE_ONLY, STEERING, Content, Envelope
from pushsvc.shaping.splice import Body, Escape, Texts, cut, in_json, in_xml, nested, number_of
from pushsvc.shaping.wns_block import (
    BADGE,
    RAW,
    TAG,
    TILE,
    TOAST,
    block_of,
    is_image,
    type_of,
)

Headers = tuple[tuple[str, str], ...]

#: The device type whose channels know header fields that WNS refuses for all others.
PHONE: Final = "winphone"
#: Sounds that a toast may name; file names, as Apple has them, mean nothing to Windows.
_SOUNDS: Final = ("ms-winsoundevent:", "ms-appx:")
#: Keys with a place of their own in a toast, or none on Windows; the others are its arguments.
_NO_ARGUMENT: Final = APPLE_ONLY | STEERING | {"alert", "title", "sound", "uri", "aps"}

#: A badge was asked for that counts, and the device has no badge.
MISSING_BADGE: Final = Refused(reason="MissingBadge")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What the header fields of a type of notification are."""

    content_type: str = "text/xml"
    #: what becomes of it while the device is away, unless the push says; None: nothing to be said
    cached: bool | None
    #: whether a later one of the same tag replaces it
    has_tag: bool = False


_KINDS: Final[Mapping[str, _Kind]] = {
    TOAST: _Kind(cached=None, has_tag=True),
    TILE: _Kind(cached=True, has_tag=True),
    BADGE: _Kind(cached=True),
    RAW: _Kind(cached=False, content_type="application/octet-stream"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    """Header fields: for phones, and for everybody else."""

    usual: Headers
    phone: Headers

    def of(self, device_type: str | None) -> Headers:
        return self.phone if device_type == PHONE else self.usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A notification in one choice of texts, before it knows its device."""

    fields: _Fields
    #: None where there is nothing but the device's own badge
    body: Body | None
    #: for a device whose own badge is known, in place of the others
    badge_fields: _Fields | None
    #: the numbers of the texts to be filled in that are all there is to see, if they are
    seen: tuple[int, ...]

    @property
    def needs(self) -> tuple[int, ...]:
        """The numbers of the texts to be filled in."""
        return self.body.needs if self.body else ()

    def finish(
        self, device_type: str | None, badge: int | None, texts: Texts
    ) -> WnsShape | Refused:
        """Return the notification for devices of this type with this badge and these texts."""
        if badge is not None and self.badge_fields is not None:
            return WnsShape(self.badge_fields.of(device_type), wns_xml.badge(badge))
        if self.body is None:
            return MISSING_BADGE
        if self.seen and not any(wns_xml.legal(texts[number]) for number in self.seen):
            return limits.PAYLOAD_EMPTY
        body = self.body.fill(badge, texts)
        if isinstance(body, Refused):
            return body
        return WnsShape(self.fields.of(device_type), body) if body else limits.PAYLOAD_EMPTY


def draft(content: Content, envelope: Envelope) -> Draft | Refused:
    """Return the notification in the texts of this content; refused when it is too large."""
    block = block_of(content)
    kind = type_of(block) or _usual_type(content)
    written = _body(kind, content, block)
    body = None
    if written is not None:
        text, escape = written
        most = envelope.most_bytes(limits.WNS_PAYLOAD_BYTES)
        found = cut(text, limit=most, escape=escape)
        if isinstance(found, Refused):
            return found
        body = found
    # Unless something else was asked for, a badge that counts stands in for raw data.
    counts = content.counts_badges and (kind == BADGE or (kind == RAW and not type_of(block)))
    return Draft(
        fields=_fields(kind, content, envelope),
        body=body,
        badge_fields=_fields(BADGE, content, envelope) if counts and "badge" not in block else None,
        seen=_seen(_visible(content, block)) if kind in {TOAST, TILE} else (),
    )


def _seen(visible: wns_xml.Visible) -> tuple[int, ...]:
    """Return the numbers of the texts to be filled in, where there is nothing else to see."""
    numbers = [number_of(text) for text in visible.texts]
    filled = tuple(number for number in numbers if number is not None)
    return () if visible.image or len(filled) < len(numbers) else filled


def _usual_type(content: Content) -> str:
    if wns_xml.texts_of(content.data):
        return TOAST
    return RAW if content.badge is None or content.counts_badges else BADGE


def _body(kind: str, content: Content, block: Json) -> tuple[bytes, Escape] | None:
    """Return the body, and how texts are written in it; None where only a device knows it."""
    if kind == RAW:
        return _raw(block.get("raw", content.custom(APPLE_ONLY)))
    if kind == BADGE:
        value = block.get("badge", content.badge.absolute if content.badge else None)
        return None if value is None else (wns_xml.badge(value), in_xml)
    visible = _visible(content, block)
    if kind == TILE:
        return wns_xml.tile(visible), in_xml
    return wns_xml.toast(visible, audio=block.get("audio") or _sound(content.data)), in_xml


def _raw(raw: Any) -> tuple[bytes, Escape]:
    return (raw.encode(), str.encode) if isinstance(raw, str) else (orjson.dumps(raw), in_json)


def _visible(content: Content, block: Json) -> wns_xml.Visible:
    data, image = content.data, block.get("image")
    if image is None and is_image(data.get("image")):
        image = data["image"]
        data = {key: value for key, value in data.items() if key != "image"}
    launch = block.get("launch")
    return wns_xml.Visible(
        texts=wns_xml.texts_of(data),
        image=wns_xml.legal(image),
        launch=_launch(data) if launch is None else wns_xml.legal(launch),
    )


def _sound(data: Json) -> str:
    sound = wns_xml.legal(data.get("sound"))
    return sound if sound.startswith(_SOUNDS) else ""


def _launch(data: Json) -> str:
    """Return what the app is started with: the push's `uri`, or else its custom keys as JSON."""
    if uri := wns_xml.legal(data.get("uri")):
        return uri
    arguments = {key: data[key] for key in data if key not in _NO_ARGUMENT}
    return wns_xml.legal(nested(orjson.dumps(arguments).decode())) if arguments else ""


def _fields(kind: str, content: Content, envelope: Envelope) -> _Fields:
    block, rules = block_of(content), _KINDS[kind]
    usual = {
        "Content-Type": rules.content_type,
        "X-WNS-Type": f"wns/{kind}",
        "X-WNS-Cache-Policy": _cache_policy(rules, block),
        "X-WNS-TTL": _ttl(block, envelope),
        "X-WNS-Tag": _tag(content, block) if rules.has_tag else None,
        "X-WNS-PRIORITY": block.get("priority"),
    }
    phone = {}
    if kind == TOAST:
        phone = {
            "X-WNS-Group": block.get("group"),
            "X-WNS-SuppressPopup": "true" if block.get("suppress_popup") else None,
        }
    return _Fields(usual=_given(usual), phone=_given(usual | phone))


def _given(fields: Mapping[str, str | int | None]) -> Headers:
    return tuple((name, str(value)) for name, value in fields.items() if value is not None)


def _cache_policy(rules: _Kind, block: Json) -> str | None:
    if rules.cached is None:
        return None
    return "cache" if block.get("cache", rules.cached) else "no-cache"


def _ttl(block: Json, envelope: Envelope) -> int | None:
    """Return seconds: what the push says of WNS, and never beyond its own end."""
    given = [ttl for ttl in (block.get("ttl"), envelope.ttl_seconds) if ttl is not None]
    # WNS answers 400 to 0 for what it is to keep.
    return max(1, min(given)) if given else None


def _tag(content: Content, block: Json) -> str | None:
    tag = block.get("tag") or content.option("collapse_id") or ""
    return tag if TAG.fullmatch(tag) else None
