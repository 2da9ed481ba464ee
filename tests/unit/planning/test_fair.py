"""Who gets a slot next, and what the clock looks at first."""

from collections import Counter

import pytest
from hypothesis import given, strategies as st

from pushsvc.planning import fair

slots = st.lists(st.sampled_from("ABCDE"), max_size=30).map(
    lambda apps: [f"{app}/{number}" for number, app in enumerate(apps)]
)


@given(waiting=slots, running=slots, limit=st.integers(1, 10))
def test_no_place_stays_free_and_no_app_takes_what_another_needs(
    waiting: list[str], running: list[str], limit: int
) -> None:
    """As many start as can; who got one has at most one more than whoever still waits."""
    chosen = fair.choose(waiting, map(fair.slot_app, running), limit=limit)

    assert len(chosen) == max(0, min(len(waiting), limit - len(running)))
    assert len(set(chosen)) == len(chosen)
    has = Counter(map(fair.slot_app, [*running, *chosen]))
    left = set(map(fair.slot_app, waiting)) - set(map(fair.slot_app, chosen))
    left |= {fair.slot_app(slot) for slot in set(waiting) - set(chosen)}
    for started in set(map(fair.slot_app, chosen)):
        assert all(has[started] <= has[app] + 1 for app in left)


@pytest.mark.parametrize(
    ("running", "chosen"),
    [
        pytest.param([], ["A/1", "B/4", "A/2", "B/5"], id="in turns"),
        pytest.param(["A", "A"], ["B/4", "B/5"], id="who has none first"),
        pytest.param(["A", "A", "A"], ["B/4"], id="the last place is not for who has all"),
    ],
)
def test_the_next_place_is_for_the_app_that_has_fewest(
    running: list[str], chosen: list[str]
) -> None:
    """Whatever stands in front, for its tags lag behind while it has its share."""
    waiting = ["A/1", "A/2", "A/3", "B/4", "B/5"]
    assert fair.choose(waiting, running, limit=4) == chosen


def test_what_an_older_version_has_queued_is_nobodys_and_has_its_turn() -> None:
    """Its ids name no app."""
    assert fair.choose(["batch:1:2:0:0", "7/1", "7/2"], [], limit=2) == ["batch:1:2:0:0", "7/1"]


def test_groups_take_turns_and_so_do_groups_within_them() -> None:
    """Apps, and pushes of an app; within a push the order stays."""
    items = ["Ap1", "Ap2", "Ap3", "Aq1", "Bp1", "Bp2"]

    found = fair.in_turns(items, lambda item: item[0], lambda item: item[1])

    assert list(found) == ["Ap1", "Bp1", "Aq1", "Bp2", "Ap2", "Ap3"]


def test_a_job_costs_something_whatever_its_size() -> None:
    """Or a thousand pushes to one device each would count as nothing."""
    assert fair.cost_of(0) == fair.JOB_UNITS
    assert fair.cost_of(1) > fair.cost_of(0)
    assert fair.cost_of(10_000) == fair.JOB_UNITS + 1_000
