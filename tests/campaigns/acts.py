"""The campaigns of a proof, one after another: each meets what those before it have left. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from tests.campaigns.world import EARLY
from tests.chaos.fleet import EVERYONE

HOLDOUT: Final = "holdout"
#: How far the clock of any zone is from an edge of quiet hours that are not to end meanwhile: zones
#: are quarters of an hour from each other.
MARGIN: Final = timedelta(minutes=7)
#: The zone whose quiet hours are waited for, and how long they last.
DEFERRED_ZONE: Final = "Asia/Kathmandu"
DEFERRED: Final = timedelta(minutes=5)
#: So long a run may take to begin before quiet hours that are waited for end.
LEAD: Final = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Hours of each device's clock."""

    start: str
    end: str
    then: str

    def has(self, zone: str, at: datetime) -> bool:
        """Tell whether it is one of them."""
        clock = at.astimezone(ZoneInfo(zone)).strftime("%H:%M")
        if self.start <= self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One campaign, and what it sends: each content has its own text and its own collapse id."""

    name: str
    channel: str
    #: None is the content of a campaign without variants
    weights: Mapping[str | None, int]
    cap: int
    quiet: Quiet | None = None
    #: whose quiet hours end while the run is under way, at this moment
    deferred_until: datetime | None = None

    @property
    def contents(self) -> Mapping[str | None, str]:
        """The collapse id of each content, of letters as WNS wants it; its text has it, too."""
        sent = [one for one in self.weights if one != HOLDOUT]
        return {one: f"{self.name}{one}" if one else self.name for one in sent}

    def definition(self, at: datetime) -> dict[str, Any]:
        """Return the campaign as `/v1/campaigns` takes it, to run once."""
        told: dict[str, Any] = {
            "name": self.name,
            "audience": {"channels": [self.channel]},
            "schedule": {"at": at.isoformat()},
            "cap": {"count": self.cap, "per": "1d"},
        }
        if None in self.contents:
            told["content"] = _content(self.contents[None])
        else:
            told["holdout"] = self.weights[HOLDOUT]
            told["variants"] = [
                {"name": name, "weight": self.weights[name], "content": _content(marker)}
                for name, marker in self.contents.items()
            ]
        if self.quiet is not None:
            quiet = self.quiet
            told["quiet_hours"] = {"start": quiet.start, "end": quiet.end, "then": quiet.then}
        return told


def text_of(marker: str) -> str:
    """Return what devices are shown."""
    return f"This is {marker}."


def _content(marker: str) -> dict[str, Any]:
    return {"data": {"alert": text_of(marker), "badge": "Increment"}, "collapse_id": marker}


def early() -> Act:
    """Return the campaign whose devices have had enough when the next one comes."""
    return Act(name="early", channel=EARLY, weights={None: 1}, cap=5)


def sale(now: datetime) -> Act:
    """Return one with variants, a holdout and quiet hours: it is night in a third of the world."""
    night = Quiet(
        start=_clock(now + timedelta(hours=1) + MARGIN),
        end=_clock(now + timedelta(hours=9) + MARGIN),
        then="drop",
    )
    return Act(
        name="sale",
        channel=EVERYONE,
        weights={"a": 45, "b": 45, HOLDOUT: 10},
        cap=1,
        quiet=night,
    )


def rest(now: datetime, *, waits: bool) -> Act:
    """Return one for who got nothing so far; with `waits`, one zone's quiet hours end soon."""
    quiet, end = None, None
    if waits:
        end = (now + LEAD).replace(second=0, microsecond=0) + timedelta(minutes=1)
        there = end.astimezone(ZoneInfo(DEFERRED_ZONE))
        quiet = Quiet(start=_clock(there - DEFERRED), end=_clock(there), then="defer")
    return Act(
        name="rest",
        channel=EVERYONE,
        weights={None: 1},
        cap=1,
        quiet=quiet,
        deferred_until=end,
    )


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M")
