"""An audience cut into batches. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import replace
from typing import Final

from pushsvc.model import NewBatch, OutcomeClass, Recipient

#: So many devices of a push with a rate of its own go at once, where they are so long's worth.
FEW_DEVICES: Final = 10
FEW_SECONDS: Final = 10


def cut(ids: Sequence[int], *, duplicates: AbstractSet[int], size: int) -> Iterator[NewBatch]:
    """Cut ids, in order, into batches of at most `size`.

    A duplicate shares its token with another device of the audience that gets the message: it
    stands in the ledger as deduplicated from the start, and is not sent to.
    """
    for start in range(0, len(ids), size):
        part = ids[start : start + size]
        outcomes = None
        if not duplicates.isdisjoint(part):
            outcomes = bytes(_settled(number in duplicates) for number in part)
        yield NewBatch(installation_ids=part, outcomes=outcomes)


def cut_recipients(
    recipients: Sequence[Recipient], *, taken: AbstractSet[str], size: int
) -> Iterator[NewBatch]:
    """Cut explicit devices into batches; of those with one token the first gets the message.

    `taken` are the tokens of the push's installations, which come before all of these.
    """
    seen = set(taken)
    settled = bytearray()
    for recipient in recipients:
        settled.append(_settled(recipient.token in seen))
        if recipient.token:
            seen.add(recipient.token)
    for start in range(0, len(recipients), size):
        part = slice(start, start + size)
        outcomes = bytes(settled[part])
        yield NewBatch(recipients=recipients[part], outcomes=outcomes if any(outcomes) else None)


def left_out(new: Iterable[NewBatch], outcome: OutcomeClass) -> Iterator[NewBatch]:
    """Settle all devices of batches: a rule of the push leaves them out."""
    for batch in new:
        yield replace(batch, outcomes=bytes([outcome]) * batch.size)


def size_at(rate_per_minute: int | None, *, size: int) -> int:
    """Return the size of the batches of a push: at most a second's worth of its own rate.

    A few devices are never cut: at low rates each would be a row, and open for days.
    """
    if rate_per_minute is None:
        return size
    few = min(FEW_DEVICES, rate_per_minute * FEW_SECONDS // 60)
    return min(size, max(1, few, rate_per_minute // 60))


def in_turn(
    new: Sequence[NewBatch], *, wait_seconds: float, end_seconds: float, rate_per_minute: int
) -> Iterator[NewBatch]:
    """Give batches their times, one after another at this rate; at the end what has none before.

    Those that send nothing have no turn.
    """
    for batch in new:
        if is_settled(batch):
            yield batch
            continue
        yield replace(batch, delay_seconds=min(wait_seconds, end_seconds), paced=True)
        wait_seconds += batch.size * 60 / rate_per_minute


def is_settled(batch: NewBatch) -> bool:
    """Tell whether none of a batch's devices is sent to."""
    return batch.outcomes is not None and OutcomeClass.OPEN not in batch.outcomes


def devices_of(new: Sequence[NewBatch]) -> int:
    """Return how many devices there are in batches."""
    return sum(batch.size for batch in new)


def devices_by_zone(new: Sequence[NewBatch]) -> Mapping[str, int]:
    """Return how many devices of each zone there are in batches."""
    found: Counter[str] = Counter()
    for batch in new:
        found[batch.zone or ""] += batch.size
    return found


def _settled(duplicate: bool) -> int:  # noqa: FBT001 - maps a fact to its byte
    return OutcomeClass.DEDUPLICATED if duplicate else OutcomeClass.OPEN
