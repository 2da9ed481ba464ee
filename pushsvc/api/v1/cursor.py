"""Cursors of pages: opaque to callers, a push's key to us. Pure."""

import base64
import binascii

from pushsvc.errors import Fault, InvalidRequestError

#: A bigint.
KEY_BYTES = 8


def write(key: int) -> str:
    """Return the cursor of the page after the push with this key."""
    return base64.urlsafe_b64encode(key.to_bytes(KEY_BYTES)).rstrip(b"=").decode()


def read(cursor: str) -> int:
    """Return the key of a cursor.

    Raises:
        InvalidRequestError: it is none of ours.
    """
    try:
        raw = base64.urlsafe_b64decode(f"{cursor}=")
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES or raw[0] & 0x80:
        raise foreign()
    return int.from_bytes(raw)


def foreign() -> InvalidRequestError:
    """Return the error that says that a cursor is none of ours, or of another list."""
    text = "The cursor is not one of ours: take `next_cursor` of the page before."
    return InvalidRequestError([Fault("?cursor", "invalid_value", text)])
