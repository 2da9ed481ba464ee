"""When a campaign runs: the times of its schedule, by the clocks of the world. Pure.

A cron expression with fixed hours and minutes is read as Debian's cron does: a time in the gap of a
change to summer time comes when the gap ends, and one that the change back brings twice comes the
first time. One with a `*` in hours or minutes goes on in real time. Intervals know no zones, and in
local time each zone has its own moment of each wall time (`planning.localtime`).
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import dropwhile, takewhile

from cronsim import CronSim

from pushsvc.campaigns.definition import Times, zone_of
from pushsvc.campaigns.values import YEARS, moment_of, read_time, seconds_of
from pushsvc.planning import localtime
from pushsvc.planning.schedule import iso, iso_local

#: At any time some place in the world is further ahead of UTC than this.
_SOME_EAST = timedelta(hours=10)
#: Nothing comes after it.
_LAST = datetime(YEARS.stop, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """One time of a schedule."""

    #: as the run's push has it: in UTC, or without a zone in local time
    push_time: str
    #: when it is due: in local time, where it comes first
    at: datetime
    #: naive: what each device's clock shows
    local: datetime | None = None


def times(schedule: Times, *, after: datetime, anchor: datetime) -> Iterator[Time]:
    """Yield the times after a moment; intervals without a start count from `anchor`, not at it."""
    if schedule.at is not None:
        found = iter([_once(schedule)])
    elif schedule.every is not None:
        found = _every(schedule, after=after, anchor=anchor)
    else:
        since = after
        if schedule.start is not None:
            # A time may be the start's own.
            since = max(after, moment_of(schedule.start) - timedelta(seconds=1))
        found = _local_cron(schedule, since) if schedule.local_time else _cron(schedule, since)
    end = _LAST if schedule.end is None else moment_of(schedule.end)
    until = takewhile(lambda time: time.at < end, found)
    return dropwhile(lambda time: time.at <= after or _is_early(schedule, time), until)


def next_time(schedule: Times, *, after: datetime, anchor: datetime) -> Time | None:
    """Return the first time after a moment; None where there is none."""
    return next(times(schedule, after=after, anchor=anchor), None)


def begun_time(schedule: Times, *, now: datetime) -> Time | None:
    """Return the one time of a schedule that has come in some zones and not yet in all."""
    if schedule.at is None or not schedule.local_time:
        return None
    time = _once(schedule)
    assert time.local is not None
    return time if localtime.moments(time.local)[-1].at > now else None


def due_times(
    schedule: Times, first: Time, *, now: datetime, anchor: datetime, most: int
) -> list[Time]:
    """Return a time that has come and what came after it: of very many, the latest."""
    span = timedelta(seconds=most)
    while True:
        since = max(first.at, now - span)
        later = times(schedule, after=since, anchor=anchor)
        found = deque(takewhile(lambda time: time.at <= now, later), maxlen=most)
        if since == first.at or len(found) == most:
            return [first, *found]
        span *= 2


def time_of(push_time: str) -> Time:
    """Return the time of a schedule that was written down."""
    read = datetime.fromisoformat(push_time)
    return _wall(read) if read.tzinfo is None else _moment(read)


def _is_early(schedule: Times, time: Time) -> bool:
    return schedule.start is not None and time.at < moment_of(schedule.start)


def _once(schedule: Times) -> Time:
    assert schedule.at is not None
    read = read_time(schedule.at)
    if schedule.local_time:
        return _wall(read)
    if read.tzinfo is None:
        return _moment(localtime.moment_of(read, zone_of(schedule).key))
    return _moment(read)


def _every(schedule: Times, *, after: datetime, anchor: datetime) -> Iterator[Time]:
    assert schedule.every is not None
    step = timedelta(seconds=seconds_of(schedule.every))
    if schedule.start is None:
        start = anchor.replace(microsecond=0) + step
    else:
        start = moment_of(schedule.start)
    number = max(0, (after - start) // step)
    while (at := start + number * step) < _LAST:
        yield _moment(at)
        number += 1


def _cron(schedule: Times, since: datetime) -> Iterator[Time]:
    assert schedule.cron is not None
    last = since
    for found in CronSim(schedule.cron, since.astimezone(zone_of(schedule))):
        at = found.astimezone(UTC)
        # Two times in one gap are one; and after the first of two hours of one name cron, which
        # knows only the name, would go back to it from the second.
        if at > last:
            yield _moment(at)
            last = at


def _local_cron(schedule: Times, since: datetime) -> Iterator[Time]:
    assert schedule.cron is not None
    naive = since.astimezone(UTC).replace(tzinfo=None)
    last = since
    for wall in CronSim(schedule.cron, naive + _SOME_EAST):
        time = _wall(wall)
        if time.at > last:
            yield time
            last = time.at


def _moment(at: datetime) -> Time:
    """Return a time that is the same everywhere; texts have milliseconds."""
    whole = at.astimezone(UTC)
    whole = whole.replace(microsecond=whole.microsecond // 1000 * 1000)
    return Time(push_time=iso(whole), at=whole)


def _wall(local: datetime) -> Time:
    local = local.replace(microsecond=local.microsecond // 1000 * 1000)
    return Time(
        push_time=iso_local(local),
        at=localtime.moments(local)[0].at,
        local=local,
    )
