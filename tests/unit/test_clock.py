"""The clock that all processes share."""

from datetime import timedelta

from pushsvc.clock import SharedClock
from tests.unit.delivery.standing_clock import StandingClock


def test_until_it_is_set_it_is_the_hosts() -> None:
    """As that was at the start."""
    host = StandingClock()
    clock = SharedClock(host)

    host.move(seconds=5)

    assert clock.now() == host.now()
    assert clock.monotonic() == host.monotonic()


def test_it_goes_on_from_what_was_measured() -> None:
    """By the monotonic clock, from the moment of the measurement."""
    host = StandingClock()
    clock = SharedClock(host)
    theirs = host.now() + timedelta(days=1)
    asked = host.monotonic()
    host.move(seconds=2)

    clock.set(theirs, at=asked)
    host.move(seconds=3)

    assert clock.now() == theirs + timedelta(seconds=5)


def test_a_jump_of_the_hosts_wall_clock_changes_nothing() -> None:
    """Neither forward nor back."""
    host = StandingClock()
    clock = SharedClock(host)
    before = clock.now()

    for jump in (timedelta(days=1), timedelta(days=-3)):
        host.wall += jump
        assert clock.now() == before
