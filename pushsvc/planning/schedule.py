"""When a push is due and until when it may be sent, from what the caller wrote. Pure."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pushsvc.model import Json, Lane, Schedule, Submission

#: The keys of a push that say when; a `Submission` has them under the same names.
TIME_KEYS: Final = ("push_time", "expiration_time", "expiration_interval")

#: Parse's push guide: at most two weeks ahead.
FARTHEST: Final = timedelta(weeks=2)
#: Parse's guide has a sample whose interval is a moment of 1970's milliseconds: nobody means that.
LONGEST: Final = timedelta(days=3_653)
#: Clocks differ: a time this little ago is now.
PAST_TOLERANCE: Final = timedelta(seconds=60)
#: Seconds since 1970 that are more than this (the year 5138) are milliseconds.
MILLISECONDS_FROM: Final = 10**11
MILLISECONDS_TO: Final = 10**15
#: Of a caller's own value in an error's message.
SHOWN_CHARACTERS: Final = 100
#: A time with its zone: Z or an offset with a colon (Parse's rule for an absolute time).
_ZONED: Final = re.compile(r"(Z|[+-]\d{2}:\d{2})$")


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

    #: None: now
    due_at: datetime | None
    #: where the expiry is said: "/" or "/data/"
    place: str
    expires_at: datetime | None
    interval: float | None


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

    Numbers are epoch seconds (UTC), strings ISO 8601 with a zone.

    Raises:
        ScheduleError: 115, naming the field that is malformed.
    """
    place, moment, interval = _expiry(submission)
    expires_at = _given(f"{place}expiration_time", moment)
    if interval is not None and not _is_positive(interval):
        message = "expiration_interval must be a number greater than 0"
        raise ScheduleError(f"{place}expiration_interval", message, parse_code=115)
    if expires_at is not None and interval is not None:
        message = "Both expiration_time and expiration_interval cannot be set"
        raise ScheduleError(f"{place}expiration_interval", message, parse_code=115)
    return Times(
        due_at=_given("/push_time", submission.push_time),
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


def resolve(submission: Submission, *, now: datetime) -> Schedule:
    """Return the due moment and the expiry.

    An interval counts from the moment the push is due (parse.com push guide).

    Raises:
        ScheduleError: naming the field.
    """
    times = read_times(submission)
    due_at = now
    if times.due_at is not None:
        due_at = _in_window(times.due_at, submission.push_time, now=now)
    expires_at = None
    if times.interval is not None:
        expires_at = _after(due_at, times.interval, place=times.place)
    elif times.expires_at is not None:
        expires_at = times.expires_at
        if told := _flaw_of_expiry(expires_at, due_at=due_at, now=now):
            message = f"expiration_time {_expiry(submission)[1]} {told}"
            raise ScheduleError(f"{times.place}expiration_time", message, parse_code=138)
    return Schedule(
        due_at=due_at,
        expires_at=expires_at,
        push_time=iso(due_at),
        expiration_interval=None if times.interval is None else math.ceil(times.interval),
    )


def lane_of(submission: Submission, *, limit: int) -> Lane:
    """Return the lane that was asked for; else few named devices are urgent, all others bulk."""
    if submission.lane is not None:
        return submission.lane
    devices = submission.audience.get("devices")
    return Lane.URGENT if devices is not None and len(devices) <= limit else Lane.BULK


def iso(moment: datetime) -> str:
    """Return the moment as Parse writes it: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _given(field: str, value: object) -> datetime | None:
    return None if value is None else _moment(field, value)


def _is_positive(interval: object) -> bool:
    # Written so that NaN fails, too; a bool is an int.
    return isinstance(interval, int | float) and not isinstance(interval, bool) and interval > 0


def _in_window(due_at: datetime, value: object, *, now: datetime) -> datetime:
    if due_at < now - PAST_TOLERANCE:
        message = f"push_time {value} lies in the past."
        raise ScheduleError("/push_time", message, parse_code=152)
    if due_at > now + FARTHEST:
        message = f"push_time {value} lies more than two weeks ahead."
        raise ScheduleError("/push_time", message, parse_code=152)
    return due_at


def _flaw_of_expiry(expires_at: datetime, *, due_at: datetime, now: datetime) -> str | None:
    if expires_at <= now:
        return "lies in the past."
    return "must lie after the time of the push." if expires_at <= due_at else None


def _after(due_at: datetime, interval: float, *, place: str) -> datetime:
    if interval > LONGEST.total_seconds():
        message = (
            f"expiration_interval {interval} is more than ten years: it counts in seconds from "
            "push_time. Send a moment as expiration_time."
        )
        raise ScheduleError(f"{place}expiration_interval", message, parse_code=138)
    return due_at + timedelta(seconds=interval)


def _moment(field: str, value: object) -> datetime:
    """Parse's texts: malformed times are 115 `<value> is not valid time.`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and not _is_nan(value):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, ValueError, OSError):
            message = (
                f"{_shown(value)} is not valid time. {field[1:]} counts in seconds since 1970."
            )
            raise ScheduleError(field, message, parse_code=115) from None
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            # The pattern alone takes 2026-03-01-02:00 for zoned: any sign may stand before a time.
            if moment.tzinfo is not None and _ZONED.search(value):
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            # OverflowError: in UTC it lies before the year 1 or after the year 9999.
            pass
        else:
            message = (
                f"{_shown(value)} is not valid time. {field[1:]} needs a zone: end it in Z or an "
                "offset such as +02:00."
            )
            raise ScheduleError(field, message, parse_code=115)
    message = f"{_shown(value)} is not valid time."
    raise ScheduleError(field, message, parse_code=115)


def _is_nan(value: float) -> bool:
    # Not math.isnan, which cannot take integers of hundreds of digits.
    return value != value  # noqa: PLR0124 - only NaN is so


def _shown(value: object) -> str:
    """Return a value as JavaScript puts it into a text, so that Parse Server's words come out."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "[object Object]"
    return str(value)[:SHOWN_CHARACTERS]
