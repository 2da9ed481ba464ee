"""Windows, both ways (RFC 9113 sections 5.2 and 6.9)."""

from typing import Final

from pushsvc.delivery.wire.errors import ErrorCode, RuleError

DEFAULT_WINDOW: Final = 65_535
MAX_WINDOW: Final = 2**31 - 1


def widened(window: int, octets: int, fault: type[RuleError]) -> int:
    """The window after a WINDOW_UPDATE of `octets`.

    Raises:
        fault: the update is zero, or leaves the window above 2^31 - 1 (section 6.9).
    """
    if octets == 0:
        raise fault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of zero")
    if window + octets > MAX_WINDOW:
        raise fault(ErrorCode.FLOW_CONTROL_ERROR, "window above 2^31-1")
    return window + octets


class ReceiveWindow:
    """What the peer may still send us: everything it sends is spent, and granted again by halves.

    Every octet counts, padding and frames of forgotten streams too; a client that forgets some
    starves its peer, and one that never grants stops at 65,535 octets of bodies for ever.
    """

    __slots__ = ("_fault", "_size", "_spent")

    def __init__(self, size: int, fault: type[RuleError]) -> None:
        self._size = size
        self._spent = 0
        self._fault = fault

    def spend(self, octets: int) -> int:
        """Count a DATA payload; the answer is how much to grant now (0: not yet).

        Raises:
            fault: the peer sent more than it was allowed to.
        """
        spent = self._spent + octets
        if spent > self._size:
            raise self._fault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the window")
        if spent * 2 < self._size:
            self._spent = spent
            return 0
        self._spent = 0
        return spent
