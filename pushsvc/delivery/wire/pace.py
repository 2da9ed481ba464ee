"""When the next connection may be opened: backoff after failures, spacing for growth."""

from pushsvc.delivery.wire.limits import Limits


class Pace:
    """Counts failed connects in a row; times are on the pool's clock."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.failures = 0
        self._not_before = 0.0
        self._grow_after = 0.0

    @property
    def hopeless(self) -> bool:
        """So many failures that those who wait should be told."""
        return self.failures >= self._limits.connect_attempts

    def delay(self, now: float) -> float:
        """Seconds to wait before the next attempt."""
        return max(0.0, self._not_before - now)

    def may_grow(self, now: float) -> bool:
        """Whether a connection beside working ones may be opened."""
        return now >= self._grow_after

    def opened(self, now: float) -> None:
        """A connection stands; whether it works is not known yet."""
        self._grow_after = now + self._limits.growth_spacing_seconds

    def calm(self, now: float) -> None:
        """The peer asked for calm: no connection in place of the one it ends, for a while."""
        self._not_before = max(self._not_before, now + self._limits.growth_spacing_seconds)

    def worked(self) -> None:
        """A request was answered."""
        self.failures = 0

    def failed(self, now: float, jitter: float) -> None:
        """No connection, or one that ended before it answered anything; jitter is 0 to 1."""
        limits = self._limits
        doubled = limits.backoff_first_seconds * 2.0 ** min(self.failures, 30)
        pause = min(doubled, limits.backoff_most_seconds)
        self._not_before = max(self._not_before, now + pause * (0.5 + jitter / 2))
        self.failures += 1
