"""Response heads: a decoded block judged, and remembered by its bytes (RFC 9113 section 8.3.2)."""

import re
from enum import Enum
from typing import Final, NamedTuple

from pushsvc.delivery.wire import huffman
from pushsvc.delivery.wire.events import Answered
from pushsvc.delivery.wire.hpack import FIELD_OVERHEAD, Decoder
from pushsvc.delivery.wire.static import Field

#: Blocks remembered; the oldest are dropped all at once. Dates change every second, ids always.
_MAX_HEADS: Final = 256
_MAX_HEAD_BYTES: Final = 1_024

#: What the first octet of a string can say of its length; above it, that it is Huffman coded.
_SHORT: Final = 0x7F

_new: Final = tuple.__new__

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_BAD_OCTETS: Final = b"\x00\r\n"
_STATUS: Final = re.compile(rb"[1-9][0-9][0-9]").fullmatch
_LENGTH: Final = re.compile(rb"[0-9]{1,18}").fullmatch
_SWITCHING_PROTOCOLS: Final = 101
_FIRST_FINAL_STATUS: Final = 200
_CONNECTION_FIELDS: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)


class Other(Enum):
    """A well formed block that is no final head; its value says what it lacks where one is due."""

    #: 1xx: the final head is still to come.
    INTERIM = "ends with 1xx"
    TRAILERS = "no status"


class Broken(NamedTuple):
    """A header block that is malformed (section 8.1.1)."""

    problem: str


Block = Answered | Other | Broken


def _judged(fields: tuple[Field, ...]) -> Block:
    for at, field in enumerate(fields):
        if problem := _problem(field, first=at == 0):
            return Broken(problem)
    if not fields or fields[0][0] != b":status":
        return Other.TRAILERS
    status = int(fields[0][1])
    return Answered(status, fields[1:], b"") if status >= _FIRST_FINAL_STATUS else Other.INTERIM


def _is_good(value: bytes) -> bool:
    return len(value.translate(None, _BAD_OCTETS)) == len(value)


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
    if not _is_good(value):
        return f"value of {name.decode()}"
    return None


class _Model(NamedTuple):
    """A head that others are like, but for the value of its last field (an id, say)."""

    before_value: bytes
    status: int
    #: The fields but for the last one, and the name of that.
    fields: tuple[Field, ...]
    name: bytes
    #: Octets of the value that are within the limit of header lists.
    room: int


class Heads:
    """Decodes response blocks; the usual ones are found by their bytes, or by all but one value."""

    def __init__(self, max_list_bytes: int) -> None:
        self._decoder = Decoder(max_list_bytes)
        #: Final heads by their block.
        self.known: dict[bytes, Answered] = {}
        #: By the first octet of the block, which is mostly the status.
        self._models: dict[int, _Model] = {}
        #: Empty our table: the peer has acknowledged HEADER_TABLE_SIZE 0.
        self.allow = self._decoder.allow

    def read(self, block: bytes) -> Block:
        """The answer that a complete block is the head of, as if it had no body; or what else.

        Raises:
            PeerError: the block breaks HPACK.
        """
        return self.known.get(block) or self.like(block) or self._decode(block)

    def like(self, block: bytes) -> Answered | None:
        """The model's head with another last value; None where the block is anything else."""
        model = self._models.get(block[0]) if block else None
        if model is None or not block.startswith(model[0]):
            return None
        before_value, status, fields, name, room = model
        # One string whose length fits into its first octet (RFC 7541 section 5.2).
        at = len(before_value)
        length = len(block) - at - 1
        if not 0 <= length < _SHORT or block[at] & _SHORT != length:
            return None
        value = block[at + 1 :]
        if block[at] > _SHORT:
            value = huffman.decode(value)
        if len(value) > room or len(value.translate(None, _BAD_OCTETS)) != len(value):
            return None
        # Half the time of Answered(...), which unpacks and packs it.
        return _new(Answered, (status, (*fields, (name, value)), b""))

    def _decode(self, block: bytes) -> Block:
        fields, stateless, value_at, room = self._decoder.decode(block)
        read = _judged(fields)
        if stateless and len(block) <= _MAX_HEAD_BYTES and isinstance(read, Answered):
            if len(self.known) >= _MAX_HEADS:
                self.known.clear()
            self.known[block] = read
            if value_at and read.headers:
                self._become_model(block[:value_at], read, room)
        return read

    def _become_model(self, before_value: bytes, answered: Answered, room: int) -> None:
        *fields, (name, _) = answered.headers
        if name != b"content-length":
            room -= FIELD_OVERHEAD + len(name)
            model = _Model(before_value, answered.status, tuple(fields), name, room)
            self._models[before_value[0]] = model
