"""The `wns` block of a push: its keys, and what is wrong with them.

What the values may be is said by Microsoft's pages "Push notification service request and response
headers", "WNS Notification Priorities", "Badge notifications", "Custom audio on app notifications"
and "image (Toast XML Schema)".
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from pushsvc.model import Json
from pushsvc.shaping import limits
from pushsvc.shaping.content import Content
from pushsvc.shaping.splice import RESERVED
from pushsvc.shaping.values import is_integer, is_text
from pushsvc.shaping.wns_xml import SILENT, texts_of

TOAST, BADGE, TILE, RAW = "toast", "badge", "tile", "raw"
_ALL: Final = (TOAST, BADGE, TILE, RAW)
_SEEN: Final = (TOAST, TILE)
_KEPT: Final = (BADGE, TILE, RAW)

TAG: Final = re.compile(rf"[A-Za-z0-9]{{1,{limits.WNS_TAG_CHARACTERS}}}")
_AUDIO: Final = re.compile(rf"{SILENT}|ms-winsoundevent:[A-Za-z0-9.]+|ms-appx:///\S+")
_IMAGES: Final = ("http://", "https://", "ms-appx:///", "ms-appdata:///")
GLYPHS: Final = (
    *("none", "activity", "alarm", "alert", "attention", "available", "away", "busy", "error"),
    *("newMessage", "paused", "playing", "unavailable"),
)
#: High, medium, low, very low.
_PRIORITIES: Final = range(1, 5)
#: Any integer, says Microsoft; they are of 32 bits.
_NUMBERS: Final = range(2**31)


class _Rule(NamedTuple):
    """What a key's value must be, null apart."""

    is_right: Callable[[Any], bool]
    said: str
    #: the types of notification that it says something of
    types: tuple[str, ...]


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _fits(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def is_image(value: Any) -> bool:
    """Tell whether Windows could load this image; a text with variables may turn out to be one."""
    if not isinstance(value, str):
        return False
    return value.lower().startswith(_IMAGES) or RESERVED.match(value) is not None


_TAG_SAID: Final = f"at most {limits.WNS_TAG_CHARACTERS} letters and digits"
RULES: Final[Mapping[str, _Rule]] = {
    "type": _Rule(lambda value: value in _ALL, f"one of {', '.join(_ALL)}", _ALL),
    "image": _Rule(is_image, "a URL that begins with http, https, ms-appx or ms-appdata", _SEEN),
    "audio": _Rule(_fits(_AUDIO), 'ms-winsoundevent:..., ms-appx:///..., or "silent"', (TOAST,)),
    "launch": _Rule(is_text, "a string", _SEEN),
    "badge": _Rule(
        lambda value: value in GLYPHS if is_text(value) else is_integer(value, _NUMBERS),
        f"a whole number from 0, or one of {', '.join(GLYPHS)}",
        (BADGE,),
    ),
    "raw": _Rule(
        lambda value: isinstance(value, dict) or (is_text(value) and value != ""),
        "an object, or a string that is not empty",
        (RAW,),
    ),
    "tag": _Rule(_fits(TAG), _TAG_SAID, _SEEN),
    "group": _Rule(_fits(TAG), _TAG_SAID, (TOAST,)),
    "ttl": _Rule(
        lambda value: is_integer(value, _NUMBERS[1:]), "a whole number of seconds from 1", _ALL
    ),
    "cache": _Rule(_is_flag, "true or false", _KEPT),
    "priority": _Rule(lambda value: is_integer(value, _PRIORITIES), "1, 2, 3 or 4", _ALL),
    "suppress_popup": _Rule(_is_flag, "true or false", (TOAST,)),
}


def block_of(content: Content) -> Json:
    """Return the block, empty where there is none; null counts as missing."""
    block = content.beside.get("wns") or {}
    return {key: value for key, value in block.items() if value is not None}


def type_of(block: Json) -> str | None:
    """Return the type that the block asks for, also by a key that says only one."""
    asked: str | None = block.get("type")
    return asked or next((kind for kind in (RAW, BADGE) if kind in block), None)


def flaws(content: Content) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the block: the place, and a sentence."""
    block = block_of(content)
    for key, value in block.items():
        place = "/wns/" + key.replace("~", "~0").replace("/", "~1")
        rule = RULES.get(key)
        if rule is None:
            yield place, f"WNS has no such key; there are {', '.join(RULES)}."
        elif not rule.is_right(value):
            yield place, f"{key} must be {rule.said}."
    kind = type_of(block) if block else None
    if kind in _ALL:
        yield from _misplaced(block, kind)
        yield from _missing(content, block, kind)


def _misplaced(block: Json, kind: str) -> Iterator[tuple[str, str]]:
    for key in block:
        rule = RULES.get(key)
        if rule is not None and kind not in rule.types:
            yield f"/wns/{key}", f"{key} says nothing of type {kind}, only of {_any(rule.types)}."


def _missing(content: Content, block: Json, kind: str) -> Iterator[tuple[str, str]]:
    if kind in _SEEN:
        image = is_image(block.get("image", content.data.get("image")))
        for choice in content.choices() if not image else ():
            if not texts_of(content.localised(choice).data):
                yield "/wns/type", f"A {kind} needs an alert, a title or an image in every locale."
    elif kind == BADGE and "badge" not in block and content.badge is None:
        yield "/wns/type", "A badge needs wns.badge or data.badge."


def _any(words: tuple[str, ...]) -> str:
    return " or ".join(words)
