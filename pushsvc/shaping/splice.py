"""A body cut at the places that differ by device: its badge, and texts with variables.

What has such a place is written once, with a mark in it. Marks are of characters that Unicode
reserves for a program's own use, that content may not hold, and that neither JSON nor XML
escapes; so a body can be cut at them whatever it was built of.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.sax.saxutils import escape as escape_xml

import orjson

from pushsvc.model import Refused
from pushsvc.shaping.limits import NOT_XML, TOO_LARGE

#: U+FDD0 and U+FDD1 are noncharacters (Unicode 23.7).
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
RESERVED: Final = re.compile(f"[{_OPEN}{_CLOSE}]")
#: The value of a key "badge" in JSON, or of an attribute in XML, where a device's own goes.
BADGE_MARK: Final = f"{_OPEN}b{_CLOSE}"
_NESTED: Final = f"n{_CLOSE}"

_HOLE: Final = re.compile(
    f'(?P<key>,?"badge":)"{BADGE_MARK}"|{_OPEN}(?:(?P<badge>b)|(?P<text>[0-9]+)(?P<nested>n?)){_CLOSE}'.encode()
)

#: A text that no UTF-8 can hold: half of a surrogate pair, say.
BAD_TEXT: Final = Refused(reason="BadText")

#: What an attribute would lose, besides what no text may hold.
_ATTRIBUTE: Final = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}

Texts = Sequence[str]
Escape = Callable[[str], bytes]
#: what goes into a hole, and how many of its bytes count
_Write = Callable[[int | None, Texts], tuple[bytes, int]]


def mark(index: int) -> str:
    """Return the mark of a text with variables."""
    return f"{_OPEN}{index}{_CLOSE}"


def unmarked(value: Any, texts: Texts) -> Any:
    """Return JSON with the texts in place of their marks."""
    if isinstance(value, str):
        if not value.startswith(_OPEN) or value == BADGE_MARK:
            return value
        return RESERVED.sub("", texts[int(value[1:-1])])
    if isinstance(value, dict):
        return {key: unmarked(part, texts) for key, part in value.items()}
    return [unmarked(part, texts) for part in value] if isinstance(value, list) else value


def nested(text: str) -> str:
    """Return JSON text with marks so that it can be a string in other JSON, or in XML."""
    return text.replace(_CLOSE, _NESTED)


def in_json(text: str) -> bytes:
    """Return what stands between the quotes of a JSON string."""
    return orjson.dumps(text)[1:-1]


def in_xml(text: str) -> bytes:
    """Return text as it may stand in an element and in an attribute, without what XML has not."""
    return escape_xml(NOT_XML.sub("", text), _ATTRIBUTE).encode()


def fixed_bytes(body: bytes) -> int:
    """Return how large a body is without its holes."""
    return len(_HOLE.sub(b"", body))


@dataclass(frozen=True, slots=True)
class Body:
    """A body's parts, and the holes between them."""

    parts: tuple[bytes, ...]
    holes: tuple[_Write, ...]
    #: which texts it needs, by their numbers
    needs: tuple[int, ...]
    #: bytes that may be filled in
    room: int

    def fill(self, badge: int | None, texts: Texts) -> bytes | Refused:
        """Return the body of one device; refused when it is too large or cannot be written."""
        parts, room = self.parts, self.room
        filled = [parts[0]]
        try:
            for write, part in zip(self.holes, parts[1:], strict=True):
                written, counted = write(badge, texts)
                room -= counted
                filled += written, part
        except (orjson.JSONEncodeError, UnicodeEncodeError):
            return BAD_TEXT
        return TOO_LARGE if room < 0 else b"".join(filled)


def cut(
    body: bytes, *, limit: int, counted: int | None = None, escape: Escape = in_json
) -> Body | Refused:
    """Cut a body at its marks; refused when it is too large whatever is filled in.

    Args:
        body: JSON or XML.
        limit: how many bytes the gateway takes.
        counted: bytes that count without the holes; all that stand in the body where None.
        escape: how texts are written in it.
    """
    parts, holes, needs, end = [], [], dict[int, None](), 0
    for hole in _HOLE.finditer(body):
        parts.append(body[end : hole.start()])
        end = hole.end()
        holes.append(_writer(hole, escape))
        if hole["text"] is not None:
            needs[int(hole["text"])] = None
    parts.append(body[end:])
    room = limit - (sum(map(len, parts)) if counted is None else counted)
    if room < 0:
        return TOO_LARGE
    return Body(tuple(parts), tuple(holes), tuple(needs), room)


def _writer(hole: re.Match[bytes], escape: Escape) -> _Write:
    if hole["text"] is not None:
        return _text(int(hole["text"]), escape, is_nested=bool(hole["nested"]))
    return _badge(hole["key"] or b"")


def _badge(key: bytes) -> _Write:
    def write(badge: int | None, _texts: Texts) -> tuple[bytes, int]:
        written = b"" if badge is None else b"%b%d" % (key, badge)
        return written, len(written)

    return write


def _text(index: int, escape: Escape, *, is_nested: bool) -> _Write:
    def write(_badge: int | None, texts: Texts) -> tuple[bytes, int]:
        written = escape(texts[index])
        return written, len(written)

    def write_nested(_badge: int | None, texts: Texts) -> tuple[bytes, int]:
        # FCM counts what the string with JSON in it has, WNS what is written.
        inner = in_json(texts[index])
        written = escape(inner.decode())
        return written, len(inner if escape is in_json else written)

    return write_nested if is_nested else write
