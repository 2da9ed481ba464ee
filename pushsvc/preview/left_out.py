"""Who gets nothing of a push that goes by the devices' clocks: by the zones that they have."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause

from pushsvc.model import Late, Schedule, Submission
from pushsvc.planning import legs, localtime
from pushsvc.storage import reach as kinds

NO_TIME_ZONE: Final = "no_time_zone"
LATE: Final = "late"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Zones whose devices get nothing, and why."""

    late: Collection[str] = ()
    #: why those get nothing that have no zone, or one that nobody knows; None: they do
    zoneless: str | None = None

    def __bool__(self) -> bool:
        """Tell whether anybody may be."""
        return bool(self.late or self.zoneless)

    def column(self, table: FromClause) -> ColumnElement[Any]:
        """Return the reason of a row of installations, null where it gets the push."""
        reasons = dict.fromkeys(localtime.known_zones(), None) | dict.fromkeys(self.late, LATE)
        return kinds.by_zone(table, reasons, other=self.zoneless)

    def serves(self, table: FromClause) -> ColumnElement[bool]:
        """Return whether a row gets the push."""
        return self.column(table).is_(None)


def left_out(
    submission: Submission, when: Schedule, *, now: datetime, late_after: timedelta
) -> LeftOut:
    """Return who would be left out of a push that is submitted now."""
    late = [
        zone
        for moment in (localtime.moments(when.local_time) if when.local_time else ())
        if submission.late is Late.SKIP and now - moment.at > late_after
        for zone in moment.zones
    ]
    if when.zoneless is not None:
        return LeftOut(late=late, zoneless=LATE if when.zoneless in late else None)
    by_clock = legs.goes_by_clocks(when.local_time, submission.rules)
    return LeftOut(late=late, zoneless=NO_TIME_ZONE if by_clock else None)
