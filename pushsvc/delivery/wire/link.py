"""One connection on asyncio: the transport's end of the protocol core."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Protocol, cast

from pushsvc.delivery.wire.connection import Connection
from pushsvc.delivery.wire.errors import ErrorCode, HeaderError
from pushsvc.delivery.wire.feed import Feed
from pushsvc.delivery.wire.headers import Call
from pushsvc.delivery.wire.limits import Limits
from pushsvc.delivery.wire.requests import Settled
from pushsvc.delivery.wire.stats import Health
from pushsvc.delivery.wire.tls import ALPN

#: Stream ids kept unused at the end of a connection's life: time to open the next one first.
_SPARE_IDS = 2**20


#: Bodies that one sender may queue before it is the next one's turn, and before they are
#: written: what a transport that stops taking bytes has to hold beyond its own limit.
_TURN_BYTES = 128 * 1024

#: Read at once. With a buffer of ours uvloop gathers TLS records in it; without, it allocates
#: 256 KiB for each record, and a server that answers in single records pays for that dearly.
_READ_BYTES = 128 * 1024

#: From so many calls on they are opened at once: below, that costs more than one by one.
_MANY = 8

_OWNER = itemgetter(0)


class Keeper(Protocol):
    """Who owns links: told when one may have room, and when one is gone."""

    def refill(self, link: "Link") -> None:
        """Something was received, or the transport takes bytes again."""

    def leaving(self, link: "Link") -> None:
        """The peer has said that it leaves: GOAWAY, with what is known of it in the core."""

    def over(self, link: "Link") -> None:
        """Nothing more is sent or read here; all verdicts of the link have been told."""

    def gone(self, link: "Link") -> None:
        """The transport is closed."""


class Link(asyncio.BufferedProtocol):
    """Reads into the core and writes what it gives, as few and as large pieces as there are."""

    def __init__(
        self, core: Connection, keeper: Keeper, *, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self.core = core
        self.lost = asyncio.get_running_loop().create_future()
        #: TLS is agreed and the keeper has it: requests may go out.
        self.adopted = False
        #: No new requests; closed when the last one is over.
        self.draining = False
        #: We have closed the transport, or are about to.
        self.closing = False
        self._keeper = keeper
        self._limits = limits
        self._clock = clock
        self._transport: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._paused_at: float | None = None
        #: When the peer last took some of what waits in the transport, and what that was then.
        self._taken_at = 0.0
        self._unwritten = 0
        #: The last call that was pulled had to be put back.
        self._window_full = False
        self._made_at = self._heard_at = clock()
        self._pinged_at: float | None = None
        #: What we say when we leave.
        self._parting = ErrorCode.NO_ERROR
        self._closed_at = self._retire_at = float("inf")

    def __repr__(self) -> str:
        state = "closing" if self.closing else "draining" if self.draining else "up"
        return f"<Link {state} {self.core!r}>"

    # -- What the keeper asks -----------------------------------------------------------------

    @property
    def accepts(self) -> bool:
        """Whether requests may be given to this link at all."""
        core = self.core
        return (
            self.adopted
            and not self.draining
            and not self.closing
            and core.goaway is None
            and core.closed is None
        )

    @property
    def paused(self) -> bool:
        """The transport has as much as it wants to hold."""
        return self._paused_at is not None

    @property
    def full(self) -> bool:
        """Whether streams, the connection's window or the transport leave no room for more."""
        return self.paused or self._window_full or self.core.room() <= 0

    def worn(self, now: float) -> bool:
        """Whether another connection should take this one's place."""
        core = self.core
        return now >= self._retire_at or core.ids_left < _SPARE_IDS or core.resets_too_much

    def health(self, now: float) -> Health:
        """How the connection does."""
        core = self.core
        return Health(
            accepts=self.accepts,
            age_seconds=now - self._made_at,
            silent_seconds=now - self._heard_at,
            in_flight=len(core.streams),
            allowed=core.allowed,
            counts=replace(core.counts),
        )

    # -- What the keeper orders ---------------------------------------------------------------

    def adopt(self, retire_at: float) -> None:
        """Requests may go out, until about `retire_at`."""
        self.adopted = True
        self._retire_at = retire_at

    def pull(self, feed: Feed, most: int) -> bool:
        """Open up to `most` calls, or a turn's octets.

        False if there is a call and not even one had room in the connection's window.
        """
        core, first_id = self.core, self.core.next_id
        # Counted itself, so that a call which is rejected at once does not make the feed look
        # ahead, past the one that is being taken; the keeper does that afterwards.
        feed.in_flight += 1
        self._window_full = False
        room = min(core.window, _TURN_BYTES) // feed.body_bytes
        calls = feed.take(max(1, min(most, room)))
        if len(calls) >= _MANY and core.open_at_once(calls, feed):
            feed.in_flight += len(calls)
            feed.body_bytes = len(calls[-1][4])
        elif left := self._open_each(calls, feed):
            feed.put_back(left)
        feed.in_flight -= 1
        if core.next_id > first_id:
            feed.progress_at = self._clock()
            core.set_deadline(first_id, feed.progress_at + feed.timeout_seconds)
            return True
        return not self._window_full

    def _open_each(self, calls: list[Call], feed: Feed) -> list[Call]:
        """Open calls one by one; the answer is what is left for want of room or of a sender."""
        octets, failure = 0, feed.failure
        for at, call in enumerate(calls, 1):
            try:
                if not self.core.open(call, feed):
                    self._window_full = True
                    return calls[at - 1 :]
            except HeaderError as error:
                feed.reject(call[0], str(error))
            except Exception as error:  # noqa: BLE001 - a call of the wrong types is the caller's
                feed.fail(error)
            else:
                feed.in_flight += 1
                feed.body_bytes = len(call[4]) or 1
                octets += len(call[4])
            if octets >= _TURN_BYTES or feed.failure is not failure:
                return calls[at:]
        return []

    def flush(self) -> None:
        """Write what there is, and close when that was the last of it."""
        if self._transport is None or self.closing:
            return
        core = self.core
        if not core.streams and core.closed is None and (self.draining or core.goaway):
            self._tell(core.leave(self._parting))
        if core.closed is not None:
            self._closed_at = self._clock()
            self._transport.write(core.take())
            self._transport.close()
            self._end()
        elif self._paused_at is None and (octets := core.take()):
            self._transport.write(octets)

    def cancel(self, feed: Feed) -> None:
        """Reset the requests of a feed whose caller has gone."""
        if self.core.cancel(feed):
            self.flush()

    def drain(self) -> None:
        """Take no more requests, and close after the last."""
        self.draining = True
        self.flush()

    def abort(self, why: str) -> None:
        """Close now; what is in flight is settled."""
        self._tell(self.core.lose(why))
        self._end()
        if self._transport is not None:
            self._transport.abort()

    def tick(self, now: float) -> None:
        """Deadlines and signs of life; called several times a second while anything is open."""
        expired = self.core.expire(now)
        self.core.tick()
        if expired and now - self._heard_at >= self._limits.silence_seconds:
            self.draining = True
        self._tell(expired)
        self._listen(now)
        self.flush()

    # -- Signs of life ------------------------------------------------------------------------

    def _listen(self, now: float) -> None:
        limits = self._limits
        if not self.core.greeted and now - self._made_at >= limits.connect_timeout_seconds:
            self.abort("no SETTINGS in time")
        elif now - self._closed_at >= limits.ping_deadline_seconds:
            self.abort("the peer does not close")
        elif self._stalled_seconds(now) >= limits.stalled_write_seconds:
            self.abort("the peer has stopped reading")
        elif self._pinged_at is not None and now - self._pinged_at >= limits.ping_deadline_seconds:
            self.abort("no answer to PING")
        elif not self.core.acknowledged and now - self._made_at >= limits.settings_ack_seconds:
            # Section 6.5.3. What is under way may still be answered.
            self._parting = ErrorCode.SETTINGS_TIMEOUT
            self.draining = True
        elif self._should_ping(now):
            self._pinged_at = now
            self.core.ping()

    def _stalled_seconds(self, now: float) -> float:
        """How long the transport has been full without the peer taking anything from it."""
        if self._paused_at is None or self._transport is None:
            return 0.0
        unwritten = self._transport.get_write_buffer_size()
        if unwritten < self._unwritten:
            self._taken_at = now
        self._unwritten = unwritten
        return now - max(self._paused_at, self._taken_at)

    def _should_ping(self, now: float) -> bool:
        limits = self._limits
        after = limits.ping_after_seconds if self.core.streams else limits.ping_idle_seconds
        silent = after is not None and now - self._heard_at >= after
        return silent and self.accepts and self._pinged_at is None

    # -- asyncio.BufferedProtocol -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is done; the preface goes out at once (RFC 9113 section 3.4), if it is h2."""
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() == ALPN:
            # uvloop's TLS transport is one by its methods only.
            self._transport = cast("asyncio.Transport", transport)
            self.flush()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where the transport reads into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Answers first, then new requests and acknowledgements in one write."""
        self._heard_at = self._clock()
        self._pinged_at = None
        goaway = self.core.goaway
        self._tell(self.core.receive(bytes(self._buffer[:nbytes])))
        if self.core.goaway is not goaway:
            self._keeper.leaving(self)
        self._keeper.refill(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever wanted it."""
        self._tell(self.core.lose(f"connection lost: {exc!r}" if exc else "end of connection"))
        self._end()
        self._transport = None
        self._keeper.gone(self)
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        """The transport's buffer is full: requests wait with their senders."""
        self._paused_at = self._clock()

    def resume_writing(self) -> None:
        """The transport takes bytes again."""
        self._paused_at = None
        self._keeper.refill(self)

    def _end(self) -> None:
        if not self.closing:
            self.closing = True
            self._keeper.over(self)

    def _tell(self, settled: list[Settled]) -> None:
        for owner, of_one in groupby(settled, _OWNER):
            owner.settle(of_one)
