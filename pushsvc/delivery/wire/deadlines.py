"""A coarse timer wheel: what was opened together is due together, and costs one entry."""

from math import ceil, isfinite
from typing import Final

#: How exact a deadline is: it passes up to so much late, never early.
SLOT_SECONDS: Final = 0.1

#: Stream ids from the first up to the end, which is not among them.
Span = range


class Deadlines:
    """Spans of stream ids by the slot of time in which they are due.

    Nothing is kept for a single request and nothing is taken out when one is answered: a span
    says which ids may be overdue, and the connection knows which of them are still open. Ids
    are given in order, so those of one slot join into one span, or a few where timeouts differ.
    """

    def __init__(self) -> None:
        self._slots: dict[int, list[Span]] = {}

    def add(self, span: Span, deadline: float) -> None:
        """These ids are due at `deadline`, on the caller's clock; infinity is never."""
        if not isfinite(deadline):
            return
        slot = ceil(deadline / SLOT_SECONDS)
        spans = self._slots.setdefault(slot, [])
        if spans and spans[-1].stop == span.start:
            spans[-1] = range(spans[-1].start, span.stop, 2)
        else:
            spans.append(span)

    def due(self, now: float) -> list[Span]:
        """The spans whose time has come; they are forgotten."""
        passed = [slot for slot in self._slots if slot * SLOT_SECONDS <= now]
        return [span for slot in sorted(passed) for span in self._slots.pop(slot)]
