"""An audience in pieces."""

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
