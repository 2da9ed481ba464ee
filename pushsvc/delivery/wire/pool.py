"""The connections to one origin: fed by many senders, grown, drained and replaced."""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pushsvc.delivery.wire.connection import Connection
from pushsvc.delivery.wire.dial import Dialer, DialError
from pushsvc.delivery.wire.errors import ErrorCode
from pushsvc.delivery.wire.events import Verdict
from pushsvc.delivery.wire.feed import Feed, OnVerdict
from pushsvc.delivery.wire.headers import Call, Template, check_path
from pushsvc.delivery.wire.hpack import DEFAULT_TABLE_BYTES
from pushsvc.delivery.wire.limits import Limits
from pushsvc.delivery.wire.link import Link
from pushsvc.delivery.wire.origin import Origin
from pushsvc.delivery.wire.pace import Pace
from pushsvc.delivery.wire.proxy import Proxy
from pushsvc.delivery.wire.stats import Counts, Health, Stats

#: How exact deadlines are, and how often growth is considered, while anything is under way.
_TICK_SECONDS = 0.1
#: With nothing under way, for idle PINGs and age.
_IDLE_TICK_SECONDS = 1.0

#: Calls one sender may open before it is the next one's turn, and before bytes are written.
_TURN = 256


class Pool:
    """Sends requests to `origin` over as few connections as their number needs.

    `connect_to` (host, port) replaces what DNS says about the origin. Requests never wait in a
    connection: they are pulled from their senders, in turns, when a stream, the connection's
    window and the transport's buffer are free.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        ssl_context: ssl.SSLContext,
        connect_to: tuple[str, int] | None = None,
        limits: Limits | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self._origin = origin
        self._authority = origin.authority
        self._limits = limits or Limits()
        self._dialer = Dialer(
            origin=origin,
            ssl_context=ssl_context,
            connect_to=connect_to,
            timeout_seconds=self._limits.connect_timeout_seconds,
            proxy=proxy,
        )
        self._pace = Pace(self._limits)
        self._links: list[Link] = []
        self._waiting: deque[Feed] = deque()
        self._opener: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._kicked: asyncio.Handle | None = None
        self._opened = 0
        self._connect_failures = 0
        self._past = Counts()
        #: All links were full when last looked at, and one more is allowed.
        self._short = False
        self._closed = False

    def __repr__(self) -> str:
        return f"<Pool {self.info()}>"

    # -- Sending ------------------------------------------------------------------------------

    async def send_many(
        self, calls: Iterable[Call], on_verdict: OnVerdict, *, timeout_seconds: float
    ) -> None:
        """Send every call; `on_verdict(key, verdict)` is told once for each that was pulled.

        Returns when all verdicts are told. The network never raises here. Calls for which no
        connection or no stream could be had get NotProcessed: after
        `Limits.connect_attempts` failed connects in a row, or after `timeout_seconds` without
        any progress. `timeout_seconds` also limits each request from the moment it is written.
        An exception of `calls` or `on_verdict` ends the pulling, and is raised when what is in
        flight has its verdicts. Cancelled, it resets its own requests and tells no more.
        """
        done = asyncio.get_running_loop().create_future()
        feed = Feed(iter(calls), on_verdict, done, timeout_seconds=timeout_seconds)
        try:
            if not feed.done.done():
                self._admit(feed)
            await feed.done
            await feed.give_back()
        finally:
            self._withdraw(feed)
        if feed.failure is not None:
            raise feed.failure

    async def request(  # noqa: PLR0917 - the words of a request line, in its order
        self,
        method: bytes,
        path: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        *,
        timeout_seconds: float,
    ) -> Verdict:
        """Send one request of any kind.

        Raises:
            HeaderError: method, path or a header must not be sent.
        """
        check_path(path)
        template = Template((), literal=headers, method=method)
        verdicts: dict[int, Verdict] = {}
        await self.send_many(
            [(0, template, path, (), body)],
            verdicts.__setitem__,
            timeout_seconds=timeout_seconds,
        )
        return verdicts[0]

    # -- Looking and leaving ------------------------------------------------------------------

    @property
    def stats(self) -> Stats:
        """The pool now, and what has happened in it."""
        accepting = sum(link.accepts for link in self._links)
        counts = Counts()
        counts.add(self._past)
        for link in self._links:
            counts.add(link.core.counts)
        return Stats(
            connections=accepting,
            draining=len(self._links) - accepting,
            in_flight=sum(len(link.core.streams) for link in self._links),
            waiting=len(self._waiting),
            opened=self._opened,
            connect_failures=self._connect_failures,
            answered=counts.answered,
            errors=counts.errors,
            not_processed=counts.not_processed,
            unknown=counts.unknown,
            resets_sent=counts.resets_sent,
            resets_received=counts.resets_received,
            goaways=counts.goaways,
        )

    def connections(self) -> list[Health]:
        """How each connection does, those included that only finish what they have."""
        now = self._clock()
        return [link.health(now) for link in self._links]

    def info(self) -> str:
        """The state in one line."""
        return f"{self._origin} {self.stats}"

    async def close(self, *, drain_seconds: float = 5.0) -> None:
        """Take no more calls, let requests under way finish for a while, then end them."""
        self._closed = True
        for feed in list(self._waiting):
            feed.refuse("the pool is closed")
        if self._opener is not None:
            self._opener.cancel()
            await asyncio.gather(self._opener, return_exceptions=True)
        for link in list(self._links):
            link.drain()
        await self._links_lost(drain_seconds)
        for link in list(self._links):
            link.abort("the pool is closed")
        await self._links_lost(drain_seconds)
        for handle in (self._timer, self._kicked):
            if handle is not None:
                handle.cancel()

    async def _links_lost(self, seconds: float) -> None:
        if lost := [link.lost for link in self._links]:
            await asyncio.wait(lost, timeout=seconds)

    # -- Feeding ------------------------------------------------------------------------------

    def _admit(self, feed: Feed) -> None:
        """Take a sender in; all that come in one turn of the loop share its writes."""
        if self._closed:
            feed.refuse("the pool is closed")
            return
        feed.progress_at = self._clock()
        self._waiting.append(feed)
        self._kick_soon()

    def _kick_soon(self) -> None:
        if self._kicked is None:
            self._kicked = asyncio.get_running_loop().call_soon(self._kick)

    def _kick(self) -> None:
        self._kicked = None
        self._fill_all()
        self._schedule()

    def _withdraw(self, feed: Feed) -> None:
        """The sender is done, or has been cancelled."""
        if feed in self._waiting:
            self._waiting.remove(feed)
        if feed.in_flight:
            for link in list(self._links):
                link.cancel(feed)
            self._kick_soon()

    def _fill_all(self) -> None:
        """Give the waiting calls to the links, the least loaded first."""
        for link in sorted(self._accepting(), key=lambda link: len(link.core.streams)):
            self._fill(link)
        self._open_if_wanted()

    def _fill(self, link: Link) -> None:
        """Let senders take turns on a link until nobody waits or it has no room."""
        waiting = self._waiting
        while waiting and not link.paused:
            room = link.core.room()
            if room <= 0:
                break
            feed = waiting.popleft()
            had_its_turn = link.pull(feed, min(room, _TURN))
            if not feed.in_flight:
                feed.look_ahead()
            if not had_its_turn:
                # It is next, or large bodies would wait for ever behind small ones.
                waiting.appendleft(feed)
                break
            if not feed.ended:
                waiting.append(feed)
            link.flush()
        link.flush()

    # -- Links --------------------------------------------------------------------------------

    def refill(self, link: Link) -> None:
        """A link has received something, or takes bytes again."""
        if self._pace.failures and link.core.counts.answered:
            self._pace.worked()
        if link.accepts:
            self._fill(link)
        else:
            link.flush()
            self._open_if_wanted()

    def leaving(self, link: Link) -> None:
        """A link takes no more requests: its replacement may have to wait."""
        if link.core.goaway is not None and link.core.goaway.code == ErrorCode.ENHANCE_YOUR_CALM:
            self._pace.calm(self._clock())

    def over(self, link: Link) -> None:
        """A link has ended. One that never answered counts as a failed connect."""
        if link not in self._links:
            return
        if link.core.fault == ErrorCode.COMPRESSION_ERROR:
            self._limits = replace(self._limits, response_table_bytes=DEFAULT_TABLE_BYTES)
        if not link.core.counts.answered and not self._closed:
            self._note_failure(f"{link.core.goaway or link.core.closed}")

    def gone(self, link: Link) -> None:
        """A link's transport is closed."""
        if link in self._links:
            self._links.remove(link)
            self._past.add(link.core.counts)
            self._open_if_wanted()

    def _accepting(self) -> list[Link]:
        return [link for link in self._links if link.accepts]

    def _make_link(self) -> Link:
        core = Connection(self._authority, self._limits)
        return Link(core, self, limits=self._limits, clock=self._clock)

    def _adopt(self, link: Link) -> None:
        """A new link takes requests; those it replaces finish theirs."""
        now = self._clock()
        self._opened += 1
        self._short = False
        self._pace.opened(now)
        if link.closing:
            self._note_failure(f"{link.core.goaway or link.core.closed}")
            return
        age = self._limits.max_connection_age_seconds
        link.adopt(now + age * random.uniform(0.9, 1.0))  # noqa: S311 - jitter
        self._links.append(link)
        for other in self._accepting():
            if other.worn(now):
                other.drain()
        self._fill_all()
        self._schedule()

    def _note_failure(self, why: str) -> None:
        """Back off; with no link left and no hope, give the waiting calls back."""
        self._connect_failures += 1
        self._pace.failed(self._clock(), random.random())  # noqa: S311 - jitter
        if self._pace.hopeless and not self._accepting():
            for feed in list(self._waiting):
                feed.refuse(f"no connection: {why}")

    # -- Opening ------------------------------------------------------------------------------

    def _open_if_wanted(self) -> None:
        if self._wants_link() and (self._opener is None or self._opener.done()):
            self._opener = asyncio.get_running_loop().create_task(
                self._open_while_wanted(), name=f"open {self._origin}"
            )

    def _wants_link(self) -> bool:
        """Calls wait and there is no link, or all are full; or one in use is worn."""
        if self._closed:
            return False
        hungry = not all(feed.ended for feed in self._waiting)
        accepting = self._accepting()
        if not accepting:
            return hungry
        now = self._clock()
        worn = any(link.worn(now) and (hungry or link.core.streams) for link in accepting)
        return (worn or (hungry and self._short)) and self._pace.may_grow(now)

    def _is_short(self) -> bool:
        """Whether calls wait although every link has all it can carry."""
        accepting = self._accepting()
        return (
            len(accepting) < self._limits.max_connections
            and all(link.full for link in accepting)
            and any(feed.has_more() for feed in self._waiting)
        )

    async def _open_while_wanted(self) -> None:
        """One connection at a time, with pauses after failures."""
        while self._wants_link():
            if delay := self._pace.delay(self._clock()):
                await asyncio.sleep(delay)
                continue
            try:
                link = await self._dialer.connect(self._make_link)
            except DialError as error:
                self._note_failure(str(error))
            else:
                self._adopt(link)

    # -- Time ---------------------------------------------------------------------------------

    def _clock(self) -> float:
        return asyncio.get_running_loop().time()

    def _schedule(self) -> None:
        """Keep one timer: quick while anything is under way, slow while links are idle."""
        busy = self._waiting or any(link.core.streams or not link.accepts for link in self._links)
        if not busy and not self._links:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + (_TICK_SECONDS if busy else _IDLE_TICK_SECONDS)
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._patrol)

    def _patrol(self) -> None:
        """Deadlines, signs of life, starved senders, growth, worn links."""
        self._timer = None
        now = self._clock()
        for feed in self._waiting:
            if feed.in_flight:
                feed.progress_at = now
        for link in list(self._links):
            link.tick(now)
        for feed in list(self._waiting):
            if not feed.in_flight and now - feed.progress_at >= feed.timeout_seconds:
                feed.refuse(f"no stream was free for {feed.timeout_seconds} s")
        self._fill_all()
        self._short = self._is_short()
        self._open_if_wanted()
        for link in self._accepting():
            if link.worn(now) and not link.core.streams:
                link.drain()
        self._schedule()
