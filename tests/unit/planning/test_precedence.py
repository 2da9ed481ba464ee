"""What is urgent goes first, and what is not goes all the same."""

import asyncio

import pytest

from pushsvc.planning.precedence import Precedence


async def test_nobody_waits_where_nothing_is_urgent() -> None:
    """Also after something was."""
    precedence = Precedence(wait_seconds=60)
    with precedence.taken():
        pass
    await asyncio.wait_for(precedence.given(), 1)


async def test_what_is_not_urgent_waits_until_the_last_urgent_is_over() -> None:
    """Each that is under way counts."""
    precedence = Precedence(wait_seconds=60)
    with precedence.taken():
        with precedence.taken():
            waiting = asyncio.create_task(precedence.given())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.02)
    await asyncio.wait_for(waiting, 1)


async def test_an_endless_stream_of_urgent_work_does_not_stop_the_rest() -> None:
    """One after the other begins, each after the time."""
    precedence = Precedence(wait_seconds=0.01)
    with precedence.taken():
        await asyncio.wait_for(asyncio.gather(*(precedence.given() for _ in range(3))), 5)
