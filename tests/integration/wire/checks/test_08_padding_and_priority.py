"""Check 8: padded DATA and HEADERS, the priority flag, and PRIORITY frames."""

from itertools import product

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PriorityFrame,
    WindowUpdateFrame,
)

from pushsvc.delivery.wire import Answered, Limits, Unknown
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks, windows_agree
from tests.integration.wire.peer import Peer, Wire
from tests.integration.wire.raw_peer import RawPeer, RawWire, answer_all, answer_on, raw
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1)
LEAST = Limits(max_connections=1, connection_window_bytes=0)
DATA, HEADERS = 0x0, 0x1
END_STREAM, END_HEADERS, PADDED, PRIORITY = 0x1, 0x4, 0x8, 0x20
#: Octets of padding; None is no padding at all, 0 is a pad length of nothing.
PADS = (None, 0, 1, 7, 254, 255)


def padded_head(wire: RawWire, stream_id: int, pad: int | None, *, priority: bool) -> HeadersFrame:
    """A head whose apns-id is its stream's id."""
    head = wire.block(stream_id, [(":status", "200"), ("apns-id", f"{stream_id}")])
    if pad is not None:
        head.flags.add("PADDED")
        head.pad_length = pad
    if priority:
        head.flags.add("PRIORITY")
        # A stream that depends on itself: nobody looks at that any more (RFC 9113 5.3).
        head.depends_on, head.stream_weight, head.exclusive = stream_id, 255, True
    return head


def padded_data(stream_id: int, octets: bytes, pad: int | None, *, end: bool = True) -> DataFrame:
    """DATA with so much padding."""
    flags = ["PADDED"] if pad is not None else []
    flags += ["END_STREAM"] if end else []
    return DataFrame(stream_id, octets, flags=flags, pad_length=pad or 0)


def expected(key: int, body: bytes) -> Answered:
    """The answer of `padded_head` and a body, for the request of that key."""
    return Answered(200, ((b"apns-id", b"%d" % (2 * key + 1)),), body)


CASES = tuple(product(PADS, (False, True), PADS))


@pytest.mark.parametrize("continued", [False, True])
async def test_every_padding(authority: Authority, open_pool: OpenPool, *, continued: bool) -> None:
    """Whatever the padding and with a priority or not: head and body are what they are."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        for case in CASES:
            stream_id = (await wire.request()).stream_id
            pad, priority, body_pad = case
            head = padded_head(wire, stream_id, pad, priority=priority)
            frames: list[Frame] = [head]
            if continued:
                rest = ContinuationFrame(stream_id, head.data[1:], flags=["END_HEADERS"])
                head.data = head.data[:1]
                head.flags.discard("END_HEADERS")
                frames.append(rest)
            wire.say(*frames, PriorityFrame(stream_id, 0), padded_data(stream_id, b"x", body_pad))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(len(CASES))), told, timeout_seconds=SECONDS)
            assert told.verdicts == {key: expected(key, b"x") for key in range(len(CASES))}
            await pool.send_many(calls(range(9)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(9))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_frames_of_nothing_but_padding(authority: Authority, open_pool: OpenPool) -> None:
    """Padding alone adds nothing to a body, may end it, and makes a head of no fields."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        one, two = [request.stream_id for request in await wire.requests(2)]
        wire.say(
            padded_head(wire, one, 3, priority=True),
            *[padded_data(one, piece, 255, end=False) for piece in (b"", b"bo", b"", b"dy")],
            padded_data(one, b"", 255),
            # Nine octets are the pad length, eight of padding, and nothing.
            raw(HEADERS, END_HEADERS | END_STREAM | PADDED, two, b"\x08" + bytes(8)),
            # Of a stream that is closed.
            padded_data(one, b"", 255),
            PriorityFrame(one, 0),
            PriorityFrame(2**31 - 1, 0),
        )
        await wire.settled()
        assert wire.resets == [(two, ErrorCode.PROTOCOL_ERROR)]
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(2)), told, timeout_seconds=SECONDS)
            assert told.verdicts == {
                0: expected(0, b"body"),
                1: Unknown("malformed response: no status"),
            }
            await pool.send_many(calls(range(9)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(9))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_padding_is_credited(authority: Authority, open_pool: OpenPool) -> None:
    """Padding spends both windows: a body whose padding is many windows is received."""

    async def play(wire: Wire) -> None:
        request = await wire.request()
        wire.h2.send_headers(request.stream_id, [(b":status", b"200")])
        for turn in range(600):
            await wire.until(lambda: wire.h2.local_flow_control_window(1) >= 257)
            wire.h2.send_data(1, b"%d" % (turn % 10), turn == 599, pad_length=255)
            wire.flush()

    async with Peer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, LEAST), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            assert told.verdicts == {1: Answered(200, (), b"0123456789" * 60)}
            await until(lambda: windows_agree(pool, peer.wires[0]))
        assert len(peer.wires) == 1


