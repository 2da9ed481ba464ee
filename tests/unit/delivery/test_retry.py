"""When a message is tried again, and after how long."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery import retry
from pushsvc.delivery.retry import RULES, Limits, Tried
from pushsvc.model import Answer, Deferral, GatewayName, OutcomeClass

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
LIMITS = Limits(attempts=5, seconds=3600, hold_seconds=900)
BUSY = Answer(OutcomeClass.RETRY_BACKOFF, "http_503")
HELD = Answer(OutcomeClass.RETRY_SAFE, "NotSent", deferral=Deferral.HELD)
REFUSED = Answer(OutcomeClass.CREDENTIAL, "InvalidProviderToken", deferral=Deferral.HELD)

gateways = st.sampled_from(list(GatewayName))
jitters = st.floats(0, 1, exclude_max=True)
ages = st.floats(0, 4000)
again = st.sampled_from(sorted(RULES))


def wait(
    answer: Answer,
    *,
    attempt: int = 1,
    age: float = 0.0,
    gateway: GatewayName = GatewayName.APNS,
    jitter: float = 0.5,
) -> float | None:
    tried = Tried(attempt=attempt, age=age)
    return retry.wait_seconds(answer, tried, LIMITS, gateway=gateway, jitter=jitter)


@pytest.mark.parametrize(
    ("outcome", "first", "after_five", "after_half_an_hour", "after_an_hour"),
    [
        pytest.param("RETRY_BACKOFF", True, True, True, False, id="5xx"),
        pytest.param("RETRY_SAFE", True, True, True, False, id="not processed"),
        pytest.param("THROTTLED_SENDER", True, True, True, False, id="quota"),
        pytest.param("THROTTLED_DEVICE", True, False, True, False, id="device"),
        pytest.param("UNKNOWN", True, False, True, False, id="doubt"),
        *(
            pytest.param(name, False, False, False, False, id=name)
            for name in sorted(OutcomeClass.__members__.keys() - {o.name for o in RULES})
        ),
    ],
)
def test_what_is_tried_again_and_for_how_long(
    *,
    outcome: str,
    first: bool,
    after_five: bool,
    after_half_an_hour: bool,
    after_an_hour: bool,
) -> None:
    """Outages by time alone; a throttled device and a silent gateway by attempts, too."""
    answer = Answer(OutcomeClass[outcome], "x")

    assert first == (wait(answer) is not None)
    assert after_five == (wait(answer, attempt=5, age=60) is not None)
    assert after_half_an_hour == (wait(answer, attempt=4, age=1800) is not None)
    assert after_an_hour == (wait(answer, attempt=4, age=3600) is not None)


@given(outcome=again, gateway=gateways, attempt=st.integers(1, 4), jitter=jitters, age=ages)
def test_retry_after_is_obeyed(
    *, outcome: OutcomeClass, gateway: GatewayName, attempt: int, jitter: float, age: float
) -> None:
    """Where the gateway named a time, that is the time; if it is past the limit, it is the end."""
    answer = Answer(outcome, "quota", 600.0)

    found = wait(answer, gateway=gateway, attempt=attempt, jitter=jitter, age=age)

    assert found == (600.0 if age + 600 <= LIMITS.seconds else None)


@given(
    outcome=again,
    gateway=gateways,
    attempt=st.integers(1, 10_000),
    jitter=jitters,
    age=ages,
    refused=st.booleans(),
    held=st.booleans(),
)
def test_nobody_waits_past_the_limit(
    *,
    outcome: OutcomeClass,
    gateway: GatewayName,
    attempt: int,
    jitter: float,
    age: float,
    refused: bool,
    held: bool,
) -> None:
    """A wait of ours ends with the time that is left, and keeps FCM's least and the class's cap."""
    answer = replace(REFUSED if refused else HELD) if held else Answer(outcome, "x")
    limit = LIMITS.hold_seconds if held and refused else LIMITS.seconds

    found = wait(answer, gateway=gateway, attempt=attempt, jitter=jitter, age=age)

    if age >= limit:
        assert found is None
    if found is not None:
        assert age + found <= limit + 0.001
        if not held:
            assert found >= retry.LEAST_SECONDS.get(gateway, 0.0)
            assert found <= RULES[outcome].cap_seconds


@given(outcome=again, gateway=gateways, attempt=st.integers(1, 30), jitter=jitters)
def test_backoff_never_shrinks_with_attempts(
    *, outcome: OutcomeClass, gateway: GatewayName, attempt: int, jitter: float
) -> None:
    """At the same jitter a later attempt waits at least as long."""
    least = retry.LEAST_SECONDS.get(gateway, 0.0)
    first, second = (
        retry.backoff(RULES[outcome], number, least=least, jitter=jitter)
        for number in (attempt, attempt + 1)
    )

    assert first <= second


@pytest.mark.parametrize(
    ("answer", "gateway", "waits"),
    [
        pytest.param(BUSY, GatewayName.APNS, [0.5, 1, 2, 256, 450, 450], id="5xx"),
        pytest.param(BUSY, GatewayName.FCM, [15, 20, 30, 455, 455, 455], id="fcm"),
        pytest.param(
            Answer(OutcomeClass.RETRY_SAFE, "x"),
            GatewayName.WNS,
            [0.5, 1, 2, 30, 30, 30],
            id="not processed",
        ),
    ],
)
def test_backoff_doubles_up_to_the_cap_of_its_class(
    answer: Answer, gateway: GatewayName, waits: list[float]
) -> None:
    """The window of the jitter is 1 s, 2 s, 4 s ...; FCM's is 10 s and more, after 10 s."""
    assert waits == [wait(answer, attempt=n, gateway=gateway) for n in (1, 2, 3, 10, 11, 12)]


@pytest.mark.parametrize(
    ("answer", "waits"),
    [
        # by age: 0, 0.3, 40, 800, 899, 900 s
        pytest.param(HELD, [0, 0.3, 40, 60, 60, 60], id="stopped"),
        pytest.param(REFUSED, [30, 30, 40, 100, 1, None], id="credential"),
        pytest.param(replace(HELD, retry_after=7.0), [7, 7, 10, 200, 224.75, 225], id="circuit"),
        pytest.param(replace(REFUSED, retry_after=30.0), [30, 30, 30, 100, 1, None], id="refused"),
        pytest.param(
            Answer(OutcomeClass.RETRY_SAFE, "Paced", 5000.0, deferral=Deferral.PACED),
            [5000] * 6,
            id="paced",
        ),
    ],
)
def test_what_no_gateway_was_asked_about_is_held(answer: Answer, waits: list[float | None]) -> None:
    """As long again as it was held already; for a credential for a time of its own; in turn always.
    Behind a circuit as long as that says, or a quarter of its age.

    The number of attempts is no matter.
    """
    found = [wait(answer, attempt=99, age=age) for age in (0, 0.3, 40, 800, 899, 900)]

    assert found == pytest.approx(waits)


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
