"""One HTTP/2 connection of a client: bytes in, verdicts out; no I/O, no clock, no log.

The shell writes what `take` gives, hands what it reads to `receive`, and tells each owner the
verdicts. Every request that `open` took ends in exactly one verdict, or in `cancel`. The
section numbers are of RFC 9113.
"""

from collections.abc import Callable, Sequence
from typing import Final

from pushsvc.delivery.wire import frames, settings
from pushsvc.delivery.wire.deadlines import Deadlines
from pushsvc.delivery.wire.errors import ErrorCode, PeerError, StreamError, code_name
from pushsvc.delivery.wire.events import Answered, GoAway
from pushsvc.delivery.wire.flow import ReceiveWindow
from pushsvc.delivery.wire.frames import ACK, END_HEADERS, END_STREAM, HAS_PRIORITY, PADDED
from pushsvc.delivery.wire.headers import Call
from pushsvc.delivery.wire.inbound import Inbound
from pushsvc.delivery.wire.limits import Limits
from pushsvc.delivery.wire.outbound import Outbound
from pushsvc.delivery.wire.patience import Patience
from pushsvc.delivery.wire.requests import Owner, Requests, Response, Settled
from pushsvc.delivery.wire.response import Block, Broken, Other
from pushsvc.delivery.wire.usual import Usual

#: One part in so many of our cap comes back with each tick: from one stream to a thousand in
#: about five seconds of ticks at a tenth.
_CALM_REGAIN: Final = 8

#: Frame type: exact payload length, where it has one (section 6).
_EXACT: Final = {frames.PRIORITY: 5, frames.PING: 8, frames.WINDOW_UPDATE: 4}
_OF_CONNECTION: Final = frozenset((frames.SETTINGS, frames.PING, frames.GOAWAY))
_OF_EITHER: Final = frozenset((frames.WINDOW_UPDATE,))

_Handler = Callable[[int, int, bytes], None]


