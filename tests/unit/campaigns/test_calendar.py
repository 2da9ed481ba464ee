"""The times of a schedule, against croniter, another library, and at the changes of the clock."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings, strategies as st

from pushsvc.campaigns import calendar
from pushsvc.campaigns.definition import Times
from pushsvc.planning.localtime import moment_of

ZONES = (
    *("Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "UTC"),
    *("Asia/Kolkata", "Pacific/Apia", "Africa/Casablanca", "America/St_Johns"),
)
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def times(after: datetime, *, most: int = 5, anchor: datetime = NOON, **schedule: Any) -> list[str]:
    """The next times, as they are shown."""
    found = calendar.times(Times(**schedule), after=after, anchor=anchor)
    return [time.push_time for time in islice(found, most)]


# ---------------------------------------------------------------- against another library


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """One field of an expression."""
    number = st.integers(low, high)
    # croniter takes `0-0` of weekdays for all of them.
    pairs = st.lists(number, min_size=2, max_size=2, unique=True)
    spans = pairs.map(lambda pair: "-".join(map(str, sorted(pair))))
    steps = st.tuples(spans, st.integers(1, 15)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    lists = st.lists(number, min_size=1, max_size=3).map(lambda some: ",".join(map(str, some)))
    return st.one_of(st.just("*"), number.map(str), spans, steps, lists)


EXPRESSIONS = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).map(
    " ".join
)
MOMENTS = st.integers(0, 6 * 365 * 86_400).map(
    lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


def is_near_a_change(moment: datetime, zone: ZoneInfo) -> bool:
    """Whether the zone's clock is changed within a day and a half."""
    day = timedelta(hours=36)
    offsets = {(moment + n * day).astimezone(zone).utcoffset() for n in (-1, 0, 1)}
    return len(offsets) > 1


@settings(max_examples=150, deadline=None)
@given(expression=EXPRESSIONS, name=st.sampled_from(ZONES), after=MOMENTS)
def test_cron_is_as_another_library_reads_it(expression: str, name: str, after: datetime) -> None:
    """In any zone and at any time; but for the days at which a clock is changed, see below."""
    zone = ZoneInfo(name)
    found = calendar.times(Times(cron=expression, zone=name), after=after, anchor=after)
    ours = [time.at for time in islice(found, 12)]
    until = min(ours[-1], after + timedelta(days=3_000))
    other = croniter(expression, after.astimezone(zone), implement_cron_bug=True)
    theirs = list(
        takewhile(
            lambda at: at <= until,
            (one.astimezone(UTC) for one in islice(other.all_next(datetime), 40)),
        )
    )

    assert [at for at in ours if at <= until and not is_near_a_change(at, zone)] == [
        at for at in theirs if not is_near_a_change(at, zone)
    ]


@settings(max_examples=60, deadline=None)
@given(expression=EXPRESSIONS, name=st.sampled_from(ZONES), after=MOMENTS)
def test_times_go_forward(expression: str, name: str, after: datetime) -> None:
    """Each lies after the one before, and asking from any of them goes on with the next."""
    schedule = Times(cron=expression, zone=name)
    found = list(islice(calendar.times(schedule, after=after, anchor=after), 6))
    assert found[0].at > after
    for one, following in pairwise(found):
        assert following.at > one.at
        assert calendar.next_time(schedule, after=one.at, anchor=after) == following


# ---------------------------------------------------------------- where clocks are changed

#: expression, after -> what comes, in Berlin: 2026-03-29 02:00 is 03:00, 2026-10-25 03:00 is 02:00
CHANGES = [
    # A time in the gap comes when it ends; croniter says the same.
    ("30 2 * * *", "2026-03-28T12:00Z", ["2026-03-29T01:00", "2026-03-30T00:30"]),
    # Two of them are one.
    ("0,30 2 * * *", "2026-03-28T12:00Z", ["2026-03-29T01:00", "2026-03-30T00:00"]),
    # With a `*` it is left out, since real time goes on; croniter has it at the gap's end.
    ("*/30 2 * * *", "2026-03-28T12:00Z", ["2026-03-30T00:00", "2026-03-30T00:30"]),
    # What comes twice comes the first time; to croniter it comes twice.
    ("30 2 * * *", "2026-10-24T12:00Z", ["2026-10-25T00:30", "2026-10-26T01:30"]),
    # The same, asked within the second hour of that name.
    ("30 2 * * *", "2026-10-25T01:10Z", ["2026-10-26T01:30"]),
    # With a `*` each hour comes, of whatever name.
    ("0 * * * *", "2026-10-24T23:30Z", ["2026-10-25T00:00", "2026-10-25T01:00"]),
]


