"""What a device's own clock shows, and when: zones, moments, quiet hours. Pure.

A time in the gap of a change to summer time does not exist, and is read with the offset before it:
02:30 is then shown as 03:30. One that comes twice, at the change back, is the first of the two.
That is what `fold=0` means to zoneinfo (PEP 495), and what RFC 5545 3.3.5 asks of calendars.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from pushsvc.model import QuietHours

#: Not zones of a place: the database's own file of them has these beside the others.
_NO_PLACES: Final = frozenset({"localtime", "posixrules", "Factory"})


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment at which a wall time is shown somewhere."""

    at: datetime
    #: IANA names, sorted
    zones: Sequence[str]


@cache
def known_zones() -> frozenset[str]:
    """Return the IANA names of all zones, links to others included."""
    return frozenset(available_timezones()) - _NO_PLACES


def moment_of(local_time: datetime, zone: str) -> datetime:
    """Return when the clocks of a known zone show this, in UTC; `local_time` is naive."""
    return local_time.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)


@lru_cache(maxsize=64)
def moments(local_time: datetime) -> Sequence[Moment]:
    """Return when the clocks of the world show this, the earliest moment first.

    There are some forty, for some six hundred zones.
    """
    zones = defaultdict[datetime, list[str]](list)
    for zone in sorted(known_zones()):
        zones[moment_of(local_time, zone)].append(zone)
    return [Moment(at, tuple(zones[at])) for at in sorted(zones)]


def quiet_until(quiet: QuietHours, zone: str, *, now: datetime) -> datetime | None:
    """Return when the quiet hours of a zone end, in UTC; None where it has none now."""
    local = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    begun = local.time() >= quiet.start
    if quiet.start < quiet.end:
        is_quiet, days = begun and local.time() < quiet.end, 0
    else:
        is_quiet, days = begun or local.time() < quiet.end, int(begun)
    if not is_quiet:
        return None
    return moment_of(datetime.combine(local.date(), quiet.end) + timedelta(days=days), zone)
