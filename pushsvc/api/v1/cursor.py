"""Cursors of pages: opaque to callers, a push's key or a template's name to us. Pure."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from pushsvc.errors import Fault, InvalidRequestError

T = TypeVar("T")

#: A bigint.
KEY_BYTES: Final = 8
#: No key begins so, and so none is taken for a name.
_OF_NAME: Final = b"\xff"


def page(
    found: Sequence[T], limit: int, mark: Callable[[T], str]
) -> tuple[Sequence[T], str | None]:
    """Cut one more than was asked for to a page, and the cursor of the next if there is one."""
    shown = found[:limit]
    return shown, mark(shown[-1]) if len(found) > limit else None


def write(key: int) -> str:
    """Return the cursor of the page after the push with this key."""
    return _encoded(key.to_bytes(KEY_BYTES))


def read(cursor: str) -> int:
    """Return the key of a cursor.

    Raises:
        InvalidRequestError: it is none of ours.
    """
    raw = _decoded(cursor)
    if len(raw) != KEY_BYTES or raw[0] & 0x80:
        raise foreign()
    return int.from_bytes(raw)


def write_name(name: str) -> str:
    """Return the cursor of the page after what has this name, which is in ASCII."""
    return _encoded(_OF_NAME + name.encode("ascii"))


def read_name(cursor: str) -> str:
    """Return the name of a cursor.

    Raises:
        InvalidRequestError: it is none of ours.
    """
    raw = _decoded(cursor)
    name = raw.removeprefix(_OF_NAME)
    if name == raw or not name.isascii() or not name.decode("ascii").isprintable():
        raise foreign()
    return name.decode("ascii")


def foreign() -> InvalidRequestError:
    """Return the error that says that a cursor is none of ours, or of another list."""
    text = "The cursor is not one of ours: take `next_cursor` of the page before."
    return InvalidRequestError([Fault("?cursor", "invalid_value", text)])


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(cursor: str) -> bytes:
    """Return what is encoded; nothing where nothing is."""
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        return b""
