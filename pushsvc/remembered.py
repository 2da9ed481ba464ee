"""What one process remembers for a few seconds of what others may change."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar
from weakref import WeakValueDictionary

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
        #: of what somebody looks up just now
        self._loading: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    def get(self, key: Hashable) -> T | None:
        """Return what is remembered and still fresh."""
        entry = self._entries.get(key)
        if entry is None or entry[0] <= self._clock.monotonic():
            return None
        self._entries.move_to_end(key)
        return entry[1]

    async def get_or(self, key: Hashable, load: Callable[[], Awaitable[T | None]]) -> T | None:
        """Return what is remembered, else what `load` returns, and remember that unless it is None.

        Those who ask meanwhile wait for it: what runs out is not looked up by all at once.
        """
        known = self.get(key)
        if known is not None:
            return known
        lock = self._loading.setdefault(key, asyncio.Lock())
        async with lock:
            known = self.get(key)
            if known is not None:
                return known
            loaded = await load()
            return None if loaded is None else self.put(key, loaded)

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
