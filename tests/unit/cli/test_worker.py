"""How often a worker is started again."""

from collections import deque

from pushsvc.cli.worker import RESTARTS, RESTARTS_SECONDS, too_many


def test_workers_that_die_now_and_then_are_always_started_again() -> None:
    """Deaths far enough apart never add up."""
    died: deque[float] = deque(maxlen=RESTARTS)

    assert not any(too_many(died, now=n * RESTARTS_SECONDS) for n in range(10 * RESTARTS))


def test_workers_that_keep_dying_are_given_up() -> None:
    """The death after the last one that is forgiven, within the time, ends the whole."""
    died: deque[float] = deque(maxlen=RESTARTS)

    assert [too_many(died, now=float(n)) for n in range(RESTARTS + 1)] == [False] * RESTARTS + [
        True
    ]
