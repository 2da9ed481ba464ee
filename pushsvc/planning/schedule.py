"""When a push is due and until when it may be sent, from what the caller wrote. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pushsvc.model import Json, Lane, Late, Push, Schedule, Submission, device_count
from pushsvc.planning import written_time
from pushsvc.planning.localtime import moments
from pushsvc.planning.written_time import TimeError

#: The keys of a push that say when; a `Submission` has them under the same names.
TIME_KEYS: Final = ("push_time", "expiration_time", "expiration_interval")

#: Parse's push guide: at most two weeks ahead, where no setting says otherwise.
FARTHEST: Final = timedelta(weeks=2)
#: Parse's guide has a sample whose interval is a moment of 1970's milliseconds: nobody means that.
LONGEST: Final = timedelta(days=3_653)
#: Clocks differ: a time this little ago is now.
PAST_TOLERANCE: Final = timedelta(seconds=60)
#: Seconds since 1970 that are more than this (the year 5138) are milliseconds.
MILLISECONDS_FROM: Final = 10**11
MILLISECONDS_TO: Final = 10**15
#: No zone is farther from UTC than this.
_A_DAY: Final = timedelta(days=1)


class ScheduleError(Exception):
    """A time is malformed or out of its window."""

    def __init__(self, field: str, message: str, *, parse_code: int) -> None:
        super().__init__(message)
        #: JSON pointer
        self.field = field
        self.message = message
        #: 115 malformed, 138 expiry, 152 out of the window (parse.com error table)
        self.parse_code = parse_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The times of a submission, in form; whether they make sense depends on the clock."""

    #: a moment; or naive, for the time of each device's own clock; None: now
    push_time: datetime | None
    #: where the expiry is said: "/" or "/data/"
    place: str
    expires_at: datetime | None
    interval: float | None


#: Of most pushes: now, and for ever.
_NONE_TOLD: Final = Times(push_time=None, place="/", expires_at=None, interval=None)


class _Null:
    """JSON's null where it is a value, and a wrong one."""

    def __str__(self) -> str:
        return "null"


_NULL: Final = _Null()


def given_times(body: Json) -> dict[str, Any]:
    """Return the times of a push in Parse's form: a key is present when it is null, too.

    Such a null is no number and no text: it is refused as any other that is none, in its turn.
    """
    return {key: _NULL if body[key] is None else body[key] for key in TIME_KEYS if key in body}


def read_times(submission: Submission) -> Times:
    """Return the times of a submission, checked in Parse Server's order.

    Numbers are epoch seconds (UTC), strings ISO 8601; of them a `push_time` without a zone is that
    of each device's own clock.

    Raises:
        ScheduleError: 115, naming the field that is malformed.
    """
    place, moment, interval = _expiry(submission)
    if submission.push_time is None and moment is None and interval is None:
        return _NONE_TOLD
    expires_at = _read(f"{place}expiration_time", moment, written_time.moment)
    if interval is not None and not _is_positive(interval):
        message = "expiration_interval must be a number greater than 0"
        raise ScheduleError(f"{place}expiration_interval", message, parse_code=115)
    if expires_at is not None and interval is not None:
        message = "Both expiration_time and expiration_interval cannot be set"
        raise ScheduleError(f"{place}expiration_interval", message, parse_code=115)
    return Times(
        push_time=_read("/push_time", submission.push_time, written_time.moment_or_wall),
        place=place,
        expires_at=expires_at,
        interval=interval if isinstance(interval, int | float) else None,
    )


def _expiry(submission: Submission) -> tuple[str, object, object]:
    """Return where the expiry stands, the moment and the interval: in `data` if not beside it.

    In `data` Parse Server's adapters look for milliseconds, into which the server has made seconds.
    """
    moment, interval = submission.expiration_time, submission.expiration_interval
    data = submission.content.get("data")
    if moment is not None or interval is not None or not isinstance(data, dict):
        return "/", moment, interval
    moment = data.get("expiration_time")
    if isinstance(moment, int | float) and MILLISECONDS_FROM <= moment < MILLISECONDS_TO:
        moment /= 1000
    return "/data/", moment, data.get("expiration_interval")


@dataclass(frozen=True, slots=True)
class _Span:
    """From the first moment at which any device gets the push to the last."""

    first: datetime
    last: datetime
    #: the first that is neither past nor late: before it the push may not expire
    next: datetime


