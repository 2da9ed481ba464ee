"""A time as callers write it: epoch seconds, ISO 8601 with a zone, or a wall time. Pure."""

import re
from datetime import UTC, datetime
from typing import Final

#: Of a caller's own value in an error's message.
SHOWN_CHARACTERS: Final = 100
_DATE: Final = r"\d{4}-\d{2}-\d{2}"
_TIME: Final = r"[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?"
#: A time with its zone: Z or an offset, whose colon some leave out.
_ZONED: Final = re.compile(rf"{_DATE}{_TIME} ?(Z|z|[+-]\d{{2}}(:?\d{{2}})?)", re.ASCII)
#: A wall time, which is that of each device's own clock: a date alone is its midnight.
_WALL: Final = re.compile(rf"{_DATE}({_TIME})?", re.ASCII)


class TimeError(Exception):
    """It is no time; the text is for the caller, in Parse Server's words as far as it has some."""


def moment_or_wall(name: str, value: object) -> datetime:
    """Return a moment in UTC; or a wall time, which is naive.

    Raises:
        TimeError: it is neither.
    """
    if (found := _read(name, value)) is None:
        hint = (
            f"{name} ends in Z or an offset such as +02:00; or it is a local time, such as "
            "2026-12-24T18:00:00."
        )
        raise TimeError(_invalid(value, hint))
    return found


def moment(name: str, value: object) -> datetime:
    """Return a moment in UTC.

    Raises:
        TimeError: it is none.
    """
    found = _read(name, value)
    if found is None or found.tzinfo is None:
        hint = f"{name} needs a zone: end it in Z or an offset, as in 2026-12-24T18:00:00+02:00."
        raise TimeError(_invalid(value, hint))
    return found


def _read(name: str, value: object) -> datetime | None:
    """Return a moment in UTC or a wall time; None where ISO 8601 alone knows what is meant."""
    if isinstance(value, str):
        return _read_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and not _is_nan(value):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, ValueError, OSError):
            hint = f"{name} counts in seconds since 1970."
            raise TimeError(_invalid(value, hint)) from None
    raise TimeError(_invalid(value))


def _read_text(value: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(value.upper())
        # OverflowError: in UTC it lies before the year 1 or after the year 9999.
        found = found if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise TimeError(_invalid(value)) from None
    # Python also reads week dates, 20261224T18Z, any sign before a time, and seconds of an offset.
    form = _WALL if found.tzinfo is None else _ZONED
    return found if form.fullmatch(value) else None


def _is_nan(value: float) -> bool:
    # Not math.isnan, which cannot take integers of hundreds of digits.
    return value != value  # noqa: PLR0124 - only NaN is so


def _invalid(value: object, hint: str = "") -> str:
    return f"{_shown(value)} is not valid time.{hint and ' '}{hint}"


def _shown(value: object) -> str:
    """Return a value as JavaScript puts it into a text, so that Parse Server's words come out."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "[object Object]"
    return str(value)[:SHOWN_CHARACTERS]
