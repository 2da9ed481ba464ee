"""Check 18: for every type of frame, the lengths and stream ids it may not have (section 6)."""

from enum import IntEnum

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Unknown
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import carries_on, is_replaced, nothing_leaks
from tests.integration.wire.raw_peer import RawPeer, RawWire, answer_all, answer_on, raw, settings
from tests.integration.wire.sending import SECONDS, OpenPool, Told, call

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1, await_settings=True, backoff_first_seconds=0.01)

PROTOCOL = ErrorCodes.PROTOCOL_ERROR
SIZE = ErrorCodes.FRAME_SIZE_ERROR
FLOW = ErrorCodes.FLOW_CONTROL_ERROR
CALM = ErrorCodes.ENHANCE_YOUR_CALM

#: Stream 1 was answered, 3 waits for its answer, 5 is half written; 7 and 99 were never opened.
ANSWERED, OPEN, HALF, NEXT, IDLE, EVEN = 1, 3, 5, 7, 99, 2
OK = b"\x88"
END_HEADERS, ACK, PADDED, PRIORITY_FLAG = 0x4, 0x1, 0x8, 0x20


class Kind(IntEnum):
    """Types of frames."""

    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9
    UNKNOWN = 0xFA


def setting(name: int, value: int) -> bytes:
    """A SETTINGS frame of one entry."""
    entry = name.to_bytes(2, "big") + value.to_bytes(4, "big")
    return raw(Kind.SETTINGS, 0, 0, entry)


def announced(kind: Kind, stream_id: int, octets: int) -> bytes:
    """Only the start of a frame that says how long it will be."""
    return octets.to_bytes(3, "big") + bytes((kind, 0)) + stream_id.to_bytes(4, "big")


def widen(stream_id: int, octets: int) -> bytes:
    """WINDOW_UPDATE."""
    return raw(Kind.WINDOW_UPDATE, 0, stream_id, octets.to_bytes(4, "big"))


def block(stream_id: int, *, flags: int = 0) -> bytes:
    """HEADERS, which without END_HEADERS only start a block."""
    return raw(Kind.HEADERS, flags, stream_id, OK)


def more(stream_id: int, *, flags: int = 0) -> bytes:
    """CONTINUATION without a field."""
    return raw(Kind.CONTINUATION, flags, stream_id)


