"""Work that takes long is parked: it goes on beside the slot it was started in, within a bound."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Lot:
    """Owns the work that a worker has parked, until its end."""

    def __init__(self, *, places: int, after_seconds: float, end_seconds: float) -> None:
        """Take up to `places` works that have run `after_seconds`; each ends by `end_seconds`."""
        self._places = places
        self._after_seconds = after_seconds
        self._end_seconds = end_seconds
        self._parked: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Park nothing more: who waits for the places waits for all of the work."""
        self._places = 0

    @property
    def parked(self) -> list[asyncio.Task[None]]:
        """The work that is parked now."""
        return list(self._parked)

    async def run(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Do work; return when it is done, or when it has been parked. Cancelled, it ends first."""
        task = asyncio.create_task(self._bounded(work), name=name)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=self._after_seconds)
                if not task.done() and len(self._parked) < self._places:
                    self._park(task)
                    return
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        task.result()

    async def _bounded(self, work: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(self._end_seconds):
            await work

    def _park(self, task: asyncio.Task[None]) -> None:
        log.info("job.parked", job=task.get_name(), parked=len(self._parked) + 1)
        self._parked.add(task)
        task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._parked.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("job.failed", job=task.get_name(), exc_info=error)
