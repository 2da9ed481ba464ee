"""What is small goes in volleys: pushes when they are due, deliveries when somebody rings."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

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
#: After a volley that somebody rang for the next waits so long for each push of it, and no longer
#: than this: what comes meanwhile goes together. Who rings seldom is heard at once.
APART_SECONDS = 0.002
MOST_APART_SECONDS = 0.02
#: Who rings for a delivery may have rung for what is due, too; that is looked for this often.
DUE_SECONDS = 0.02
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
#: takes those that waited longest, and tells whether there may be more
TakeNext = Callable[[Resources], Awaitable[tuple[Sequence[TakenT], bool]]]
#: finds more of them, apps in turns
Find = Callable[[Resources], Awaitable[Sequence[int]]]
Take = Callable[[Resources, Sequence[int]], Awaitable[Sequence[TakenT]]]
Fire = Callable[[Resources, Sequence[TakenT]], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[TakenT]):
    """One kind of what goes in volleys."""

    take_next: TakeNext[TakenT]
    find: Find
    take: Take[TakenT]
    fire: Fire[TakenT]


DUE: Final = Kind(
    take_next=pipeline.claim_next,
    find=pipeline.find_due,
    take=pipeline.claim,
    fire=pipeline.fire,
)
DELIVERIES: Final = Kind(
    take_next=pipeline.lease_next,
    find=pipeline.find_deliveries,
    take=pipeline.lease_deliveries,
    fire=pipeline.fire_deliveries,
)


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
        self._now = resources.clock.monotonic
        #: when to look for what is due, heard or not; and until when a ring waits for others
        self._look_at = 0.0
        self._gather_until = 0.0

    async def run(self) -> None:
        """Look for what is due until the process is to stop, at its time or soon after."""
        stopping = self._resources.stopping
        heard = True
        try:
            while not stopping.is_set():
                try:
                    await self._look(heard=heard)
                except DATABASE_ERRORS as error:
                    log.warning("trigger.failed", error=str(error))
                    self._look_at = self._now() + PAUSE_SECONDS
                except Exception:
                    # One row that this version cannot read is no reason to end all work.
                    log.exception("trigger.failed")
                    self._look_at = self._now() + PAUSE_SECONDS
                rest = max(0.0, self._look_at - self._now())
                heard = await self._rest(min(rest, LONGEST_REST_SECONDS))
        finally:
            if self._hearing is not None:
                self._hearing.cancel()
                await asyncio.gather(self._hearing, return_exceptions=True)

    async def _look(self, *, heard: bool) -> None:
        """Start volleys of what there is: somebody rang, or the clock says so."""
        found = await self._fire_all(DELIVERIES)
        now = self._now()
        if heard and found:
            self._look_at = min(self._look_at, now + DUE_SECONDS)
        if (heard and not found) or now >= self._look_at:
            self._look_at = now + await self._fire_due()

    async def _rest(self, seconds: float) -> bool:
        """Wait for so long, or for a ring, and tell whether there was one.

        A Redis that hangs is not waited for.
        """
        self._hearing = self._hearing or asyncio.create_task(
            self._resources.queue.hear(HEAR_SECONDS), name="bell"
        )
        await asyncio.wait({self._hearing}, timeout=seconds)
        if not self._hearing.done():
            return False
        heard, self._hearing = self._hearing, None
        if heard.cancelled() or heard.exception() is not None:
            # Without a bell, by the clock alone.
            await asyncio.sleep(seconds)
            return False
        if heard.result():
            await asyncio.sleep(self._gather_until - self._now())
        return heard.result()

    async def _fire_due(self) -> float:
        """Start volleys of what is due, as there is room; return how long to wait for more."""
        if await self._fire_all(DUE):
            return GATHER_SECONDS
        seconds = await pipeline.next_due(self._resources)
        longest = self._resources.settings.clock_seconds
        return longest if seconds is None else max(GATHER_SECONDS, min(seconds, longest))

    async def _fire_all(self, kind: Kind[TakenT]) -> bool:
        """Start a volley, and more where there is more than one's; tell whether there was any."""
        began, more = self._now(), False

        async def take() -> Sequence[TakenT]:
            nonlocal more
            taken, more = await kind.take_next(self._resources)
            return taken

        if not (first := await self._fire(take, kind.fire)):
            return False
        self._gather_until = began + min(APART_SECONDS * len(first), MOST_APART_SECONDS)
        # Nobody's thousands hide another's.
        ids = await kind.find(self._resources) if more else ()
        while ids and not self._resources.stopping.is_set():
            taken = await self._fire(partial(kind.take, self._resources, ids), kind.fire)
            if not taken:
                break
            # What stands before the last of them is others'.
            ids = ids[ids.index(taken[-1].push.id) + 1 :]
        return True

    async def _fire(
        self, take: Callable[[], Awaitable[Sequence[TakenT]]], fire: Fire[TakenT]
    ) -> Sequence[TakenT]:
        """Start a volley of what is taken when there is a place for it."""
        await self._places.acquire()
        taken: Sequence[TakenT] = ()
        try:
            taken = await take()
        finally:
            if not taken:
                self._places.release()
        if taken:
            self._start(fire(self._resources, taken))
        return taken

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
