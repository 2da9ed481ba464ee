"""One HTTP/2 connection of a client: bytes in, verdicts out; no I/O, no clock, no log.

The shell writes what `take` gives, hands what it reads to `receive`, and tells each owner the
verdicts. Every request that `open` took ends in exactly one verdict, or in `cancel`. The
section numbers are of RFC 9113.
"""

from collections.abc import Callable
from typing import Final

from pushsvc.delivery.wire import frames, settings
from pushsvc.delivery.wire.errors import ErrorCode, PeerError, StreamError, code_name
from pushsvc.delivery.wire.events import Answered, GoAway, NotProcessed, Unknown, Verdict
from pushsvc.delivery.wire.flow import ReceiveWindow
from pushsvc.delivery.wire.frames import ACK, END_HEADERS, END_STREAM, HAS_PRIORITY, PADDED
from pushsvc.delivery.wire.headers import Call
from pushsvc.delivery.wire.inbound import Inbound
from pushsvc.delivery.wire.limits import Limits
from pushsvc.delivery.wire.outbound import Outbound
from pushsvc.delivery.wire.response import Head
from pushsvc.delivery.wire.stats import Counts
from pushsvc.delivery.wire.stream import Owner, Settled, Stream

#: Servers punish clients that reset much. Each reset costs ten, each answer pays one back, and
#: a connection that owes more than this (100 resets beyond one in ten) should be replaced.
_RESET_COST: Final = 10
_MAX_RESET_DEBT: Final = 1_000

#: Frame type: exact payload length, where it has one (section 6).
_EXACT: Final = {frames.PRIORITY: 5, frames.RST_STREAM: 4, frames.PING: 8, frames.WINDOW_UPDATE: 4}
_OF_CONNECTION: Final = frozenset((frames.SETTINGS, frames.PING, frames.GOAWAY))
_OF_EITHER: Final = frozenset((frames.WINDOW_UPDATE,))

_Handler = Callable[[int, int, bytes], None]


