"""A compressed body, inflated as it comes (RFC 9110 8.4.1)."""

import zlib
from typing import Final

from pushsvc.errors import MalformedEncodingError, UnsupportedEncodingError

_PLAIN: Final = frozenset({"", "identity"})
_GZIP: Final = frozenset({"gzip", "x-gzip"})
#: zlib's number for a gzip frame of any window.
_GZIP_FRAME: Final = 31


class Inflating:
    """A gzip body, as it comes."""

    def __init__(self) -> None:
        self._frame = zlib.decompressobj(_GZIP_FRAME)

    def take(self, part: bytes, *, most: int, is_last: bool) -> bytes:
        """Return what a part of the body comes to, but no more bytes than `most`.

        Raises:
            MalformedEncodingError: it is no gzip, or it ends too soon, or something follows it.
        """
        try:
            inflated = self._frame.decompress(part, most)
        except zlib.error as error:
            raise MalformedEncodingError(f"The body is not gzip: {error}.") from error
        if self._frame.unused_data:
            raise MalformedEncodingError("After the end of the body's gzip there is more.")
        # Where there is as much as was asked for, the rest was not looked at.
        if is_last and not self._frame.eof and len(inflated) < most:
            raise MalformedEncodingError("The body's gzip ends too soon.")
        return inflated


def inflating_of(encoding: str) -> Inflating | None:
    """Return what inflates a body of this Content-Encoding; None for a plain one.

    Raises:
        UnsupportedEncodingError: nobody can.
    """
    encoding = encoding.strip().lower()
    if encoding in _PLAIN:
        return None
    if encoding not in _GZIP:
        text = f"Content-Encoding {encoding[:100]} is not read here. Send gzip, or leave it out."
        raise UnsupportedEncodingError(text)
    return Inflating()
