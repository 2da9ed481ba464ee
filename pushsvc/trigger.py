"""What is small goes in volleys: pushes when they are due, deliveries when somebody rings."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import structlog

from pushsvc import pipeline
from pushsvc.model import Push
from pushsvc.planning.parking import Lot
from pushsvc.planning.precedence import Precedence
from pushsvc.resources import Resources
from pushsvc.storage.engine import DATABASE_ERRORS

log = structlog.get_logger(__name__)

#: After a failure of Postgres it is asked again so much later.
PAUSE_SECONDS = 1
#: What is due within so long goes together: each volley costs some milliseconds by itself.
GATHER_SECONDS = 0.1
#: Small deliveries come side by side; so long is waited for those that come with the first.
COMPANY_SECONDS = 0.003
#: Of the time in which a process that is to stop may not notice.
LONGEST_REST_SECONDS = 0.25
#: Redis is asked anew this often whether somebody rang.
HEAR_SECONDS = 1.0
#: While one of them waits for Postgres or a gateway, the others go on.
VOLLEYS_AT_ONCE = 3


class Taken(Protocol):
    """A push that is ours, for a volley."""

    @property
    def push(self) -> Push:
        """The push."""
        ...


TakenT = TypeVar("TakenT", bound=Taken)
Take = Callable[[Resources, Sequence[int]], Awaitable[Sequence[TakenT]]]
Fire = Callable[[Resources, Sequence[TakenT]], Coroutine[Any, Any, None]]


class Trigger:
    """Fires small pushes when they are due, and deliveries when somebody rings, in volleys.

    It owns the volleys under way.
    """

    def __init__(self, resources: Resources, *, lot: Lot, precedence: Precedence) -> None:
        """Fire nothing before `run`."""
        self.volleys: set[asyncio.Task[None]] = set()
        self._resources = resources
        self._lot = lot
        self._precedence = precedence
        self._places = asyncio.Semaphore(VOLLEYS_AT_ONCE)
        self._hearing: asyncio.Task[bool] | None = None

    async def run(self) -> None:
        """Look for what is due until the process is to stop, at its time or soon after."""
        stopping, now = self._resources.stopping, self._resources.clock.monotonic
        look_at = 0.0
        try:
            while not stopping.is_set():
                try:
                    await self._fire_deliveries()
                    if now() >= look_at:
                        look_at = now() + await self._fire_due()
                except DATABASE_ERRORS as error:
                    log.warning("trigger.failed", error=str(error))
                    look_at = now() + PAUSE_SECONDS
                except Exception:
                    # One row that this version cannot read is no reason to end all work.
                    log.exception("trigger.failed")
                    look_at = now() + PAUSE_SECONDS
                await self._rest(min(max(0.0, look_at - now()), LONGEST_REST_SECONDS))
        finally:
            if self._hearing is not None:
                self._hearing.cancel()
                await asyncio.gather(self._hearing, return_exceptions=True)

    async def _rest(self, seconds: float) -> None:
        """Wait for so long, or for a ring; what comes with it goes with it.

        A Redis that hangs is not waited for.
        """
        self._hearing = self._hearing or asyncio.create_task(
            self._resources.queue.hear(HEAR_SECONDS), name="bell"
        )
        await asyncio.wait({self._hearing}, timeout=seconds)
        if not self._hearing.done():
            return
        heard, self._hearing = self._hearing, None
        if heard.cancelled() or heard.exception() is not None:
            # Without a bell, by the clock alone.
            await asyncio.sleep(seconds)
        elif heard.result():
            await asyncio.sleep(COMPANY_SECONDS)

    async def _fire_due(self) -> float:
        """Start volleys of what is due, as there is room; return how long to wait for more."""
        due = await pipeline.find_due(self._resources)
        await self._fire_all(
            [push_id for _, push_id in due.pushes], take=pipeline.claim, fire=pipeline.fire
        )
        if due.next_seconds is None:
            return GATHER_SECONDS if due.pushes else self._resources.settings.clock_seconds
        return max(GATHER_SECONDS, min(due.next_seconds, self._resources.settings.clock_seconds))

    async def _fire_deliveries(self) -> None:
        found = await pipeline.find_deliveries(self._resources)
        await self._fire_all(found, take=pipeline.lease_deliveries, fire=pipeline.fire_deliveries)

    async def _fire_all(
        self, ids: Sequence[int], *, take: "Take[TakenT]", fire: "Fire[TakenT]"
    ) -> None:
        """Start volleys of these pushes, each when there is a place for it."""
        while ids and not self._resources.stopping.is_set():
            await self._places.acquire()
            taken: Sequence[TakenT] = ()
            try:
                taken = await take(self._resources, ids)
            finally:
                if not taken:
                    self._places.release()
            if not taken:
                break
            self._start(fire(self._resources, taken))
            # What stands before the last of them is others'.
            ids = ids[ids.index(taken[-1].push.id) + 1 :]

    def _start(self, volley: Coroutine[Any, Any, None]) -> None:
        """Start a volley; its place is free again when it is done, or parked."""
        task = asyncio.create_task(self._run(volley), name="volley")
        self.volleys.add(task)
        task.add_done_callback(self._ended)

    async def _run(self, volley: Coroutine[Any, Any, None]) -> None:
        with self._precedence.taken():
            await self._lot.run(volley, name="volley")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._places.release()
        self.volleys.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("volley.failed", exc_info=error)
