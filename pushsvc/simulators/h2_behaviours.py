"""What faults are made of that only HTTP/2 knows: odd frames, settings and windows around a 200."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from struct import Struct

from h2.connection import H2Connection
from h2.settings import SettingCodes
from hyperframe.frame import ContinuationFrame, Frame, HeadersFrame

from pushsvc.simulators import illegal
from pushsvc.simulators.behaviours import TICK_SECONDS, Behaviour, goaway_below, welcome
from pushsvc.simulators.exchange import Answer, Exchange, Header
from pushsvc.simulators.http2_exchange import H2Exchange

H2Behaviour = Callable[[H2Exchange], None]

FRAME_HEADER_BYTES = 9
PADDING_BYTES = 32
#: Between two settings of a sequence: long enough for the ACK, and for requests that use it.
STEP_SECONDS = 0.05
DEFAULT_WINDOW = 65_535
DEFAULT_TABLE_BYTES = 4_096
#: A frame type, a setting, and flags of HEADERS that no document defines.
UNKNOWN_FRAME, UNKNOWN_SETTING, UNKNOWN_FLAGS = 0xEE, 0x99, 0xD2
#: Opaque octets of a PING: stream, ordinal.
PING = Struct(">II")
#: What a server says early, and what it says last (RFC 8297; RFC 9113, section 8.1).
EARLY = (b"link", b"</style.css>; rel=preload")
LATE = (b"x-checksum", b"b94d27b9")
#: Fields that go into the sender's table, and are found there the second time.
TABLED = ((b"server", b"simulator"), (b"x-region", b"eu-west-1"))


def on_h2(behaviour: H2Behaviour) -> Behaviour:
    """The behaviour; on HTTP/1.1, which has nothing like it, the connection is closed."""

    def behave(exchange: Exchange) -> None:
        if isinstance(exchange, H2Exchange):
            behaviour(exchange)
        else:
            exchange.hang_up()

    return behave


def say(octets: Callable[[int], bytes]) -> Behaviour:
    """These octets (of the request's stream) instead of an answer."""
    return on_h2(lambda exchange: exchange.connection.say(octets(exchange.stream_id)))


def window_illegal(exchange: Exchange) -> None:
    """WINDOW_UPDATE of zero; with PP, one beyond the largest window."""
    say(illegal.window_overflow if exchange.parameter else illegal.window_zero)(exchange)


# Answers in odd frames.


def _head(answer: Answer) -> list[Header]:
    return [(b":status", b"%d" % answer.status), *answer.headers]


def _write_plainly(exchange: H2Exchange, answer: Answer, core: H2Connection) -> None:
    """HEADERS, and DATA if there is a body."""
    core.send_headers(exchange.stream_id, _head(answer), end_stream=not answer.body)
    if answer.body:
        core.send_data(exchange.stream_id, answer.body, end_stream=True)


def _frames(octets: bytes) -> Iterator[Frame]:
    view = memoryview(octets)
    while view:
        frame, length = Frame.parse_frame_header(view[:FRAME_HEADER_BYTES])
        frame.parse_body(view[FRAME_HEADER_BYTES : FRAME_HEADER_BYTES + length])
        yield frame
        view = view[FRAME_HEADER_BYTES + length :]


@on_h2
def padded(exchange: H2Exchange) -> None:
    """HEADERS with padding and priority, and DATA with padding, even where there is no body."""
    answer = exchange.desk.welcome(exchange)

    def write(core: H2Connection) -> None:
        core.send_headers(exchange.stream_id, _head(answer))
        core.send_data(exchange.stream_id, answer.body, end_stream=True, pad_length=PADDING_BYTES)

    exchange.compose(answer, write, _pad_heads)


def _pad_heads(octets: bytes) -> bytes:
    shaped = []
    for frame in _frames(octets):
        if isinstance(frame, HeadersFrame):
            frame.flags |= {"PADDED", "PRIORITY"}
            frame.pad_length = PADDING_BYTES
        shaped.append(frame.serialize())
    return b"".join(shaped)


@on_h2
def continued(exchange: H2Exchange) -> None:
    """HEADERS without an octet, and PP CONTINUATIONs (one at least)."""
    answer = exchange.desk.welcome(exchange)
    exchange.compose(
        answer,
        partial(_write_plainly, exchange, answer),
        partial(_continue, max(exchange.parameter, 1)),
    )


def _continue(pieces: int, octets: bytes) -> bytes:
    whole, *body = _frames(octets)
    assert isinstance(whole, HeadersFrame)
    size = -(-len(whole.data) // pieces)
    head = HeadersFrame(whole.stream_id, b"", flags=[] if body else ["END_STREAM"])
    rest = [
        ContinuationFrame(whole.stream_id, whole.data[at * size : (at + 1) * size])
        for at in range(pieces)
    ]
    rest[-1].flags.add("END_HEADERS")
    return b"".join(frame.serialize() for frame in (head, *rest, *body))


@on_h2
def informed(exchange: H2Exchange) -> None:
    """103, then 200."""
    answer = exchange.desk.welcome(exchange)

    def write(core: H2Connection) -> None:
        core.send_headers(exchange.stream_id, [(b":status", b"103"), EARLY])
        _write_plainly(exchange, answer, core)

    exchange.compose(answer, write)


@on_h2
def trailed(exchange: H2Exchange) -> None:
    """200, a body, trailers."""
    answer = exchange.desk.welcome(exchange)

    def write(core: H2Connection) -> None:
        core.send_headers(exchange.stream_id, _head(answer))
        core.send_data(exchange.stream_id, answer.body or b"{}")
        core.send_headers(exchange.stream_id, [LATE], end_stream=True)

    exchange.compose(answer, write)


@on_h2
def tabled(exchange: H2Exchange) -> None:
    """Size updates to 0 and to what the sender allows; fields inserted, then referred to."""
    answer = exchange.desk.welcome(exchange)

    def write(core: H2Connection) -> None:
        allowed = core.remote_settings.header_table_size
        table = core.encoder.header_table
        table.maxsize = 0
        table.maxsize = allowed
        # The next block tells both, even to a sender that allows no table at all.
        core.encoder.table_size_changes[:] = (0, allowed)
        table.resized = True
        _write_plainly(exchange, replace(answer, headers=(*answer.headers, *TABLED, *TABLED)), core)

    exchange.compose(answer, write)


# Settings and windows that change around a request.


def _pause(exchange: Exchange) -> float:
    return exchange.parameter * TICK_SECONDS


def limits_in_turn(*limits: int) -> Behaviour:
    """MAX_CONCURRENT_STREAMS changes step by step; the answer comes before the last."""

    @on_h2
    def behave(exchange: H2Exchange) -> None:
        tell = exchange.connection.tell
        steps = [dict[int, int]({SettingCodes.MAX_CONCURRENT_STREAMS: most}) for most in limits]
        *early, last = steps
        for nth, settings in enumerate(early):
            exchange.after(nth * STEP_SECONDS, partial(tell, settings))
        exchange.after(len(early) * STEP_SECONDS, partial(_welcome_then, exchange, last))

    return behave


def _welcome_then(exchange: H2Exchange, settings: dict[int, int]) -> None:
    welcome(exchange)
    exchange.connection.tell(settings)


def _without(setting: SettingCodes, usual: int) -> Behaviour:
    """The setting is 0 until PP x 100 ms have passed; then comes the answer."""

    @on_h2
    def behave(exchange: H2Exchange) -> None:
        exchange.connection.tell({setting: 0})
        exchange.after(_pause(exchange), partial(_restore, exchange, {setting: usual}))

    return behave


def _restore(exchange: H2Exchange, settings: dict[int, int]) -> None:
    exchange.connection.tell(settings)
    welcome(exchange)


window_shrunk = _without(SettingCodes.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)
table_shrunk = _without(SettingCodes.HEADER_TABLE_SIZE, DEFAULT_TABLE_BYTES)


@on_h2
def starved(exchange: H2Exchange) -> None:
    """The connection's window is not refilled until PP x 100 ms have passed."""
    exchange.connection.starve(_pause(exchange))
    exchange.after(_pause(exchange), partial(welcome, exchange))


@on_h2
def pinged(exchange: H2Exchange) -> None:
    """PP PINGs (one at least); the answer comes when all are echoed."""
    awaited = {PING.pack(exchange.stream_id, nth) for nth in range(max(exchange.parameter, 1))}

    def echoed(octets: bytes) -> None:
        awaited.discard(octets)
        if not awaited:
            welcome(exchange)

    for octets in sorted(awaited):
        exchange.connection.ping(octets, partial(echoed, octets))


@on_h2
def unknown(exchange: H2Exchange) -> None:
    """A setting, a frame and flags that no document defines, around a 200."""
    exchange.connection.tell({UNKNOWN_SETTING: 1})
    answer = exchange.desk.welcome(exchange)
    exchange.compose(
        answer,
        partial(_write_plainly, exchange, answer),
        partial(_estrange, exchange.stream_id),
    )


def _estrange(stream_id: int, octets: bytes) -> bytes:
    strangers = [
        len(payload).to_bytes(3, "big")
        + bytes((UNKNOWN_FRAME, 0xFF))
        + one.to_bytes(4, "big")
        + payload
        for one, payload in ((0, b""), (stream_id, b"extension"))
    ]
    flags_at = 4
    head = bytearray(octets)
    head[flags_at] |= UNKNOWN_FLAGS
    return b"".join((*strangers, head, strangers[0]))


# Ends and pauses of the connection.


@on_h2
def goaway_on_connect(exchange: H2Exchange) -> None:
    """GOAWAY that disowns this stream, and one that disowns all of the next PP connections."""
    exchange.connection.turn_away(exchange.parameter)
    goaway_below(exchange)


@on_h2
def half_close(exchange: H2Exchange) -> None:
    """FIN; what comes in is read on."""
    exchange.connection.half_close()


@on_h2
def stall(exchange: H2Exchange) -> None:
    """Read nothing until PP x 100 ms have passed; then comes the answer."""
    exchange.connection.stall(_pause(exchange))
    exchange.after(_pause(exchange), partial(welcome, exchange))
