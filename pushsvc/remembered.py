"""What one process remembers for a few seconds of what others may change."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from pushsvc.clock import Clock

#: Of one kind, remembered at once.
ENTRIES: Final = 10_000

T = TypeVar("T")


class Remembered(Generic[T]):
    """What was read lately, bounded in time and number."""

    def __init__(self, clock: Clock, *, seconds: float, entries: int = ENTRIES) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = entries
        self._entries: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        """Return what is remembered and still fresh."""
        entry = self._entries.get(key)
        if entry is None or entry[0] <= self._clock.monotonic():
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: Hashable, value: T) -> T:
        """Remember a value; forget the one that was not asked for the longest."""
        self._entries[key] = (self._clock.monotonic() + self._seconds, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
        return value

    def drop(self, key: Hashable) -> None:
        """Forget a value."""
        self._entries.pop(key, None)
