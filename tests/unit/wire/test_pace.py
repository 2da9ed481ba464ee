"""When connections are opened."""

from hypothesis import given, strategies as st

from pushsvc.delivery.wire import Limits
from pushsvc.delivery.wire.pace import Pace

LIMITS = Limits(backoff_first_seconds=0.5, backoff_most_seconds=8.0, connect_attempts=3)


def test_pauses_double_up_to_the_most() -> None:
    """Each failure in a row doubles the pause."""
    pace = Pace(LIMITS)
    pauses = []
    for _ in range(6):
        pace.failed(100.0, 1.0)
        pauses.append(pace.delay(100.0))
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


@given(jitter=st.floats(0, 1), failures=st.integers(1, 2_000))
def test_jitter_halves_at_most(jitter: float, failures: int) -> None:
    """A pause lies between half of it and all of it, however many failures there were."""
    pace = Pace(LIMITS)
    for _ in range(failures):
        pace.failed(0.0, jitter)
    whole = min(0.5 * 2.0 ** min(failures - 1, 30), 8.0)
    assert whole / 2 <= pace.delay(0.0) <= whole


def test_hope() -> None:
    """After so many failures in a row nobody should wait; one answer restores hope."""
    pace = Pace(LIMITS)
    seen = []
    for _ in range(3):
        pace.failed(0.0, 0.0)
        seen.append(pace.hopeless)
    pace.worked()
    assert (seen, pace.hopeless, pace.delay(1_000.0)) == ([False, False, True], False, 0.0)


def test_growth_is_spaced() -> None:
    """A second connection waits for its time after the first."""
    pace = Pace(Limits(growth_spacing_seconds=2.0))
    assert pace.may_grow(10.0)
    pace.opened(10.0)
    assert (pace.may_grow(11.9), pace.may_grow(12.0)) == (False, True)
