"""What is remembered for a few seconds."""

import asyncio
from datetime import UTC, datetime

from pushsvc.remembered import Remembered


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """Return the same as a date."""
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        """Return what the test has set."""
        return self.seconds


class Source:
    """What is looked up, once it is released."""

    def __init__(self, value: int | None) -> None:
        self.value = value
        self.asked = 0
        self.begun = asyncio.Event()
        self.released = asyncio.Event()

    async def load(self) -> int | None:
        """Look it up."""
        self.asked += 1
        self.begun.set()
        await self.released.wait()
        return self.value


async def test_what_many_ask_for_is_looked_up_once() -> None:
    """Those who come while it is looked up wait for it; later ones find it."""
    source, remembered = Source(1), Remembered[int](HandClock(), seconds=5)
    asking = [asyncio.create_task(remembered.get_or("a", source.load)) for _ in range(10)]
    source.released.set()

    assert await asyncio.gather(*asking) == [1] * 10
    assert await remembered.get_or("a", source.load) == 1
    assert source.asked == 1


async def test_what_ran_out_is_looked_up_again() -> None:
    """After the seconds it is remembered for."""
    clock, source = HandClock(), Source(1)
    source.released.set()
    remembered = Remembered[int](clock, seconds=5)
    await remembered.get_or("a", source.load)

    clock.seconds = 5.0
    source.value = 2

    assert await remembered.get_or("a", source.load) == 2


async def test_what_is_not_there_is_not_remembered() -> None:
    """It may be there the next time."""
    source, remembered = Source(None), Remembered[int](HandClock(), seconds=5)
    source.released.set()

    assert await remembered.get_or("a", source.load) is None
    source.value = 3

    assert await remembered.get_or("a", source.load) == 3


async def test_one_who_gives_up_does_not_leave_the_others_waiting() -> None:
    """The next of them looks it up."""
    source, remembered = Source(1), Remembered[int](HandClock(), seconds=5)
    first, second = (asyncio.create_task(remembered.get_or("a", source.load)) for _ in range(2))
    await source.begun.wait()
    first.cancel()
    source.released.set()

    assert await second == 1
    assert source.asked == 2
