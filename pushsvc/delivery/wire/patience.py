"""What a connection bears of frames that bring no response further (floods, RFC 9113 10.5)."""

from typing import Final

from pushsvc.delivery.wire.errors import ErrorCode, PeerError
from pushsvc.delivery.wire.stats import Counts

#: Between two ticks, and beyond that for each answer in between (nginx resets every stream it
#: answered early, others grant windows to closed streams) and for some streams that we reset:
#: their answers may still come.
_PATIENCE: Final = 1_000
_PER_ANSWER: Final = 4
_PER_RESET: Final = 8
_FORGIVEN_RESETS: Final = 1_000

#: A frame counts as one, and what takes long to read as one more for so many octets.
_OCTETS: Final = 64


class Patience:
    """Counts what brings nothing: control frames, and frames of streams that are over."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._spent = 0
        self._answered_at_tick = 0

    def tick(self) -> None:
        """Some time has passed: count anew."""
        self._spent = 0
        self._answered_at_tick = self._counts.answered

    @property
    def spare(self) -> int:
        """How many frames that bring nothing it bears now, whatever else comes."""
        return self._bearable() - self._spent

    def spend_spare(self, frames: int) -> None:
        """So many of the spare ones came."""
        self._spent += frames

    def spend(self, octets: int = 0) -> None:
        """A frame brought nothing, with so many octets to decode.

        Raises:
            PeerError: too many: a flood.
        """
        self._spent += 1 + octets // _OCTETS if octets else 1
        if self._spent > _PATIENCE and self._spent > self._bearable():
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "flood of frames that bring nothing")

    def _bearable(self) -> int:
        answers = self._counts.answered - self._answered_at_tick
        resets = min(self._counts.resets_sent, _FORGIVEN_RESETS)
        return _PATIENCE + _PER_ANSWER * answers + _PER_RESET * resets
