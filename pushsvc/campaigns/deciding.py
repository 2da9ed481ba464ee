"""What becomes of the times of a campaign that have come: one starts, others are skipped. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pushsvc.campaigns.calendar import Time
from pushsvc.model import Late, Overlap, SkipReason
from pushsvc.planning import localtime

#: A time that waits for the run before is looked at again so often.
WAIT_SECONDS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A campaign whose time has come, as the clock finds it."""

    #: the time it was to look for and those that have come since, oldest first
    times: Sequence[Time]
    #: when it was to look: later than the first time where that waits
    look_at: datetime
    now: datetime
    late_after_seconds: float
    #: whether the run before is under way
    is_busy: bool

    @property
    def is_waiting(self) -> bool:
        """Whether the first time has waited for the run before."""
        return self.look_at > self.times[0].at


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of the times."""

    skipped: Sequence[tuple[Time, SkipReason]]
    #: the run to start now
    start: Time | None = None
    #: what waits for the run before
    waiting: Time | None = None
    #: times up to this one are settled, but for one that waits
    through: Time


def decide(due: Due, *, late: Late, overlap: Overlap) -> Decision:
    """Return what becomes of them: at most one starts, and at most one waits.

    What nobody was there to start is late. `send` starts the latest of it, once. So does `skip`
    in local time, where zones are still to come: each that has had its time is late by itself.
    """
    lates = [time for time in due.times if _is_late(due, time)]
    rest = due.times[len(lates) :]
    chosen = rest[0] if rest else None
    if lates and (late is Late.SEND or (chosen is None and _goes_on(due, lates[-1]))):
        chosen = lates.pop()
    skipped = [(time, SkipReason.LATE) for time in lates]
    if chosen is None:
        return Decision(skipped=skipped, through=due.times[-1])
    if not due.is_busy:
        # What came while it waited would have waited, too, and only one may.
        passed = _after(due, chosen) if due.is_waiting else []
        skipped += [(time, SkipReason.OVERLAP) for time in passed]
        return Decision(skipped=skipped, start=chosen, through=passed[-1] if passed else chosen)
    if overlap is Overlap.QUEUE:
        return Decision(skipped=skipped, waiting=chosen, through=chosen)
    return Decision(skipped=[*skipped, (chosen, SkipReason.OVERLAP)], through=chosen)


def _is_late(due: Due, time: Time) -> bool:
    """Tell whether it should have been started long ago; one that waits was not to be."""
    meant = due.look_at if time is due.times[0] else max(time.at, due.look_at)
    return due.now - meant > timedelta(seconds=due.late_after_seconds)


def _goes_on(due: Due, time: Time) -> bool:
    """Tell whether it has yet to come in some zone."""
    return time.local is not None and localtime.moments(time.local)[-1].at > due.now


def _after(due: Due, chosen: Time) -> list[Time]:
    return [time for time in due.times if time.at > chosen.at]
