"""SETTINGS: ours as bytes, the peer's checked (RFC 9113 section 6.5)."""

from struct import Struct
from typing import Final

from pushsvc.delivery.wire.errors import ErrorCode, PeerError
from pushsvc.delivery.wire.flow import DEFAULT_WINDOW, MAX_WINDOW
from pushsvc.delivery.wire.frames import MAX_FRAME_BYTES, SETTINGS, frame
from pushsvc.delivery.wire.limits import Limits

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6

_ENTRY: Final = Struct(">HI")

#: Setting: least, most, and the error when it lies outside (section 6.5.2). A server may only
#: say ENABLE_PUSH 0; an unknown setting is ignored.
_BOUNDS: Final = {
    ENABLE_PUSH: (0, 0, ErrorCode.PROTOCOL_ERROR),
    INITIAL_WINDOW_SIZE: (0, MAX_WINDOW, ErrorCode.FLOW_CONTROL_ERROR),
    MAX_FRAME_SIZE: (MAX_FRAME_BYTES, 2**24 - 1, ErrorCode.PROTOCOL_ERROR),
}


def stream_window(limits: Limits) -> int:
    """The window we give each stream: a whole body, and never below the protocol's default.

    Not below the default, since the peer may use that until it has seen our SETTINGS.
    """
    return max(DEFAULT_WINDOW, limits.max_body_bytes + MAX_FRAME_BYTES)


def ours(limits: Limits) -> bytes:
    """Our SETTINGS frame.

    HEADER_TABLE_SIZE 0, as usual, leaves no state between response blocks, so equal bytes mean
    equal headers and the usual block is found by lookup.
    """
    entries = (
        (HEADER_TABLE_SIZE, limits.response_table_bytes),
        (ENABLE_PUSH, 0),
        (INITIAL_WINDOW_SIZE, stream_window(limits)),
        (MAX_HEADER_LIST_SIZE, limits.max_header_list_bytes),
    )
    return frame(SETTINGS, 0, 0, payload=b"".join(_ENTRY.pack(*entry) for entry in entries))


def checked(payload: bytes) -> list[tuple[int, int]]:
    """The peer's settings in their order; each must be applied in turn (section 6.5.3).

    Raises:
        PeerError: a length that is no multiple of 6, or a value out of bounds.
    """
    if len(payload) % _ENTRY.size:
        raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
    entries = list(_ENTRY.iter_unpack(payload))
    for name, value in entries:
        least, most, code = _BOUNDS.get(name, (0, 2**32 - 1, ErrorCode.NO_ERROR))
        if not least <= value <= most:
            raise PeerError(code, f"setting {name} is {value}")
    return entries
