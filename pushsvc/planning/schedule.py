"""When a push is due and until when it may be sent, from what the caller wrote. Pure."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from pushsvc.model import Lane, Schedule, Submission

#: Parse's push guide: at most two weeks ahead.
FARTHEST: Final = timedelta(weeks=2)
#: Clocks differ: a time this little ago is now.
PAST_TOLERANCE: Final = timedelta(seconds=60)
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


def resolve(submission: Submission, *, now: datetime) -> Schedule:
    """Return the due moment and the expiry.

    Numbers are epoch seconds (UTC), strings ISO 8601 with a zone. An interval counts from the
    moment the push is due (parse.com push guide).

    Raises:
        ScheduleError: naming the field.
    """
    due_at = now if submission.push_time is None else _due(submission.push_time, now=now)
    interval = submission.expiration_interval
    if submission.expiration_time is not None and interval is not None:
        message = "Both expiration_time and expiration_interval cannot be set"
        raise ScheduleError("/expiration_interval", message, parse_code=115)
    expires_at = None
    if interval is not None:
        expires_at = _after(due_at, interval)
    elif submission.expiration_time is not None:
        expires_at = _expiry(submission.expiration_time, due_at=due_at)
    return Schedule(
        due_at=due_at,
        expires_at=expires_at,
        push_time=iso(due_at),
        expiration_interval=math.ceil(interval) if isinstance(interval, int | float) else None,
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


def _due(value: object, *, now: datetime) -> datetime:
    due_at = _moment("/push_time", value)
    if due_at < now - PAST_TOLERANCE:
        message = f"push_time {value} lies in the past."
        raise ScheduleError("/push_time", message, parse_code=152)
    if due_at > now + FARTHEST:
        message = f"push_time {value} lies more than two weeks ahead."
        raise ScheduleError("/push_time", message, parse_code=152)
    return due_at


def _expiry(value: object, *, due_at: datetime) -> datetime:
    expires_at = _moment("/expiration_time", value)
    if expires_at <= due_at:
        message = f"expiration_time {value} must lie after the time of the push."
        raise ScheduleError("/expiration_time", message, parse_code=138)
    return expires_at


def _after(due_at: datetime, interval: object) -> datetime:
    # Written so that NaN fails, too; a bool is an int.
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not interval > 0:
        message = "expiration_interval must be a number greater than 0"
        raise ScheduleError("/expiration_interval", message, parse_code=115)
    try:
        return due_at + timedelta(seconds=interval)
    except OverflowError:
        message = f"expiration_interval {interval} is too large; it is in seconds."
        raise ScheduleError("/expiration_interval", message, parse_code=138) from None


def _moment(field: str, value: object) -> datetime:
    """Parse's texts: malformed times are 115 `<value> is not valid time.`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, ValueError, OSError):
            message = f"{value} is not valid time. {field[1:]} counts in seconds since 1970."
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
                f"{value} is not valid time. {field[1:]} needs a zone: end it in Z or an offset "
                "such as +02:00."
            )
            raise ScheduleError(field, message, parse_code=115)
    message = f"{value} is not valid time."
    raise ScheduleError(field, message, parse_code=115)
