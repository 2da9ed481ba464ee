"""What the answers of a batch lead to."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery import dispatch
from pushsvc.delivery.conclusion import Conclusion, Rules, conclude
from pushsvc.delivery.retry import Limits
from pushsvc.model import (
    GONE_ON,
    OUTCOME_OF,
    Answer,
    Batch,
    Deferral,
    Device,
    GatewayName,
    Halt,
    Lane,
    OnUnknown,
    OutcomeClass,
    Push,
    PushState,
    Source,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LIMITS = Limits(attempts=3, seconds=600, hold_seconds=300)
RULES = Rules(limits=LIMITS, now=NOW, jitter=0.5, gateway_of=lambda _: GatewayName.APNS)
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


def concluded(
    answers: list[Answer],
    *,
    push: Push = PUSH,
    attempt: int = 1,
    first: datetime | None = None,
    in_doubt: Collection[int] = (),
) -> Conclusion:
    ids = tuple(range(100, 100 + len(answers)))
    batch = Batch(
        push_id=1,
        seq=0,
        installation_ids=ids,
        recipients=(),
        attempt=attempt,
        first_tried_at=first,
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
        rules=replace(RULES, in_doubt=in_doubt),
    )


OK = Answer(OutcomeClass.OK, "")
BUSY = Answer(OutcomeClass.RETRY_BACKOFF, "ServiceUnavailable")
LOST = Answer(OutcomeClass.UNKNOWN, "deadline")


def test_of_a_cancelled_push_nothing_goes_on() -> None:
    """What waiting could help is cancelled; what may have arrived, once before too, is unknown."""
    push = replace(PUSH, halt=Halt.CANCEL)
    gone = Answer(OutcomeClass.TOKEN_DEAD, "Unregistered")

    end = concluded([OK, BUSY, LOST, gone, BUSY], push=push, attempt=2, in_doubt=[0, 4])

    assert [OutcomeClass(byte).name for byte in end.outcomes] == [
        *("OK", "CANCELLED", "UNKNOWN", "TOKEN_DEAD", "UNKNOWN")
    ]
    assert not end.follow_ups


def test_of_a_paused_push_the_rest_goes_on_without_an_attempt() -> None:
    """Retries keep theirs; nobody is cut off for a pause."""
    end = concluded([OK, dispatch.PAUSED, BUSY], push=replace(PUSH, halt=Halt.PAUSE), attempt=2)

    assert [(one.installation_ids, one.attempt) for one in end.follow_ups] == [
        ([101], 2),
        ([102], 3),
    ]


def test_what_waiting_can_help_goes_on_in_a_follow_up() -> None:
    """With the device alone, the next attempt, a delay, and no second badge change."""
    end = concluded([OK, BUSY, OK])

    assert list(end.outcomes) == [OutcomeClass.OK, OutcomeClass.CARRIED, OutcomeClass.OK]
    (follow_up,) = end.follow_ups
    assert follow_up.installation_ids == [101]
    assert follow_up.attempt == 2
    assert follow_up.first_tried_at == NOW
    assert follow_up.delay_seconds >= 1
    assert follow_up.badges_applied


def test_what_was_tried_for_long_enough_is_final() -> None:
    """The device keeps the class of its last answer; attempts alone are no end of an outage."""
    long_ago = NOW - timedelta(seconds=600)

    assert list(concluded([BUSY], attempt=99).outcomes) == [OutcomeClass.CARRIED]
    end = concluded([BUSY], first=long_ago)
    assert list(end.outcomes) == [OutcomeClass.RETRY_BACKOFF]
    assert not end.follow_ups


def test_a_gateway_that_never_answers_gets_few_copies() -> None:
    """What is in doubt is sent so often, and then stays in doubt."""
    assert list(concluded([LOST], attempt=2).outcomes) == [OutcomeClass.RESENT]
    assert list(concluded([LOST], attempt=3).outcomes) == [OutcomeClass.UNKNOWN]


def test_to_be_put_off_is_no_attempt() -> None:
    """What was not asked about keeps its number; what waits for its turn, all of its time, too."""
    paced = Answer(OutcomeClass.RETRY_SAFE, "Paced", 9.0, deferral=Deferral.PACED)
    held = Answer(OutcomeClass.RETRY_SAFE, "NotSent", deferral=Deferral.HELD)
    end = concluded([BUSY, paced, held, paced])

    assert [
        (f.installation_ids, f.attempt, f.delay_seconds, f.paced, f.first_tried_at)
        for f in end.follow_ups
    ] == [
        ([102], 1, 0.0, False, NOW),
        ([100], 2, 1.0, False, NOW),
        ([101, 103], 1, 9.0, True, None),
    ]
    assert set(end.outcomes) == {OutcomeClass.CARRIED}
    (again,) = concluded([paced], first=NOW - timedelta(seconds=100)).follow_ups
    assert again.first_tried_at == NOW - timedelta(seconds=91)


def test_a_credential_that_is_refused_is_waited_for_by_those_not_asked_about() -> None:
    """The devices that the gateway was asked about have failed; the others fail in the end."""
    asked = Answer(OutcomeClass.CREDENTIAL, "InvalidProviderToken")
    unasked = replace(asked, deferral=Deferral.HELD)

    first = concluded([asked, unasked])
    last = concluded([unasked], first=NOW - timedelta(seconds=300))

    assert list(first.outcomes) == [OutcomeClass.CREDENTIAL, OutcomeClass.CARRIED]
    assert list(last.outcomes) == [OutcomeClass.CREDENTIAL]
    assert last.exceptions == {"InvalidProviderToken": [0]}


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


@given(
    st.lists(
        st.builds(
            Answer,
            st.sampled_from(list(OUTCOME_OF)),
            st.sampled_from("ab"),
            st.none() | st.floats(0, 700),
            deferral=st.none() | st.sampled_from(Deferral),
        ),
        max_size=30,
    ),
    st.integers(1, 5),
    st.sampled_from(OnUnknown),
    st.none() | st.integers(0, 700).map(lambda age: NOW - timedelta(seconds=age)),
)
def test_every_device_has_an_outcome_or_one_follow_up(
    answers: list[Answer], attempt: int, rule: OnUnknown, first: datetime | None
) -> None:
    """Nobody is lost, nobody is in two places, and ids stay sorted, as they are found by."""
    end = concluded(answers, push=replace(PUSH, on_unknown=rule), attempt=attempt, first=first)

    carried = [100 + p for p, byte in enumerate(end.outcomes) if byte in GONE_ON]
    assert sorted(i for f in end.follow_ups for i in f.installation_ids) == carried
    assert all(list(f.installation_ids) == sorted(f.installation_ids) for f in end.follow_ups)
    assert OutcomeClass.OPEN not in end.outcomes
    assert all(f.attempt in {attempt, attempt + 1} for f in end.follow_ups)
    resent = end.outcomes.count(OutcomeClass.RESENT)
    assert not resent or (rule is OnUnknown.RESEND)
