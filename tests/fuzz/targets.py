"""What is fuzzed: each target takes any octets and raises only if a law of the wire is broken."""

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol
from zlib import crc32

import hpack
from hpack.exceptions import HPACKError

from pushsvc.delivery.wire import frames, settings
from pushsvc.delivery.wire.errors import ErrorCode, PeerError
from pushsvc.delivery.wire.events import Answered
from pushsvc.delivery.wire.hpack import DEFAULT_TABLE_BYTES, FIELD_OVERHEAD, Decoder
from pushsvc.delivery.wire.response import Heads
from pushsvc.delivery.wire.static import Field
from tests.fuzz import script
from tests.fuzz.bounds import check_decoder, check_heads, check_reader, forget
from tests.fuzz.played import OPERATIONS, Played


def is_sampled(octets: bytes, one_in: int) -> bool:
    """Whether an input gets the slow treatment; the same one always does."""
    return crc32(octets) % one_in == 0


# -- Frames -----------------------------------------------------------------------------------

#: Such a step goes on for so long: a frame of 16 KiB needs few octets of input.
_LONG = 6
_FILL = b"\xff" * 16_384

_REFUSALS = {ErrorCode.FRAME_SIZE_ERROR, ErrorCode.PROTOCOL_ERROR, ErrorCode.FLOW_CONTROL_ERROR}
_READINGS: dict[int, Callable[[int, bytes], object]] = {
    frames.DATA: frames.content,
    frames.HEADERS: frames.content,
    frames.GOAWAY: lambda _, payload: frames.goaway_fields(payload),
    frames.SETTINGS: lambda _, payload: settings.checked(payload),
}


def read_frames(octets: bytes) -> None:
    """Frames come out as they are in the octets, whatever the pieces, up to the first bad one."""
    steps = script.read(octets)[1]
    pieces = [argument + _FILL if operation == _LONG else argument for operation, argument in steps]
    reader = frames.Reader()
    found: list[frames.Frame] = []
    whole = True
    for piece in pieces:
        whole = whole and read_piece(reader, piece, found)
    assert (found, whole) == cut(b"".join(pieces))
    for kind, flags, _, payload in found:
        if reading := _READINGS.get(kind):
            read_payload(reading, flags, payload)


def read_piece(reader: frames.Reader, piece: bytes, found: list[frames.Frame]) -> bool:
    """Whether no frame of the piece was refused; what was found, was found before."""
    try:
        found += reader.frames(piece)
    except PeerError as error:
        if error.code != ErrorCode.FRAME_SIZE_ERROR:
            raise
        return False
    check_reader(reader)
    return True


def read_payload(reading: Callable[[int, bytes], object], flags: int, payload: bytes) -> None:
    """A payload is understood or refused."""
    try:
        reading(flags, payload)
    except PeerError as error:
        if error.code not in _REFUSALS:
            raise


def cut(octets: bytes) -> tuple[list[frames.Frame], bool]:
    """The frames, and whether all are within our MAX_FRAME_SIZE; written to be plain."""
    found: list[frames.Frame] = []
    at = 0
    while at + 9 <= len(octets):
        end = at + 9 + int.from_bytes(octets[at : at + 3], "big")
        if end - at > 9 + 16_384:
            return found, False
        if end > len(octets):
            break
        stream_id = int.from_bytes(octets[at + 5 : at + 9], "big") % 2**31
        found.append((octets[at + 3], octets[at + 4], stream_id, octets[at + 9 : end]))
        at = end
    return found, True


# -- Header blocks ----------------------------------------------------------------------------

#: One input of so many is judged by the hpack package too, which is slow.
_SAMPLED = 4
_NO_LIMIT = 2**31
_LIST_LIMITS = (_NO_LIMIT, 1_000, 150, 0)
#: This operation changes our table's limit; every other one says a block.
_ALLOW = 1
#: One entry of two letters measures 34.
_TABLE_LIMITS = (0, 34, 68, DEFAULT_TABLE_BYTES)


def decode_headers(octets: bytes) -> None:
    """Blocks of one connection are read as elsewhere or refused; remembered heads are right."""
    setting, steps = script.read(octets)
    limit = _LIST_LIMITS[setting % len(_LIST_LIMITS)]
    readers: list[Reader] = [Remembered(limit)]
    if limit == _NO_LIMIT and is_sampled(octets, _SAMPLED):
        readers.append(Elsewhere())
    for operation, argument in steps:
        if operation == _ALLOW:
            for reader in readers:
                reader.allow(_TABLE_LIMITS[len(argument) % len(_TABLE_LIMITS)])
        elif not all([reader.read(argument) for reader in readers]):  # noqa: C419 - all shall read
            break


class Reader(Protocol):
    """Reads the blocks of a connection in their order."""

    def allow(self, size: int) -> None:
        """Our table's limit changes."""

    def read(self, block: bytes) -> bool:
        """Whether there may be more to read: the block was not refused."""


class Remembered:
    """Heads as a connection has them, against heads decoded anew each time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heads = Heads(limit)
        self._anew = Heads(limit)

    def allow(self, size: int) -> None:
        """Our table's limit changes: to nothing, that is, since a connection never raises it."""
        if size == 0:
            self._heads.allow(0)
            self._anew.allow(0)

    def read(self, block: bytes) -> bool:
        """A head is the same whether remembered or not, within the limit, and memory is bounded."""
        forget(self._anew)
        head, anew = read_head(self._heads, block), read_head(self._anew, block)
        assert head == anew
        check_heads(self._heads)
        if isinstance(head, Answered):
            assert sum(len(n) + len(v) + FIELD_OVERHEAD for n, v in head.headers) <= self._limit
        return head is not None


def read_head(heads: Heads, block: bytes) -> object:
    """The head of a block, or None if it is refused."""
    try:
        return heads.read(block)
    except PeerError as error:
        if error.code != ErrorCode.COMPRESSION_ERROR:
            raise
        return None


class Elsewhere:
    """Our decoder against that of the hpack package."""

    def __init__(self) -> None:
        self._ours = Decoder(_NO_LIMIT)
        self._theirs = hpack.Decoder(_NO_LIMIT)

    def allow(self, size: int) -> None:
        """Our table's limit changes; as we do, they shrink the table without being told to."""
        self._ours.allow(size)
        self._theirs.max_allowed_table_size = size
        self._theirs.header_table_size = min(size, self._theirs.header_table_size)

    def read(self, block: bytes) -> bool:
        """Both refuse a block, or both read the same."""
        ours: list[Field] | None = None
        theirs: list[Field] | None = None
        with suppress(PeerError):
            ours = list(self._ours.decode(block).fields)
        with suppress(HPACKError):
            theirs = [(field[0], field[1]) for field in self._theirs.decode(block, raw=True)]
        assert ours == theirs
        check_decoder(self._ours)
        return ours is not None


# -- The core ---------------------------------------------------------------------------------

#: One input of so many is watched after each step, the others at their end.
_WATCHED = 4


def converse(octets: bytes) -> None:
    """Whatever a peer says and whenever, every request has one verdict and every buffer a bound."""
    setting, steps = script.read(octets)
    played = Played(setting)
    closely = is_sampled(octets, _WATCHED)
    for operation, argument in steps:
        OPERATIONS.get(operation % script.OPERATIONS, Played.hear)(played, argument)
        if closely:
            played.check()
    played.check()
    played.end(how=len(steps))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "frames": read_frames,
    "headers": decode_headers,
    "connection": converse,
}
