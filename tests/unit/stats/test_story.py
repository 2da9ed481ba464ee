"""The story of one device of a push."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pushsvc.model import (
    Attempt,
    BatchState,
    Halt,
    Lane,
    Match,
    OnUnknown,
    Outcome,
    OutcomeClass as C,
    Push,
    PushState,
    Source,
    Standing,
)
from pushsvc.stats.story import Wave, Why, told

PLANNED = datetime(2026, 11, 22, 10, tzinfo=UTC)
BEFORE, AFTER = PLANNED - timedelta(days=1), PLANNED + timedelta(days=1)

PUSH = Push(
    id=1,
    object_id="Ed1nuqPvcm",
    app_id=1,
    source=Source.V1,
    audience={"where": {}},
    content={"data": {"alert": "Hi"}},
    due_at=PLANNED,
    expires_at=None,
    push_time="",
    expiration_interval=None,
    lane=Lane.BULK,
    on_unknown=OnUnknown.RESEND,
    state=PushState.DONE,
    push_hash="",
    created_at=PLANNED,
    started_at=PLANNED,
    finished_at=AFTER,
    error=None,
    devices=10,
    planned_through=100,
    batches=1,
)
DEVICE = Standing(
    id=50, object_id="one", installation_id="ONE", device_type="ios", token="00", created_at=BEFORE
)
NAMED = {"audience": {"devices": [{"object_id": "one"}]}}
MEMBER = Match(is_member=True, but_for_token=True)
TOKEN_ONLY = Match(is_member=False, but_for_token=True)
STRANGER = Match(is_member=False, but_for_token=False)


@pytest.mark.parametrize(
    ("push", "standing", "match", "why"),
    [
        ({"state": PushState.WAITING}, {}, MEMBER, Why.NOT_PLANNED_YET),
        ({"state": PushState.PLANNING, "planned_through": 49}, {}, MEMBER, Why.NOT_PLANNED_YET),
        ({"state": PushState.PLANNING}, {}, STRANGER, Why.NO_MATCH),
        ({"state": PushState.CANCELLED, "batches": 0}, {}, None, Why.PUSH_CANCELLED),
        ({"state": PushState.CANCELLED, "planned_through": 49}, {}, MEMBER, Why.PUSH_CANCELLED),
        ({"halt": Halt.CANCEL, "planned_through": 49}, {}, None, Why.PUSH_CANCELLED),
        ({"state": PushState.CANCELLED, "planned_through": 49}, {}, STRANGER, Why.NO_MATCH),
        ({"state": PushState.CANCELLED}, {}, MEMBER, Why.MATCHED_LATER),
        ({"state": PushState.FAILED, "error": "x"}, {}, None, Why.PUSH_FAILED),
        ({"error": "x", "planned_through": 49}, {}, MEMBER, Why.PLAN_GIVEN_UP),
        ({"error": "x"}, {}, STRANGER, Why.NO_MATCH),
        ({}, {"created_at": AFTER}, MEMBER, Why.CREATED_AFTER_PLAN),
        (NAMED, {}, None, Why.CREATED_AFTER_PLAN),
        (NAMED, {"object_id": "two"}, None, Why.NOT_NAMED),
        ({"state": PushState.WAITING, **NAMED}, {}, None, Why.NOT_PLANNED_YET),
        ({}, {"token": ""}, TOKEN_ONLY, Why.NO_TOKEN),
        ({}, {"token": ""}, STRANGER, Why.NO_MATCH),
        ({}, {"token_retired_at": BEFORE}, TOKEN_ONLY, Why.TOKEN_RETIRED),
        ({}, {"token_retired_at": AFTER}, TOKEN_ONLY, Why.MATCHED_LATER),
        ({}, {}, STRANGER, Why.NO_MATCH),
        ({}, {}, MEMBER, Why.MATCHED_LATER),
        ({}, {}, None, Why.UNDECIDED),
    ],
)
def test_a_device_in_no_batch_is_told_why(
    push: dict[str, Any], standing: dict[str, Any], match: Match | None, why: Why
) -> None:
    """By the state of the push, the times of the device, and the audience as it is now."""
    story = told(replace(PUSH, **push), replace(DEVICE, **standing), (), match=match)

    assert story.why is why
    assert story.targeted is (None if why is Why.NOT_PLANNED_YET else False)
    assert story.outcome is None
    assert story.detail.endswith((".", ": x"))
    assert "{" not in story.detail


LOCAL = {"local_time": datetime.fromisoformat("2026-11-22T11:00"), "state": PushState.PLANNING}


@pytest.mark.parametrize(
    ("push", "wave", "match", "why"),
    [
        ({"state": PushState.WAITING}, AFTER, MEMBER, Why.NOT_PLANNED_YET),
        ({}, AFTER, STRANGER, Why.NOT_PLANNED_YET),
        ({"planned_through": 0}, PLANNED, MEMBER, Why.NOT_PLANNED_YET),
        ({}, PLANNED, MEMBER, Why.MISSED_WAVE),
        ({}, BEFORE, MEMBER, Why.MISSED_WAVE),
        ({"planned_through": 0}, BEFORE, STRANGER, Why.NO_MATCH),
        ({}, BEFORE, None, Why.UNDECIDED),
        ({}, None, MEMBER, Why.NO_TIME_ZONE),
        ({}, None, TOKEN_ONLY, Why.NO_TOKEN),
        ({"state": PushState.SENDING, "error": "x"}, AFTER, MEMBER, Why.PLAN_GIVEN_UP),
        ({"state": PushState.DONE}, AFTER, MEMBER, Why.MISSED_WAVE),
    ],
)
def test_a_device_in_no_wave_is_told_why(
    push: dict[str, Any], wave: datetime | None, match: Match | None, why: Why
) -> None:
    """By the moment of its own zone; `due_at` of the push is that of the next wave."""
    story = told(
        replace(PUSH, **{**LOCAL, **push}),
        replace(DEVICE, token="", updated_at=AFTER),
        (),
        match=match,
        wave=None if wave is None else Wave(zone="Europe/Berlin", due_at=wave),
    )

    assert story.why is why
    assert "unknown time" not in story.detail
    named = why in {Why.NOT_PLANNED_YET, Why.MISSED_WAVE}
    assert ("Europe/Berlin" in story.detail) == named


def attempt(number: int, outcome: C, **fields: Any) -> Attempt:
    """An attempt of a batch that is done."""
    given: dict[str, Any] = {"state": BatchState.DONE, "finished_at": AFTER, "reason": ""} | fields
    return Attempt(number=number, seq=number, place=0, due_at=PLANNED, outcome=outcome, **given)


@pytest.mark.parametrize(
    ("attempts", "outcome", "detail"),
    [
        ([attempt(1, C.OK)], Outcome.SENT, "accepted"),
        ([attempt(1, C.TOKEN_DEAD, reason="Unregistered")], Outcome.FAILED, "(Unregistered)."),
        ([attempt(1, C.CARRIED), attempt(2, C.EXPIRED)], Outcome.EXPIRED, "expired"),
        (
            [attempt(1, C.CARRIED), attempt(2, C.OPEN, state=BatchState.OPEN)],
            None,
            "attempt 2, which is due at 2026-11-22 10:00:00 UTC",
        ),
        ([attempt(1, C.OPEN, state=BatchState.LEASED)], None, "A worker is at attempt 1"),
    ],
)
def test_a_device_in_a_batch_is_told_what_it_came_to(
    attempts: list[Attempt], outcome: Outcome | None, detail: str
) -> None:
    """The last attempt has the outcome, or what it waits for."""
    story = told(PUSH, DEVICE, attempts, match=None)

    assert (story.targeted, story.why, story.outcome) == (True, None, outcome)
    assert story.last is (attempts[-1] if outcome else None)
    assert detail in story.detail


def test_only_what_was_resent_may_have_come_twice() -> None:
    """A gateway that failed has not delivered."""
    for first, doubtful in ((C.RESENT, True), (C.CARRIED, False)):
        story = told(PUSH, DEVICE, [attempt(1, first), attempt(2, C.OK)], match=None)
        assert story.possible_duplicate is doubtful


@pytest.mark.parametrize("outcome", [c for c in C if c not in {C.OPEN, C.CARRIED, C.RESENT}])
def test_every_class_with_an_outcome_has_a_sentence(outcome: C) -> None:
    """One for people."""
    assert told(PUSH, DEVICE, [attempt(1, outcome)], match=None).detail.endswith(".")
