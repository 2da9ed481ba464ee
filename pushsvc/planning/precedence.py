"""What is urgent goes first: while it is under way, large work begins piece by piece."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Precedence:
    """Shared by the lanes of one event loop, which one batch keeps busy for milliseconds."""

    def __init__(self, *, wait_seconds: float) -> None:
        """Let what is not urgent begin after `wait_seconds` at the latest, one after the other."""
        self._wait_seconds = wait_seconds
        self._urgent = 0
        self._none_urgent = asyncio.Event()
        self._none_urgent.set()
        self._next = asyncio.Lock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have precedence for as long as the block runs."""
        self._urgent += 1
        self._none_urgent.clear()
        try:
            yield
        finally:
            self._urgent -= 1
            if not self._urgent:
                self._none_urgent.set()

    async def given(self) -> None:
        """Wait until nothing urgent is under way, or for as long as one has to."""
        async with self._next:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait_seconds):
                    await self._none_urgent.wait()
