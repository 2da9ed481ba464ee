"""Frames: bytes to (type, flags, stream id, payload) and back (RFC 9113 sections 4 and 6)."""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

from pushsvc.delivery.wire.errors import ErrorCode, PeerError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20
#: A head in one frame, and nothing after it.
WHOLE: Final = END_HEADERS | END_STREAM

#: We never announce more than the least MAX_FRAME_SIZE, nor use more than every peer must take
#: (section 4.2), so the peer's own value never matters to us.
MAX_FRAME_BYTES: Final = 16_384
MAX_STREAM_ID: Final = 2**31 - 1

#: Length as 8 + 16 bits, type, flags, stream id.
HEADER: Final = Struct(">BHBBI")
HEADER_BYTES: Final = HEADER.size
#: The same without the stream id.
HEAD: Final = Struct(">BHBB")
_WORD: Final = Struct(">I")
stream_word: Final = _WORD.pack
WORD_BYTES: Final = _WORD.size
_TWO_WORDS: Final = Struct(">II")

Frame = tuple[int, int, int, bytes]


#: Given octets and where a frame begins, it says from where on it leaves them.
Take = Callable[[bytes, int], int]


def _nothing(_octets: bytes, at: int) -> int:
    return at


class Reader:
    """Cuts what arrives into frames, whatever the pieces it arrives in."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._need = 0

    def frames(self, data: bytes, take: Take = _nothing) -> Iterator[Frame]:
        """Yield every frame that `data` completes; keep the rest (at most one frame).

        Where HEADERS that end their stream begin, `take` may take any number of frames itself.

        Raises:
            PeerError: a frame announces more than MAX_FRAME_BYTES (section 4.2).
        """
        if self._partial:
            self._partial += data
            if len(self._partial) < self._need:
                return
            data = bytes(self._partial)
            self._partial = bytearray()
        unpack = HEADER.unpack_from
        start, end = 0, len(data)
        need = HEADER_BYTES
        while end - start >= HEADER_BYTES:
            high, low, kind, flags, stream_id = unpack(data, start)
            if high or low > MAX_FRAME_BYTES:
                raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"frame of {high << 16 | low} bytes")
            need = HEADER_BYTES + low
            if end - start < need:
                break
            if flags == WHOLE and kind == HEADERS and (taken := take(data, start)) > start:
                start = taken
                need = HEADER_BYTES
                continue
            yield kind, flags, stream_id & MAX_STREAM_ID, data[start + HEADER_BYTES : start + need]
            start += need
            need = HEADER_BYTES
        if start < end:
            self._partial += data[start:]
            self._need = need


def content(flags: int, payload: bytes) -> bytes:
    """A HEADERS or DATA payload without padding and priority (sections 6.1, 6.2)."""
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "no pad length")
        start = 1
        end -= payload[0]
    if flags & HAS_PRIORITY:
        start += 5
        if start > len(payload):
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "priority is cut off")
    if start > end:
        raise PeerError(ErrorCode.PROTOCOL_ERROR, "padding exceeds the frame")
    return payload[start:end]


def frame(kind: int, flags: int, stream_id: int, *, payload: bytes = b"") -> bytes:
    """One frame; the payload has at most MAX_FRAME_BYTES."""
    return HEADER.pack(0, len(payload), kind, flags, stream_id) + payload


def word(payload: bytes) -> int:
    """The 32 bits of an RST_STREAM payload."""
    (value,) = _WORD.unpack(payload)
    return int(value)


def increment(payload: bytes) -> int:
    """The 31 bits of a WINDOW_UPDATE payload."""
    return word(payload) & MAX_STREAM_ID


def reset(stream_id: int, code: ErrorCode) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream_id, payload=_WORD.pack(code))


def window_update(stream_id: int, octets: int) -> bytes:
    """WINDOW_UPDATE; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, payload=_WORD.pack(octets))


def goaway(code: ErrorCode, debug: bytes = b"") -> bytes:
    """GOAWAY. Its last stream id is 0: with push disabled the peer never opened a stream."""
    return frame(GOAWAY, 0, 0, payload=_TWO_WORDS.pack(0, code) + debug)


def goaway_fields(payload: bytes) -> tuple[int, int, bytes]:
    """Last stream id, error code and debug data of a GOAWAY payload (section 6.8)."""
    if len(payload) < _TWO_WORDS.size:
        raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is cut off")
    last_id, code = _TWO_WORDS.unpack_from(payload)
    return last_id & MAX_STREAM_ID, code, payload[_TWO_WORDS.size :]