def resolve(
    submission: Submission,
    *,
    now: datetime,
    window: timedelta | None = FARTHEST,
    zoneless: str | None = None,
    late_after: timedelta = PAST_TOLERANCE,
) -> Schedule:
    """Return the due moment and the expiry.

    An interval counts from the moment the push is due (parse.com push guide); in local time from
    each wave's own moment. `zoneless` is what devices without a zone go by; `late_after`, how long
    after its moment a wave is not late yet. Without a `window` the `push_time` stands, be it past:
    it was judged before.

    Raises:
        ScheduleError: naming the field.
    """
    times = read_times(submission)
    told = times.push_time
    local_time = told if told is not None and told.tzinfo is None else None
    if told is None:
        span = _Span(now, now, now)
    elif local_time is None:
        _check_window(told, told, submission.push_time, now=now, window=window)
        span = _Span(told, told, told)
    else:
        span = _around_the_world(local_time, submission.push_time, now=now, window=window)
        if submission.late is Late.SKIP:
            span = _but_late(span, local_time, since=now - max(late_after, PAST_TOLERANCE))
    by_zone = local_time is not None or submission.rules is not None
    return Schedule(
        due_at=span.first,
        expires_at=_expires_at(times, submission, span=span, now=now),
        push_time=iso(span.first) if local_time is None else iso_local(local_time),
        expiration_interval=None if times.interval is None else math.ceil(times.interval),
        local_time=local_time,
        zoneless=zoneless if by_zone else None,
    )


def of_wave(push: Push | Schedule, moment: datetime) -> datetime | None:
    """Return until when the wave of this moment may be sent.

    A moment given as the expiry is the same for all waves, an interval begins anew with each.
    """
    if push.local_time is None or push.expiration_interval is None:
        return push.expires_at
    return moment + timedelta(seconds=push.expiration_interval)


def lane_of(submission: Submission, *, limit: int) -> Lane:
    """Return the lane that was asked for; else few named devices are urgent, all others bulk."""
    if submission.lane is not None:
        return submission.lane
    count = device_count(submission.audience)
    return Lane.URGENT if count is not None and count <= limit else Lane.BULK


def iso(moment: datetime) -> str:
    """Return the moment as Parse writes it: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_local(wall_time: datetime) -> str:
    """Return a naive time as Parse writes it: milliseconds, and no zone."""
    return wall_time.isoformat(timespec="milliseconds")


def _read(field: str, value: object, read: Callable[[str, object], datetime]) -> datetime | None:
    try:
        return None if value is None else read(field[1:], value)
    except TimeError as error:
        raise ScheduleError(field, str(error), parse_code=115) from error


def _is_positive(interval: object) -> bool:
    # Written so that NaN fails, too; a bool is an int.
    return isinstance(interval, int | float) and not isinstance(interval, bool) and interval > 0


def _around_the_world(
    local_time: datetime, value: object, *, now: datetime, window: timedelta | None
) -> _Span:
    """Return when the clocks of the first and of the last zone show this.

    It is over when the last of them has shown it. Before anything is worked out: a time that is
    far off may have no moment that a calendar knows.
    """
    about = local_time.replace(tzinfo=UTC)
    if window and not now - PAST_TOLERANCE - _A_DAY <= about <= now + window + _A_DAY:
        _check_window(about, about, value, now=now, window=window)
    waves = moments(local_time)
    first, last = waves[0].at, waves[-1].at
    _check_window(first, last, value, now=now, window=window)
    return _Span(first, last, first)


def _but_late(span: _Span, local_time: datetime, *, since: datetime) -> _Span:
    """Return the span of a push whose waves before then are not sent."""
    to_come = (wave.at for wave in moments(local_time) if wave.at >= since)
    return replace(span, next=next(to_come, span.last))


def _check_window(
    first: datetime, last: datetime, value: object, *, now: datetime, window: timedelta | None
) -> None:
    if window is None:
        return
    if last < now - PAST_TOLERANCE:
        message = f"push_time {value} lies in the past."
        raise ScheduleError("/push_time", message, parse_code=152)
    if first > now + window:
        ahead = "two weeks" if window == FARTHEST else f"{window.days} days"
        message = f"push_time {value} lies more than {ahead} ahead."
        raise ScheduleError("/push_time", message, parse_code=152)


def _expires_at(
    times: Times, submission: Submission, *, span: _Span, now: datetime
) -> datetime | None:
    if times.interval is not None:
        return _after(span.last, times.interval, place=times.place)
    if times.expires_at is None:
        return None
    if told := _flaw_of_expiry(times.expires_at, due_at=span.next, now=now):
        message = f"expiration_time {_expiry(submission)[1]} {told}"
        raise ScheduleError(f"{times.place}expiration_time", message, parse_code=138)
    return times.expires_at


def _flaw_of_expiry(expires_at: datetime, *, due_at: datetime, now: datetime) -> str | None:
    if expires_at <= now:
        return "lies in the past."
    if expires_at <= due_at:
        return f"must lie after the time of the push, {iso(due_at)}."
    return None


def _after(due_at: datetime, interval: float, *, place: str) -> datetime:
    if interval > LONGEST.total_seconds():
        message = (
            f"expiration_interval {interval} is more than ten years: it counts in seconds from "
            "push_time. Send a moment as expiration_time."
        )
        raise ScheduleError(f"{place}expiration_interval", message, parse_code=138)
    return due_at + timedelta(seconds=interval)
