"""An audience in pieces."""

import pytest
from hypothesis import given, strategies as st

from pushsvc.model import NewBatch, OutcomeClass, Recipient
from pushsvc.planning import batches

OPEN, DOUBLE = OutcomeClass.OPEN, OutcomeClass.DEDUPLICATED


def settled(batch: NewBatch, size: int) -> list[int]:
    return list(batch.outcomes or bytes(size))


@given(st.sets(st.integers(1, 10_000), max_size=300), st.integers(1, 50), st.data())
def test_every_id_is_in_exactly_one_batch(ids: set[int], size: int, data: st.DataObject) -> None:
    """In order, none twice, none too large; and the doubles alone are settled."""
    ordered = sorted(ids)
    doubles = frozenset(data.draw(st.sets(st.sampled_from(ordered)))) if ordered else frozenset()

    cut = list(batches.cut(ordered, duplicates=doubles, size=size))

    assert [number for batch in cut for number in batch.installation_ids] == ordered
    assert all(0 < len(batch.installation_ids) <= size for batch in cut)
    for batch in cut:
        bytes_of = settled(batch, len(batch.installation_ids))
        expected = [DOUBLE if number in doubles else OPEN for number in batch.installation_ids]
        assert bytes_of == expected


@given(st.lists(st.sampled_from(["", "a", "b", "c", "d"]), max_size=40), st.integers(1, 7))
def test_of_explicit_devices_with_one_token_the_first_is_sent_to(
    tokens: list[str], size: int
) -> None:
    """Across batches, too; devices without a token are no doubles of each other."""
    recipients = [Recipient(device_type="ios", token=token) for token in tokens]

    cut = list(batches.cut_recipients(recipients, taken={"a"}, size=size))

    places = [p for batch in cut for p in settled(batch, len(batch.recipients))]
    seen = {"a"}
    for token, place in zip(tokens, places, strict=True):
        assert place == (DOUBLE if token in seen else OPEN)
        seen |= {token} - {""}


@given(st.integers(1, 10_000_000), st.lists(st.integers(1, 50), max_size=20), st.floats(0, 100))
def test_turns_follow_each_other_at_the_rate(rate: int, sizes: list[int], wait: float) -> None:
    """Each batch waits for as long as those before it take, or for the push's end."""
    new = [NewBatch(installation_ids=range(size)) for size in sizes]

    timed = list(batches.in_turn(new, wait_seconds=wait, end_seconds=3600, rate_per_minute=rate))

    assert [one.installation_ids for one in timed] == [one.installation_ids for one in new]
    for place, one in enumerate(timed):
        assert one.paced
        turn = wait + sum(sizes[:place]) * 60 / rate
        assert one.delay_seconds == pytest.approx(min(turn, 3600))
    size = batches.size_at(rate, size=1000)
    assert size == 1 or size <= min(1000, max(rate / 60, min(10, rate / 6)))
    assert batches.size_at(None, size=1000) == 1000
