"""What a push does to badges, and what is no badge."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pushsvc.model import BadgeChange
from pushsvc.shaping.body import ContentError, badge_change


@pytest.mark.parametrize(
    ("badge", "change"),
    [
        pytest.param(None, None, id="null"),
        pytest.param(False, None, id="false"),
        pytest.param("", None, id="empty"),
        pytest.param(0, BadgeChange(absolute=0), id="0"),
        pytest.param(5, BadgeChange(absolute=5), id="number"),
        pytest.param(-5, BadgeChange(absolute=-5), id="negative"),
        pytest.param(5.0, BadgeChange(absolute=5), id="number with a point"),
        pytest.param("Increment", BadgeChange(increment=1), id="Increment"),
        pytest.param("iNCREMENT", BadgeChange(increment=1), id="any case"),
        pytest.param({"__op": "Increment", "amount": 3}, BadgeChange(increment=3), id="operation"),
        pytest.param(
            {"__op": "increment", "amount": -3}, BadgeChange(increment=-3), id="decrement"
        ),
    ],
)
def test_badge(badge: Any, change: BadgeChange | None) -> None:
    """Numbers set, "Increment" and the operation add, what JavaScript calls false does nothing."""
    assert change == badge_change({"data": {"badge": badge}})


def test_no_badge() -> None:
    """Content without a badge changes none."""
    assert badge_change({"data": {"alert": "Hi"}}) is None


@pytest.mark.parametrize(
    "badge",
    [
        pytest.param("5", id="number as text"),
        pytest.param("Incremental", id="another word"),
        pytest.param(True, id="true"),
        pytest.param(1.5, id="fraction"),
        pytest.param(2**31, id="over 32 bits"),
        pytest.param(-(2**31) - 1, id="under 32 bits"),
        pytest.param(float("nan"), id="NaN"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param([1], id="list"),
        pytest.param({}, id="empty object"),
        pytest.param({"increment": 1}, id="no operation"),
        pytest.param({"__op": "Increment"}, id="no amount"),
        pytest.param({"__op": "Increment", "amount": 0}, id="amount 0"),
        pytest.param({"__op": "Increment", "amount": "1"}, id="amount as text"),
        pytest.param({"__op": "Delete", "amount": 1}, id="another operation"),
        pytest.param({"__op": 1, "amount": 1}, id="operation of no kind"),
    ],
)
def test_bad_badge(badge: Any) -> None:
    """Anything else is told in Parse Server's words."""
    with pytest.raises(ContentError) as caught:
        badge_change({"data": {"badge": badge}})
    assert caught.value.field == "/data/badge"
    assert caught.value.message == (
        "Invalid value for badge, expected number or 'Increment' or {increment: number}"
    )


@settings(deadline=None)
@given(st.integers(-(2**31), 2**31 - 1))
def test_every_32_bit_integer_is_a_badge(badge: int) -> None:
    """What the table of badges can hold can be sent."""
    assert BadgeChange(absolute=badge) == badge_change({"data": {"badge": badge}})