class Connection:
    """The protocol's state; `authority` is what requests carry as :authority."""

    def __init__(self, authority: bytes, limits: Limits) -> None:
        self.goaway: GoAway | None = None
        #: Why the connection is over, once it is.
        self.closed: str | None = None
        #: The rule of the connection that the peer broke, if that was its end.
        self.fault: ErrorCode | None = None
        #: Our SETTINGS are in force.
        self.acknowledged = False
        self._limits = limits
        self._allowed = 0 if limits.await_settings else limits.streams_before_settings
        self._in = Inbound(limits)
        self._out = Outbound(authority)
        self._out.put(self._in.greeting(limits))
        self._requests = Requests(self._out)
        self._deadlines = Deadlines()
        #: Our own cap on open streams: halved when the peer wants calm, regained little by little.
        self._calm = limits.max_streams
        #: The open streams, in the order of their ids.
        self.streams = self._requests.open
        self.counts = self._requests.counts
        self._patience = Patience(self.counts)
        self._usual = Usual(self._in, self._out, self._requests, patience=self._patience)
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
        return f"<Connection {state}, {len(self.streams)}/{self.allowed} streams, {self.counts}>"

    # -- What the shell asks ------------------------------------------------------------------

    def room(self) -> int:
        """How many requests may be opened now; below zero when the peer has lowered its limit."""
        if self.goaway is not None or self.closed is not None:
            return 0
        return min(self.allowed - len(self.streams), self._out.ids_left)

    @property
    def allowed(self) -> int:
        """How many streams may be open at once, by the peer's word and our own."""
        return min(self._allowed, self._calm)

    @property
    def greeted(self) -> bool:
        """Whether the peer has sent its SETTINGS."""
        return self._in.greeted

    @property
    def window(self) -> int:
        """Octets of bodies that may be promised now (section 6.9)."""
        return self._out.window - self._out.reserved

    @property
    def next_id(self) -> int:
        """The id that the next request will have."""
        return self._out.next_id

    @property
    def ids_left(self) -> int:
        """How many more requests this connection can carry in its life."""
        return self._out.ids_left

    @property
    def resets_too_much(self) -> bool:
        """Whether so much has been reset here that a server may take offence."""
        return self._requests.reset_too_much

    # -- What the shell orders ----------------------------------------------------------------

    def open(self, call: Call, owner: Owner) -> bool:
        """Queue one request; False if its body must wait for the connection's window.

        On a connection with nothing under way it need not wait: a body larger than the window
        then goes in pieces. Ask `room` first.

        Raises:
            HeaderError: the call can never be sent; nothing has changed.
        """
        stream_id = self._out.request(call, alone=not self.streams)
        if stream_id:
            self.streams[stream_id] = (owner, call[0])
        return stream_id != 0

    def open_at_once(self, calls: Sequence[Call], owner: Owner) -> bool:
        """Queue many usual requests; False, and nothing has happened: `open` them one by one."""
        ids = self._out.requests(calls)
        self.streams.update(zip(ids, [(owner, call[0]) for call in calls], strict=False))
        return bool(ids)

    def set_deadline(self, first_id: int, deadline: float) -> None:
        """Whatever was opened from `first_id` on is due at `deadline`, on the shell's clock."""
        if first_id != self.next_id:
            self._deadlines.add(range(first_id, self.next_id, 2), deadline)

    def receive(self, octets: bytes) -> list[Settled]:
        """Take what the transport read; the answer is what it settled.

        Afterwards `closed` may be set: write what `take` gives, then close.
        """
        if self.closed is not None:
            return []
        handlers, inbound = self._handlers, self._in
        try:
            for kind, flags, stream_id, payload in inbound.frames(octets, self._usual.take):
                if inbound.expecting:
                    inbound.check_order(kind, flags, stream_id)
                if kind > frames.CONTINUATION:
                    self._patience.spend()
                    continue
                try:
                    handlers[kind](flags, stream_id, payload)
                except StreamError as error:
                    self._requests.give_up(stream_id, error.why)
                    self._requests.reset(stream_id, error.code)
        except PeerError as error:
            self.fault = error.code
            self._out.put(frames.goaway(error.code, error.why.encode()))
            self._end(f"{error.code.name}: {error.why}")
        return self._requests.take_settled()

    def take(self) -> bytes:
        """The bytes to write now."""
        return self._out.take()

    def expire(self, now: float) -> list[Settled]:
        """Reset every request whose deadline has passed."""
        for span in self._deadlines.due(now):
            for stream_id in [open_id for open_id in self.streams if open_id in span]:
                self._requests.give_up(stream_id, "deadline")
                self._requests.reset(stream_id, ErrorCode.CANCEL)
        return self._requests.take_settled()

    def cancel(self, owner: Owner) -> int:
        """Reset the requests of one owner, who wants no verdicts any more; how many they were."""
        owned = [open_id for open_id, sent in self.streams.items() if sent[0] is owner]
        for stream_id in owned:
            self._requests.reset(stream_id, ErrorCode.CANCEL)
            self._requests.forget(stream_id)
        return len(owned)

    def tick(self) -> None:
        """Some time has passed: floods are counted anew, and calm has had its share."""
        self._calm = min(self._calm + 1 + self._calm // _CALM_REGAIN, self._limits.max_streams)
        self._patience.tick()

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self._out.put(frames.frame(frames.PING, 0, 0, payload=b"pushsvc?"))

    def leave(self, code: ErrorCode = ErrorCode.NO_ERROR) -> list[Settled]:
        """Say that we are going, and why (section 6.8); settle whatever is left."""
        if self.closed is None:
            self._out.put(frames.goaway(code))
        return self.lose("closed by us")

    def lose(self, why: str) -> list[Settled]:
        """The transport is gone: settle whatever is left."""
        self._end(f"{why} after {self.goaway}" if self.goaway else why)
        return self._requests.take_settled()

    def _end(self, why: str) -> None:
        if self.closed is None:
            self.closed = why
        for stream_id in [*self.streams]:
            self._requests.give_up(stream_id, self.closed)

    # -- Responses (section 8.1) --------------------------------------------------------------

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & (PADDED | HAS_PRIORITY):
            payload = frames.content(flags, payload)
        if not flags & END_HEADERS:
            self._in.begin_block(flags, stream_id, payload)
            return
        # Decoded first, whatever the stream: the peer's table has no other way to stay ours.
        head = self._in.heads.read(payload)
        if stream_id not in self.streams:
            self._on_closed_stream(stream_id, len(payload))
        elif not isinstance(head, Answered) or stream_id in self._requests.responses:
            self._on_other_block(flags, stream_id, head, octets=len(payload))
        elif flags & END_STREAM:
            self._requests.answer(stream_id, head)
        else:
            self._requests.responses[stream_id] = Response(head)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        whole = self._in.continue_block(flags, payload)
        if whole is not None:
            self._on_headers(whole[0] | END_HEADERS, stream_id, whole[1])

    def _on_other_block(self, flags: int, stream_id: int, block: Block, *, octets: int) -> None:
        """Whatever is not a final head where one may stand: trailers, 1xx, or malformed."""
        begun, ends = stream_id in self._requests.responses, flags & END_STREAM
        if block is Other.TRAILERS and begun and ends:
            self._finish(stream_id)
        elif block is Other.INTERIM and not begun and not ends:
            self._patience.spend(octets)
        elif isinstance(block, Broken):
            raise StreamError(ErrorCode.PROTOCOL_ERROR, f"malformed response: {block.problem}")
        else:
            why = "second head" if isinstance(block, Answered) or begun else block.value
            raise StreamError(ErrorCode.PROTOCOL_ERROR, f"malformed response: {why}")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        octets = len(payload)
        if credit := self._in.credit(octets):
            self._out.put(credit)
        if flags & PADDED:
            payload = frames.content(flags & PADDED, payload)
        response = self._requests.responses.get(stream_id)
        if response is None:
            self._on_stray_data(stream_id)
            return
        response.add(payload)
        if len(response.body) > self._limits.max_body_bytes:
            if not flags & END_STREAM:
                self._requests.reset(stream_id, ErrorCode.CANCEL)
            self._complete(stream_id, response)
        elif flags & END_STREAM:
            self._finish(stream_id)
        else:
            self._receive_more(stream_id, response, octets)
            if not payload:
                self._patience.spend()

    def _on_stray_data(self, stream_id: int) -> None:
        if stream_id in self.streams:
            raise StreamError(ErrorCode.PROTOCOL_ERROR, "malformed response: DATA before HEADERS")
        self._on_closed_stream(stream_id)

    def _receive_more(self, stream_id: int, response: Response, octets: int) -> None:
        if response.window is None:
            response.window = ReceiveWindow(settings.stream_window(self._limits), StreamError)
        if grant := response.window.spend(octets):
            self._out.put(frames.window_update(stream_id, grant))

    def _finish(self, stream_id: int) -> None:
        """END_STREAM after a head and perhaps a body."""
        response = self._requests.responses[stream_id]
        if not response.is_as_long_as_stated:
            raise StreamError(ErrorCode.PROTOCOL_ERROR, "malformed response: content-length")
        self._complete(stream_id, response)

    def _complete(self, stream_id: int, response: Response) -> None:
        """The answer is in, as far as anybody wants it: a body beyond our limit is cut."""
        del self._requests.responses[stream_id]
        self._requests.answer(stream_id, response.answered(self._limits.max_body_bytes))

    def _on_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != frames.WORD_BYTES:
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"RST_STREAM of {len(payload)} bytes")
        self.counts.resets_received += 1
        if stream_id not in self.streams:
            self._on_closed_stream(stream_id)
            return
        code = frames.word(payload)
        if code == ErrorCode.ENHANCE_YOUR_CALM:
            self._calm = max(1, min(self._calm, len(self.streams)) // 2)
        if code == ErrorCode.REFUSED_STREAM:
            self._requests.disown(stream_id, "reset: REFUSED_STREAM")
        else:
            self._requests.give_up(stream_id, f"reset: {code_name(code)}")

    def _on_closed_stream(self, stream_id: int, octets: int = 0) -> None:
        """Late frames of a stream we have forgotten are harmless; on one never opened, illegal."""
        if stream_id % 2 == 0 or stream_id >= self._out.next_id:
            raise PeerError(ErrorCode.PROTOCOL_ERROR, f"frame on idle stream {stream_id}")
        self._patience.spend(octets)

    # -- The connection (section 6) -----------------------------------------------------------

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._check(frames.SETTINGS, stream_id, payload)
        self._patience.spend(len(payload))
        if flags & ACK:
            if payload:
                raise PeerError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS ACK with a payload")
            self.acknowledged = True
            self._in.heads.allow(self._limits.response_table_bytes)
            return
        entries = settings.checked(payload)
        if not self._in.greeted:
            self._in.greet()
            self._allowed = self._limits.max_streams
        for name, value in entries:
            self._apply(name, value)
        self._out.acknowledge(frames.frame(frames.SETTINGS, ACK, 0))
        self._out.send_stalled()

    def _apply(self, name: int, value: int) -> None:
        if name == settings.MAX_CONCURRENT_STREAMS:
            self._allowed = min(value, self._limits.max_streams)
        elif name == settings.INITIAL_WINDOW_SIZE:
            self._out.resize_initial_window(value)
        elif name == settings.HEADER_TABLE_SIZE:
            self._out.encoder.resize(value)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._check(frames.PING, stream_id, payload)
        self._patience.spend()
        if not flags & ACK:
            self._out.acknowledge(frames.frame(frames.PING, ACK, 0, payload=payload))

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._check(frames.GOAWAY, stream_id, payload)
        self._patience.spend()
        self.counts.goaways += 1
        goaway = GoAway(*frames.goaway_fields(payload))
        if self.goaway is not None:
            goaway = self.goaway.followed_by(goaway)
        self.goaway = goaway
        for open_id in [*self.streams]:
            if open_id > goaway.last_id:
                self._requests.disown(open_id, str(goaway))

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._check(frames.WINDOW_UPDATE, stream_id, payload)
        octets = frames.increment(payload)
        if stream_id == 0:
            if self._out.stalled:
                # Each looks at all of them.
                self._patience.spend()
            self._out.widen(octets)
        elif stream_id in self.streams:
            self._out.widen_stream(stream_id, octets)
        else:
            self._on_closed_stream(stream_id)

    def _on_priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._check(frames.PRIORITY, stream_id, payload)
        self._patience.spend()

    def _on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise PeerError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, and push is disabled")

    def _check(self, kind: int, stream_id: int, payload: bytes) -> None:
        """Length, and whether the frame is about the connection or a stream."""
        if len(payload) != _EXACT.get(kind, len(payload)):
            raise PeerError(ErrorCode.FRAME_SIZE_ERROR, f"type {kind} of {len(payload)} bytes")
        if kind not in _OF_EITHER and (stream_id == 0) != (kind in _OF_CONNECTION):
            raise PeerError(ErrorCode.PROTOCOL_ERROR, f"type {kind} on stream {stream_id}")
