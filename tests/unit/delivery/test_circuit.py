"""What answers say of the credential they were got with."""

import pytest

from pushsvc.delivery.circuit import FAILURES_IN_A_ROW, Heard, Trouble, heard
from pushsvc.model import Answer, Deferral, OutcomeClass

MANY = FAILURES_IN_A_ROW
NARROW = frozenset({"TopicDisallowed"})


def told(answers: list[Answer], *, accepted: int = 0) -> Heard:
    return heard(answers, accepted=accepted, narrow=NARROW)


@pytest.mark.parametrize(
    ("outcome", "trouble"),
    [
        (OutcomeClass.RETRY_SAFE, Trouble.UNREACHED),
        (OutcomeClass.RETRY_BACKOFF, Trouble.FAILING),
        (OutcomeClass.UNKNOWN, Trouble.SILENT),
        (OutcomeClass.CREDENTIAL, Trouble.REFUSED),
        (OutcomeClass.TOKEN_DEAD, None),
        (OutcomeClass.TOKEN_SUSPECT, None),
        (OutcomeClass.REQUEST_BAD, None),
        (OutcomeClass.THROTTLED_DEVICE, None),
        (OutcomeClass.THROTTLED_SENDER, None),
    ],
)
def test_each_class_of_answers_says_one_thing(
    outcome: OutcomeClass, trouble: Trouble | None
) -> None:
    """A gateway that has an opinion of a device or of a message is alive."""
    found = told([Answer(outcome, "x")])

    assert found.trouble is trouble
    assert (found.alive, found.failures) == ((0, 1) if trouble else (1, 0))


def test_the_commonest_failure_names_the_trouble() -> None:
    """With its reason, and all failures counted."""
    busy, silent = Answer(OutcomeClass.RETRY_BACKOFF, "503"), Answer(OutcomeClass.UNKNOWN, "reset")

    assert told([busy, silent, silent]) == Heard(failures=3, trouble=Trouble.SILENT, reason="reset")


def test_what_we_refuse_ourselves_is_no_sign_of_life() -> None:
    """A malformed token among the messages of a probe does not close the circuit."""
    ours, down = (
        Answer(OutcomeClass.TOKEN_SUSPECT, "BadDeviceToken"),
        Answer(OutcomeClass.RETRY_SAFE, "no connection"),
    )

    assert told([ours, down]).alive == 0
    assert told([ours, down], accepted=1).alive == 2


def test_a_refusal_of_one_topic_is_no_trouble_of_the_others() -> None:
    """Neither what was asked about, nor what was then left unasked."""
    asked = Answer(OutcomeClass.CREDENTIAL, "TopicDisallowed")
    unasked = Answer(
        OutcomeClass.CREDENTIAL,
        "TopicDisallowed (not sent after 20 in a row)",
        deferral=Deferral.HELD,
    )

    assert told([asked, unasked]).trouble is None


def test_a_quota_slows_down_and_names_the_longest_pause() -> None:
    """One answer halves the rate; all stop where it is more than one among many."""
    first = Answer(OutcomeClass.THROTTLED_SENDER, "QUOTA_EXCEEDED", 5.0)
    second = Answer(OutcomeClass.THROTTLED_SENDER, "QUOTA_EXCEEDED", 60.0)
    some, most = told([first, second], accepted=500), told([first, second], accepted=10)

    assert (some.slower, some.pause_seconds) == ("QUOTA_EXCEEDED", 0.0)
    assert (most.slower, most.pause_seconds) == ("QUOTA_EXCEEDED", 60.0)


@pytest.mark.parametrize(
    ("busy", "accepted", "slower"),
    [
        pytest.param(MANY, 9 * MANY, True, id="a tenth"),
        pytest.param(MANY, 10 * MANY, False, id="less than a tenth"),
        pytest.param(MANY - 1, 1, False, id="too few to tell"),
        pytest.param(MANY, 0, False, id="an outage, not an overload"),
    ],
)
def test_5xx_slow_down_where_they_are_many_beside_good_answers(
    *, busy: int, accepted: int, slower: bool
) -> None:
    """A few tokens that a gateway stumbles over halve nobody's rate."""
    answers = [Answer(OutcomeClass.RETRY_BACKOFF, "http_503")] * busy

    assert (told(answers, accepted=accepted).slower is not None) == slower
