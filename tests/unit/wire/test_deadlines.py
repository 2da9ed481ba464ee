"""The timer wheel: every id is due once, never early, and at most a slot late."""

from math import inf

from hypothesis import given, strategies as st

from pushsvc.delivery.wire.deadlines import SLOT_SECONDS, Deadlines

TIMES = st.floats(0, 1_000)


@given(opened=st.lists(st.tuples(st.integers(1, 50), TIMES), max_size=30), looks=st.lists(TIMES))
def test_due_once_and_in_time(opened: list[tuple[int, float]], looks: list[float]) -> None:
    """Ids opened together are due together, whenever and however often one looks."""
    deadlines = Deadlines()
    deadline_of: dict[int, float] = {}
    next_id = 1
    for count, deadline in opened:
        span = range(next_id, next_id + 2 * count, 2)
        deadlines.add(span, deadline)
        deadline_of |= dict.fromkeys(span, deadline)
        next_id = span.stop
    for now in [*sorted(looks), 2_000.0]:
        due = [stream_id for span in deadlines.due(now) for stream_id in span]
        assert len(due) == len(set(due))
        for stream_id in due:
            assert deadline_of.pop(stream_id) <= now
        assert all(deadline > now - 1.001 * SLOT_SECONDS for deadline in deadline_of.values())
    assert deadline_of == {}


def test_a_slot_is_one_entry_however_many_share_it() -> None:
    """A second of single requests takes a slot for each tenth, not an entry for each."""
    deadlines = Deadlines()
    for at in range(1_000):
        deadlines.add(range(2 * at + 1, 2 * at + 3, 2), 5.0 + at / 1_000)
    assert len(deadlines.due(inf)) <= 11


def test_no_deadline() -> None:
    """Infinity is never."""
    deadlines = Deadlines()
    deadlines.add(range(1, 3, 2), inf)
    assert deadlines.due(inf) == []
