"""A clock that stands until it is told to move."""

from datetime import UTC, datetime, timedelta


class StandingClock:
    """Both clocks, moved together."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.ticks = 1000.0

    def now(self) -> datetime:
        """Return the wall time."""
        return self.wall

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return self.ticks

    def move(self, *, seconds: float) -> None:
        """Let time pass, on both."""
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds
