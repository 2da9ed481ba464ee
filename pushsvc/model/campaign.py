"""A campaign, and what came of each of its times."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pushsvc.model.rules import Json


class CampaignState(StrEnum):
    """Whether a campaign has runs to come; the last one stays."""

    #: its next time is waited for
    ACTIVE = "active"
    #: its times pass without runs
    PAUSED = "paused"
    #: its schedule has no more times
    ENDED = "ended"
    #: called off
    CANCELLED = "cancelled"


class RunState(StrEnum):
    """What came of one time of a campaign."""

    #: there is a push
    STARTED = "started"
    #: there is none, and there will be none
    SKIPPED = "skipped"


class SkipReason(StrEnum):
    """Why a time of a campaign came to nothing."""

    #: the run before it was still under way
    OVERLAP = "overlap"
    #: nobody was there to start it when it came
    LATE = "late"


class Overlap(StrEnum):
    """What to do with a time that comes while the run before is under way."""

    #: it is left out
    SKIP = "skip"
    #: it waits for that, and of several the first
    QUEUE = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A campaign as stored."""

    id: int
    #: the public id
    object_id: str
    app_id: int
    #: unique in the app
    name: str
    #: as it was asked for, checked
    definition: Json
    state: CampaignState
    #: for people
    state_reason: str | None
    #: of the next run, as its push will have it: without a zone in local time
    next_push_time: str | None
    #: when the clock looks at it
    next_run_at: datetime | None
    #: times so far that a run or its reason not to be is on record of: the last one's number
    runs: int
    #: a larger audience than `max_recipients` that somebody has said yes to
    confirmed_recipients: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A time of a campaign that has come."""

    campaign_id: int
    #: from 1 on
    number: int
    push_time: str
    state: RunState
    #: of one that was skipped
    reason: SkipReason | None
    #: None where there is no push, or none any more
    push_id: int | None
    created_at: datetime