class Connection:
    """The protocol's state; `authority` is what requests carry as :authority."""

    def __init__(self, authority: bytes, limits: Limits) -> None:
        self.streams: dict[int, Stream] = {}
        self.counts = Counts()
        self.goaway: GoAway | None = None
        #: Why the connection is over, once it is.
        self.closed: str | None = None
        self._limits = limits
        self._allowed = 0 if limits.await_settings else limits.streams_before_settings
        self._in = Inbound(limits)
        self._out = Outbound(authority)
        self._out.put(self._in.greeting(limits))
        self._reset_debt = 0
        self._answered_at_tick = 0
        self._settled: list[Settled] = []
        self._handlers: tuple[_Handler, ...] = (
            self._on_data,
            self._on_headers,
            self._on_priority,
            self._on_reset,
            self._on_settings,
            self._on_push_promise,
            self._on_ping,
            self._on_goaway,
            self._on_window_update,
            self._on_continuation,
        )

    def __repr__(self) -> str:
        state = self.closed or self.goaway or "open"
        return f"<Connection {state}, {len(self.streams)}/{self._allowed} streams, {self.counts}>"

    # -- What the shell asks ------------------------------------------------------------------

    def room(self) -> int:
        """How many requests may be opened now; below zero when the peer has lowered its limit."""
        if self.goaway is not None or self.closed is not None:
            return 0
        return min(self._allowed - len(self.streams), self._out.ids_left)

    @property
    def greeted(self) -> bool:
        """Whether the peer has sent its SETTINGS."""
        return self._in.greeted

    @property
    def ids_left(self) -> int:
        """How many more requests this connection can carry in its life."""
        return self._out.ids_left

    @property
    def resets_too_much(self) -> bool:
        """Whether so much has been reset here that a server may take offence."""
        return self._reset_debt > _MAX_RESET_DEBT

    # -- What the shell orders ----------------------------------------------------------------

    def open(self, call: Call, owner: Owner, deadline: float) -> bool:
        """Queue one request; False if its body must wait for the connection's window.

        On a connection with nothing under way it need not wait: a body larger than the window
        then goes in pieces. Ask `room` first.

        Raises:
            HeaderError: the call can never be sent; nothing has changed.
        """
        if self.streams and not self._out.fits(len(call[4])):
            return False
        stream = Stream(call[0], owner, deadline)
        self.streams[self._out.request(stream, call)] = stream
        return True

    def receive(self, octets: bytes) -> list[Settled]:
        """Take what the transport read; the answer is what it settled.

        Afterwards `closed` may be set: write what `take` gives, then close.
        """
        settled: list[Settled] = []
        if self.closed is not None:
            return settled
        self._settled = settled
        handlers = self._handlers
        try:
            for kind, flags, stream_id, payload in self._in.frames(octets):
                if kind >= len(handlers):
                    self._noise()
                    continue
                try:
                    handlers[kind](flags, stream_id, payload)
                except StreamError as error:
                    self._reset(stream_id, error.code)
                    self._give_up(stream_id, error.why)
        except PeerError as error:
            self._out.put(frames.goaway(error.code, error.why.encode()))
            self._end(f"{error.code.name}: {error.why}")
        return settled

    def take(self) -> bytes:
        """The bytes to write now."""
        return self._out.take()

    def expire(self, now: float) -> list[Settled]:
        """Reset every request whose deadline has passed."""
        self._settled = settled = list[Settled]()
        for stream_id, stream in [*self.streams.items()]:
            if stream.deadline <= now:
                self._reset(stream_id, ErrorCode.CANCEL)
                self._give_up(stream_id, "deadline")
        return settled

    def cancel(self, owner: Owner) -> int:
        """Reset the requests of one owner, who wants no verdicts any more; how many they were."""
        owned = [open_id for open_id, stream in self.streams.items() if stream.owner is owner]
        for stream_id in owned:
            self._reset(stream_id, ErrorCode.CANCEL)
            del self.streams[stream_id]
        return len(owned)

    def tick(self) -> None:
        """Some time has passed: floods are counted anew."""
        self._answered_at_tick = self.counts.answered
        self._in.tick()

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self._out.put(frames.frame(frames.PING, 0, 0, payload=b"pushsvc?"))

    def leave(self) -> list[Settled]:
        """Say that we are going (section 6.8), and settle whatever is left."""
        if self.closed is None:
            self._out.put(frames.goaway(ErrorCode.NO_ERROR))
        return self.lose("closed by us")

    def lose(self, why: str) -> list[Settled]:
        """The transport is gone: settle whatever is left."""
        self._settled = settled = list[Settled]()
        self._end(f"{why} after {self.goaway}" if self.goaway else why)
        return settled

    # -- Verdicts -----------------------------------------------------------------------------

    def _answer(self, stream_id: int, stream: Stream, answered: Answered) -> None:
        """An answer before we have sent all is an answer; the rest is not sent (8.1)."""
        self._settle(stream_id, stream, answered)
        if stream.unsent:
            self._out.reset(stream_id, ErrorCode.NO_ERROR)

    def _settle(self, stream_id: int, stream: Stream, verdict: Verdict) -> None:
        del self.streams[stream_id]
        self._settled.append((stream, verdict))
        if isinstance(verdict, Answered):
            self.counts.answered += 1
            self._reset_debt = self._reset_debt and self._reset_debt - 1
        elif isinstance(verdict, NotProcessed):
            self.counts.not_processed += 1
        else:
            self.counts.unknown += 1

    def _give_up(self, stream_id: int, why: str) -> None:
        """The stream ends without an answer.

        Nobody acts on a request without END_STREAM; but a peer that has begun to answer one may.
        """
        stream = self.streams[stream_id]
        in_part = stream.unsent and stream.head is None
        verdict = NotProcessed(f"{why}, not sent in full") if in_part else Unknown(why)
        self._out.abandon(stream_id)
        self._settle(stream_id, stream, verdict)

    def _refuse(self, stream_id: int, why: str) -> None:
        """The peer says that it did not act on the request (sections 6.8 and 8.7)."""
        self._out.abandon(stream_id)
        self._settle(stream_id, self.streams[stream_id], NotProcessed(why))

    def _reset(self, stream_id: int, code: ErrorCode) -> None:
        self.counts.resets_sent += 1
        self._reset_debt += _RESET_COST
        self._out.reset(stream_id, code)

    def _end(self, why: str) -> None:
        if self.closed is None:
            self.closed = why
        for stream_id in [*self.streams]:
            self._give_up(stream_id, self.closed)

    # -- Responses (section 8.1) --------------------------------------------------------------

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & (PADDED | HAS_PRIORITY):
            payload = frames.content(flags, payload)
        if not flags & END_HEADERS:
            self._in.begin_block(flags, stream_id, payload)
        else:
            self._on_block(flags, stream_id, payload)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        whole = self._in.continue_block(flags, payload)
        if whole is not None:
            self._on_block(whole[0], stream_id, whole[1])

    def _on_block(self, flags: int, stream_id: int, block: bytes) -> None:
        # Decoded first, whatever the stream: the peer's table has no other way to stay ours.
        head = self._in.heads.read(block)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._on_closed_stream(stream_id)
        elif head.problem is not None:
            raise StreamError(ErrorCode.PROTOCOL_ERROR, f"malformed response: {head.problem}")
        elif stream.head is not None:
            self._on_trailers(flags, head)
            self._finish(stream_id, stream)
        elif head.answered is None:
            raise StreamError(ErrorCode.PROTOCOL_ERROR, "malformed response: no status")
        elif head.interim:
            self._on_interim(flags)
        elif flags & END_STREAM:
            self._answer(stream_id, stream, head.answered)
        else:
            stream.head = head

    def _on_interim(self, flags: int) -> None:
        if flags & END_STREAM:
            raise StreamError(ErrorCode.PROTOCOL_ERROR, "malformed response: ends with 1xx")
        self._noise()

    def _on_trailers(self, flags: int, trailers: Head) -> None:
        if trailers.answered is not None or not flags & END_STREAM:
            raise StreamError(ErrorCode.PROTOCOL_ERROR, "malformed response: second head")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        octets = len(payload)
        if credit := self._in.credit(octets):
            self._out.put(credit)
        if flags & PADDED:
            payload = frames.content(flags & PADDED, payload)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._on_closed_stream(stream_id)
            return
        if stream.head is None:
            raise StreamError(ErrorCode.PROTOCOL_ERROR, "malformed response: DATA before HEADERS")
        stream.add(payload)
        if len(stream.body) > self._limits.max_body_bytes:
            self._cut(stream_id, stream)
        elif flags & END_STREAM:
            self._finish(stream_id, stream)
        else:
            self._receive_more(stream_id, stream, octets)
            if not payload:
                self._noise()

    def _receive_more(self, stream_id: int, stream: Stream, octets: int) -> None:
        if stream.receiving is None:
            stream.receiving = ReceiveWindow(settings.stream_window(self._limits), StreamError)
        if grant := stream.receiving.spend(octets):
            self._out.put(frames.window_update(stream_id, grant))

    def _cut(self, stream_id: int, stream: Stream) -> None:
        """More body than anybody wants: keep the start, and ask for no more."""
        self._reset(stream_id, ErrorCode.CANCEL)
        self._settle(stream_id, stream, stream.answered(self._limits.max_body_bytes))

    def _finish(self, stream_id: int, stream: Stream) -> None:
        """END_STREAM after a head and perhaps a body."""
        answered = stream.answered(self._limits.max_body_bytes)
        # A head for which no body came may state the length of what it stands for (304).
        if stream.body and stream.length not in {None, len(stream.body)}:
            raise StreamError(ErrorCode.PROTOCOL_ERROR, "malformed response: content-length")
        self._answer(stream_id, stream, answered)

    def _on_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._check(frames.RST_STREAM, stream_id, payload)
        self.counts.resets_received += 1
        stream = self.streams.get(stream_id)
        if stream is None:
            self._on_closed_stream(stream_id)
            return
        code = frames.word(payload)
        if code == ErrorCode.REFUSED_STREAM and stream.head is None:
            self._refuse(stream_id, "reset: REFUSED_STREAM")
        else:
            self._give_up(stream_id, f"reset: {code_name(code)}")

    def _on_closed_stream(self, stream_id: int) -> None:
        """Late frames of a stream we have forgotten are harmless; on one never opened, illegal."""
        if stream_id % 2 == 0 or stream_id >= self._out.next_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, f"frame on idle stream {stream_id}")
        self._noise()

    # -- The connection (section 6) -----------------------------------------------------------

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._check(frames.SETTINGS, stream_id, payload)
        self._noise()
        if flags & ACK:
            if payload:
                raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS ACK with a payload")
            self._in.heads.allow(0)
            return
        entries = settings.checked(payload)
        if not self._in.greeted:
            self._in.greeted = True
            self._allowed = self._limits.max_streams
        for name, value in entries:
            self._apply(name, value)
        self._out.put(frames.frame(frames.SETTINGS, ACK, 0))

    def _apply(self, name: int, value: int) -> None:
        if name == settings.MAX_CONCURRENT_STREAMS:
            self._allowed = min(value, self._limits.max_streams)
        elif name == settings.INITIAL_WINDOW_SIZE:
            self._out.resize_initial_window(value)
        elif name == settings.HEADER_TABLE_SIZE:
            self._out.encoder.resize(value)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._check(frames.PING, stream_id, payload)
        self._noise()
        if not flags & ACK:
            self._out.put(frames.frame(frames.PING, ACK, 0, payload=payload))

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._check(frames.GOAWAY, stream_id, payload)
        self._noise()
        self.counts.goaways += 1
        goaway = GoAway(*frames.goaway_fields(payload))
        if self.goaway is not None:
            goaway = self.goaway.followed_by(goaway)
        self.goaway = goaway
        for open_id in [*self.streams]:
            if open_id > goaway.last_id:
                self._refuse(open_id, str(goaway))

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._check(frames.WINDOW_UPDATE, stream_id, payload)
        octets = frames.increment(payload)
        if stream_id == 0:
            self._out.widen(octets)
        elif stream_id in self.streams:
            self._out.widen_stream(stream_id, octets)
        else:
            self._on_closed_stream(stream_id)

    def _on_priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._check(frames.PRIORITY, stream_id, payload)
        self._noise()

    def _on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise PeerError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, and push is disabled")

    def _check(self, kind: int, stream_id: int, payload: bytes) -> None:
        """Length, and whether the frame is about the connection or a stream."""
        if len(payload) != _EXACT.get(kind, len(payload)):
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"type {kind} of {len(payload)} bytes")
        if kind not in _OF_EITHER and (stream_id == 0) != (kind in _OF_CONNECTION):
            raise PeerError(ErrorCode.PROTOCOL_ERROR, f"type {kind} on stream {stream_id}")

    def _noise(self) -> None:
        self._in.noise(self.counts.answered - self._answered_at_tick)
