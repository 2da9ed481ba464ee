"""A body cut at the places that differ by device: its badge, and texts with variables.

What has such a place is written once, with a mark in it. Marks are of characters that Unicode
reserves for a program's own use, that content may not hold, and that neither JSON nor XML
escapes; so a body can be cut at them whatever it was built of.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
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
_MARKED: Final = _OPEN.encode()
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


class _Kind(IntEnum):
    """What goes into a hole."""

    BADGE = 0
    TEXT = 1
    #: a text in JSON that is itself a string, in other JSON or in XML
    NESTED = 2


def mark(index: int) -> str:
    """Return the mark of a text with variables."""
    return f"{_OPEN}{index}{_CLOSE}"


def number_of(text: str) -> int | None:
    """Return the number of the text with variables that a mark stands for; None of any other."""
    return int(text[1:-1]) if text.startswith(_OPEN) else None


def plain_marks(body: bytes) -> int:
    """Return how many texts stand in a body that are not within JSON of their own."""
    return sum(bool(hole["text"]) and not hole["nested"] for hole in _HOLE.finditer(body))


def unmarked(text: str, texts: Texts) -> str:
    """Return what stands for a mark, without what would be taken for another; or else the text."""
    number = number_of(text)
    return text if number is None else RESERVED.sub("", texts[number])


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
    return len(_HOLE.sub(b"", body)) if _MARKED in body else len(body)


@dataclass(frozen=True, slots=True)
class Body:
    """A body cut at its holes."""

    head: bytes
    #: what goes in, the number of a text or what stands before a badge, and what follows
    holes: tuple[tuple[_Kind, Any, bytes], ...]
    escape: Escape
    #: which texts it needs, by their numbers
    needs: tuple[int, ...]
    #: how large it may be
    most_bytes: int
    #: of JSON in a string, whether the gateway counts it before it was escaped
    counts_inner: bool

    def fill(self, badge: int | None, texts: Texts) -> bytes | Refused:
        """Return the body of one device; refused when it is too large or cannot be written."""
        filled, most, size = [self.head], self.most_bytes, len(self.head)
        try:
            for kind, what, part in self.holes:
                written = b""
                if kind is _Kind.BADGE:
                    if badge is not None:
                        written = b"%b%d" % (what, badge)
                elif kind is _Kind.NESTED:
                    inner = in_json(texts[what])
                    written = self.escape(inner.decode())
                    if self.counts_inner:
                        most += len(written) - len(inner)
                else:
                    written = self.escape(texts[what])
                size += len(written) + len(part)
                if size > most:
                    # Known before the rest is written: a text may stand in a thousand places.
                    return TOO_LARGE
                filled += written, part
        except (orjson.JSONEncodeError, UnicodeEncodeError):
            return BAD_TEXT
        return b"".join(filled)


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
    found = list(_HOLE.finditer(body)) if _MARKED in body else []
    ends = [hole.start() for hole in found] + [len(body)]
    holes = tuple(
        (*_filling(hole), body[hole.end() : end]) for hole, end in zip(found, ends[1:], strict=True)
    )
    fixed = fixed_bytes(body)
    uncounted = 0 if counted is None else fixed - counted
    if fixed > limit + uncounted:
        return TOO_LARGE
    return Body(
        head=body[: ends[0]],
        holes=holes,
        escape=escape,
        needs=tuple({what: None for kind, what, _ in holes if kind is not _Kind.BADGE}),
        most_bytes=limit + uncounted,
        counts_inner=counted is not None,
    )


def _filling(hole: re.Match[bytes]) -> tuple[_Kind, Any]:
    if hole["text"] is None:
        return _Kind.BADGE, hole["key"] or b""
    return _Kind.NESTED if hole["nested"] else _Kind.TEXT, int(hole["text"])
