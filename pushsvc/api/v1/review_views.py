"""What came of a push's devices, as `/v1` and the command line show it."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from pushsvc.api.replies import moment, moment_or_none
from pushsvc.model import (
    OUTCOME_OF,
    Attempt,
    BatchState,
    GatewayName,
    OnUnknown,
    Outcome,
    Push,
    PushState,
    Standing,
    TokenState,
)
from pushsvc.review.explain import Explanation
from pushsvc.review.outcomes import apns_id_of
from pushsvc.stats.story import Story, Why
from pushsvc.storage.ends import End

#: As in previews, whole tokens are not for the scope `read` alone; so much tells them apart.
TOKEN_END_CHARACTERS: Final = 16


class OutcomeView(BaseModel):
    """What came of one device."""

    model_config = ConfigDict(extra="forbid")

    #: object id; null of an explicit device, and where the installation was deleted since
    installation: str | None
    #: of an explicit device
    token_end: str | None
    device_type: str | None
    outcome: Outcome
    outcome_class: str = Field(alias="class")
    reason: str | None
    attempt: int
    finished_at: str
    apns_id: str | None


class OutcomesPage(BaseModel):
    """Outcomes in the order of the push's batches."""

    model_config = ConfigDict(extra="forbid")

    outcomes: list[OutcomeView]
    next_cursor: str | None


class StandingView(BaseModel):
    """A device as it is now; an explicit one is no installation."""

    model_config = ConfigDict(extra="forbid")

    installation: str | None
    installation_id: str | None
    device_type: str
    gateway: GatewayName | None
    time_zone: str | None
    token_state: TokenState
    token_end: str | None
    token_set_at: str | None
    token_retired_at: str | None
    token_quarantined_until: str | None
    created_at: str | None
    updated_at: str | None


class TimesView(BaseModel):
    """How far the push is."""

    model_config = ConfigDict(extra="forbid")

    id: str
    state: PushState
    on_unknown: OnUnknown
    due_at: str
    expires_at: str | None
    started_at: str | None
    finished_at: str | None


class AttemptView(BaseModel):
    """The device in one batch."""

    model_config = ConfigDict(extra="forbid")

    attempt: int
    batch: int
    state: str
    due_at: str
    finished_at: str | None
    outcome_class: str = Field(alias="class")
    reason: str | None
    apns_id: str | None
    #: of a push that is planned by zone; empty where the device has none
    zone: str | None
    variant: str | None


class ExplanationView(BaseModel):
    """Why a device got a push or did not."""

    model_config = ConfigDict(extra="forbid")

    push: TimesView
    device: StandingView
    targeted: bool | None
    why: Why | None
    detail: str
    matches_now: bool | None
    outcome: Outcome | None
    outcome_class: str | None = Field(alias="class")
    reason: str | None
    attempt: int | None
    finished_at: str | None
    duplicate_of: str | None
    possible_duplicate: bool
    apns_id: str | None
    attempts: list[AttemptView]


def outcome_shown(push: Push, end: End) -> dict[str, Any]:
    """Return what came of one device as `OutcomeView` describes it."""
    return {
        "installation": end.object_id,
        "token_end": token_end(end.token) if end.key is None else None,
        "device_type": end.device_type,
        "outcome": OUTCOME_OF[end.outcome].value,
        "class": end.outcome.name.lower(),
        "reason": end.reason or None,
        "attempt": end.attempt,
        "finished_at": moment(end.finished_at),
        "apns_id": apns_id_of(push, end),
    }


def token_end(token: str) -> str | None:
    """Return the last characters of a token, of a short one no more than half of it."""
    return token[-min(TOKEN_END_CHARACTERS, (len(token) + 1) // 2) :] or None


def explained(one: Explanation) -> dict[str, Any]:
    """Return an explanation as `ExplanationView` describes it."""
    story = one.story
    return {
        "push": _times(one.push),
        "device": _standing(one.standing, one.gateway),
        "targeted": story.targeted,
        "why": story.why and story.why.value,
        "detail": story.detail,
        "matches_now": one.match and one.match.is_member,
        **_end(story),
        "duplicate_of": one.duplicate_of,
        "possible_duplicate": story.possible_duplicate,
        # That of the last message, if it was sent any.
        "apns_id": next((an_id for an_id in reversed(one.apns_ids) if an_id), None),
        "attempts": [
            _attempt(attempt, an_id)
            for attempt, an_id in zip(one.attempts, one.apns_ids, strict=True)
        ],
    }


def _end(story: Story) -> dict[str, Any]:
    last = story.last
    return {
        "outcome": story.outcome and story.outcome.value,
        "class": last and last.outcome.name.lower(),
        "reason": (last and last.reason) or None,
        "attempt": last and last.number,
        "finished_at": moment_or_none(last.finished_at if last else None),
    }


def _times(push: Push) -> dict[str, Any]:
    return {
        "id": push.object_id,
        "state": push.state.value,
        "on_unknown": push.on_unknown.value,
        "due_at": moment(push.due_at),
        "expires_at": moment_or_none(push.expires_at),
        "started_at": moment_or_none(push.started_at),
        "finished_at": moment_or_none(push.finished_at),
    }


def _standing(standing: Standing, gateway: GatewayName | None) -> dict[str, Any]:
    return {
        "installation": standing.object_id,
        "installation_id": standing.installation_id,
        "device_type": standing.device_type,
        "gateway": gateway and gateway.value,
        "time_zone": standing.time_zone,
        "token_state": standing.token_state.value,
        "token_end": token_end(standing.token),
        "token_set_at": moment_or_none(standing.token_set_at),
        "token_retired_at": moment_or_none(standing.token_retired_at),
        "token_quarantined_until": moment_or_none(standing.quarantined_until),
        "created_at": moment_or_none(standing.created_at),
        "updated_at": moment_or_none(standing.updated_at),
    }


def _attempt(attempt: Attempt, apns_id: str | None) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "batch": attempt.seq,
        "state": BatchState(attempt.state).name.lower(),
        "due_at": moment(attempt.due_at),
        "finished_at": moment_or_none(attempt.finished_at),
        "class": attempt.outcome.name.lower(),
        "reason": attempt.reason or None,
        "apns_id": apns_id,
        "zone": attempt.zone,
        "variant": attempt.variant,
    }
