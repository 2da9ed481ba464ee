"""Why one device got a push or did not: one story of its attempts and of how it stands. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pushsvc.model import (
    OUTCOME_OF,
    Attempt,
    BatchState,
    Json,
    Match,
    Outcome,
    OutcomeClass,
    Push,
    PushState,
    Standing,
)


class Why(StrEnum):
    """Why a device is in no batch of a push."""

    #: the audience was not looked at yet, or not as far as this device
    NOT_PLANNED_YET = "not_planned_yet"
    #: before its audience was looked at, or before that came as far as this device
    PUSH_CANCELLED = "push_cancelled"
    #: its audience could not be read
    PUSH_FAILED = "push_failed"
    #: the audience could be read in part only
    PLAN_GIVEN_UP = "plan_given_up"
    #: the push names its devices, and this is none of them
    NOT_NAMED = "not_named"
    CREATED_AFTER_PLAN = "created_after_plan"
    NO_TOKEN = "no_token"  # noqa: S105 - a reason
    TOKEN_RETIRED = "token_retired"  # noqa: S105 - a reason
    NO_MATCH = "no_match"
    #: of the audience now, and not when the push was planned
    MATCHED_LATER = "matched_later"
    #: it came to its zone, or to the audience, when the zone's time had passed
    MISSED_WAVE = "missed_wave"
    #: the push goes by devices' clocks, and it has no zone
    NO_TIME_ZONE = "no_time_zone"
    #: whether it is of the audience takes too long to find out
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What there is to say of a device of a push."""

    #: None where only the plan will tell
    targeted: bool | None
    #: None where it was targeted
    why: Why | None
    #: for people
    detail: str
    #: the attempt that has its outcome; None while there is none
    last: Attempt | None
    #: a message was written and never answered, and another one went out
    possible_duplicate: bool

    @property
    def outcome(self) -> Outcome | None:
        """What came of the device; None while that is open."""
        return None if self.last is None else OUTCOME_OF[self.last.outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """The wave of a push in local time that a device would be of."""

    #: IANA name
    zone: str
    due_at: datetime


def told(
    push: Push,
    standing: Standing,
    attempts: Sequence[Attempt],
    *,
    match: Match | None,
    wave: Wave | None = None,
) -> Story:
    """Tell what came of a device.

    Args:
        push: whose audience it may be of.
        standing: how the device stands now.
        attempts: what it has been through, in order; none where it is in no batch.
        match: whether it is of the push's audience now; None where nobody knows.
        wave: of a push in local time, that of the zone that the device has now.
    """
    if not attempts:
        why = why_not(push, standing, match=match, wave=wave)
        return Story(
            targeted=None if why is Why.NOT_PLANNED_YET else False,
            why=why,
            detail=_because(why, push, standing, wave=wave),
            last=None,
            possible_duplicate=False,
        )
    last = attempts[-1]
    return Story(
        targeted=True,
        why=None,
        detail=_came_to(last),
        last=last if last.outcome in OUTCOME_OF else None,
        possible_duplicate=any(one.outcome is OutcomeClass.RESENT for one in attempts),
    )


# ---------------------------------------------------------------- in no batch


def is_asked(push: Push) -> bool:
    """Tell whether it helps to know who is of the push's audience now."""
    ended_early = push.state is PushState.FAILED or (push.is_cancelled and not push.batches)
    return not push.names_devices and not ended_early


def why_not(
    push: Push, standing: Standing, *, match: Match | None, wave: Wave | None = None
) -> Why:
    """Return why a device is in no batch of the push."""
    if early := _not_reached(push, standing, match=match, wave=wave):
        return early
    if push.names_devices:
        named = is_named(push.audience.get("devices", ()), standing)
        return _unplanned(push, wave) if named else Why.NOT_NAMED
    if push.local_time is not None:
        return _in_no_wave(push, standing, match=match, wave=wave)
    return _in_no_batch(push, standing, match)


def _in_no_batch(push: Push, standing: Standing, match: Match | None) -> Why:
    if _is_later(standing.created_at, push):
        return Why.CREATED_AFTER_PLAN
    if push.error is not None and _is_beyond(push, standing):
        return Why.PLAN_GIVEN_UP
    return Why.UNDECIDED if match is None else _unmatched(push, standing, match)


def _not_reached(
    push: Push, standing: Standing, *, match: Match | None, wave: Wave | None
) -> Why | None:
    """Return why the plan never came to this device, or will come yet; None where it did."""
    if push.state is PushState.FAILED:
        return Why.PUSH_FAILED
    if not push.is_cancelled:
        return Why.NOT_PLANNED_YET if _is_ahead(push, standing, wave) else None
    if push.batches and not _is_unread(push, standing, wave):
        return None
    outside = match is not None and not match.but_for_token
    return Why.NO_MATCH if outside else Why.PUSH_CANCELLED


def _in_no_wave(push: Push, standing: Standing, *, match: Match | None, wave: Wave | None) -> Why:
    """Return why a device is in no batch of a push in local time that its zone has had."""
    # There the plan stood when it was given up.
    if push.error is not None and wave is not None and wave.due_at >= push.due_at:
        return Why.PLAN_GIVEN_UP
    if match is None:
        return Why.UNDECIDED
    if not match.is_member:
        return _unmatched(push, standing, match)
    return _unplanned(push, wave)


def _unplanned(push: Push, wave: Wave | None) -> Why:
    """Return why a device that is of the audience now was not when it was planned."""
    if push.local_time is None:
        return Why.CREATED_AFTER_PLAN
    return Why.NO_TIME_ZONE if wave is None else Why.MISSED_WAVE


def _unmatched(push: Push, standing: Standing, match: Match) -> Why:
    if not match.but_for_token:
        return Why.NO_MATCH
    if match.is_member or _is_later(standing.token_retired_at, push):
        return Why.MATCHED_LATER
    return Why.NO_TOKEN if standing.token_retired_at is None else Why.TOKEN_RETIRED


def is_named(devices: Sequence[Json], standing: Standing) -> bool:
    """Tell whether the audience names this installation."""
    names = {("object_id", standing.object_id), ("installation_id", standing.installation_id)}
    return any(named in names for device in devices for named in device.items())


def _is_ahead(push: Push, standing: Standing, wave: Wave | None) -> bool:
    """Tell whether the plan has still to come to this device."""
    if push.state is not PushState.PLANNING:
        return push.state is PushState.WAITING
    return _is_unread(push, standing, wave)


def _is_unread(push: Push, standing: Standing, wave: Wave | None) -> bool:
    """Tell whether the plan, as far as it came, did not come to this device."""
    if push.local_time is None:
        return _is_beyond(push, standing)
    # `due_at` is that of the wave which is planned next, or now.
    if wave is None or wave.due_at < push.due_at:
        return False
    return wave.due_at > push.due_at or _is_beyond(push, standing)


def _is_beyond(push: Push, standing: Standing) -> bool:
    return standing.id is not None and standing.id > push.planned_through


def _is_later(moment: datetime | None, push: Push) -> bool:
    """Tell whether this happened after the plan was begun."""
    return moment is not None and push.started_at is not None and moment > push.started_at


#: Sentences, with what is known of the push and of the device.
_WHY: Final[Mapping[Why, str]] = {
    Why.NOT_PLANNED_YET: "The push is due at {due_at}; its audience is found then.",
    Why.PUSH_CANCELLED: "The push was cancelled before this device was in it.",
    Why.PUSH_FAILED: "The audience of the push could not be read: {error}",
    Why.PLAN_GIVEN_UP: "The audience was read in part, and not as far as this device: {error}",
    Why.NOT_NAMED: "The push names its devices one by one, and this is none of them.",
    Why.CREATED_AFTER_PLAN: (
        "The installation was created at {created_at}; the audience was found at {started_at}."
    ),
    Why.NO_TOKEN: "The installation has no token to send to.",
    Why.TOKEN_RETIRED: "Its token was {state} at {retired_at}, on what a gateway said of it.",
    Why.NO_MATCH: "The installation does not match the audience of the push.",
    Why.MATCHED_LATER: (
        "The installation matches the audience as it is now, last changed at {updated_at}, "
        "and did not when the audience was found, at {started_at}."
    ),
    Why.MISSED_WAVE: (
        "The push went to {zone} at {wave_at}. The installation is of that zone and of the "
        "audience now, last changed at {updated_at}, and was not then."
    ),
    Why.NO_TIME_ZONE: "The push goes by devices' clocks, and the installation has no time zone.",
    Why.UNDECIDED: (
        "The installation was not of the audience; why takes longer to find out than a query may."
    ),
}


def _because(why: Why, push: Push, standing: Standing, *, wave: Wave | None) -> str:
    if why is Why.NOT_PLANNED_YET and wave is not None:
        return (
            f"The push is due in {wave.zone} at {_second(wave.due_at)}; who gets it is found then."
        )
    return _WHY[why].format(
        due_at=_second(push.due_at),
        zone=wave.zone if wave else "",
        wave_at=_second(wave.due_at if wave else None),
        started_at=_second(push.started_at),
        error=push.error,
        created_at=_second(standing.created_at),
        retired_at=_second(standing.token_retired_at),
        state=standing.token_state.value,
        updated_at=_second(standing.updated_at),
    )


# ---------------------------------------------------------------- in a batch


def _came_to(last: Attempt) -> str:
    """Say what came of a device at its last attempt, or what it waits for."""
    if last.outcome in OUTCOME_OF:
        reason = f" ({last.reason})" if last.reason else ""
        return f"{_ENDS[last.outcome]}{reason}."
    if last.state is BatchState.LEASED:
        return f"A worker is at attempt {last.number} now."
    return f"It waits for attempt {last.number}, which is due at {_second(last.due_at)}."


_ENDS: Final[Mapping[OutcomeClass, str]] = {
    OutcomeClass.OK: "The gateway accepted the message",
    OutcomeClass.TOKEN_DEAD: "There was no token that is good any more",
    OutcomeClass.TOKEN_SUSPECT: "The gateway does not take the token from this sender",
    OutcomeClass.REQUEST_BAD: "The message could not be sent as it is",
    OutcomeClass.CREDENTIAL: "The app's credential for the gateway is missing or was refused",
    OutcomeClass.THROTTLED_DEVICE: "The gateway said to the last that the device gets too many",
    OutcomeClass.THROTTLED_SENDER: "The gateway said to the last that the app sends too much",
    OutcomeClass.RETRY_SAFE: "The message could not be handed over, to the last attempt",
    OutcomeClass.RETRY_BACKOFF: "The gateway failed, to the last attempt",
    OutcomeClass.UNKNOWN: "The message was written and never answered, so it may have arrived",
    OutcomeClass.EXPIRED: "The push expired before the message could be sent",
    OutcomeClass.DEDUPLICATED: "It goes to another device of the push that has the same token",
    OutcomeClass.CANCELLED: "The push was cancelled before the message was sent",
    OutcomeClass.HOLDOUT: "The device is of the campaign's holdout, which is sent nothing",
    OutcomeClass.CAPPED: "The device has had as many messages of campaigns as it may",
    OutcomeClass.QUIET_HOURS: "The device had quiet hours, in which this campaign sends nothing",
    OutcomeClass.NO_TIME_ZONE: "The device has no time zone, and the push goes by devices' clocks",
    OutcomeClass.LATE: "The push came too late for the device's zone, and was to be skipped then",
    OutcomeClass.VALIDATED: "The push was only looked at; the message would have been sent",
}


def _second(moment: datetime | None) -> str:
    return "an unknown time" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
