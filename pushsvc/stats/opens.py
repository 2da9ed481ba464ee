"""Opens as devices tell them: what comes at about the same time is counted by one statement."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import Rules
from pushsvc.storage.opens import (
    Opened,
    OpenedRun,
    PlacedOpen,
    add_opens,
    add_run_opens,
    rules_of_runs,
)

log = structlog.get_logger(__name__)

#: A notification to a million devices is opened by thousands in the same second, and all of them
#: are one row. What comes within so long is one update of it.
COLLECT_SECONDS: Final = 0.025
#: Of one statement.
MOST_AT_ONCE: Final = 1_000
#: What waits beyond this waits in its request.
MOST_WAITING: Final = 10_000

#: an open, and what its request waits for
_Told = tuple[Opened, "asyncio.Future[None]"]


#: A run's rules, and of an installation its key and its zone -> the variant, if any, and the zone
#: that its plan takes the installation to have.
Placing = Callable[[Rules, int, str | None], tuple[str | None, str]]


class OpenCounter:
    """Counts opens; made by `counting_opens`, whose task is its owner."""

    def __init__(self, engine: AsyncEngine, placing: Placing) -> None:
        self._engine = engine
        self._placing = placing
        #: None ends it
        self._told: asyncio.Queue[_Told | None] = asyncio.Queue(MOST_WAITING)

    async def count(self, opened: Opened) -> None:
        """Count an open. When this returns, it is durable.

        Raises what kept it from being counted, such as a database that is away.
        """
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._told.put((opened, committed))
        await committed

    async def run(self) -> None:
        """Count what comes, until `end`; what came before is counted."""
        while (first := await self._told.get()) is not None:
            await asyncio.sleep(COLLECT_SECONDS)
            some, is_last = self._rest(first)
            await self._settle(some)
            if is_last:
                return

    async def end(self) -> None:
        """Let `run` count what has come, and end."""
        await self._told.put(None)

    def _rest(self, first: _Told) -> tuple[list[_Told], bool]:
        some = [first]
        while len(some) < MOST_AT_ONCE and not self._told.empty():
            one = self._told.get_nowait()
            if one is None:
                return some, True
            some.append(one)
        return some, False

    async def _settle(self, some: Sequence[_Told]) -> None:
        try:
            await self._add([opened for opened, _ in some])
        except Exception as error:  # noqa: BLE001 - whoever waits is told, and the next are counted
            log.warning("opens.not_counted", opens=len(some), error=type(error).__name__)
            for _, committed in some:
                if not committed.done():
                    committed.set_exception(error)
            return
        for _, committed in some:
            # Its request may have gone away meanwhile.
            if not committed.done():
                committed.set_result(None)

    async def _add(self, told: Sequence[Opened]) -> None:
        try:
            await self._count(told)
        except IntegrityError:
            # One of the pushes was deleted in that moment; a second look does not find it.
            await self._count(told)

    async def _count(self, told: Sequence[Opened]) -> None:
        async with self._engine.begin() as connection:
            of_runs = await add_opens(connection, told)
            if of_runs:
                rules = await rules_of_runs(connection, {one.push_id for one in of_runs})
                found = [placed(one, rules.get(one.push_id), self._placing) for one in of_runs]
                await add_run_opens(connection, found)


def placed(opened: OpenedRun, rules: Rules | None, placing: Placing) -> PlacedOpen:
    """Return what an open counts under: what its installation says, or else its alert's hash."""
    variant, zone = None, ""
    if rules is not None and opened.installation is not None:
        variant, zone = placing(rules, opened.installation, opened.zone)
    elif rules is not None:
        same = [one.name for one in rules.variants if one.push_hash == opened.push_hash]
        # Two with one alert may differ in what the hash does not say.
        variant = same[0] if len(same) == 1 else None
    return PlacedOpen(
        push_id=opened.push_id,
        hour=opened.hour,
        variant=variant or "",
        device_type=opened.device_type or "",
        zone=zone,
    )


@asynccontextmanager
async def counting_opens(engine: AsyncEngine, placing: Placing) -> AsyncIterator[OpenCounter]:
    """Lend a counter of opens; at the end what it has taken is counted."""
    counter = OpenCounter(engine, placing)
    task = asyncio.create_task(counter.run(), name="opens")
    try:
        yield counter
    finally:
        await counter.end()
        await task
