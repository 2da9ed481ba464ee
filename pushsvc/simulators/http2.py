"""The simulators' HTTP/2 wire: asyncio around python-hyper's h2, strict about what senders do."""

import asyncio
from collections.abc import Callable
from typing import Any

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    PingReceived,
    RemoteSettingsChanged,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from hyperframe.frame import GoAwayFrame, RstStreamFrame

from pushsvc.simulators import http2_life
from pushsvc.simulators.behaviours import GOAWAY_NOTICE_SECONDS, MAX_STREAMS
from pushsvc.simulators.exchange import Answer, Session
from pushsvc.simulators.gateway import DISOWNED, OVER_LIMIT, Gateway
from pushsvc.simulators.h2_core import IndexWatch
from pushsvc.simulators.http2_exchange import HIGHEST_STREAM_ID, H2Exchange
from pushsvc.simulators.http2_output import Output

#: h2 walks its open streams for every new one, so it is fed little by little: 16 KiB is ~50 pushes.
FEED_BYTES = 16 * 1024
#: The connection window is 65535; senders get it back when half is used.
WINDOW_REFILL_BYTES = 32 * 1024
#: Bodies are written in portions of this size, so that a sender that does not read is noticed.
WRITE_BYTES = 64 * 1024
#: Streams beyond the limit that may wait for their refusal before the connection is ended.
MAX_REFUSALS_WAITING = 1000

Composing = Callable[[H2Connection], None]
Shaping = Callable[[bytes], bytes]


