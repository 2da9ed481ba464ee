"""One `send_many` under way: where calls come from and where verdicts go."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from pushsvc.delivery.wire.events import Malformed, NotProcessed, Verdict
from pushsvc.delivery.wire.headers import Call
from pushsvc.delivery.wire.requests import Settled

#: Verdicts given back in one turn of the loop.
_SLICE = 512

#: What a body is taken for until one has been seen: APNs and FCM allow no more.
_BODY_BYTES = 4_096

OnVerdict = Callable[[int, Verdict], None]


class Feed:
    """Calls are pulled as connections have room; each pulled one gets one verdict.

    The feed is over (`done`) when nothing more will be pulled and nothing is in flight.
    """

    __slots__ = (
        "_calls",
        "_held",
        "_on_verdict",
        "body_bytes",
        "done",
        "ended",
        "failure",
        "in_flight",
        "progress_at",
        "refused",
        "timeout_seconds",
    )

    def __init__(
        self,
        calls: Iterator[Call],
        on_verdict: OnVerdict,
        done: asyncio.Future[None],
        *,
        timeout_seconds: float,
    ) -> None:
        self._calls = calls
        self._on_verdict = on_verdict
        #: Pulled, and not yet given to a connection.
        self._held: deque[Call] = deque()
        #: How large the next bodies probably are: calls that cannot go now are not to be pulled.
        self.body_bytes = _BODY_BYTES
        self.done = done
        self.timeout_seconds = timeout_seconds
        self.in_flight = 0
        #: When a call last got a stream, or had one, on the pool's clock.
        self.progress_at = 0.0
        #: Nothing more will be pulled for a connection.
        self.ended = False
        #: Why the rest is given back, when no connection can be had.
        self.refused: str | None = None
        #: What the caller's own code raised: the iterator or `on_verdict`.
        self.failure: Exception | None = None
        self.look_ahead()

    def take(self, most: int) -> list[Call]:
        """Up to `most` calls; none at the end, or when refused: what is left is given back."""
        if self.refused is not None:
            return []
        held = self._held
        calls = [held.popleft() for _ in range(min(most, len(held)))]
        if not self.ended and len(calls) < most:
            try:
                # What came before an exception is in the list then.
                calls += islice(self._calls, most - len(calls))
            except Exception as error:  # noqa: BLE001 - the caller's own; it is raised to the caller
                self.fail(error)
            if len(calls) < most:
                self.ended = True
        return calls

    def put_back(self, calls: Sequence[Call]) -> None:
        """These could not be opened now; they are the next."""
        self._held.extendleft(reversed(calls))
        self.ended = self.refused is not None

    def reject(self, key: int, why: str) -> None:
        """The call can never be sent."""
        self.in_flight += 1
        self.settle([(self, key, Malformed(why))])

    def settle(self, settled: Iterable[Settled]) -> None:
        """Tell the caller; its errors end the feed, never the connection this comes from."""
        on_verdict = self._on_verdict
        for _, key, verdict in settled:
            self.in_flight -= 1
            try:
                on_verdict(key, verdict)
            except Exception as error:  # noqa: BLE001 - the caller's own; it is raised to the caller
                self.fail(error)
        if not self.in_flight:
            self.look_ahead()

    def look_ahead(self) -> None:
        """With nothing in flight, learn whether there is more: no connection is worth nothing."""
        self.has_more()
        if self.ended and not self.in_flight and not self.done.done():
            self.done.set_result(None)

    def has_more(self) -> bool:
        """Whether there is a call to send; the next one is pulled to know it."""
        if not self._held and not self.ended:
            self._held.extend(self.take(1))
        return bool(self._held)

    def fail(self, error: Exception) -> None:
        """Pull no more; what is in flight still gets its verdicts, then the error is raised."""
        self.failure = self.failure or error
        self.refuse("given up by its sender")

    def refuse(self, why: str) -> None:
        """Pull no more for connections: what is left is given back."""
        self.refused = self.refused or why
        self.ended = True
        if not self.in_flight:
            self.look_ahead()

    async def give_back(self) -> None:
        """Verdicts for what was left when the feed was refused, a slice per turn of the loop."""
        if self.refused is None:
            return
        verdict = NotProcessed(self.refused)
        while True:
            for _ in range(_SLICE):
                call = self._left()
                if call is None:
                    return
                self.in_flight += 1
                self.settle([(self, call[0], verdict)])
            await asyncio.sleep(0)

    def _left(self) -> Call | None:
        if self._held:
            return self._held.popleft()
        return next(self._calls, None) if self.failure is None else None
