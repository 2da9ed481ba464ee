"""Counts of connections that are gone, and of those that are there."""

from dataclasses import fields

from pushsvc.delivery.wire.stats import Counts


def test_every_count_is_added() -> None:
    """Nothing that was counted is forgotten when a connection goes."""
    one = Counts(*range(1, len(fields(Counts)) + 1))
    both = Counts()
    both.add(one)
    both.add(one)
    assert both == Counts(*(2 * count for count in range(1, len(fields(Counts)) + 1)))