#: What ends the connection, and the code of the GOAWAY that says so.
FATAL: dict[str, tuple[bytes, ErrorCodes]] = {
    "DATA on 0": (raw(Kind.DATA, 0, 0, b"x"), PROTOCOL),
    "DATA on an even stream": (raw(Kind.DATA, 0, EVEN, b"x"), PROTOCOL),
    "DATA on an idle stream": (raw(Kind.DATA, 0, IDLE, b"x"), PROTOCOL),
    "DATA on the next stream": (raw(Kind.DATA, 0, NEXT, b"x"), PROTOCOL),
    "DATA too long": (announced(Kind.DATA, OPEN, 16_385), SIZE),
    "DATA without its pad length": (raw(Kind.DATA, PADDED, OPEN), SIZE),
    "DATA of too much padding": (raw(Kind.DATA, PADDED, OPEN, b"\x05xxxx"), PROTOCOL),
    "DATA of padding for nobody": (raw(Kind.DATA, PADDED, ANSWERED, b"\x05xxxx"), PROTOCOL),
    "HEADERS on 0": (block(0, flags=END_HEADERS), PROTOCOL),
    "HEADERS on an even stream": (block(EVEN, flags=END_HEADERS), PROTOCOL),
    "HEADERS on an idle stream": (block(IDLE, flags=END_HEADERS), PROTOCOL),
    "HEADERS on the next stream": (block(NEXT, flags=END_HEADERS), PROTOCOL),
    "HEADERS too long": (announced(Kind.HEADERS, OPEN, 16_385), SIZE),
    "HEADERS without pad length": (raw(Kind.HEADERS, END_HEADERS | PADDED, OPEN), SIZE),
    "HEADERS of too much padding": (
        raw(Kind.HEADERS, END_HEADERS | PADDED, OPEN, b"\x02\x88"),
        PROTOCOL,
    ),
    "HEADERS without priority": (
        raw(Kind.HEADERS, END_HEADERS | PRIORITY_FLAG, OPEN, b"\x00\x00\x00\x00"),
        SIZE,
    ),
    "HEADERS of priority and padding": (
        raw(Kind.HEADERS, END_HEADERS | PRIORITY_FLAG | PADDED, OPEN, b"\x02\x00\x00\x00\x00\x0f"),
        PROTOCOL,
    ),
    "PRIORITY on 0": (raw(Kind.PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    "PRIORITY of 4": (raw(Kind.PRIORITY, 0, OPEN, bytes(4)), SIZE),
    "PRIORITY of 6": (raw(Kind.PRIORITY, 0, OPEN, bytes(6)), SIZE),
    "RST_STREAM on 0": (raw(Kind.RST_STREAM, 0, 0, bytes(4)), PROTOCOL),
    "RST_STREAM on an even stream": (raw(Kind.RST_STREAM, 0, EVEN, bytes(4)), PROTOCOL),
    "RST_STREAM on an idle stream": (raw(Kind.RST_STREAM, 0, IDLE, bytes(4)), PROTOCOL),
    "RST_STREAM of 3": (raw(Kind.RST_STREAM, 0, OPEN, bytes(3)), SIZE),
    "RST_STREAM of 5": (raw(Kind.RST_STREAM, 0, OPEN, bytes(5)), SIZE),
    "RST_STREAM of 0": (raw(Kind.RST_STREAM, 0, OPEN), SIZE),
    "SETTINGS on a stream": (raw(Kind.SETTINGS, 0, OPEN), PROTOCOL),
    "SETTINGS of 5": (raw(Kind.SETTINGS, 0, 0, bytes(5)), SIZE),
    "SETTINGS of 7": (raw(Kind.SETTINGS, 0, 0, bytes(7)), SIZE),
    "SETTINGS too long": (announced(Kind.SETTINGS, 0, 16_386), SIZE),
    "SETTINGS ACK of 6": (raw(Kind.SETTINGS, ACK, 0, bytes(6)), SIZE),
    "SETTINGS ACK on a stream": (raw(Kind.SETTINGS, ACK, OPEN), PROTOCOL),
    "ENABLE_PUSH 1": (setting(2, 1), PROTOCOL),
    "ENABLE_PUSH 2": (setting(2, 2), PROTOCOL),
    "INITIAL_WINDOW_SIZE 2^31": (setting(4, 2**31), FLOW),
    "MAX_FRAME_SIZE 0": (setting(5, 0), PROTOCOL),
    "MAX_FRAME_SIZE 16,383": (setting(5, 16_383), PROTOCOL),
    "MAX_FRAME_SIZE 2^24": (setting(5, 2**24), PROTOCOL),
    "PUSH_PROMISE on 0": (raw(Kind.PUSH_PROMISE, END_HEADERS, 0, bytes(4)), PROTOCOL),
    "PUSH_PROMISE too long": (announced(Kind.PUSH_PROMISE, OPEN, 16_385), SIZE),
    "PING on a stream": (raw(Kind.PING, 0, OPEN, bytes(8)), PROTOCOL),
    "PING of 7": (raw(Kind.PING, 0, 0, bytes(7)), SIZE),
    "PING of 9": (raw(Kind.PING, 0, 0, bytes(9)), SIZE),
    "PING ACK of 0": (raw(Kind.PING, ACK, 0), SIZE),
    "GOAWAY on a stream": (raw(Kind.GOAWAY, 0, OPEN, bytes(8)), PROTOCOL),
    "GOAWAY of 7": (raw(Kind.GOAWAY, 0, 0, bytes(7)), SIZE),
    "GOAWAY of 0": (raw(Kind.GOAWAY, 0, 0), SIZE),
    "GOAWAY too long": (announced(Kind.GOAWAY, 0, 16_385), SIZE),
    "WINDOW_UPDATE of 3": (raw(Kind.WINDOW_UPDATE, 0, 0, bytes(3)), SIZE),
    "WINDOW_UPDATE of 5": (raw(Kind.WINDOW_UPDATE, 0, OPEN, bytes(5)), SIZE),
    "WINDOW_UPDATE by 0": (widen(0, 0), PROTOCOL),
    "WINDOW_UPDATE by 0 and a reserved bit": (widen(0, 2**31), PROTOCOL),
    "WINDOW_UPDATE above the most": (widen(0, 2**31 - 1), FLOW),
    "WINDOW_UPDATE on an idle stream": (widen(IDLE, 1), PROTOCOL),
    "WINDOW_UPDATE on an even stream": (widen(EVEN, 1), PROTOCOL),
    "CONTINUATION of nothing": (more(OPEN, flags=END_HEADERS), PROTOCOL),
    "CONTINUATION on 0": (block(OPEN) + more(0, flags=END_HEADERS), PROTOCOL),
    "CONTINUATION on another stream": (block(OPEN) + more(HALF, flags=END_HEADERS), PROTOCOL),
    "CONTINUATION too long": (block(OPEN) + announced(Kind.CONTINUATION, OPEN, 16_385), SIZE),
    "CONTINUATION after the end": (
        block(OPEN) + more(OPEN, flags=END_HEADERS) + more(OPEN, flags=END_HEADERS),
        PROTOCOL,
    ),
    "CONTINUATION for ever": (block(OPEN) + more(OPEN) * 100, CALM),
    "HEADERS within a block": (block(OPEN) + block(OPEN, flags=END_HEADERS), PROTOCOL),
    "unknown within a block": (block(OPEN) + raw(Kind.UNKNOWN, 0, OPEN), PROTOCOL),
    "unknown too long": (announced(Kind.UNKNOWN, 0, 16_385), SIZE),
    "as long as can be": (announced(Kind.UNKNOWN, OPEN, 2**24 - 1), SIZE),
}

#: What resets one stream: the stream, and the code of the RST_STREAM.
OF_A_STREAM: dict[str, tuple[bytes, int, ErrorCodes]] = {
    "DATA before HEADERS": (raw(Kind.DATA, 0, OPEN, b"x"), OPEN, PROTOCOL),
    "WINDOW_UPDATE by 0": (widen(OPEN, 0), OPEN, PROTOCOL),
    "WINDOW_UPDATE by 0 of half a request": (widen(HALF, 0), HALF, PROTOCOL),
}

#: What is odd and allowed, or so late that it may be.
HARMLESS: dict[str, bytes] = {
    "unknown on 0": raw(Kind.UNKNOWN, 0xFF, 0, bytes(1_000)),
    "unknown on an open stream": raw(Kind.UNKNOWN, 0xFF, OPEN),
    "unknown on an even stream": raw(Kind.UNKNOWN, 0, EVEN, b"x"),
    "unknown on an idle stream": raw(Kind.UNKNOWN, 0, IDLE, bytes(16_384)),
    "PRIORITY on an idle stream": raw(Kind.PRIORITY, 0, IDLE, bytes(5)),
    "PRIORITY on itself": raw(Kind.PRIORITY, 0, OPEN, b"\x00\x00\x00\x03\x0f"),
    "reserved bits": raw(Kind.PING, ACK, 2**31, bytes(8)) + widen(2**31, 2**31 + 5),
    "unknown flags": raw(Kind.PING, 0xFF, 0, bytes(8)) + raw(Kind.SETTINGS, 0xFE, 0),
    "unknown settings": setting(0x0, 1) + setting(0xFFFF, 2**32 - 1) + setting(0x8, 1),
    "MAX_FRAME_SIZE at both ends": setting(5, 16_384) + setting(5, 2**24 - 1),
    "ENABLE_PUSH 0": setting(2, 0),
    "late DATA": raw(Kind.DATA, 1, ANSWERED, b"late"),
    "late HEADERS": block(ANSWERED, flags=END_HEADERS),
    "late RST_STREAM": raw(Kind.RST_STREAM, 0, ANSWERED, bytes(4)) * 2,
    # A request that was sent in full has no use for a window, however large.
    "WINDOW_UPDATE of a sent request": widen(OPEN, 2**31 - 1) * 2,
    "late WINDOW_UPDATE": widen(ANSWERED, 1) + widen(ANSWERED, 2**31 - 1),
}


async def three_streams(wire: RawWire) -> None:
    """One answered, one open, and one of which the window lets only ten octets go."""
    wire.greet(initial_window_size=10)
    await wire.requests(2)
    await wire.until(lambda: len(wire.of(DataFrame)) == 3)
    wire.answer(ANSWERED, fields=[("apns-id", "0")])


THREE = [call(0, b"x" * 10), call(1, b"x" * 10), call(2, b"x" * 100)]


@pytest.mark.parametrize(("octets", "code"), FATAL.values(), ids=FATAL)
async def test_the_connection_ends(
    authority: Authority, open_pool: OpenPool, octets: bytes, code: ErrorCodes
) -> None:
    """GOAWAY with the code of the rule; written is unknown, half written is not processed."""

    async def play(wire: RawWire) -> None:
        await three_streams(wire)
        wire.say(octets)

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(THREE, told, timeout_seconds=SECONDS)
            assert told.own() == [0]
            whole, half = told.verdicts[1], told.verdicts[2]
            assert isinstance(whole, Unknown)
            assert whole.why.startswith(f"{code.name}: ")
            assert half == NotProcessed(f"{whole.why}, not sent in full")
            await peer.wires[0].until(peer.wires[0].ended.is_set)
            assert peer.wires[0].goaways == [code]
            assert peer.wires[0].resets == []
            await is_replaced(pool)


@pytest.mark.parametrize(("octets", "stream_id", "code"), OF_A_STREAM.values(), ids=OF_A_STREAM)
async def test_one_stream_ends(
    authority: Authority, open_pool: OpenPool, octets: bytes, stream_id: int, code: ErrorCodes
) -> None:
    """RST_STREAM with the code of the rule; the other streams and the connection go on."""

    async def play(wire: RawWire) -> None:
        await three_streams(wire)
        wire.say(octets)
        await wire.until(lambda: wire.resets)
        if stream_id == HALF:
            wire.answer(OPEN, fields=[("apns-id", "1")])
        else:
            wire.say(settings(initial_window_size=1_000))
            wire.answer_own(await wire.request())
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(THREE, told, timeout_seconds=SECONDS)
            assert told.keys(Answered) == ([0, 1] if stream_id == HALF else [0, 2])
            (failed,) = {0, 1, 2} - set(told.own())
            assert type(told.verdicts[failed]) is (NotProcessed if stream_id == HALF else Unknown)
            await carries_on(pool)
        assert peer.wires[0].resets == [(stream_id, code)]
        assert peer.wires[0].goaways == [ErrorCodes.NO_ERROR]


@pytest.mark.parametrize("octets", HARMLESS.values(), ids=HARMLESS)
async def test_nothing_ends(authority: Authority, open_pool: OpenPool, octets: bytes) -> None:
    """What is unknown is ignored, and so is what comes late for a stream that is over."""

    async def play(wire: RawWire) -> None:
        await three_streams(wire)
        wire.say(octets)
        await wire.settled()
        wire.answer(OPEN, fields=[("apns-id", "1")])
        wire.say(settings(initial_window_size=1_000))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(THREE, told, timeout_seconds=SECONDS)
            assert told.own() == [0, 1, 2]
            await carries_on(pool)
        assert peer.wires[0].resets == []
        assert peer.wires[0].goaways == [ErrorCodes.NO_ERROR]


async def test_a_stream_window_above_the_most(authority: Authority, open_pool: OpenPool) -> None:
    """A body that waits for the connection, and its stream's window overflows: that stream ends."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        await wire.until(lambda: sum(len(data.data) for data in wire.of(DataFrame)) == 65_535)
        wire.say(widen(1, 2**31 - 1))
        await wire.settled()
        assert wire.resets == []
        wire.say(widen(1, 1))
        await wire.until(lambda: wire.resets)
        wire.say(widen(0, 65_535))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many([call(1, b"x" * 100_000)], told, timeout_seconds=SECONDS)
            assert told.verdicts == {1: NotProcessed("window above 2^31-1, not sent in full")}
            await carries_on(pool)
        assert peer.wires[0].resets == [(1, FLOW)]
