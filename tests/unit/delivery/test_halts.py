"""What a process knows of the halts of its pushes."""

from dataclasses import replace
from datetime import UTC, datetime

from pushsvc.delivery.halts import Halts
from pushsvc.model import Halt, Lane, OnUnknown, Push, PushState, Source

NOW = datetime(2026, 11, 26, tzinfo=UTC)
PAUSED = Push(
    id=7,
    object_id="push000007",
    app_id=1,
    source=Source.V1,
    audience={},
    content={"data": {"alert": "hi"}},
    due_at=NOW,
    expires_at=None,
    push_time="",
    expiration_interval=None,
    lane=Lane.BULK,
    on_unknown=OnUnknown.RESEND,
    state=PushState.SENDING,
    push_hash="",
    created_at=NOW,
    started_at=NOW,
    finished_at=None,
    error=None,
    devices=0,
    planned_through=0,
    batches=1,
    halt=Halt.PAUSE,
)


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


def test_a_push_is_remembered_for_as_long_as_any_of_it_is_under_way() -> None:
    """With its halt as it was last heard of, not as it was read."""
    halts = Halts()

    with halts.watching(7):
        assert halts.known(7) is None
        with halts.watching(7):
            halts.remember(PAUSED)
            assert halts.stops(7)
        halts.hear([7], {})
        assert halts.known(7) == replace(PAUSED, halt=None)
        assert halts.is_under_way(7)
    assert not halts.is_under_way(7)
    assert halts.known(7) is None


def test_a_halt_that_was_heard_outlasts_a_row_that_was_read_before_it() -> None:
    """Several batches of a push that begin at once read it, each at its own time."""
    halts = Halts()

    with halts.watching(7):
        halts.hear([7], {7: Halt.CANCEL})
        halts.remember(replace(PAUSED, halt=None))

        assert halts.stops(7)
        known = halts.known(7)
        assert known is not None
        assert known.halt is Halt.CANCEL
