"""One connection on asyncio: the transport's end of the protocol core."""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from pushsvc.delivery.wire.connection import Connection
from pushsvc.delivery.wire.errors import HeaderError
from pushsvc.delivery.wire.feed import Feed
from pushsvc.delivery.wire.limits import Limits
from pushsvc.delivery.wire.stream import Settled

#: Stream ids kept unused at the end of a connection's life: time to open the next one first.
_SPARE_IDS = 2**20


#: Bodies that one sender may queue before it is the next one's turn, and before they are
#: written: what a transport that stops taking bytes has to hold beyond its own limit.
_TURN_BYTES = 128 * 1024

#: Read at once. With a buffer of ours uvloop gathers TLS records in it; without, it allocates
#: 256 KiB for each record, and a server that answers in single records pays for that dearly.
_READ_BYTES = 128 * 1024


class Keeper(Protocol):
    """Who owns links: told when one may have room, and when one is gone."""

    def refill(self, link: "Link") -> None:
        """Something was received, or the transport takes bytes again."""

    def gone(self, link: "Link") -> None:
        """The transport is closed; all verdicts of the link have been told."""


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
        self._made_at = self._heard_at = clock()
        self._pinged_at: float | None = None
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

    def worn(self, now: float) -> bool:
        """Whether another connection should take this one's place."""
        core = self.core
        return now >= self._retire_at or core.ids_left < _SPARE_IDS or core.resets_too_much

    # -- What the keeper orders ---------------------------------------------------------------

    def adopt(self, retire_at: float) -> None:
        """Requests may go out, until about `retire_at`."""
        self.adopted = True
        self._retire_at = retire_at

    def pull(self, feed: Feed, most: int) -> bool:
        """Open up to `most` calls, or a turn's octets; False if the next must await the window."""
        core = self.core
        now = self._clock()
        deadline = now + feed.timeout_seconds
        octets = 0
        for _ in range(most):
            call = feed.take()
            if call is None:
                break
            try:
                opened = core.open(call, feed, deadline)
            except HeaderError as error:
                feed.reject(call[0], str(error))
                continue
            if not opened:
                feed.put_back(call)
                return False
            feed.in_flight += 1
            feed.progress_at = now
            octets += len(call[4])
            if octets >= _TURN_BYTES:
                break
        return True

    def flush(self) -> None:
        """Write what there is, and close when that was the last of it."""
        if self._transport is None or self.closing:
            return
        core = self.core
        if not core.streams and core.closed is None and (self.draining or core.goaway):
            self._tell(core.leave())
        if core.closed is not None:
            self.closing = True
            self._closed_at = self._clock()
            self._transport.write(core.take())
            self._transport.close()
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
        self.closing = True
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
        elif self._paused_at is not None and now - self._paused_at >= limits.stalled_write_seconds:
            self.abort("the peer has stopped reading")
        elif self._pinged_at is not None and now - self._pinged_at >= limits.ping_deadline_seconds:
            self.abort("no answer to PING")
        elif self._should_ping(now):
            self._pinged_at = now
            self.core.ping()

    def _should_ping(self, now: float) -> bool:
        limits = self._limits
        after = limits.ping_after_seconds if self.core.streams else limits.ping_idle_seconds
        silent = after is not None and now - self._heard_at >= after
        return silent and self.accepts and self._pinged_at is None

    # -- asyncio.BufferedProtocol -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is done; the preface goes out at once (RFC 9113 section 3.4)."""
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
        self._tell(self.core.receive(bytes(self._buffer[:nbytes])))
        self._keeper.refill(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever wanted it."""
        self._tell(self.core.lose(f"connection lost: {exc!r}" if exc else "end of connection"))
        self.closing = True
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

    def _tell(self, settled: list[Settled]) -> None:
        for stream, verdict in settled:
            stream.owner.settle(stream.key, verdict)
