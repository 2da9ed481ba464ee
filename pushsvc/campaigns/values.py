"""What the values of a campaign may be: names, durations, times, zones, cron. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from pushsvc.model import HOLDOUT
from pushsvc.planning.localtime import known_zones
from pushsvc.planning.schedule import LONGEST
from pushsvc.planning.written_time import TimeError, moment_or_wall
from pushsvc.storage.fields import channel_flaw

NAME_PATTERN: Final = "[A-Za-z0-9_.-]{1,64}"
CHANNELS_MOST: Final = 1_000
#: Weights are shares: a thousandth is as fine as it gets.
WEIGHT_MOST: Final = 1_000_000
#: Of a name of a template or of a saved audience.
_WORD_CHARACTERS: Final = 255
_CRON_CHARACTERS: Final = 200
_SECONDS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([smhdw])")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
#: A day without a time of day is shorter; a campaign is not to run at midnight by mistake.
_DAY_CHARACTERS: Final = len("2026-12-01")
#: Of a cron expression: it has a time within fifty years of any moment, or none at all.
_SOME_MOMENT: Final = datetime(2024, 1, 1, tzinfo=UTC)
_CRON_FIELDS: Final = 5
#: Of all times: far from the ends of what can be reckoned with.
YEARS: Final = range(1971, 2201)


def seconds_of(duration: str) -> int:
    """Return the seconds of `30s`, `5m`, `2h`, `1d` or `1w`, which was checked."""
    found = _DURATION.fullmatch(duration)
    assert found
    return int(found[1]) * _SECONDS[found[2]]


def moment_of(text: str) -> datetime:
    """Return a moment that was checked, in UTC."""
    return read_time(text)


def _checked_duration(text: str) -> str:
    if not _DURATION.fullmatch(text):
        message = 'must be a number and s, m, h, d or w, as "90s" or "1d"'
        raise ValueError(message)
    if seconds_of(text) > LONGEST.total_seconds():
        message = "must be ten years at most"
        raise ValueError(message)
    return text


def _checked_moment(text: str) -> str:
    if read_time(text).tzinfo is None:
        message = "needs a zone: end it in Z or an offset such as +02:00"
        raise ValueError(message)
    return text


def read_time(text: str) -> datetime:
    """Return a time with a zone, in UTC, or without one; in the forms of a push's `push_time`.

    Raises:
        ValueError: it is none.
    """
    try:
        found = moment_or_wall("it", text)
    except TimeError:
        found = None
    if found is None or len(text) <= _DAY_CHARACTERS:
        message = f'"{text[:100]}" is no time: write it as 2026-12-01T09:00:00'
        raise ValueError(message)
    if found.year not in YEARS:
        message = f"the year must be one from {YEARS.start} to {YEARS.stop - 1}"
        raise ValueError(message)
    return found


def _checked_zone(name: str) -> str:
    if name not in known_zones():
        message = f'there is no zone "{name[:100]}": write an IANA name, as Europe/Berlin'
        raise ValueError(message)
    return name


def _checked_cron(expression: str) -> str:
    if len(expression.split()) != _CRON_FIELDS:
        message = 'must have five fields, minute hour day month weekday, as "0 9 * * MON"'
        raise ValueError(message)
    try:
        next(CronSim(expression, _SOME_MOMENT))
    except CronSimError as error:
        message = f"{str(error).lower()}: the fields are minute hour day month weekday"
        raise ValueError(message) from None
    except StopIteration:
        message = "no time ever fits it"
        raise ValueError(message) from None
    return expression


def _checked_clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        message = 'must be a time of day from 00:00 to 23:59, in quotes in YAML, as "22:00"'
        raise ValueError(message)
    return text


def _checked_channels(names: list[str]) -> list[str]:
    for name in names:
        if flaw := channel_flaw(name):
            raise ValueError(flaw.removesuffix("."))
    return names


def _checked_name(name: str) -> str:
    if not re.fullmatch(NAME_PATTERN, name) or name in {".", ".."}:
        message = "must be 1 to 64 of A-Z, a-z, 0-9, _, . and -"
        raise ValueError(message)
    return name


def _checked_variant(name: str) -> str:
    if name == HOLDOUT:
        message = f'"{HOLDOUT}" is the name of those who get nothing: choose another'
        raise ValueError(message)
    return _checked_name(name)


Word = Annotated[str, Field(min_length=1, max_length=_WORD_CHARACTERS)]
Name = Annotated[
    str, AfterValidator(_checked_name), Field(json_schema_extra={"pattern": f"^{NAME_PATTERN}$"})
]
VariantName = Annotated[str, AfterValidator(_checked_variant)]
Duration = Annotated[str, AfterValidator(_checked_duration)]
Moment = Annotated[str, AfterValidator(_checked_moment)]
Clock = Annotated[str, AfterValidator(_checked_clock)]
Weight = Annotated[int, Field(ge=1, le=WEIGHT_MOST)]
Share = Annotated[float, Field(gt=0, le=1)]


Channels = Annotated[
    list[str], Field(min_length=1, max_length=CHANNELS_MOST), AfterValidator(_checked_channels)
]
Cron = Annotated[str, Field(max_length=_CRON_CHARACTERS), AfterValidator(_checked_cron)]
Zone = Annotated[str, AfterValidator(_checked_zone)]
