"""Check 9: header blocks over many frames; what may not stand between them; how many there may be.

The limits are those of `delivery/wire/inbound.py`: 32 frames, 64 KiB.
"""

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from pushsvc.delivery.wire import Answered, Limits, Unknown
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks
from tests.integration.wire.raw_peer import RawPeer, RawWire, answer_all, answer_on, settings
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1)
MOST_CONTINUATIONS = 31
FIELDS = [(f"x-field-{number}", "value" * number) for number in range(9)]
OWN = tuple((name.encode(), value.encode()) for name, value in FIELDS)


def cut(head: HeadersFrame, pieces: list[bytes]) -> list[Frame]:
    """HEADERS with the first piece and what flags it has, CONTINUATION for each of the others."""
    head.data = pieces[0]
    head.flags.discard("END_HEADERS")
    rest = [ContinuationFrame(head.stream_id, piece) for piece in pieces[1:]]
    rest[-1].flags.add("END_HEADERS")
    return [head, *rest]


def in_parts(head: HeadersFrame, continuations: int) -> list[Frame]:
    """The head over so many CONTINUATION frames; where it has too few octets some are empty."""
    size = max(1, -(-len(head.data) // (continuations + 1)))
    return cut(head, [head.data[at * size : (at + 1) * size] for at in range(continuations + 1)])


async def test_one_to_many(authority: Authority, open_pool: OpenPool) -> None:
    """Heads and trailers over 1 to 31 CONTINUATION frames; END_STREAM stands on HEADERS."""
    counts = range(1, MOST_CONTINUATIONS + 1)

    async def play(wire: RawWire) -> None:
        wire.greet()
        for count in counts:
            alone, body = await wire.requests(2)
            head = wire.head(alone.stream_id, 500, FIELDS, end=True)
            wire.say(*in_parts(head, count))
            head = wire.head(body.stream_id, 400, FIELDS)
            head.flags.add("PADDED")
            head.pad_length = count
            trailers = wire.block(body.stream_id, FIELDS, end=True)
            data = wire.data(body.stream_id, b"%d" % count)
            wire.say(*in_parts(head, count), data, *in_parts(trailers, count))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(2 * len(counts))), told, timeout_seconds=SECONDS)
            for at, count in enumerate(counts):
                assert told.verdicts[2 * at] == Answered(500, OWN, b"")
                assert told.verdicts[2 * at + 1] == Answered(400, OWN, b"%d" % count)
            await pool.send_many(calls(range(9)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(9))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


@pytest.mark.parametrize("table", [0, 4_096])
async def test_wherever_it_is_cut(authority: Authority, open_pool: OpenPool, table: int) -> None:
    """Cut in two at every octet, one part empty too: the head and our table are the same."""

    async def play(wire: RawWire) -> None:
        wire.encoder.header_table_size = table
        # A server that has not acknowledged our SETTINGS may still use its table.
        wire.say(settings())
        size = 0
        while request := await wire.request_or_end():
            apns_id = request.fields[b"apns-id"].decode()
            head = wire.head(request.stream_id, 200, [("apns-id", apns_id), *FIELDS[:2]], end=True)
            at = size % (len(head.data) + 1)
            size += 1
            wire.say(*cut(head, [head.data[:at], head.data[at:]]))

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(100)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(100))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_a_large_head(authority: Authority, open_pool: OpenPool) -> None:
    """48 KB of fields over three frames: what is beyond our list is cut, the rest counts."""
    large = [(f"x-{number}", "v" * 12_000) for number in range(4)]

    async def play(wire: RawWire) -> None:
        wire.greet()
        request = await wire.request()
        block = wire.encoder.encode([(":status", "503"), *large], huffman=False)
        pieces = [block[at : at + 16_384] for at in range(0, len(block), 16_384)]
        wire.say(*cut(wire.head(request.stream_id, end=True), pieces))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            verdict = told.verdicts[1]
            assert isinstance(verdict, Answered)
            assert (verdict.status, [name for name, _ in verdict.headers]) == (503, [b"x-0"])
            await pool.send_many(calls(range(2, 9)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(2, 9))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


def begun(*frames: Frame) -> list[Frame]:
    """A head that is not complete, then these."""
    return [HeadersFrame(1, b"\x88", flags=["END_STREAM"]), *frames]


END = ContinuationFrame(1, b"", flags=["END_HEADERS"])
PROTOCOL = ErrorCode.PROTOCOL_ERROR
CALM = ErrorCode.ENHANCE_YOUR_CALM
ILLEGAL: dict[str, tuple[list[Frame], ErrorCode]] = {
    "DATA between": (begun(DataFrame(1, b"x"), END), PROTOCOL),
    "DATA of another between": (begun(DataFrame(3, b"x"), END), PROTOCOL),
    "HEADERS between": (begun(HeadersFrame(1, b"", flags=["END_HEADERS"])), PROTOCOL),
    "HEADERS of another between": (
        begun(HeadersFrame(3, b"\x88", flags=["END_HEADERS", "END_STREAM"]), END),
        PROTOCOL,
    ),
    "PRIORITY between": (begun(PriorityFrame(1, 0), END), PROTOCOL),
    "RST_STREAM between": (begun(RstStreamFrame(1, 7), END), PROTOCOL),
    "SETTINGS between": (begun(SettingsFrame(0), END), PROTOCOL),
    "PING between": (begun(PingFrame(0, b"12345678"), END), PROTOCOL),
    "WINDOW_UPDATE between": (begun(WindowUpdateFrame(0, 1), END), PROTOCOL),
    "unknown between": (begun(ExtensionFrame(0xFA, 1), END), PROTOCOL),
    "CONTINUATION of another": (
        begun(ContinuationFrame(3, b"", flags=["END_HEADERS"]), END),
        PROTOCOL,
    ),
    "PING after one CONTINUATION": (
        begun(ContinuationFrame(1, b""), PingFrame(0, b"12345678"), END),
        PROTOCOL,
    ),
    "CONTINUATION alone": ([END], PROTOCOL),
    "CONTINUATION after the end": (
        [HeadersFrame(1, b"\x88", flags=["END_HEADERS"]), END],
        PROTOCOL,
    ),
    "CONTINUATION after DATA": (
        [HeadersFrame(1, b"\x88", flags=["END_HEADERS"]), DataFrame(1, b"x"), END],
        PROTOCOL,
    ),
    "too many, all empty": (begun(*[ContinuationFrame(1, b"")] * (MOST_CONTINUATIONS + 1)), CALM),
    "one too many, the last": (
        begun(*[ContinuationFrame(1, b"")] * MOST_CONTINUATIONS, END),
        CALM,
    ),
    "too large": (begun(*[ContinuationFrame(1, bytes(16_384))] * 4, END), CALM),
}


@pytest.mark.parametrize("name", ILLEGAL)
async def test_what_may_not_be(authority: Authority, open_pool: OpenPool, name: str) -> None:
    """An interrupted block, or one without end, ends the connection (RFC 9113 6.10)."""
    frames, code = ILLEGAL[name]

    async def play(wire: RawWire) -> None:
        wire.greet()
        await wire.requests(2)
        wire.say(*frames)
        await wire.until(wire.ended.is_set)
        assert wire.goaways == [code]

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(2)), told, timeout_seconds=SECONDS)
            whys = [verdict.why for verdict in told.verdicts.values() if type(verdict) is Unknown]
            assert [why.partition(": ")[0] for why in whys] == [code.name, code.name]
            await pool.send_many(calls(range(9)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(9))
        await peer.over()
        assert len(peer.wires) == 2
