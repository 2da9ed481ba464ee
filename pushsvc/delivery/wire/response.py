"""Response heads: a decoded block judged, and remembered by its bytes (RFC 9113 section 8.3.2)."""

import re
from typing import Final

from pushsvc.delivery.wire.events import Answered
from pushsvc.delivery.wire.hpack import Decoder
from pushsvc.delivery.wire.static import Field

#: Blocks remembered; the oldest are dropped all at once. Dates change every second, ids always.
_MAX_HEADS: Final = 256
_MAX_HEAD_BYTES: Final = 1_024

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_BAD_VALUE: Final = re.compile(rb"[\x00\r\n]").search
_STATUS: Final = re.compile(rb"[1-9][0-9][0-9]").fullmatch
_LENGTH: Final = re.compile(rb"[0-9]{1,18}").fullmatch
_SWITCHING_PROTOCOLS: Final = 101
_FIRST_FINAL_STATUS: Final = 200
_CONNECTION_FIELDS: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)


class Head:
    """One header block of a response: a head, an interim head, or trailers.

    The first `checked` fields are known to be well formed.
    """

    __slots__ = ("answered", "interim", "length", "problem")

    def __init__(self, fields: tuple[Field, ...], checked: int = 0) -> None:
        #: The whole answer, were there no body; None for trailers.
        self.answered: Answered | None = None
        #: 1xx: the final head is still to come.
        self.interim = False
        #: What content-length says, or None.
        self.length: int | None = None
        #: What makes the block malformed (section 8.1.1), or None.
        self.problem: str | None = None
        for at in range(checked, len(fields)):
            self.problem = self.problem or _problem(fields[at], first=at == 0)
        if self.problem is None and fields and fields[0][0] == b":status":
            self.answered = Answered(int(fields[0][1]), fields[1:], b"")
            self.interim = self.answered.status < _FIRST_FINAL_STATUS
            length = self.answered.header(b"content-length")
            self.length = None if length is None else int(length)


def _problem(field: Field, *, first: bool) -> str | None:
    """The rule that a field of a response breaks."""
    name, value = field
    if first and name == b":status":
        good = _STATUS(value) and int(value) != _SWITCHING_PROTOCOLS
        return None if good else f"status {value!r}"
    if not _NAME(name):
        return f"field name {name!r}"
    if name in _CONNECTION_FIELDS:
        return f"field {name.decode()} in HTTP/2"
    if name == b"content-length" and not _LENGTH(value):
        return f"content-length {value!r}"
    if _BAD_VALUE(value):
        return f"value of {name.decode()}"
    return None


class Heads:
    """Decodes response blocks; the usual ones are found by their bytes."""

    def __init__(self, max_list_bytes: int) -> None:
        self._decoder = Decoder(max_list_bytes)
        self._known: dict[bytes, Head] = {}
        #: The block before was well formed, and so is what another one takes over from it.
        self._sound = False
        #: Empty our table: the peer has acknowledged HEADER_TABLE_SIZE 0.
        self.allow = self._decoder.allow

    def read(self, block: bytes) -> Head:
        """The head behind a complete header block.

        Raises:
            PeerError: the block breaks HPACK.
        """
        head = self._known.get(block)
        if head is None:
            fields, stateless, kept = self._decoder.decode(block)
            head = Head(fields, kept if self._sound else 0)
            self._sound = head.problem is None
            if stateless and len(block) <= _MAX_HEAD_BYTES:
                if len(self._known) >= _MAX_HEADS:
                    self._known.clear()
                self._known[block] = head
        return head
