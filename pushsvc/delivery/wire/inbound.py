"""The receiving half of a connection below verdicts: whole header blocks, credit, floods.

What it bounds, and against which attacks (the CVE classes of HTTP/2): header blocks in frames
and octets (CONTINUATION flood), frames that bring a response no further (PING, SETTINGS, RST,
empty DATA, unknown types), acknowledgements waiting to be written.
"""

from typing import Final

from pushsvc.delivery.wire import frames, settings
from pushsvc.delivery.wire.errors import ErrorCode, PeerError
from pushsvc.delivery.wire.flow import DEFAULT_WINDOW, ReceiveWindow
from pushsvc.delivery.wire.frames import CONTINUATION, END_STREAM, SETTINGS
from pushsvc.delivery.wire.limits import Limits
from pushsvc.delivery.wire.response import Heads

#: A header list of ours is at most 16 KiB; four times that leaves room for bad encodings.
_MAX_BLOCK_BYTES: Final = 64 * 1024
_MAX_BLOCK_FRAMES: Final = 32


class Inbound:
    """Frames in, with the rules that do not depend on the state of a request."""

    def __init__(self, limits: Limits) -> None:
        self.heads = Heads(limits.max_header_list_bytes)
        self._granted = limits.connection_window_bytes
        self._window = ReceiveWindow(DEFAULT_WINDOW + self._granted, PeerError)
        self._reader = frames.Reader()
        #: Every frame that is complete.
        self.frames = self._reader.frames
        #: The peer has sent its SETTINGS, which must be its first frame (RFC 9113 section 3.4).
        self.greeted = False
        #: Not every frame may come next.
        self.expecting = True
        self._block_id = 0
        self._block_flags = 0
        self._block: list[bytes] = []
        self._block_bytes = 0

    def greeting(self, limits: Limits) -> bytes:
        """The first bytes of the connection: preface, SETTINGS, the connection's window."""
        grant = frames.window_update(0, self._granted) if self._granted else b""
        return frames.PREFACE + settings.ours(limits) + grant

    def check_order(self, kind: int, flags: int, stream_id: int) -> None:
        """Whether a frame may stand where it stands; to be asked while `expecting`.

        Raises:
            PeerError: SETTINGS is not the first frame, or a header block is interrupted.
        """
        if not self.greeted:
            if kind != SETTINGS or flags & frames.ACK:
                raise PeerError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        elif kind != CONTINUATION or stream_id != self._block_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")

    def greet(self) -> None:
        """The peer's first SETTINGS are in."""
        self.greeted = True
        self.expecting = False

    # -- Header blocks over several frames (section 6.10) -------------------------------------

    def begin_block(self, flags: int, stream_id: int, piece: bytes) -> None:
        """HEADERS without END_HEADERS; END_STREAM, if set, counts when the block is whole."""
        self._block_id = stream_id
        self._block_flags = flags & END_STREAM
        self._block = [piece]
        self.expecting = True
        self._block_bytes = len(piece)

    def continue_block(self, flags: int, piece: bytes) -> tuple[int, bytes] | None:
        """CONTINUATION: the flags and bytes of the whole block once it is complete."""
        if not self._block:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._block.append(piece)
        self._block_bytes += len(piece)
        if self._block_bytes > _MAX_BLOCK_BYTES or len(self._block) > _MAX_BLOCK_FRAMES:
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "header block without end")
        if not flags & frames.END_HEADERS:
            return None
        block = b"".join(self._block)
        self._block = []
        self.expecting = False
        return self._block_flags, block

    # -- Bounds -------------------------------------------------------------------------------

    def credit(self, octets: int) -> bytes:
        """Count a DATA payload on the connection; the answer is the frame that grants more."""
        grant = self._window.spend(octets)
        return frames.window_update(0, grant) if grant else b""
