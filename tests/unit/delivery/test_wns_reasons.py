"""Every row of WNS's answers."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.answers import Row
from pushsvc.delivery.wns.reasons import NOTIFICATION_STATUSES, STATUSES, classify
from pushsvc.model import ACCEPTED, Answer, OutcomeClass

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("row", STATUSES, ids=lambda row: str(row.status))
def test_a_status_gives_its_class(row: Row) -> None:
    """The status decides."""
    assert Answer(row.outcome, row.reason) == classify(row.status, {}, now=NOW)
    assert row.page.startswith("https://")


@pytest.mark.parametrize("name", ["x-wns-status", "x-wns-notificationstatus"])
@pytest.mark.parametrize("row", NOTIFICATION_STATUSES, ids=lambda row: row.reason)
def test_a_200_is_what_its_notification_status_says(row: Row, name: str) -> None:
    """Only `received` is a hand-off; the header has two names."""
    answer = classify(200, {name: row.reason.title()}, now=NOW)

    assert row.outcome is answer.outcome
    assert (answer is ACCEPTED) == (row.reason == "received")


def test_a_200_without_a_status_is_accepted() -> None:
    """A hand-off is the rule, and the header may be missing."""
    assert classify(200, {}, now=NOW) is ACCEPTED


def test_the_description_is_the_reason() -> None:
    """X-WNS-Error-Description says more than a number; but a 401 keeps the reason we look for."""
    fields = {"x-wns-error-description": "The channel has expired"}

    assert classify(410, fields, now=NOW).reason == "The channel has expired"
    assert classify(401, fields, now=NOW).reason == "http_401"


@pytest.mark.parametrize("status", [406, 429, 503])
def test_retry_after_is_passed_on(status: int) -> None:
    """Throttles and outages say when to come back."""
    assert classify(status, {"retry-after": "11"}, now=NOW).retry_after == 11.0


def test_a_forbidden_channel_does_not_condemn_the_credential() -> None:
    """403: this channel belongs to another app; the next one may not."""
    assert classify(403, {}, now=NOW).outcome is OutcomeClass.TOKEN_SUSPECT


@given(
    status=st.integers(100, 999),
    fields=st.dictionaries(
        st.sampled_from(["x-wns-status", "retry-after", "x-wns-error-description"]), st.text()
    ),
)
def test_nothing_a_peer_says_can_raise(status: int, fields: dict[str, str]) -> None:
    """Any answer has a class."""
    assert classify(status, fields, now=NOW).outcome is not OutcomeClass.OPEN
