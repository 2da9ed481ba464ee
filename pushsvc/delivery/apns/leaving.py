"""When connections to APNs may be left for new ones."""

from typing import Final

from pushsvc.clock import Clock

#: Least time between two changes of connections: Apple takes quick connecting and disconnecting
#: for an attack.
#: https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns
LEAST_SECONDS: Final = 60.0


class Leaving:
    """Lets connections be left once in a while; what asks in between stays where it is."""

    def __init__(self, clock: Clock) -> None:
        """Nothing has been left yet."""
        self._clock = clock
        self._left_at: float | None = None

    def may_leave(self) -> bool:
        """Tell whether connections may be left now, and take it that they are."""
        now = self._clock.monotonic()
        if self._left_at is not None and now - self._left_at < LEAST_SECONDS:
            return False
        self._left_at = now
        return True
