"""The receiving half of a connection below verdicts: whole header blocks, credit, floods.

What it bounds, and against which attacks (the CVE classes of HTTP/2): header blocks in frames
and octets (CONTINUATION flood), frames that bring a response no further (PING, SETTINGS, RST,
empty DATA, unknown types), acknowledgements waiting to be written.
"""

from collections.abc import Iterator
from typing import Final

from pushsvc.delivery.wire import frames, settings
from pushsvc.delivery.wire.errors import ErrorCode, PeerError
from pushsvc.delivery.wire.flow import DEFAULT_WINDOW, ReceiveWindow
from pushsvc.delivery.wire.frames import CONTINUATION, END_STREAM, SETTINGS, Frame
from pushsvc.delivery.wire.limits import Limits
from pushsvc.delivery.wire.response import Heads

#: A header list of ours is at most 16 KiB; four times that leaves room for bad encodings.
_MAX_BLOCK_BYTES: Final = 64 * 1024
_MAX_BLOCK_FRAMES: Final = 32

#: Frames that bring nothing, allowed between two ticks: so many, and some more per answer
#: (nginx resets every stream it answered early; others grant windows to closed streams).
_MAX_NOISE: Final = 1_000
_NOISE_PER_ANSWER: Final = 4


class Inbound:
    """Frames in, with the rules that do not depend on the state of a request."""

    def __init__(self, limits: Limits) -> None:
        self.heads = Heads(limits.max_header_list_bytes)
        self._reader = frames.Reader()
        self._granted = limits.connection_window_bytes
        self._window = ReceiveWindow(DEFAULT_WINDOW + self._granted, PeerError)
        self._noise = 0
        #: The peer has sent its SETTINGS, which must be its first frame (RFC 9113 section 3.4).
        self.greeted = False
        self._block_id = 0
        self._block_flags = 0
        self._block: list[bytes] = []
        self._block_bytes = 0

    def greeting(self, limits: Limits) -> bytes:
        """The first bytes of the connection: preface, SETTINGS, the connection's window."""
        grant = frames.window_update(0, self._granted) if self._granted else b""
        return frames.PREFACE + settings.ours(limits) + grant

    def frames(self, octets: bytes) -> Iterator[Frame]:
        """Every frame that is complete and that may stand where it stands.

        Raises:
            PeerError: after all frames before the offending one.
        """
        for frame in self._reader.frames(octets):
            if self._block or not self.greeted:
                self._check_order(frame)
            yield frame

    def _check_order(self, frame: Frame) -> None:
        kind, flags, stream_id, _ = frame
        if not self.greeted:
            if kind != SETTINGS or flags & frames.ACK:
                raise PeerError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        elif kind != CONTINUATION or stream_id != self._block_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")

    # -- Header blocks over several frames (section 6.10) -------------------------------------

    def begin_block(self, flags: int, stream_id: int, piece: bytes) -> None:
        """HEADERS without END_HEADERS; END_STREAM, if set, counts when the block is whole."""
        self._block_id = stream_id
        self._block_flags = flags & END_STREAM
        self._block = [piece]
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
        return self._block_flags, block

    # -- Bounds -------------------------------------------------------------------------------

    def credit(self, octets: int) -> bytes:
        """Count a DATA payload on the connection; the answer is the frame that grants more."""
        grant = self._window.spend(octets)
        return frames.window_update(0, grant) if grant else b""

    def noise(self, answers: int) -> None:
        """Count a frame that brought nothing; `answers` came since the last tick.

        Raises:
            PeerError: too many: ENHANCE_YOUR_CALM.
        """
        self._noise += 1
        if self._noise > _MAX_NOISE + _NOISE_PER_ANSWER * answers:
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "flood of frames that bring nothing")

    def tick(self) -> None:
        """Time has passed: forget the noise."""
        self._noise = 0
