"""Outcomes to counts."""

from hypothesis import given, strategies as st

from pushsvc.model import OUTCOME_OF, Outcome, OutcomeClass
from pushsvc.stats import tally

devices = st.lists(
    st.tuples(st.sampled_from(["ios", "android"]), st.sampled_from(list(OutcomeClass)))
)


@given(devices)
def test_every_device_with_an_outcome_is_counted_once(
    found: list[tuple[str, OutcomeClass]],
) -> None:
    """What is open or carried on is not counted; the rest adds up, beside possible duplicates."""
    counts = tally.count([t for t, _ in found], bytes(c for _, c in found))

    ended = [c for _, c in found if c in OUTCOME_OF]
    resent = [c for _, c in found if c is OutcomeClass.RESENT]
    assert sum(tally.by_outcome(tally.total(counts)).values()) == len(ended)
    assert tally.possible_duplicates(tally.total(counts)) == len(resent)
    assert all(n > 0 for classes in counts.values() for n in classes.values())


@given(devices, devices)
def test_counts_of_batches_add_up_in_any_order(
    one: list[tuple[str, OutcomeClass]], other: list[tuple[str, OutcomeClass]]
) -> None:
    """The push's count is the sum of its batches'."""

    def total(found: list[tuple[str, OutcomeClass]]) -> dict[OutcomeClass, int]:
        return tally.total(tally.count([t for t, _ in found], bytes(c for _, c in found)))

    whole, first, second = total(one + other), total(one), total(other)

    assert all(whole[c] == first.get(c, 0) + second.get(c, 0) for c in whole)


def test_classes_become_the_words_people_read() -> None:
    """Every outcome is there, at nought if need be."""
    words = tally.by_outcome({OutcomeClass.OK: 3, OutcomeClass.TOKEN_DEAD: 2})

    assert words[Outcome.SENT] == 3
    assert words[Outcome.FAILED] == 2
    assert words[Outcome.UNKNOWN] == 0