class Connection(Output):
    """One HTTP/2 connection of a sender."""

    def __init__(
        self, gateway: Gateway, session: Session, *, lost: "Callable[[Connection], None]"
    ) -> None:
        super().__init__(gateway.streams, before_write=gateway.ledger.make_durable)
        self._gateway = gateway
        self._session = session
        self._lost = lost
        self._indexing = IndexWatch(self._h2)
        self._exchanges: dict[int, H2Exchange] = {}
        self._refusals_waiting = 0
        self._blocked: dict[int, list[memoryview]] = {}
        self._consumed = 0
        self._idle_pings = 0
        self._last_owned = HIGHEST_STREAM_ID
        #: The highest stream the sender has opened.
        self.highest_seen = 0
        self._ending = self._miserly = False
        self._on: dict[type[Event], Callable[[Any], None]] = {
            RequestReceived: self._request_received,
            DataReceived: self._data_piece_received,
            StreamEnded: self._stream_ended,
            StreamReset: self._stream_reset,
            WindowUpdated: self._window_opened,
            RemoteSettingsChanged: self._window_opened,
            SettingsAcknowledged: self._settings_acknowledged,
            PingReceived: self._ping_received,
            PingAckReceived: self._ping_echoed,
            ConnectionTerminated: self._goaway_received,
        }

    # Asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send our SETTINGS; the connection's life begins."""
        super().connection_made(transport)
        http2_life.begin(self, self._gateway)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was still to be answered."""
        del exc
        self._closed = True
        self._lost(self)
        self._timers.cancel()
        self._exchanges.clear()
        self._blocked.clear()

    def data_received(self, data: bytes) -> None:
        """Read frames; answers to all of them leave in one write."""
        self._in_read = True
        view = memoryview(data)
        for start in range(0, len(data), FEED_BYTES):
            if self._closed or self._dark:
                break
            self._feed(view[start : start + FEED_BYTES])
        self._in_read = False
        self._flush()

    def resume_writing(self) -> None:
        """The sender reads again."""
        super().resume_writing()
        if not self._dark:
            self._write_blocked()

    # Events of h2.

    def _feed(self, data: memoryview) -> None:
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            self._gateway.wire.violation(f"{type(error).__name__}: {error}")
            self._gateway.wire.goaways_sent += 1
            self.hang_up()
            return
        self._indexing.look()
        for event in events:
            react = self._on.get(type(event))
            if react is not None and not (self._closed or self._dark):
                react(event)
        if self._consumed >= WINDOW_REFILL_BYTES and not self._miserly:
            self._refill()

    def _refill(self) -> None:
        """Grant the connection anew what has been sent."""
        if self._consumed and not self._closed:
            self._h2.increment_flow_control_window(self._consumed)
            self._consumed = 0

    def _request_received(self, event: RequestReceived) -> None:
        self._idle_pings = 0
        if self._gateway.strict_streams and self._in_flight() >= self._told.limit:
            self._goaway_over_limit()
        exchange = H2Exchange(self._gateway, self._session, headers=event.headers)
        exchange.connection = self
        exchange.complete = False
        exchange.stream_id = event.stream_id
        exchange.indexed = self._indexing.indexed(exchange.fields)
        if event.stream_id > self._last_owned:
            exchange.preset = DISOWNED
        elif self._in_flight() >= self._told.limit:
            exchange.preset = OVER_LIMIT
            self._refuse_later()
        self.highest_seen = event.stream_id
        self._exchanges[event.stream_id] = exchange
        wire = self._gateway.wire
        wire.max_concurrent_streams = max(wire.max_concurrent_streams, self._in_flight())

    def _goaway_over_limit(self) -> None:
        """Disown this stream and all later ones, once."""
        if self._last_owned == HIGHEST_STREAM_ID:
            self.goaway(self.highest_seen, code=ErrorCodes.REFUSED_STREAM, debug=MAX_STREAMS)

    def _in_flight(self) -> int:
        """Streams that the sender must count as open: those whose answer is not yet written too."""
        return len(self._exchanges) - self._refusals_waiting + self._unwritten

    def _refuse_later(self) -> None:
        """Refuse at the end of the request: h2 would reset the stream twice otherwise."""
        self._gateway.wire.streams_refused += 1
        self._refusals_waiting += 1
        if self._refusals_waiting > MAX_REFUSALS_WAITING:
            self.goaway(0, code=ErrorCodes.ENHANCE_YOUR_CALM, debug=b"too many refused streams")
            self.hang_up()

    def _data_piece_received(self, event: DataReceived) -> None:
        self._idle_pings = 0
        length = event.flow_controlled_length or 0
        self._consumed += length
        exchange = self._exchanges.get(event.stream_id)
        if exchange is None:
            return
        exchange.receive(event.data or b"")
        if event.stream_ended is None and length and self._writable(event.stream_id):
            self._h2.increment_flow_control_window(length, event.stream_id)

    def _stream_ended(self, event: StreamEnded) -> None:
        exchange = self._exchanges.get(event.stream_id)
        if exchange is None:
            return
        if exchange.preset == OVER_LIMIT:
            self._refusals_waiting -= 1
        exchange.complete = True
        self._gateway.receive(exchange)
        if exchange.preset == DISOWNED:
            self._forget(event.stream_id)

    def _stream_reset(self, event: StreamReset) -> None:
        self._gateway.wire.resets_received += 1
        exchange = self._exchanges.get(event.stream_id)
        if exchange is not None and exchange.preset == OVER_LIMIT and not exchange.complete:
            self._refusals_waiting -= 1
        self._forget(event.stream_id, by_sender=True)

    def _window_opened(self, event: Event) -> None:
        del event
        self._write_blocked()

    def _settings_acknowledged(self, event: SettingsAcknowledged) -> None:
        del event
        self._told.acknowledged()

    def _ping_received(self, event: PingReceived) -> None:
        del event
        self._gateway.wire.pings += 1
        self._idle_pings += 1
        allowed = self._gateway.idle_pings
        if allowed is not None and self._idle_pings > allowed:
            code = ErrorCodes.ENHANCE_YOUR_CALM
            self.goaway(self.highest_seen, code=code, debug=b"too_many_pings")
            self.hang_up()

    def _ping_echoed(self, event: PingAckReceived) -> None:
        echoed = self._on_echo.pop(event.ping_data or b"", None)
        if echoed is not None:
            echoed()

    def _goaway_received(self, event: ConnectionTerminated) -> None:
        """The sender opens no more streams, but gets its answers."""
        del event
        self._gateway.wire.goaways_received += 1

    # What exchanges ask for.

    def answer_head(self, stream_id: int, answer: Answer, *, end: bool = False) -> bool:
        """Write the head of an answer; False if its sender waits for it no more."""
        if not self._writable(stream_id):
            return False
        headers = [(b":status", b"%d" % answer.status), *answer.headers]
        self._h2.send_headers(stream_id, headers, end_stream=end)
        if end:
            self._forget(stream_id)
        self._flush()
        return True

    def answer_rest(self, stream_id: int, pieces: list[bytes]) -> None:
        """Write the body of an answer, piece by piece, as far as the windows let us."""
        if self._writable(stream_id):
            self._blocked[stream_id] = [memoryview(piece) for piece in pieces]
            self._write_blocked()

    def reset(self, stream_id: int, code: int) -> None:
        """RST_STREAM, on an open stream or on one that has just ended."""
        if self._closed or self._dark:
            return
        self._gateway.wire.resets_sent += 1
        if self._writable(stream_id):
            self._h2.reset_stream(stream_id, code)
            self._forget(stream_id)
        else:
            self._write_frame(RstStreamFrame(stream_id, error_code=code))
        self._flush()

    def goaway(self, last: int, *, code: int = 0, debug: bytes = b"") -> None:
        """GOAWAY, which never takes back a disowning.

        h2 would let nothing follow, so the frame is made by hand.
        """
        if self._closed or self._dark:
            return
        last = min(last, self._last_owned)
        frame = GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=debug)
        self._write_frame(frame)
        self._gateway.wire.goaways_sent += 1
        if last < HIGHEST_STREAM_ID:
            self._disown(above=last)
        self._flush()

    def raise_limit(self) -> None:
        """Tell the limit of authorised senders, once."""
        frame = self._told.authorised()
        if frame is not None:
            self._write_frame(frame)

    # What only faults of this wire ask for.

    def compose(self, stream_id: int, write: Composing, shape: Shaping) -> bool:
        """Let `write` make a whole answer with h2, and `shape` change its octets.

        False if the sender waits for it no more.
        """
        if not self._writable(stream_id):
            return False
        self._out.append(self._h2.data_to_send())
        write(self._h2)
        self._out.append(shape(self._h2.data_to_send()))
        self._forget(stream_id)
        self._flush()
        return True

    def turn_away(self, connections: int) -> None:
        """Answer the next new connections of the gateway with GOAWAY."""
        self._gateway.turning_away = connections

    def goaway_at_once(self) -> None:
        """GOAWAY before any request; the end leaves the sender time to read it."""
        self._ending = True
        self.goaway(0)
        self.after(GOAWAY_NOTICE_SECONDS, self.hang_up)

    def starve(self, seconds: float) -> None:
        """Grant the connection nothing for so long."""
        self._miserly = True
        self.after(seconds, self._grant_again)

    def _grant_again(self) -> None:
        self._miserly = False
        self._refill()
        self._flush()

    # Our side of the wire.

    @property
    def number(self) -> int:
        """Which connection of its gateway this is."""
        return self._session.connection

    @property
    def busy(self) -> bool:
        """Whether a sender waits for an answer."""
        return bool(self._exchanges)

    def _writable(self, stream_id: int) -> bool:
        """Whether a stream waits for us; its sender may have reset it in what we are reading."""
        if self._closed or self._dark or stream_id not in self._exchanges:
            return False
        stream = self._h2.streams.get(stream_id)
        return stream is not None and stream.open

    def _disown(self, *, above: int) -> None:
        """What a GOAWAY disowns was never taken: take it back and answer it no more."""
        self._last_owned = min(self._last_owned, above)
        for stream_id in [one for one in self._exchanges if one > above]:
            exchange = self._exchanges[stream_id]
            exchange.preset = exchange.preset or DISOWNED
            if exchange.complete:
                exchange.retract()
                self._forget(stream_id)
        self._end_if_drained()

    def _forget(self, stream_id: int, *, by_sender: bool = False) -> None:
        """A stream is over."""
        exchange = self._exchanges.pop(stream_id, None)
        if exchange and not by_sender and exchange.preset is None:
            self._unwritten += 1
        self._blocked.pop(stream_id, None)
        self._end_if_drained()

    def _end_if_drained(self) -> None:
        """After a GOAWAY the connection ends with its last owned stream, once this turn is over."""
        if self._last_owned == HIGHEST_STREAM_ID or self._closed or self._ending:
            return
        if not any(exchange.preset is None for exchange in self._exchanges.values()):
            self._ending = True
            self.after(0, self.hang_up)

    def _write_blocked(self) -> None:
        for stream_id in list(self._blocked):
            if self._writable(stream_id):
                self._write_pieces(stream_id)
        self._flush()

    def _write_pieces(self, stream_id: int) -> None:
        """Write queued pieces of a body as far as the windows and the transport let us."""
        pieces = self._blocked[stream_id]
        while pieces:
            if self._full or self._closed:
                return
            room = self._h2.local_flow_control_window(stream_id)
            piece = pieces[0]
            if piece and room <= 0:
                return
            sent = piece[: min(max(room, 0), self._h2.max_outbound_frame_size)]
            rest = piece[len(sent) :]
            if rest:
                pieces[0] = rest
            else:
                pieces.pop(0)
            self._h2.send_data(stream_id, sent, end_stream=not pieces)
            self._unsent += len(sent)
            if self._unsent >= WRITE_BYTES:
                self._write_out()
        self._forget(stream_id)
