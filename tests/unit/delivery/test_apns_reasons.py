"""Every row of Apple's reasons, and what is made of answers that are in no table."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.answers import Row
from pushsvc.delivery.apns import reasons
from pushsvc.delivery.apns.reasons import TABLE, classify
from pushsvc.model import ACCEPTED, Answer, OutcomeClass

NOW = datetime(2026, 3, 1, tzinfo=UTC)
#: As providers' pages have them; the table must hold these and may hold more.
DOCUMENTED = """
    400 BadCollapseId BadDeviceToken BadExpirationDate BadMessageId BadPriority BadTopic
        DeviceTokenNotForTopic DuplicateHeaders IdleTimeout InvalidPushType MissingDeviceToken
        MissingTopic PayloadEmpty TopicDisallowed
    403 BadCertificate BadCertificateEnvironment ExpiredProviderToken Forbidden
        InvalidProviderToken MissingProviderToken UnrelatedKeyIdInToken BadEnvironmentKeyIdInToken
    404 BadPath
    405 MethodNotAllowed
    410 ExpiredToken Unregistered
    413 PayloadTooLarge
    429 TooManyProviderTokenUpdates TooManyRequests
    500 InternalServerError
    503 ServiceUnavailable Shutdown
"""


def said(reason: str, **more: object) -> bytes:
    return orjson.dumps({"reason": reason, **more})


def test_every_documented_reason_has_a_row() -> None:
    """Nothing that Apple documents is left to guesses by status."""
    status = 0
    for word in DOCUMENTED.split():
        status = int(word) if word.isdigit() else status
        assert word.isdigit() or (status, word) in {(row.status, row.reason) for row in TABLE}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.status} {row.reason}")
def test_a_row_gives_its_class_and_its_reason(row: Row) -> None:
    """Status and reason together decide, and the reason is kept."""
    answer = classify(row.status, {}, said(row.reason), now=NOW)
    assert (row.outcome, row.reason) == (answer.outcome, answer.reason)
    assert row.page.startswith("https://developer.apple.com/")


def test_one_token_too_many_passes_with_time() -> None:
    """The key is good: the message waits for a third of Apple's 20 minutes, unless it says more."""
    body = said("TooManyProviderTokenUpdates")
    assert classify(429, {}, body, now=NOW).retry_after == 400
    assert classify(429, {"retry-after": "7"}, body, now=NOW).retry_after == 7


def test_success_is_one_shared_answer() -> None:
    """A million accepted messages make no million objects."""
    assert classify(200, {"apns-id": "x"}, b"", now=NOW) is ACCEPTED


@pytest.mark.parametrize(
    ("status", "body", "outcome", "reason"),
    [
        pytest.param(400, b"", OutcomeClass.REQUEST_BAD, "http_400", id="no body"),
        pytest.param(400, b'{"reason":"Bad', OutcomeClass.REQUEST_BAD, "http_400", id="cut off"),
        pytest.param(400, b"[]", OutcomeClass.REQUEST_BAD, "http_400", id="a list"),
        pytest.param(400, b'{"reason":7}', OutcomeClass.REQUEST_BAD, "http_400", id="a number"),
        pytest.param(400, said("x" * 5000), OutcomeClass.REQUEST_BAD, "http_400", id="an essay"),
        pytest.param(400, said("a\0b"), OutcomeClass.REQUEST_BAD, "http_400", id="unprintable"),
        pytest.param(400, said("NewReason"), OutcomeClass.REQUEST_BAD, "NewReason", id="unknown"),
        pytest.param(403, said("NewKeyRule"), OutcomeClass.CREDENTIAL, "NewKeyRule", id="new 403"),
        pytest.param(410, b"<html>", OutcomeClass.TOKEN_SUSPECT, "http_410", id="a proxy's 410"),
        pytest.param(418, said("Teapot"), OutcomeClass.REQUEST_BAD, "Teapot", id="new 4xx"),
        pytest.param(429, b"", OutcomeClass.THROTTLED_DEVICE, "http_429", id="bare 429"),
        pytest.param(500, b"Unable to write frame", OutcomeClass.RETRY_BACKOFF, "http_500", id="t"),
        pytest.param(502, b"<html>", OutcomeClass.RETRY_BACKOFF, "http_502", id="HTML"),
        pytest.param(302, b"", OutcomeClass.RETRY_BACKOFF, "http_302", id="redirect"),
        pytest.param(
            500, said("x") + b" " * 2**20, OutcomeClass.RETRY_BACKOFF, "http_500", id="huge"
        ),
        # The same word under another status is another answer.
        pytest.param(
            500, said("Unregistered"), OutcomeClass.RETRY_BACKOFF, "Unregistered", id="moved"
        ),
    ],
)
def test_what_is_in_no_row_goes_by_its_status(
    *, status: int, body: bytes, outcome: OutcomeClass, reason: str
) -> None:
    """Absent, split, foreign and new answers are classed by status, and no token dies of them."""
    assert Answer(outcome, reason) == classify(status, {}, body, now=NOW)


@pytest.mark.parametrize(
    ("timestamp", "since"),
    [
        pytest.param(1_700_000_000_123, 1_700_000_000_123, id="milliseconds, as documented"),
        pytest.param(1_700_000_000, 1_700_000_000_000, id="seconds"),
        pytest.param(1_700_000_000_123.9, 1_700_000_000_123, id="a fraction"),
        pytest.param("1700000000123", None, id="text"),
        pytest.param(True, None, id="a truth"),
        pytest.param(-5, None, id="negative"),
        pytest.param(1_700_000_000_123_456, None, id="microseconds"),
        pytest.param(1e300, None, id="absurd"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_a_410_says_since_when(timestamp: object, since: int | None) -> None:
    """The timestamp of a 410 protects devices that registered after it, so it is read with care."""
    answer = classify(410, {}, said("Unregistered", timestamp=timestamp), now=NOW)

    assert Answer(OutcomeClass.TOKEN_DEAD, "Unregistered", None, since) == answer


def test_retry_after_is_passed_on() -> None:
    """A 503 with Retry-After says when to come back."""
    answer = classify(503, {"retry-after": "7"}, said("ServiceUnavailable"), now=NOW)

    assert answer.retry_after == 7.0


def test_a_wrong_topic_speaks_for_its_topic_only() -> None:
    """TopicDisallowed bars one topic; InvalidProviderToken bars the key."""
    topic = Answer(OutcomeClass.CREDENTIAL, "TopicDisallowed")
    key = Answer(OutcomeClass.CREDENTIAL, "InvalidProviderToken")

    assert reasons.scope(topic, "com.a") != reasons.scope(topic, "com.b")
    assert reasons.scope(key, "com.a") == reasons.scope(key, "com.b")


@given(status=st.integers(100, 999), body=st.binary(), retry_after=st.text())
def test_nothing_a_peer_says_can_raise(status: int, body: bytes, retry_after: str) -> None:
    """Any answer has a class; without Apple's word no token is dead."""
    answer = classify(status, {"retry-after": retry_after}, body, now=NOW)

    assert answer.outcome not in {OutcomeClass.OPEN, OutcomeClass.TOKEN_DEAD}