async def test_padding_of_closed_streams_is_credited(
    authority: Authority, open_pool: OpenPool
) -> None:
    """Late DATA spends the connection's window and no other: that alone is granted again."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        wire.answer_own(await wire.request())
        late = padded_data(1, b"late", 255)
        # 127 frames of 260 octets are the first to be half of 65,535.
        wire.say(*[late] * 126)
        await wire.settled()
        assert wire.of(WindowUpdateFrame) == []
        wire.say(late)
        await wire.settled()
        granted = [(one.stream_id, one.window_increment) for one in wire.of(WindowUpdateFrame)]
        assert granted == [(0, 127 * 260)]
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, LEAST), Told()
        async with nothing_leaks(pool):
            for key in range(9):
                await pool.send_many(calls([key]), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(9))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


BAD = {
    "HEADERS, padding too long": (raw(HEADERS, END_HEADERS | PADDED, 1, b"\x02\x88"), "PROTOCOL"),
    "HEADERS, longer by far": (raw(HEADERS, END_HEADERS | PADDED, 1, b"\xff\x88"), "PROTOCOL"),
    "HEADERS, no pad length": (raw(HEADERS, END_HEADERS | PADDED, 1), "FRAME_SIZE"),
    "HEADERS, priority of 4": (raw(HEADERS, END_HEADERS | PRIORITY, 1, bytes(4)), "FRAME_SIZE"),
    "HEADERS, priority in the padding": (
        raw(HEADERS, END_HEADERS | PADDED | PRIORITY, 1, b"\x01" + bytes(5)),
        "PROTOCOL",
    ),
    "DATA, padding too long": (raw(DATA, PADDED, 1, b"\x02x"), "PROTOCOL"),
    "DATA, longer by far": (raw(DATA, PADDED | END_STREAM, 1, b"\xffx"), "PROTOCOL"),
    "DATA, no pad length": (raw(DATA, PADDED, 1), "FRAME_SIZE"),
    "DATA of a closed stream": (raw(DATA, PADDED, 3, b"\x02x"), "PROTOCOL"),
}


@pytest.mark.parametrize("name", BAD)
async def test_padding_that_cannot_be(authority: Authority, open_pool: OpenPool, name: str) -> None:
    """Padding longer than its frame ends the connection (RFC 9113 6.1, 6.2); others serve on."""
    frame, error = BAD[name]
    code = ErrorCode[f"{error}_ERROR"]

    async def play(wire: RawWire) -> None:
        wire.greet()
        one, two = await wire.requests(2)
        wire.answer_own(two)
        head = [wire.head(one.stream_id)] if name.startswith("DATA") else []
        wire.say(*head, frame)
        await wire.until(wire.ended.is_set)
        assert wire.goaways == [code]

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(2)), told, timeout_seconds=SECONDS)
            assert told.own() == [1]
            verdict = told.verdicts[0]
            assert isinstance(verdict, Unknown)
            assert verdict.why.startswith(f"{code.name}: ")
            await pool.send_many(calls(range(9)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(9))
        await peer.over()
        assert len(peer.wires) == 2
