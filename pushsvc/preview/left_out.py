"""Who gets nothing of a push that goes by the devices' clocks: by the zones that they have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause

from pushsvc.model import Late, Schedule, Submission
from pushsvc.planning import legs, localtime
from pushsvc.planning.schedule import of_wave
from pushsvc.storage import reach as kinds

NO_TIME_ZONE: Final = "no_time_zone"
LATE: Final = "late"
EXPIRED: Final = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Zones whose devices get nothing, and why."""

    #: zone -> why
    zones: Mapping[str, str] = field(default_factory=dict)
    #: why those get nothing that have no zone, or one that nobody knows; None: they do
    zoneless: str | None = None

    def __bool__(self) -> bool:
        """Tell whether anybody may be."""
        return bool(self.zones or self.zoneless)

    def column(self, table: FromClause) -> ColumnElement[Any]:
        """Return the reason of a row of installations, null where it gets the push."""
        reasons = {**dict.fromkeys(localtime.known_zones()), **self.zones}
        return kinds.by_zone(table, reasons, other=self.zoneless)

    def serves(self, table: FromClause) -> ColumnElement[bool]:
        """Return whether a row is of those that are sent to, be it too late for it by then."""
        planned = LeftOut(
            zones={zone: why for zone, why in self.zones.items() if why != EXPIRED},
            zoneless=None if self.zoneless == EXPIRED else self.zoneless,
        )
        return planned.column(table).is_(None)


def left_out(
    submission: Submission, when: Schedule, *, now: datetime, late_after: timedelta
) -> LeftOut:
    """Return who would be left out of a push that is submitted now."""
    zones: dict[str, str] = {}
    for moment in localtime.moments(when.local_time) if when.local_time else ():
        expires_at = of_wave(when, moment.at)
        if submission.late is Late.SKIP and now - moment.at > late_after:
            zones |= dict.fromkeys(moment.zones, LATE)
        elif expires_at is not None and expires_at <= max(now, moment.at):
            zones |= dict.fromkeys(moment.zones, EXPIRED)
    if when.zoneless is not None:
        return LeftOut(zones=zones, zoneless=zones.get(when.zoneless))
    by_clock = legs.goes_by_clocks(when.local_time, submission.rules)
    return LeftOut(zones=zones, zoneless=NO_TIME_ZONE if by_clock else None)
