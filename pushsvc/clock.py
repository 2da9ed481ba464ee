"""The two clocks, passed in where time matters."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored and sent, monotonic time for what is waited."""

    def now(self) -> datetime:
        """Return the wall time, with zone UTC."""

    def monotonic(self) -> float:
        """Return seconds that only grow."""


class SystemClock:
    """The host's clocks. What is due is asked of the database, whose clock all workers share."""

    def now(self) -> datetime:
        """Return the wall time, with zone UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()
