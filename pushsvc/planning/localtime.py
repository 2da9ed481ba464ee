"""What a device's own clock shows, and when: zones, moments, quiet hours. Pure.

A time in the gap of a change to summer time does not exist, and is read with the offset before it:
02:30 is then shown as 03:30. One that comes twice, at the change back, is the first of the two.
That is what `fold=0` means to zoneinfo (PEP 495), and what RFC 5545 3.3.5 asks of calendars.
"""

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from pushsvc.model import QuietHours

#: Not zones of a place: the database's own file of them has these beside the others.
_NO_PLACES: Final = frozenset({"localtime", "posixrules", "Factory"})
#: Of a text that is no zone's name, looked at for what was meant: longer than any name.
_NAME_CHARACTERS: Final = 64
_SECOND: Final = timedelta(seconds=1)
#: A change of the clocks is two hours at most, of the first zone's and of another's.
_SHIFT_MOST: Final = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment at which a wall time is shown somewhere."""

    at: datetime
    #: IANA names, sorted
    zones: Sequence[str]


# ---------------------------------------------------------------- zones


@cache
def known_zones() -> frozenset[str]:
    """Return the IANA names of all zones, links to others included."""
    return frozenset(available_timezones()) - _NO_PLACES


def zone_of(given: object) -> str | None:
    """Return the zone that a device names; None where it names none that is known.

    Devices send names of the database, letter by letter, and the door refuses what is none. What
    a row has all the same (an older database's name, `GMT+0200`) counts as no zone.
    """
    return given if isinstance(given, str) and given in known_zones() else None


def nearest_zone(text: str) -> str | None:
    """Return the zone that somebody may have meant: in any case, misspelt, or its place alone."""
    wanted = text[:_NAME_CHARACTERS].strip().lower().replace(" ", "_")
    names = _by_spelling()
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.7)
    return names[near[0]] if near else None


@cache
def _by_spelling() -> Mapping[str, str]:
    # Etc/GMT+2 is two hours behind, which nobody means who writes it.
    zones = sorted(zone for zone in known_zones() if "GMT" not in zone)
    places = {zone.rpartition("/")[2].lower(): zone for zone in zones}
    return {**places, **{zone.lower(): zone for zone in zones}}


def zone_for_zoneless(rule: Literal["skip", "utc", "app"], *, app_zone: str | None) -> str | None:
    """Return what devices without a zone go by, as the setting `zoneless_devices` has it."""
    if rule == "skip":
        return None
    return (zone_of(app_zone) if rule == "app" else None) or "UTC"


@cache
def _rules(zone: str) -> ZoneInfo:
    # zoneinfo itself keeps no more than eight, and reads the others from their files anew.
    return ZoneInfo(zone)


# ---------------------------------------------------------------- moments


def moment_of(local_time: datetime, zone: str) -> datetime:
    """Return when the clocks of a known zone show this, in UTC; `local_time` is naive."""
    return local_time.replace(tzinfo=_rules(zone), fold=0).astimezone(UTC)


@lru_cache(maxsize=64)
def moments(local_time: datetime) -> Sequence[Moment]:
    """Return when the clocks of the world show this, the earliest moment first.

    There are some forty, for some six hundred zones.
    """
    zones = defaultdict[datetime, list[str]](list)
    for zone in sorted(known_zones()):
        zones[moment_of(local_time, zone)].append(zone)
    return [Moment(at, tuple(zones[at])) for at in sorted(zones)]


def first_moment(local_time: datetime) -> datetime:
    """Return the earliest of a wall time's moments, without working out the others."""
    return min(moment_of(local_time, zone) for zone in _eastern(local_time.date()))


@lru_cache(maxsize=512)
def _eastern(day: date) -> Sequence[str]:
    """Return the zones of which one has each time of a day first, however clocks are changed."""
    noon = datetime.combine(day, datetime.min.time()) + timedelta(hours=12)
    moments_of_noon = {zone: moment_of(noon, zone) for zone in known_zones()}
    until = min(moments_of_noon.values()) + _SHIFT_MOST
    return [zone for zone, at in moments_of_noon.items() if at <= until]


def utc_offset(local_time: datetime, zone: str) -> timedelta:
    """Return how far the zone's clocks are ahead of UTC at the moment of this wall time."""
    offset = moment_of(local_time, zone).astimezone(_rules(zone)).utcoffset()
    assert offset is not None
    return offset


# ---------------------------------------------------------------- quiet hours


def quiet_until(quiet: QuietHours, zone: str, *, now: datetime) -> datetime | None:
    """Return when the quiet hours of a zone end, in UTC; None where it has none now.

    That is the first moment from now on at which its clocks show a time outside of them: their
    end; or, where the clocks are put forward over it, the moment that this is done.
    """
    at = now
    while (end := _end_of(quiet, _local(at, zone))) is not None:
        at = _next(end, zone, after=at)
    return None if at is now else at


def _local(at: datetime, zone: str) -> datetime:
    return at.astimezone(_rules(zone)).replace(tzinfo=None)


def _end_of(quiet: QuietHours, local: datetime) -> datetime | None:
    """Return the wall time at which the quiet hours end that a wall time lies in."""
    time = local.time()
    if quiet.start <= quiet.end:
        if not quiet.start <= time < quiet.end:
            return None
        return datetime.combine(local.date(), quiet.end)
    if quiet.end <= time < quiet.start:
        return None
    return datetime.combine(local.date(), quiet.end) + timedelta(days=int(time >= quiet.start))


def _next(local: datetime, zone: str, *, after: datetime) -> datetime:
    """Return the first moment after another at which clocks show this, or jump over it."""
    first, second = (
        local.replace(tzinfo=_rules(zone), fold=fold).astimezone(UTC) for fold in (0, 1)
    )
    if first <= second:
        # It comes once, or twice.
        return first if first > after else second
    # It is in a gap: of the two offsets around it each leads to the other side.
    before, past = max(second, after), first
    while past - before > _SECOND:
        middle = before + (past - before) / 2
        before, past = (before, middle) if _local(middle, zone) >= local else (middle, past)
    return past.replace(microsecond=0)