@pytest.mark.parametrize(("expression", "after", "expected"), CHANGES)
def test_changes_of_the_clock(expression: str, after: str, expected: list[str]) -> None:
    """As Debian's cron has it; where croniter differs, it is said."""
    found = times(
        datetime.fromisoformat(after), most=len(expected), cron=expression, zone="Europe/Berlin"
    )
    assert found == [f"{one}:00.000Z" for one in expected]


# ---------------------------------------------------------------- the other schedules


def test_once() -> None:
    """With an offset, in a zone or in local time; it does not come again."""
    assert times(NOON, at="2026-12-01T09:00:00+01:00") == ["2026-12-01T08:00:00.000Z"]
    assert times(NOON, at="2026-07-01T09:00", zone="Europe/Berlin") == ["2026-07-01T07:00:00.000Z"]
    assert times(NOON, at="2026-12-01T09:00", local_time=True) == ["2026-12-01T09:00:00.000"]
    assert times(NOON, at="2026-01-15T12:00:00Z") == []


def test_intervals() -> None:
    """Count from `start`, which is a time itself, or from when the campaign was made."""
    assert times(NOON, every="1d", most=2) == [
        "2026-01-16T12:00:00.000Z",
        "2026-01-17T12:00:00.000Z",
    ]
    start = "2026-01-01T06:30:00+01:00"
    assert times(NOON, every="1w", start=start, most=1) == ["2026-01-22T05:30:00.000Z"]
    assert times(NOON - timedelta(days=60), every="1w", start=start, most=1) == [
        "2026-01-01T05:30:00.000Z"
    ]


def test_start_and_end() -> None:
    """A time may be the start's own and not the end's."""
    span: Any = {"start": "2026-02-01T09:00:00Z", "end": "2026-02-03T09:00:00Z"}
    assert times(NOON, cron="0 9 * * *", **span) == [
        "2026-02-01T09:00:00.000Z",
        "2026-02-02T09:00:00.000Z",
    ]
    assert len(times(NOON, every="1d", **span)) == 2


@settings(max_examples=10, deadline=None)
@given(after=MOMENTS)
def test_local_time_is_due_where_it_comes_first(after: datetime) -> None:
    """Its next time is one that no place has had yet, and the first place is Kiritimati."""
    schedule = Times(cron="0 9 * * *", local_time=True)
    found = calendar.next_time(schedule, after=after, anchor=after)
    assert found
    assert found.local
    assert after < found.at == moment_of(found.local, "Pacific/Kiritimati")
    assert found.at <= after + timedelta(days=1)
    assert calendar.time_of(found.push_time) == found


def test_of_very_many_missed_times_the_latest_are_told() -> None:
    """The one that was waited for, and the last of those since; however long it has been."""
    schedule = Times(every="1s")
    first = calendar.next_time(schedule, after=NOON, anchor=NOON)
    assert first
    now = NOON + timedelta(days=30)
    found = calendar.due_times(schedule, first, now=now, anchor=NOON, most=100)
    assert found[0] == first
    assert [one.at for one in found[1:]] == [now - timedelta(seconds=n) for n in range(99, -1, -1)]

    rare = Times(cron="0 0 1 * *")
    first = calendar.next_time(rare, after=NOON, anchor=NOON)
    assert first
    later = NOON + timedelta(days=80)
    found = calendar.due_times(rare, first, now=later, anchor=NOON, most=100)
    assert [one.at.month for one in found] == [2, 3, 4]
