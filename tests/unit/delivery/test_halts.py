"""What a process knows of the halts of its pushes."""

from pushsvc.delivery.halts import Halts
from pushsvc.model import Halt


def test_a_halt_is_known_for_as_long_as_the_push_is_under_way() -> None:
    """By all who have it under way; what was asked about before that says nothing."""
    halts = Halts()

    with halts.watching(7):
        with halts.watching(7):
            halts.hear(halts.under_way, {7: Halt.PAUSE})
        assert halts.stops(7)
    assert not halts.under_way
    halts.hear([7], {7: Halt.PAUSE})
    with halts.watching(7):
        assert not halts.stops(7)


def test_a_halt_that_is_over_is_over() -> None:
    """Of those that were asked about; of others nothing is known anew."""
    halts = Halts()

    with halts.watching(7), halts.watching(8):
        halts.hear([7, 8], {7: Halt.PAUSE, 8: Halt.CANCEL})
        halts.hear([7], {})

        assert (halts.stops(7), halts.stops(8)) == (False, True)
