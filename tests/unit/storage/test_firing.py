"""Changes of badges, in turns that one statement each can make."""

from hypothesis import given, strategies as st

from pushsvc.model import BadgeChange
from pushsvc.storage.firing import in_sequence

CHANGE = BadgeChange(increment=1)


@given(st.lists(st.sets(st.integers(0, 5), max_size=4), max_size=8))
def test_each_device_s_changes_keep_their_order(devices: list[set[int]]) -> None:
    """None comes twice in a turn, and those of one device come in the order of its pushes."""
    changes = [(number, CHANGE, sorted(ids)) for number, ids in enumerate(devices)]

    turns = in_sequence(changes)

    made = [change for turn in turns for change in turn]
    assert sorted(made, key=lambda change: change[0]) == changes
    for device in range(6):
        of_turns = [[n for n, _, ids in turn if device in ids] for turn in turns]
        assert all(len(numbers) <= 1 for numbers in of_turns)
        in_order = [number for numbers in of_turns for number in numbers]
        assert in_order == sorted(in_order)
