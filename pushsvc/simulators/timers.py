"""Calls for later that have an owner: they end with the connection or the exchange they are of."""

import asyncio
from collections.abc import Callable


class Timers:
    """The calls of one owner that are still to come."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.TimerHandle] = set()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call once the time is over, unless cancelled before."""

        def ring() -> None:
            self._waiting.discard(timer)
            call()

        timer = asyncio.get_running_loop().call_later(seconds, ring)
        self._waiting.add(timer)

    def cancel(self) -> None:
        """The owner is gone."""
        for timer in self._waiting:
            timer.cancel()
        self._waiting.clear()
