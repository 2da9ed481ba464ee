"""What becomes of the times that have come."""

from datetime import UTC, datetime, timedelta

import pytest

from pushsvc.campaigns.calendar import Time, time_of
from pushsvc.campaigns.deciding import Decision, Due, decide
from pushsvc.model import Late, Overlap, SkipReason

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATE_AFTER = 600.0


def minutes_ago(n: float) -> Time:
    """A time that came so long ago."""
    return time_of((NOW - timedelta(minutes=n)).isoformat())


def decided(
    *ago: float,
    late: Late = Late.SKIP,
    overlap: Overlap = Overlap.SKIP,
    is_busy: bool = False,
    waited: bool = False,
) -> tuple[float | None, list[tuple[float, str]], Decision]:
    """Which of the times starts, which are skipped and why; all in minutes before now."""
    times = [minutes_ago(n) for n in ago]
    look_at = NOW - timedelta(seconds=0.2) if waited else times[0].at
    due = Due(times=times, look_at=look_at, now=NOW, late_after_seconds=LATE_AFTER, is_busy=is_busy)
    decision = decide(due, late=late, overlap=overlap)
    back = {time.at: n for time, n in zip(times, ago, strict=True)}
    skipped = [(back[time.at], reason.value) for time, reason in decision.skipped]
    start = back[decision.start.at] if decision.start else None
    return start, skipped, decision


def test_in_time() -> None:
    """It starts, and what comes after it is looked at next."""
    start, skipped, decision = decided(0.1, 0)
    assert (start, skipped) == (0.1, [])
    assert decision.through == minutes_ago(0.1)


def test_missed_times_are_skipped() -> None:
    """And the first that is not late starts."""
    assert decided(60, 30, 9, 1)[:2] == (9, [(60, "late"), (30, "late")])
    start, skipped, decision = decided(60, 30)
    assert (start, skipped) == (None, [(60, "late"), (30, "late")])
    assert decision.through == minutes_ago(30)


def test_the_latest_missed_time_is_made_up_for() -> None:
    """Once, where the policy is to send."""
    start, skipped, decision = decided(60, 30, 9, late=Late.SEND)
    assert (start, skipped) == (30, [(60, "late")])
    assert decision.through == minutes_ago(30)


@pytest.mark.parametrize("late", Late)
def test_a_run_under_way(late: Late) -> None:
    """The time is skipped, or waits and leaves nothing behind."""
    assert decided(0, is_busy=True, late=late)[:2] == (None, [(0, "overlap")])
    start, skipped, decision = decided(0, is_busy=True, late=late, overlap=Overlap.QUEUE)
    assert (start, skipped, decision.waiting) == (None, [], minutes_ago(0))


def test_at_most_one_waits() -> None:
    """What came while it waited is skipped when it starts; to wait is not to be late."""
    start, skipped, decision = decided(60, 30, 1, overlap=Overlap.QUEUE, waited=True)
    assert start == 60
    assert skipped == [(30, SkipReason.OVERLAP), (1, SkipReason.OVERLAP)]
    assert decision.through == minutes_ago(1)
    assert decided(60, 30, overlap=Overlap.QUEUE, waited=True, is_busy=True)[0] is None


@pytest.mark.parametrize("late", Late)
def test_a_time_that_goes_on_in_the_west_starts_late(late: Late) -> None:
    """In local time each zone is late by itself; where all have had their time, all of it is."""

    def started(hours: int) -> Time | None:
        local = NOW.replace(tzinfo=None) - timedelta(hours=hours)
        time = time_of(local.isoformat())
        due = Due(
            times=[time], look_at=time.at, now=NOW, late_after_seconds=LATE_AFTER, is_busy=False
        )
        return decide(due, late=late, overlap=Overlap.SKIP).start

    assert started(hours=11) is not None
    assert (started(hours=13) is None) == (late is Late.SKIP)
