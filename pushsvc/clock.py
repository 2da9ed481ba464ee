"""The clocks, passed in where time matters."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored and sent, monotonic time for what is waited."""

    def now(self) -> datetime:
        """Return the wall time, with zone UTC."""

    def monotonic(self) -> float:
        """Return seconds that only grow."""


class SystemClock:
    """The host's clocks."""

    def now(self) -> datetime:
        """Return the wall time, with zone UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()


class SharedClock:
    """The wall time that all processes share: somebody else's, carried on without asking.

    Until it is set it is the host's, as it was at the start. What the host's wall clock does later
    changes nothing: NTP steps it, people set it, and virtual machines wake up with an old one.
    """

    def __init__(self, host: Clock) -> None:
        self._host = host
        self.set(host.now(), at=host.monotonic())

    def set(self, wall: datetime, *, at: float) -> None:
        """Take over that it was so late when the monotonic clock said `at`."""
        self._start = wall - timedelta(seconds=at)

    def now(self) -> datetime:
        """Return the wall time, with zone UTC."""
        return self._start + timedelta(seconds=self._host.monotonic())

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return self._host.monotonic()
