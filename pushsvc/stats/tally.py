"""Outcomes to counts. Pure, and in any order: the counts of batches add up to the push's."""

from collections import Counter
from collections.abc import Iterable, Mapping

from pushsvc.model import OUTCOME_OF, Counts, Outcome, OutcomeClass

#: The type of a device that is gone: deleted between plan and delivery, or never there.
NO_TYPE = "unknown"
COUNTED = {*OUTCOME_OF, OutcomeClass.RESENT}


def count(device_types: Iterable[str], outcomes: bytes) -> Counts:
    """Count devices by type and class; what is open or carried on has no outcome to count.

    Those sent to again although their message may have arrived are counted, too: beside the
    outcomes, for their outcome is counted where they went.
    """
    found: dict[str, dict[OutcomeClass, int]] = {}
    for (device_type, byte), n in Counter(zip(device_types, outcomes, strict=True)).items():
        outcome_class = OutcomeClass(byte)
        if outcome_class in COUNTED:
            found.setdefault(device_type, {})[outcome_class] = n
    return found


def by_outcome(classes: Mapping[OutcomeClass, int]) -> dict[Outcome, int]:
    """Sum up classes to the words that people read; every word is there, at 0 if need be."""
    sums = dict.fromkeys(Outcome, 0)
    for outcome_class, n in classes.items():
        if outcome_class in OUTCOME_OF:
            sums[OUTCOME_OF[outcome_class]] += n
    return sums


def possible_duplicates(classes: Mapping[OutcomeClass, int]) -> int:
    """Return how often a message went out again that may have arrived; nothing else comes twice."""
    return classes.get(OutcomeClass.RESENT, 0)


def total(counts: Counts) -> dict[OutcomeClass, int]:
    """Sum up over device types."""
    sums: dict[OutcomeClass, int] = {}
    for classes in counts.values():
        for outcome_class, n in classes.items():
            sums[outcome_class] = sums.get(outcome_class, 0) + n
    return sums
