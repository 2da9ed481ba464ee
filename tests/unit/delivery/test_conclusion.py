"""What the answers of a batch lead to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.conclusion import Conclusion, Rules, conclude
from pushsvc.model import (
    GONE_ON,
    OUTCOME_OF,
    Answer,
    Batch,
    Device,
    GatewayName,
    Lane,
    OnUnknown,
    OutcomeClass,
    Push,
    PushState,
    Source,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RULES = Rules(attempt_limit=3, now=NOW, jitter=0.5, gateway_of=lambda _: GatewayName.APNS)
PUSH = Push(
    id=1,
    object_id="push000001",
    app_id=1,
    source=Source.V1,
    audience={},
    content={"data": {"alert": "hi"}},
    due_at=NOW,
    expires_at=None,
    push_time="",
    expiration_interval=None,
    lane=Lane.BULK,
    on_unknown=OnUnknown.RESEND,
    state=PushState.SENDING,
    push_hash="",
    created_at=NOW,
    started_at=NOW,
    finished_at=None,
    error=None,
    devices=0,
    planned_through=0,
    batches=1,
)


def concluded(answers: list[Answer], *, push: Push = PUSH, attempt: int = 1) -> Conclusion:
    ids = tuple(range(100, 100 + len(answers)))
    batch = Batch(
        push_id=1,
        seq=0,
        installation_ids=ids,
        recipients=(),
        attempt=attempt,
        leases=1,
        leased_at=NOW,
        seconds_left=None,
        outcomes=bytes(len(ids)),
        badges={},
    )
    return conclude(
        push,
        batch,
        [Device(p, "ios", f"token{p}", "com.example", None, None) for p in range(len(ids))],
        outcomes=bytearray(answer.outcome for answer in answers),
        answers={p: a for p, a in enumerate(answers) if a.outcome is not OutcomeClass.OK},
        rules=RULES,
    )


OK = Answer(OutcomeClass.OK, "")
BUSY = Answer(OutcomeClass.RETRY_BACKOFF, "ServiceUnavailable")
LOST = Answer(OutcomeClass.UNKNOWN, "deadline")


def test_what_waiting_can_help_goes_on_in_a_follow_up() -> None:
    """With the device alone, the next attempt, a delay, and no second badge change."""
    end = concluded([OK, BUSY, OK])

    assert list(end.outcomes) == [OutcomeClass.OK, OutcomeClass.CARRIED, OutcomeClass.OK]
    (follow_up,) = end.follow_ups
    assert follow_up.installation_ids == [101]
    assert follow_up.attempt == 2
    assert follow_up.delay_seconds >= 1
    assert follow_up.badges_applied


def test_the_last_attempt_is_final() -> None:
    """The device keeps the class of its last answer."""
    end = concluded([BUSY], attempt=3)

    assert list(end.outcomes) == [OutcomeClass.RETRY_BACKOFF]
    assert not end.follow_ups


def test_a_retry_that_would_come_after_the_expiry_is_expired() -> None:
    """Nothing waits for a moment at which it may no longer be sent."""
    late = replace(BUSY, retry_after=60.0)
    end = concluded([late], push=replace(PUSH, expires_at=NOW + timedelta(seconds=30)))

    assert list(end.outcomes) == [OutcomeClass.EXPIRED]
    assert not end.follow_ups


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [(OnUnknown.RESEND, OutcomeClass.RESENT), (OnUnknown.DROP, OutcomeClass.UNKNOWN)],
)
def test_a_message_in_doubt_follows_the_rule_of_its_push(
    rule: OnUnknown, outcome: OutcomeClass
) -> None:
    """Written and never answered: sent again, and called so; or left at that."""
    end = concluded([LOST], push=replace(PUSH, on_unknown=rule))

    assert list(end.outcomes) == [outcome]


def test_a_message_that_is_only_looked_at_is_in_no_doubt() -> None:
    """It is delivered in no case, so it is looked at again."""
    looked = {"data": {"alert": "x"}, "validate_only": True}
    end = concluded([LOST], push=replace(PUSH, on_unknown=OnUnknown.DROP, content=looked))

    assert list(end.outcomes) == [OutcomeClass.CARRIED]


def test_a_message_in_doubt_is_not_called_expired() -> None:
    """It may have arrived in time; that it is not sent again changes nothing about it."""
    late = replace(LOST, retry_after=60.0)
    end = concluded([late], push=replace(PUSH, expires_at=NOW + timedelta(seconds=30)))

    assert list(end.outcomes) == [OutcomeClass.UNKNOWN]


def test_devices_that_wait_equally_long_go_on_together() -> None:
    """One follow-up for each delay, however many devices it carries."""
    first = Answer(OutcomeClass.THROTTLED_SENDER, "TooManyRequests", retry_after=2.0)
    second = replace(first, retry_after=7.2)
    end = concluded([first, second, first, BUSY, BUSY])

    assert sorted((f.delay_seconds, len(f.installation_ids)) for f in end.follow_ups) == [
        (1.0, 2),
        (2.0, 2),
        (8.0, 1),
    ]


def test_looking_retires_what_fcm_calls_gone_and_nothing_else() -> None:
    """Of a push that delivers nothing, no other answer is evidence enough."""
    looking = replace(PUSH, content={"data": {"alert": "hi"}, "validate_only": True})
    malformed = Answer(OutcomeClass.TOKEN_DEAD, "INVALID_ARGUMENT message.token")
    gone = Answer(OutcomeClass.TOKEN_DEAD, "UNREGISTERED")

    end = concluded([malformed, gone], push=looking)

    assert [one.installation_id for one in end.retirements] == [101]


def test_dead_tokens_are_retired_with_the_moment_the_gateway_names() -> None:
    """And suspect ones are not."""
    dead = Answer(OutcomeClass.TOKEN_DEAD, "Unregistered", invalid_since_ms=1_700_000_000_000)
    end = concluded([OK, dead, Answer(OutcomeClass.TOKEN_SUSPECT, "BadDeviceToken")])

    (retired,) = end.retirements
    assert retired.installation_id == 101
    assert retired.token == "token1"
    assert retired.since == datetime.fromtimestamp(1_700_000_000, UTC)
    assert end.exceptions == {"Unregistered": [1], "BadDeviceToken": [2]}


@given(
    st.lists(st.sampled_from(list(OUTCOME_OF)).map(lambda c: Answer(c, c.name)), max_size=30),
    st.integers(1, 5),
    st.sampled_from(OnUnknown),
)
def test_every_device_has_an_outcome_or_one_follow_up(
    answers: list[Answer], attempt: int, rule: OnUnknown
) -> None:
    """Nobody is lost, and nobody is in two places."""
    end = concluded(answers, push=replace(PUSH, on_unknown=rule), attempt=attempt)

    carried = [100 + p for p, byte in enumerate(end.outcomes) if byte in GONE_ON]
    assert sorted(i for f in end.follow_ups for i in f.installation_ids) == carried
    assert OutcomeClass.OPEN not in end.outcomes
    if attempt >= RULES.attempt_limit:
        assert not carried
