"""Groups saves: those that arrive while a transaction is under way share the next one."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, cast

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.errors import UnavailableError
from pushsvc.storage.installations import Saved, SaveRequest
from pushsvc.storage.saving.group import Outcome, save_group
from pushsvc.storage.saving.plan import Name, Wanted, wanted

#: Saves in one transaction: each holds two advisory locks, of which Postgres has some thousands.
GROUP_SAVES: Final = 100
#: Transactions under way at once; more than one when there is a group for each, or when one is held
#: up, by the import of an app say.
FLIGHTS: Final = 4
#: After so long a transaction is held up, and the saves that wait do not wait for it.
HELD_UP_SECONDS: Final = 0.01
#: Saves that wait or are under way; further callers wait for a place.
PLACES: Final = 2_000
#: How long what is under way may take when we close.
CLOSE_SECONDS: Final = 1.0
STOPPING: Final = "The service is stopping. Try again."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A save, and who waits for it."""

    wanted: Wanted
    answer: asyncio.Future[Saved]


class Saver:
    """Saves installations for many callers at once.

    Nobody waits for company: a save that finds nothing under way is begun at once. Two saves that
    share an id or a token are never under way together, and keep their order.
    """

    def __init__(
        self, engine: AsyncEngine, *, places: int = PLACES, close_seconds: float = CLOSE_SECONDS
    ) -> None:
        self._engine = engine
        self._close_seconds = close_seconds
        self._places = asyncio.Semaphore(places)
        self._waiting: deque[_Waiting] = deque()
        self._busy: set[Name] = set()
        self._flights: set[asyncio.Task[None]] = set()
        self._held_up = 0
        self._closed = False

    async def save(self, app_id: int, request: SaveRequest) -> Saved:
        """Create or update an installation by Parse's rules; return once it is committed.

        Raises:
            NotFoundError: the installation is not there, or its ACL hides it.
            InvalidInstallationError: the request contradicts itself or what is stored.
            UnavailableError: we are closing.
        """
        asked = wanted(app_id, request)
        async with self._places:
            if self._closed:
                raise UnavailableError(STOPPING)
            waiting = _Waiting(wanted=asked, answer=asyncio.get_running_loop().create_future())
            self._waiting.append(waiting)
            if len(self._flights) == self._held_up or len(self._waiting) >= GROUP_SAVES:
                self._depart()
            return await waiting.answer

    async def close(self) -> None:
        """Finish what is under way, within bounds; refuse the rest."""
        self._closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._close_seconds):
                while self._flights:
                    await asyncio.wait(self._flights)
        flights = list(self._flights)
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        while self._waiting:
            _answer(self._waiting.popleft(), UnavailableError(STOPPING))

    def _depart(self) -> None:
        if self._waiting and len(self._flights) < FLIGHTS:
            self._flights.add(asyncio.create_task(self._fly(), name="save installations"))

    async def _fly(self) -> None:
        """Save group after group, until nothing is left to do."""
        try:
            while group := self._board():
                await self._save(group)
        finally:
            # At once, so that the next save does not count on us.
            self._flights.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _save(self, group: Sequence[_Waiting]) -> None:
        outcomes: Sequence[Outcome] = [UnavailableError(STOPPING)] * len(group)
        try:
            with self._watched():
                async with self._engine.connect() as connection:
                    outcomes = await save_group(connection, [one.wanted for one in group])
        except Exception as error:  # noqa: BLE001 - told to those who wait
            outcomes = [error] * len(group)
        finally:
            self._settle(group, outcomes)

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

    def _board(self) -> list[_Waiting]:
        """Take the saves that may go together, and reserve their names."""
        group: list[_Waiting] = []
        left: list[_Waiting] = []
        barred: set[Name] = set()
        while self._waiting and len(group) < GROUP_SAVES:
            one = self._waiting.popleft()
            names = one.wanted.names
            if one.answer.done():
                continue  # the caller went away
            if names.isdisjoint(self._busy) and names.isdisjoint(barred):
                group.append(one)
                self._busy |= names
            else:
                left.append(one)
                barred |= names
        self._waiting.extendleft(reversed(left))
        return group

    def _settle(self, group: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
        """Answer what is settled; what is not is the first of those that wait."""
        left: list[_Waiting] = []
        for one, outcome in zip(group, outcomes, strict=True):
            self._busy -= one.wanted.names
            if outcome is None:
                left.append(one)
            else:
                _answer(one, outcome)
        self._waiting.extendleft(reversed(left))


def _answer(one: _Waiting, outcome: Saved | Exception) -> None:
    if one.answer.done():
        return  # the caller went away
    if isinstance(outcome, Exception):
        one.answer.set_exception(outcome)
    else:
        one.answer.set_result(outcome)
