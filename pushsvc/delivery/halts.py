"""The pushes under way in this process, and which of them are halted, as far as it has heard."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from pushsvc.model import Halt, Push


class Halts:
    """What the worker's watch has found; asked before each message."""

    def __init__(self) -> None:
        self._under_way: Counter[int] = Counter()
        self._found: dict[int, Halt] = {}
        self._read: dict[int, Push] = {}

    @property
    def under_way(self) -> Collection[int]:
        """The keys of the pushes to ask about: of those at least that have been since before."""
        return list(self._under_way)

    @contextmanager
    def watching(self, push_id: int) -> Iterator[None]:
        """Have the watch ask about a push for as long as the block lasts.

        Begun before the push is read, so that no halt falls between reading and watching.
        """
        self._under_way[push_id] += 1
        try:
            yield
        finally:
            self._under_way[push_id] -= 1
            if not self._under_way[push_id]:
                del self._under_way[push_id]
                self._found.pop(push_id, None)
                self._read.pop(push_id, None)

    def is_under_way(self, push_id: int) -> bool:
        """Tell whether anything of the push is still worked on here."""
        return push_id in self._under_way

    def remember(self, push: Push) -> None:
        """Keep a push as it was read, and its halt, for as long as it is under way here.

        What the watch has heard meanwhile may be newer than the row that was read without a halt.
        """
        self._read[push.id] = push
        if push.halt is not None:
            self.hear([push.id], {push.id: push.halt})

    def known(self, push_id: int) -> Push | None:
        """Return a push that is remembered, with its halt as it was last heard of."""
        push = self._read.get(push_id)
        return push if push is None or push.halt is self._found.get(push_id) else self.on(push)

    def hear(self, asked: Collection[int], found: Mapping[int, Halt]) -> None:
        """Take in what is halted of the pushes that were asked about."""
        for push_id in asked:
            if push_id not in self._under_way:
                continue
            if push_id in found:
                self._found[push_id] = found[push_id]
            else:
                self._found.pop(push_id, None)

    def stops(self, push_id: int) -> bool:
        """Tell whether nothing more of the push is to be handed to a gateway."""
        return push_id in self._found

    def on(self, push: Push) -> Push:
        """Return the push with its halt as it was last heard of."""
        return replace(push, halt=self._found.get(push.id))
