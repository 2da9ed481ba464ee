"""Octets that no server may send: one function per rule of RFC 9113 (or RFC 7541) that they break.

Each takes the id of the stream whose request is waiting. Floods are legal frame by frame; what is
wrong with them is their number.
"""

from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

FLOOD_FRAMES = 10_000
MAX_FRAME_BYTES = 16_384
MOST_INCREMENT = 2**31 - 1
#: Far above what a sender has opened.
IDLE_AHEAD = 2**20
SETTINGS, WINDOW_UPDATE = 0x4, 0x8

#: HPACK: `:status: 200` and `:status: 400` of the static table; `:status: 103` as a literal.
OK, BAD_REQUEST, EARLY_HINTS = b"\x88", b"\x8c", b"\x08\x03103"
#: An index of 0, which stands for nothing.
NO_FIELD = b"\x80"
#: A field of 4,000 octets into the table, and references to it: 16 KiB stand for 48 MB.
BOMB = BAD_REQUEST + b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4_000 + b"\xbe" * 12_000


def _raw(kind: int, stream_id: int, payload: bytes) -> bytes:
    """A frame that hyperframe would not make."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, 0)) + stream_id.to_bytes(4, "big")
    return head + payload


def _head(stream_id: int, block: bytes, *flags: str) -> bytes:
    return HeadersFrame(stream_id, block, flags=flags).serialize()


def _flood(frame: Frame) -> bytes:
    return frame.serialize() * FLOOD_FRAMES


def push_promise(stream_id: int) -> bytes:
    """A push, which senders have disabled (section 8.4)."""
    frame = PushPromiseFrame(stream_id, 2, OK, flags=["END_HEADERS"])
    return frame.serialize()


def settings_length(stream_id: int) -> bytes:
    """SETTINGS of five octets (section 6.5)."""
    del stream_id
    return _raw(SETTINGS, 0, bytes(5))


def headers_on_zero(stream_id: int) -> bytes:
    """HEADERS on the connection itself (section 6.2)."""
    return _head(stream_id, OK, "END_HEADERS")[:5] + bytes(4) + OK


def even_stream(stream_id: int) -> bytes:
    """HEADERS on a stream that only a server could have opened (section 5.1.1)."""
    del stream_id
    return _head(2, OK, "END_HEADERS", "END_STREAM")


def interleaved(stream_id: int) -> bytes:
    """A PING within a header block (section 6.10)."""
    rest = ContinuationFrame(stream_id, b"", flags=["END_HEADERS"])
    return (
        _head(stream_id, OK, "END_STREAM") + PingFrame(0, bytes(8)).serialize() + rest.serialize()
    )


def hpack_garbage(stream_id: int) -> bytes:
    """A reference to nothing (RFC 7541, section 6.1)."""
    return _head(stream_id, NO_FIELD, "END_HEADERS", "END_STREAM")


def window_zero(stream_id: int) -> bytes:
    """WINDOW_UPDATE of zero (section 6.9)."""
    del stream_id
    return _raw(WINDOW_UPDATE, 0, bytes(4))


def window_overflow(stream_id: int) -> bytes:
    """More window than 31 bits hold (section 6.9.1)."""
    del stream_id
    return WindowUpdateFrame(0, MOST_INCREMENT).serialize()


def data_past_window(stream_id: int) -> bytes:
    """A refusal with 1 MB of body, whatever the sender has granted (section 6.9)."""
    piece = DataFrame(stream_id, b" " * MAX_FRAME_BYTES).serialize()
    return _head(stream_id, BAD_REQUEST, "END_HEADERS") + piece * 64


def oversize_frame(stream_id: int) -> bytes:
    """A frame one octet above SETTINGS_MAX_FRAME_SIZE (section 4.2)."""
    return DataFrame(stream_id, bytes(MAX_FRAME_BYTES + 1)).serialize()


def reset_idle(stream_id: int) -> bytes:
    """RST_STREAM on a stream that was never opened (section 6.4)."""
    return RstStreamFrame(stream_id + IDLE_AHEAD, error_code=0).serialize()


def data_idle(stream_id: int) -> bytes:
    """DATA on a stream that was never opened (section 5.1)."""
    return DataFrame(stream_id + IDLE_AHEAD, b"{}").serialize()


def settings_flood(stream_id: int) -> bytes:
    """SETTINGS, each to be acknowledged (CVE-2019-9515)."""
    del stream_id
    return _flood(SettingsFrame(0))


def ping_flood(stream_id: int) -> bytes:
    """PINGs, each to be echoed (CVE-2019-9512)."""
    del stream_id
    return _flood(PingFrame(0, bytes(8)))


def continuation_flood(stream_id: int) -> bytes:
    """A header block without end (CVE-2024-28182)."""
    return _head(stream_id, OK, "END_STREAM") + _flood(ContinuationFrame(stream_id, b""))


def hpack_bomb(stream_id: int) -> bytes:
    """A small block that stands for a large header list (CVE-2016-6581)."""
    return _head(stream_id, BOMB, "END_HEADERS", "END_STREAM")


def interim_end(stream_id: int) -> bytes:
    """A 103 that ends the stream (section 8.1)."""
    return _head(stream_id, EARLY_HINTS, "END_HEADERS", "END_STREAM")
