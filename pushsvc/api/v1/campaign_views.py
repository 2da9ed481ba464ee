"""A campaign and its runs as `/v1` shows them."""

from datetime import datetime
from itertools import islice
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from pushsvc.api.replies import moment
from pushsvc.api.v1.views import OpenCountsView, live_counts
from pushsvc.campaigns import calendar
from pushsvc.campaigns.calendar import Time
from pushsvc.campaigns.definition import Definition
from pushsvc.campaigns.prepare import as_read
from pushsvc.model import Campaign, CampaignState, Counts, PushState, RunState, SkipReason
from pushsvc.storage.campaigns import RunRow

#: Times shown.
NEXT_MOST: Final = 5


class Whole(BaseModel):
    """No key but these."""

    model_config = ConfigDict(extra="forbid")


class RunView(Whole):
    """What came of one time of a campaign."""

    number: int
    push_time: str = Field(description="Without a zone in local time.")
    state: RunState
    reason: SkipReason | None = Field(description="Why it was skipped.")
    push_id: str | None
    push_state: PushState | None
    counts: OpenCountsView | None
    created_at: str


class LastRunView(Whole):
    """The same in short."""

    number: int
    push_time: str
    state: RunState
    reason: SkipReason | None
    push_id: str | None


class CampaignView(Whole):
    """A campaign, and where it stands."""

    id: str
    name: str
    state: CampaignState
    state_reason: str | None
    definition: dict[str, Any]
    next_runs: list[str] = Field(description="The next five times, if it is active.")
    last_run: LastRunView | None
    runs: int
    created_at: str
    updated_at: str


class CampaignPage(Whole):
    """Campaigns, newest first."""

    campaigns: list[CampaignView]
    next_cursor: str | None


class RunPage(Whole):
    """Runs, newest first."""

    runs: list[RunView]
    next_cursor: str | None


def shown(campaign: Campaign, last: RunRow | None, *, now: datetime) -> dict[str, Any]:
    """Return a campaign as `CampaignView` describes it."""
    return {
        "id": campaign.object_id,
        "name": campaign.name,
        "state": campaign.state.value,
        "state_reason": campaign.state_reason,
        "definition": campaign.definition,
        "next_runs": _next_runs(campaign, now=now),
        "last_run": None if last is None else _short(last),
        "runs": campaign.runs,
        "created_at": moment(campaign.created_at),
        "updated_at": moment(campaign.updated_at),
    }


def next_times(
    definition: Definition, first: Time, *, now: datetime, anchor: datetime
) -> list[str]:
    """Return the time that is waited for and those after it, as they are shown."""
    after = max(now, first.at)
    later = calendar.times(definition.schedule, after=after, anchor=anchor)
    return [one.push_time for one in (first, *islice(later, NEXT_MOST - 1))]


def run_shown(row: RunRow, counts: Counts | None) -> dict[str, Any]:
    """Return a run as `RunView` describes it."""
    push = row.push
    return {
        **_short(row),
        "push_state": push and push.state.value,
        "counts": None if push is None or counts is None else live_counts(push, counts),
        "created_at": moment(row.run.created_at),
    }


def _short(row: RunRow) -> dict[str, Any]:
    run = row.run
    return {
        "number": run.number,
        "push_time": run.push_time,
        "state": run.state.value,
        "reason": run.reason and run.reason.value,
        "push_id": row.push and row.push.object_id,
    }


def _next_runs(campaign: Campaign, *, now: datetime) -> list[str]:
    if campaign.state is not CampaignState.ACTIVE or campaign.next_push_time is None:
        return []
    first = calendar.time_of(campaign.next_push_time)
    return next_times(as_read(campaign.definition), first, now=now, anchor=campaign.created_at)
