"""HPACK: integers both ways, and a complete decoder of header blocks (RFC 7541)."""

from collections import deque
from typing import Final, NamedTuple

from pushsvc.delivery.wire import huffman
from pushsvc.delivery.wire.errors import ErrorCode, PeerError
from pushsvc.delivery.wire.static import STATIC, Field

DEFAULT_TABLE_BYTES: Final = 4_096
#: What a field costs beside its octets, in tables and in lists (section 4.1).
FIELD_OVERHEAD: Final = 32

#: 5 bytes after the prefix carry 35 bits; no length or index of ours needs more.
_MAX_INTEGER_BYTES: Final = 5

#: In an integer: another octet follows.
_MORE: Final = 0x80
_INDEXED: Final = 0x80
_INCREMENTAL: Final = 0x40
_SIZE_UPDATE: Final = 0x20
_HUFFMAN: Final = 0x80


def field_bytes(field: Field) -> int:
    """The size of a field as tables and lists count it."""
    return len(field[0]) + len(field[1]) + FIELD_OVERHEAD


def integer(value: int, prefix: int, first: int = 0) -> bytes:
    """`value` behind a `prefix`-bit start; `first` holds the bits above it (section 5.1)."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes((first | value,))
    octets = bytearray((first | most,))
    value -= most
    while value >= _MORE:
        octets.append(value & 0x7F | _MORE)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def string(value: bytes) -> bytes:
    """A string literal as raw octets (section 5.2)."""
    return integer(len(value), 7) + value


def read_integer(block: bytes, at: int, most: int) -> tuple[int, int]:
    """The integer whose prefix (bits `most`) is at `at`, and where the next thing starts."""
    try:
        value = block[at] & most
        at += 1
        if value < most:
            return value, at
        for turn in range(_MAX_INTEGER_BYTES):
            octet = block[at]
            at += 1
            value += (octet & 0x7F) << 7 * turn
            if octet < _MORE:
                return value, at
    except IndexError:
        raise PeerError(ErrorCode.COMPRESSION_ERROR, "header block is cut off") from None
    raise PeerError(ErrorCode.COMPRESSION_ERROR, "integer is too long")


class Block(NamedTuple):
    """A decoded header block."""

    fields: tuple[Field, ...]
    #: Decoding read and changed no state: equal bytes will always mean equal fields.
    stateless: bool
    #: Where the last field's value starts; 0 where that field is no literal, or was dropped.
    value_at: int
    #: Octets the list had left before its last field.
    room: int


class Decoder:
    """Decodes the peer's header blocks in their order, with the table they share.

    `limit` is what our SETTINGS allow. Fields beyond `max_list_bytes` are dropped while
    decoding, so that a small block of large references costs no memory; the table still
    follows every field.
    """

    def __init__(self, max_list_bytes: int) -> None:
        self._max_list_bytes = max_list_bytes
        self._table: deque[Field] = deque()
        self._used = 0
        self._size = self._limit = DEFAULT_TABLE_BYTES
        self._stateless = True
        self._value_at = 0

    def allow(self, limit: int) -> None:
        """Our HEADER_TABLE_SIZE is in force: the peer has acknowledged it.

        RFC 9113 section 4.3.1 wants a size update at the next block. A peer that never uses
        its table may forget it, so we shrink now; one that goes on using it then refers to
        what is gone, and that is the error.
        """
        self._limit = limit
        self._resize(min(self._size, limit))

    def decode(self, block: bytes) -> Block:
        """All fields of one complete block.

        Raises:
            PeerError: COMPRESSION_ERROR, for whatever breaks RFC 7541.
        """
        self._stateless = True
        self._value_at = 0
        fields: list[Field] = []
        before = room = self._max_list_bytes
        at = self._size_updates(block)
        while at < len(block):
            self._value_at = 0
            field, at = self._field(block, at)
            before, room = room, room - field_bytes(field)
            if room >= 0:
                fields.append(field)
        value_at = self._value_at if room >= 0 else 0
        return Block(tuple(fields), self._stateless, value_at, before)

    def _size_updates(self, block: bytes) -> int:
        """Obey the size updates that open a block (section 4.2); the answer is where they end."""
        at = 0
        while at < len(block) and block[at] & 0xE0 == _SIZE_UPDATE:
            size, at = read_integer(block, at, 0x1F)
            if size > self._limit:
                raise PeerError(ErrorCode.COMPRESSION_ERROR, f"table of {size} bytes")
            self._resize(size)
            self._stateless = False
        return at

    def _field(self, block: bytes, at: int) -> tuple[Field, int]:
        """The field at `at` (section 6), and where the next one starts."""
        first = block[at]
        if first & _INDEXED:
            index, at = read_integer(block, at, 0x7F)
            return self._entry(index), at
        if first & _INCREMENTAL:
            name, value, at = self._literal(block, at, 0x3F)
            self._insert((name, value))
        elif first & _SIZE_UPDATE:
            raise PeerError(ErrorCode.COMPRESSION_ERROR, "size update within a block")
        else:
            name, value, at = self._literal(block, at, 0x0F)
        return (name, value), at

    def _literal(self, block: bytes, at: int, most: int) -> tuple[bytes, bytes, int]:
        index, at = read_integer(block, at, most)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = self._string(block, at)
        self._value_at = at
        value, at = self._string(block, at)
        return name, value, at

    @staticmethod
    def _string(block: bytes, at: int) -> tuple[bytes, int]:
        """The string at `at` (section 5.2), and where the next thing starts.

        Raises:
            PeerError: it is cut off, or its Huffman code is bad.
        """
        length, start = read_integer(block, at, 0x7F)
        end = start + length
        if end > len(block):
            raise PeerError(ErrorCode.COMPRESSION_ERROR, "string is cut off")
        octets = block[start:end]
        return (huffman.decode(octets) if block[at] & _HUFFMAN else octets), end

    def _entry(self, index: int) -> Field:
        """The field at `index`: static first, then ours from the newest (section 2.3.3)."""
        if 0 < index < len(STATIC):
            return STATIC[index]
        self._stateless = False
        if not 0 <= index - len(STATIC) < len(self._table):
            raise PeerError(ErrorCode.COMPRESSION_ERROR, f"index {index} is outside the table")
        return self._table[index - len(STATIC)]

    def _insert(self, field: Field) -> None:
        """Add to the table (section 4.4): what is larger than the table empties it."""
        self._stateless = self._stateless and not self._limit
        if not self._size:
            return
        self._stateless = False
        size = field_bytes(field)
        self._evict(self._size - size)
        if size <= self._size:
            self._table.appendleft(field)
            self._used += size

    def _resize(self, size: int) -> None:
        self._size = size
        self._evict(size)

    def _evict(self, room: int) -> None:
        """Drop the oldest until at most `room` bytes are used (section 4.3)."""
        while self._table and self._used > room:
            self._used -= field_bytes(self._table.pop())
