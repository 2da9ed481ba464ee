"""When a message is tried again, and after how long."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery import retry
from pushsvc.model import Answer, GatewayName, OutcomeClass

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
BACKOFF = Answer(OutcomeClass.RETRY_BACKOFF, "http_503")

gateways = st.sampled_from(list(GatewayName))
jitters = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("outcome", list(OutcomeClass))
def test_waiting_helps_against_throttles_and_outages_only(outcome: OutcomeClass) -> None:
    """Throttled, not processed and 5xx are tried again; all other classes are final."""
    again = {"THROTTLED_DEVICE", "THROTTLED_SENDER", "RETRY_SAFE", "RETRY_BACKOFF"}

    assert (outcome.name in again) == retry.retryable(outcome)


@given(gateway=gateways, attempt=st.integers(1, 100), jitter=jitters, after=st.floats(1, 3600))
def test_retry_after_is_obeyed(
    *, gateway: GatewayName, attempt: int, jitter: float, after: float
) -> None:
    """Where the gateway named a time, that is the time, whatever the attempt."""
    answer = Answer(OutcomeClass.THROTTLED_SENDER, "quota", after)

    assert after == retry.not_before(answer, attempt, gateway=gateway, jitter=jitter)


@given(gateway=gateways, attempt=st.integers(1, 10_000), jitter=jitters)
def test_backoff_stays_within_its_bounds(gateway: GatewayName, attempt: int, jitter: float) -> None:
    """No wait is below the gateway's least or beyond a quarter of an hour."""
    seconds = retry.not_before(BACKOFF, attempt, gateway=gateway, jitter=jitter)

    least = 10.0 if gateway is GatewayName.FCM else 0.0
    assert least <= seconds <= 900.0


@given(gateway=gateways, attempt=st.integers(1, 30), jitter=jitters)
def test_backoff_never_shrinks_with_attempts(
    gateway: GatewayName, attempt: int, jitter: float
) -> None:
    """At the same jitter a later attempt waits at least as long."""
    first, second = (
        retry.not_before(BACKOFF, number, gateway=gateway, jitter=jitter)
        for number in (attempt, attempt + 1)
    )

    assert first <= second


def test_backoff_doubles_from_one_second() -> None:
    """The window of the jitter is 1 s, 2 s, 4 s ... up to the cap."""
    windows = [
        retry.not_before(BACKOFF, attempt, gateway=GatewayName.APNS, jitter=0.5)
        for attempt in (1, 2, 3, 10, 11, 12)
    ]

    assert windows == [0.5, 1.0, 2.0, 256.0, 450.0, 450.0]


def test_a_doubt_can_be_given_a_time_too() -> None:
    """UNKNOWN, which a push may want resent, gets the same backoff."""
    answer = Answer(OutcomeClass.UNKNOWN, "deadline")

    assert retry.not_before(answer, 1, gateway=GatewayName.WNS, jitter=0.25) == 0.25


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("30", 30.0, id="seconds"),
        pytest.param(" 30 ", 30.0, id="space around"),
        pytest.param("0", 1.0, id="zero is a second"),
        pytest.param("86400", 3600.0, id="a day is an hour"),
        pytest.param("9" * 5000, 3600.0, id="absurd"),
        pytest.param(None, None, id="absent"),
        pytest.param("", None, id="empty"),
        pytest.param("-5", None, id="negative"),
        pytest.param("soon", None, id="word"),
        pytest.param("٣٠", None, id="other digits"),
        pytest.param("Sun, 99 Foo 9999 99:99:99 GMT", None, id="no date"),
        pytest.param("Sun, 01 Mar 2026 12:00:45 GMT", 45.0, id="date"),
        pytest.param("Sun, 01 Mar 2026 12:00:45 -0000", 45.0, id="date without zone"),
        pytest.param("Sun, 01 Mar 2026 11:00:00 GMT", 1.0, id="date in the past"),
        pytest.param("Sun, 01 Mar 2099 11:00:00 GMT", 3600.0, id="date far ahead"),
    ],
)
def test_retry_after_is_read_with_care(value: str | None, seconds: float | None) -> None:
    """RFC 9110 10.2.3: seconds or a date; kept between a second and an hour; else nothing."""
    assert seconds == retry.retry_after_seconds(value, now=NOW)


@given(st.integers(1, 3600))
def test_both_forms_of_retry_after_agree(seconds: int) -> None:
    """A date so many seconds ahead means the same as the number."""
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)

    assert retry.retry_after_seconds(str(seconds), now=NOW) == retry.retry_after_seconds(
        date, now=NOW
    )


@given(st.text())
def test_no_text_breaks_the_reader_of_retry_after(text: str) -> None:
    """Whatever a peer writes, the answer is a time in bounds or none."""
    seconds = retry.retry_after_seconds(text, now=NOW)

    assert seconds is None or 1 <= seconds <= 3600
