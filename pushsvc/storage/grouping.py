"""Work that arrives together is done together: in groups, each of which is one transaction."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence, Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, cast

from pushsvc.errors import UnavailableError

#: After so long a transaction is held up, and what waits does not wait for it.
HELD_UP_SECONDS: Final = 0.01
#: What waits or is under way; further callers wait for a place.
PLACES: Final = 2_000
#: How long what is under way may take when we close.
CLOSE_SECONDS: Final = 1.0
STOPPING: Final = "The service is stopping. Try again."

AskedT = TypeVar("AskedT")
AnswerT = TypeVar("AnswerT")
#: What was asked for, and who waits for it.
_Waiting = tuple[AskedT, asyncio.Future[AnswerT]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How groups are made."""

    #: in one transaction
    most: int
    #: Transactions under way at once; more than one when there is a group for each, or when one is
    #: held up.
    flights: int
    #: Between the beginnings of two groups, unless one is full: the next gathers so long. What
    #: comes when nothing came for so long goes at once.
    apart_seconds: float = 0.0
    places: int = PLACES
    close_seconds: float = CLOSE_SECONDS


class Grouping(Generic[AskedT, AnswerT]):
    """Answers many callers at once.

    `work` does what a group asks for in one transaction and returns what came of each: the answer,
    an error of its own, or None for what must be decided after others of its group. Two that share
    a name are never under way together, and keep their order.
    """

    def __init__(
        self,
        work: Callable[[Sequence[AskedT]], Awaitable[Sequence[AnswerT | Exception | None]]],
        *,
        names_of: Callable[[AskedT], AbstractSet[Hashable]],
        bounds: Bounds,
        name: str,
    ) -> None:
        self._work = work
        self._names_of = names_of
        self._bounds = bounds
        self._name = name
        self._places = asyncio.Semaphore(bounds.places)
        self._waiting: deque[_Waiting[AskedT, AnswerT]] = deque()
        self._busy: set[Hashable] = set()
        self._flights: set[asyncio.Task[None]] = set()
        self._held_up = 0
        self._next_at = 0.0
        self._closed = False

    async def ask(self, asked: AskedT) -> AnswerT:
        """Return what came of it once its group is committed.

        Raises:
            UnavailableError: we are closing.
            Exception: what `work` says came of it, or raised.
        """
        async with self._places:
            if self._closed:
                raise UnavailableError(STOPPING)
            answer: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
            self._waiting.append((asked, answer))
            if len(self._flights) == self._held_up or len(self._waiting) >= self._bounds.most:
                self._depart()
            return await answer

    async def close(self) -> None:
        """Finish what is under way, within bounds; refuse the rest."""
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._bounds.close_seconds):
                while self._flights:
                    await asyncio.wait(self._flights)
        flights = list(self._flights)
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        while self._waiting:
            _, answer = self._waiting.popleft()
            _settle(answer, UnavailableError(STOPPING))

    def _depart(self) -> None:
        if self._waiting and len(self._flights) < self._bounds.flights:
            self._flights.add(asyncio.create_task(self._fly(), name=self._name))

    async def _fly(self) -> None:
        """Do group after group, until nothing is left to do."""
        try:
            while self._waiting:
                await self._gather()
                if not (group := self._board()):
                    break
                await self._do(group)
        finally:
            # At once, so that the next caller does not count on us.
            self._flights.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _gather(self) -> None:
        """Let a group gather that would begin too soon after the one before."""
        seconds = self._next_at - asyncio.get_running_loop().time()
        if seconds > 0 and len(self._waiting) < self._bounds.most and not self._closed:
            await asyncio.sleep(seconds)

    async def _do(self, group: Sequence[_Waiting[AskedT, AnswerT]]) -> None:
        outcomes: Sequence[AnswerT | Exception | None]
        outcomes = [UnavailableError(STOPPING)] * len(group)
        try:
            with self._watched():
                outcomes = await self._work([asked for asked, _ in group])
        except Exception as error:  # noqa: BLE001 - told to those who wait
            outcomes = [error] * len(group)
        finally:
            self._answer(group, outcomes)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Let another flight depart if this takes long, and more until it is over."""
        is_held_up = False

        def hold_up() -> None:
            nonlocal is_held_up
            is_held_up = True
            self._held_up += 1
            self._depart()

        timer = asyncio.get_running_loop().call_later(HELD_UP_SECONDS, hold_up)
        try:
            yield
        finally:
            timer.cancel()
            self._held_up -= is_held_up

    def _board(self) -> list[_Waiting[AskedT, AnswerT]]:
        """Take what may go together, and reserve its names."""
        group: list[_Waiting[AskedT, AnswerT]] = []
        left: list[_Waiting[AskedT, AnswerT]] = []
        barred: set[Hashable] = set()
        while self._waiting and len(group) < self._bounds.most:
            one = self._waiting.popleft()
            asked, answer = one
            if answer.done():
                continue  # the caller went away
            names = self._names_of(asked)
            if names.isdisjoint(self._busy) and names.isdisjoint(barred):
                group.append(one)
                self._busy |= names
            else:
                left.append(one)
                barred |= names
        self._waiting.extendleft(reversed(left))
        self._next_at = asyncio.get_running_loop().time() + self._bounds.apart_seconds
        return group

    def _answer(
        self,
        group: Sequence[_Waiting[AskedT, AnswerT]],
        outcomes: Sequence[AnswerT | Exception | None],
    ) -> None:
        """Answer what is settled; what is not is the first of those that wait."""
        left: list[_Waiting[AskedT, AnswerT]] = []
        for one, outcome in zip(group, outcomes, strict=True):
            asked, answer = one
            self._busy -= self._names_of(asked)
            if outcome is None:
                left.append(one)
            else:
                _settle(answer, outcome)
        self._waiting.extendleft(reversed(left))


def _settle(answer: "asyncio.Future[AnswerT]", outcome: AnswerT | Exception) -> None:
    if answer.done():
        return  # the caller went away
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


async def halved(
    group: Sequence[AskedT],
    once: Callable[[Sequence[AskedT]], Awaitable[Sequence[AnswerT]]],
    *,
    is_lost: Callable[[], bool],
) -> list[AnswerT | Exception]:
    """Return what came of each of a group; an error is told only to the one that it strikes.

    `once` does all of a part or nothing: the group is halved until who has the error is alone. A
    connection that is lost meanwhile strikes all of a part.
    """
    try:
        return list(await once(group))
    except Exception as error:  # noqa: BLE001 - told to those it concerns
        if len(group) == 1 or is_lost():
            return [error] * len(group)
    half = len(group) // 2
    first = await halved(group[:half], once, is_lost=is_lost)
    return first + await halved(group[half:], once, is_lost=is_lost)
