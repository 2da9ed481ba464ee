"""Windows both ways."""

import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.wire.errors import ErrorCode, PeerError, RuleError, StreamError
from pushsvc.delivery.wire.flow import MAX_WINDOW, ReceiveWindow, widened


@pytest.mark.parametrize("fault", [PeerError, StreamError])
@pytest.mark.parametrize(
    ("window", "octets", "code"),
    [
        pytest.param(5, 0, ErrorCode.PROTOCOL_ERROR, id="zero"),
        pytest.param(1, MAX_WINDOW, ErrorCode.FLOW_CONTROL_ERROR, id="overflow"),
    ],
)
def test_bad_updates(fault: type[RuleError], window: int, octets: int, code: ErrorCode) -> None:
    """A zero update and an overflow are errors of the level they come at (RFC 9113 6.9)."""
    with pytest.raises(RuleError) as error:
        widened(window, octets, fault)
    assert (type(error.value), error.value.code) == (fault, code)


def test_a_negative_window_grows_like_any_other() -> None:
    """A window that a SETTINGS change took below zero is widened from there."""
    assert widened(-100, 50, PeerError) == -50
    assert widened(-1, MAX_WINDOW, PeerError) == MAX_WINDOW - 1


@given(size=st.integers(1, 5_000), payloads=st.lists(st.integers(0, 1_000), max_size=50))
def test_everything_spent_is_granted_again(size: int, payloads: list[int]) -> None:
    """What is granted never exceeds what was spent, and never lags by half a window."""
    window = ReceiveWindow(size, PeerError)
    spent = granted = 0
    for octets in payloads:
        if spent + octets - granted > size:
            with pytest.raises(PeerError) as error:
                window.spend(octets)
            assert error.value.code == ErrorCode.FLOW_CONTROL_ERROR
            return
        spent += octets
        granted += window.spend(octets)
        assert 0 <= (spent - granted) * 2 < max(size, 1)
