"""What a sender of these tests knows: calls, and the verdicts it was told."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from pushsvc.delivery.wire import Answered, Call, Limits, Pool, Template, Verdict

TEMPLATE = Template(
    [(b"apns-topic", b"com.example.app"), (b"apns-push-type", b"alert")],
    varying=(b"apns-id",),
    literal=[(b"authorization", b"bearer secret")],
)
SECONDS = 10.0


class OpenPool(Protocol):
    """Opens a pool to a port of this machine."""

    def __call__(self, port: int, limits: Limits | None = None, *, host: str = "localhost") -> Pool:
        """The pool is closed after the test."""


def call(key: int, body: bytes = b"{}") -> Call:
    """One call; its apns-id is its key."""
    return key, TEMPLATE, b"/3/device/%08x" % key, (b"%d" % key,), body


def calls(keys: Iterable[int], body: bytes = b"{}") -> Iterator[Call]:
    """One call for each key."""
    return (call(key, body) for key in keys)


class Told:
    """Verdicts by key; a second one for a key is a failure."""

    def __init__(self) -> None:
        self.verdicts: dict[int, Verdict] = {}

    def __call__(self, key: int, verdict: Verdict) -> None:
        """Keep one verdict."""
        assert key not in self.verdicts
        self.verdicts[key] = verdict

    def keys(self, kind: type | None = None) -> list[int]:
        """The keys that got a verdict (of a kind), in order."""
        return sorted(
            key for key, verdict in self.verdicts.items() if kind is None or type(verdict) is kind
        )

    def own(self) -> list[int]:
        """The keys that were answered 200 with their own apns-id."""
        return sorted(
            key
            for key, verdict in self.verdicts.items()
            if isinstance(verdict, Answered)
            and verdict.status == 200
            and verdict.header(b"apns-id") == b"%d" % key
        )


class Pulled:
    """An iterator that counts what was pulled from it."""

    def __init__(self, source: Iterable[Call], then: Callable[[], None] = lambda: None) -> None:
        self._source = iter(source)
        self._then = then
        self.count = 0

    def __iter__(self) -> "Pulled":
        return self

    def __next__(self) -> Call:
        one = next(self._source)
        self.count += 1
        self._then()
        return one


async def until(fact: Callable[[], object]) -> None:
    """Wait for a fact that nothing announces."""
    async with asyncio.timeout(SECONDS):
        while not fact():  # noqa: ASYNC110 - a pool has no events to wait for
            await asyncio.sleep(0.005)
