"""The judging of an audience: as long as it may take, and no longer than a turn at a time."""

import asyncio
import itertools
from datetime import UTC, datetime

import pytest

from pushsvc.errors import QueryTimeoutError
from pushsvc.model import Device
from pushsvc.preview.counting import judged, within
from pushsvc.preview.reach import Cohort, Judge, Reach
from pushsvc.shaping.body import Envelope, Shaper

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


async def test_an_audience_without_end_is_given_up_and_others_have_their_turns() -> None:
    """A client may write what makes a cohort, so there may be as many of them as devices."""
    envelope = Envelope(push_id=0, push_object_id="", created_at=NOW, expires_at=None, now=NOW)
    judge = Judge(Shaper({"data": {"alert": "x"}}, envelope), [])
    cohorts = (
        Cohort(device=Device(0, "ios", "00", "a.b", f"x{n}", None), n=1, member=n)
        for n in itertools.count()
    )
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    reach = Reach()
    waiting = asyncio.create_task(others())
    with pytest.raises(QueryTimeoutError):
        async with within(0.2):
            await judged(cohorts, judge=judge, reach=reach)
    waiting.cancel()

    assert turns > 3
    assert reach.excluded["no_credential"] > 0


async def test_a_timeout_of_another_kind_is_not_taken_for_it() -> None:
    """A database that is away, say."""
    with pytest.raises(TimeoutError):
        async with within(60):
            raise TimeoutError
