"""A push as `/v1` shows it."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from pushsvc.api.replies import moment, moment_or_none
from pushsvc.model import (
    DEVICE_COUNT,
    OUTCOME_OF,
    Counts,
    Halt,
    Json,
    Outcome,
    Push,
    PushState,
    device_count,
)
from pushsvc.planning.schedule import iso_local
from pushsvc.stats import tally


class CountsView(BaseModel):
    """Devices by what came of them."""

    model_config = ConfigDict(extra="forbid")

    sent: int
    failed: int
    unknown: int
    expired: int
    deduplicated: int
    cancelled: int
    #: of the audience, and left out by a rule of the push; `classes` says by which
    excluded: int
    #: only looked at: nothing was delivered
    validated: int


class OpenCountsView(CountsView):
    """The same, with those that have no outcome yet."""

    open: int


class PushView(BaseModel):
    """A push, and what came of it so far."""

    model_config = ConfigDict(extra="allow")

    id: str
    state: PushState
    source: str
    lane: str
    on_unknown: str
    rate_per_minute: int | None
    #: of a campaign's run: the campaign's id
    campaign: str | None
    #: of a delivery: what it is a part of
    group: str | None
    audience: dict[str, Any]
    data: dict[str, Any]
    created_at: str
    due_at: str
    local_time: str | None
    late: str
    expires_at: str | None
    started_at: str | None
    finished_at: str | None
    devices: int
    counts: OpenCountsView
    by_device_type: dict[str, CountsView]
    classes: dict[str, int]
    #: messages that went out again although they may have arrived
    possible_duplicates: int
    opens: int
    tokens_held: int
    error: str | None
    halt: Halt | None
    halt_reason: str | None


class PushPage(BaseModel):
    """Pushes, newest first."""

    model_config = ConfigDict(extra="forbid")

    pushes: list[PushView]
    next_cursor: str | None


class HourView(BaseModel):
    """How often a push was opened in one hour."""

    model_config = ConfigDict(extra="forbid")

    hour: str
    opens: int


class OpensPage(BaseModel):
    """The hours in which a push was opened, oldest first."""

    model_config = ConfigDict(extra="forbid")

    hours: list[HourView]
    next_cursor: str | None


class WaveView(BaseModel):
    """The devices of one zone."""

    model_config = ConfigDict(extra="forbid")

    #: IANA name; null for devices that have none
    zone: str | None
    due_at: str
    devices: int
    counts: dict[str, int]


class WavesPage(BaseModel):
    """Waves in the order of their times."""

    model_config = ConfigDict(extra="forbid")

    waves: list[WaveView]
    next_cursor: str | None


class FaultView(BaseModel):
    """One field at fault."""

    model_config = ConfigDict(extra="forbid")

    pointer: str
    code: str
    detail: str


class Problem(BaseModel):
    """An error, as RFC 9457 has it, with our stable `code`."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: list[FaultView]
    request_id: str


def shown(push: Push, counts: Counts, *, opens: int, campaign: str | None = None) -> dict[str, Any]:
    """Return a push as `PushView` describes it; `opens` is how often it was opened."""
    totals = tally.total(counts)
    return {
        **push.content,
        "id": push.object_id,
        "state": push.state.value,
        "source": push.source.value,
        "lane": push.lane.value,
        "on_unknown": push.on_unknown.value,
        "rate_per_minute": push.rate_per_minute,
        "campaign": campaign,
        "group": push.group_id,
        "audience": _audience(push.audience),
        "created_at": moment(push.created_at),
        "due_at": moment(push.due_at),
        "local_time": None if push.local_time is None else iso_local(push.local_time),
        "late": push.late.value,
        "expires_at": moment_or_none(push.expires_at),
        "started_at": moment_or_none(push.started_at),
        "finished_at": moment_or_none(push.finished_at),
        "devices": push.devices,
        "counts": live_counts(push, counts),
        "by_device_type": {t: words(classes) for t, classes in sorted(counts.items())},
        "classes": {c.name.lower(): n for c, n in sorted(totals.items()) if n and c in OUTCOME_OF},
        "possible_duplicates": tally.possible_duplicates(totals),
        "opens": opens,
        "tokens_held": push.tokens_held,
        "error": push.error,
        "halt": push.halt and push.halt.value,
        "halt_reason": push.halt_reason,
    }


def live_counts(push: Push, counts: Counts) -> dict[str, int]:
    """Return devices by their outcome, with those that have none yet."""
    found = words(tally.total(counts))
    # The counts may have been read a moment after the push.
    return {**found, "open": max(0, push.devices - sum(found.values()))}


#: Of a push that was stored just now.
_NOTHING: Final = {outcome.value: 0 for outcome in Outcome}


def words(classes: Any) -> dict[str, int]:
    """Return devices by what came of them, as `CountsView` describes it."""
    if not classes:
        return dict(_NOTHING)
    return {outcome.value: n for outcome, n in tally.by_outcome(classes).items()}


def _audience(audience: Json) -> Json:
    """Return the audience; of explicit devices only their number, for there may be thousands."""
    count = device_count(audience)
    return audience if count is None else {DEVICE_COUNT: count}
