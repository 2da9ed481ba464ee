"""One `send_many` under way: where calls come from and where verdicts go."""

import asyncio
from collections.abc import Callable, Iterator

from pushsvc.delivery.wire.events import Malformed, NotProcessed, Verdict
from pushsvc.delivery.wire.headers import Call

#: Verdicts given back in one turn of the loop.
_SLICE = 512

OnVerdict = Callable[[int, Verdict], None]


class Feed:
    """Calls are pulled one by one, as connections have room; each pulled one gets one verdict.

    The feed is over (`done`) when nothing more will be pulled and nothing is in flight.
    """

    __slots__ = (
        "_calls",
        "_held",
        "_on_verdict",
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
        self._held: Call | None = None
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

    def take(self, most: int) -> Iterator[Call]:
        """Up to `most` calls; none at the end, or when refused: what is left is given back."""
        if self.refused is not None:
            return
        if self._held is not None:
            call, self._held = self._held, None
            yield call
            most -= 1
        if self.ended or not most:
            return
        try:
            for call in self._calls:
                yield call
                most -= 1
                if not most:
                    return
            self.ended = True
        except Exception as error:  # noqa: BLE001 - the caller's own; it is raised to the caller
            self.fail(error)

    def put_back(self, call: Call) -> None:
        """The call could not be opened now."""
        self._held = call

    def reject(self, key: int, why: str) -> None:
        """The call can never be sent."""
        self.in_flight += 1
        self.settle(key, Malformed(why))

    def settle(self, key: int, verdict: Verdict) -> None:
        """Tell the caller; its errors end the feed, never the connection this comes from."""
        self.in_flight -= 1
        try:
            self._on_verdict(key, verdict)
        except Exception as error:  # noqa: BLE001 - the caller's own; it is raised to the caller
            self.fail(error)
        if not self.in_flight:
            self.look_ahead()

    def look_ahead(self) -> None:
        """With nothing in flight, learn whether there is more: no connection is worth nothing."""
        if not self.ended and self._held is None:
            self._held = next(self.take(1), None)
        if self.ended and not self.in_flight and not self.done.done():
            self.done.set_result(None)

    def has_more(self) -> bool:
        """Whether there is a call to send; the next one is pulled to know it."""
        if self._held is None and not self.ended:
            self._held = next(self.take(1), None)
        return self._held is not None

    def fail(self, error: Exception) -> None:
        """Pull no more; what is in flight still gets its verdicts, then the error is raised."""
        self.failure = self.failure or error
        self.refuse("given up by its sender")

    def refuse(self, why: str) -> None:
        """Pull no more for connections: what is left is given back."""
        if not self.ended:
            self.refused = why
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
                self.settle(call[0], verdict)
            await asyncio.sleep(0)

    def _left(self) -> Call | None:
        call, self._held = self._held, None
        if call is None and self.failure is None:
            call = next(self._calls, None)
        return call
