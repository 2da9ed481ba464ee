"""Check 1: however a server's octets are cut into pieces, they mean the same."""

import hpack
import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from pushsvc.delivery.wire import (
    Answered,
    Limits,
    NotProcessed,
    Unknown,
    Verdict,
)
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks
from tests.integration.wire.raw_peer import (
    RawPeer,
    RawWire,
    Reads,
    acknowledged,
    raw,
    settings,
)
from tests.integration.wire.sending import SECONDS, Told, calls

pytestmark = pytest.mark.integration

VERDICTS: dict[int, Verdict] = {
    0: Answered(400, ((b"apns-id", b"one"), (b"x-new", b"value")), b'{"reason":"BadDeviceToken"}'),
    1: Answered(200, ((b"x-new", b"value"), (b"apns-id", b"two")), b""),
    2: NotProcessed("reset: REFUSED_STREAM"),
    3: Unknown("reset: INTERNAL_ERROR"),
    4: Answered(503, ((b"retry-after", b"120"),), b"busy"),
}


def dynamic_part() -> list[Frame | bytes]:
    """Heads of a server that has not read our SETTINGS: Huffman strings in a dynamic table."""
    encode = hpack.Encoder().encode
    one = encode([(":status", "400"), ("apns-id", "one"), ("x-new", "value")])
    trailers = encode([("x-new", "value"), ("grpc-status", "0")])
    two = encode([(":status", "200"), ("x-new", "value"), ("apns-id", "two")])
    flags = ["END_HEADERS", "PADDED", "PRIORITY"]
    return [
        HeadersFrame(1, one, flags=flags, pad_length=7, depends_on=0, stream_weight=15),
        WindowUpdateFrame(0, 1_000),
        DataFrame(1, b'{"reason":', flags=["PADDED"], pad_length=5),
        PingFrame(0, b"\x00\x00\x01\x01\x04\x00\x00\x00"),
        DataFrame(1, b'"BadDeviceToken"}'),
        raw(0xFA, 0xFF, 1, b"unknown"),
        HeadersFrame(1, trailers, flags=["END_HEADERS", "END_STREAM"]),
        HeadersFrame(3, two[:1], flags=["END_STREAM"]),
        ContinuationFrame(3, two[1:3]),
        ContinuationFrame(3, two[3:], flags=["END_HEADERS"]),
    ]


def static_part() -> list[Frame | bytes]:
    """Heads after our SETTINGS are in force: the table is emptied, and stays so."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    five = encoder.encode([(":status", "503"), ("retry-after", "120")])
    return [
        RstStreamFrame(5, ErrorCode.REFUSED_STREAM),
        RstStreamFrame(7, ErrorCode.INTERNAL_ERROR),
        acknowledged(),
        HeadersFrame(9, five, flags=["END_HEADERS"]),
        DataFrame(9, b"busy"),
        DataFrame(9, b"", flags=["END_STREAM"]),
        GoAwayFrame(0, 9, 0, b'{"reason":"Shutdown"}'),
    ]


def sequence() -> bytes:
    """All that a server says on a connection with five requests, from SETTINGS to GOAWAY."""
    frames = [settings(max_concurrent_streams=100), *dynamic_part(), *static_part()]
    return b"".join(frame if isinstance(frame, bytes) else frame.serialize() for frame in frames)


async def follow(authority: Authority, cuts: list[list[bytes]]) -> None:
    """On one connection after another the same octets, each time in other pieces."""

    async def play(wire: RawWire) -> None:
        await wire.requests(len(VERDICTS))
        await reads.deliver(wire, *cuts[len(peer.wires) - 1])
        await wire.until(wire.ended.is_set)
        assert [type(frame) for frame in wire.frames[-3:]] == [
            SettingsFrame,
            PingFrame,
            GoAwayFrame,
        ]
        assert wire.goaways == [ErrorCode.NO_ERROR]

    reads = Reads(authority)
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool = reads.pool(peer.port, Limits(max_connections=1))
        async with nothing_leaks(pool):
            for number, pieces in enumerate(cuts, 1):
                told = Told()
                await pool.send_many(calls(VERDICTS), told, timeout_seconds=SECONDS)
                assert told.verdicts == VERDICTS, pieces
                await peer.wires[-1].until(peer.wires[-1].ended.is_set)
                assert len(peer.wires) == number
            await peer.over()
            assert reads.pieces == sum(map(len, cuts))
            assert reads.octets == len(cuts) * len(sequence())


@pytest.mark.parametrize("size", [1, 2, 3, 8, 9, 10])
async def test_small_pieces(authority: Authority, size: int) -> None:
    """Octet by octet, and around the nine octets of a frame's head: the same verdicts and end."""
    octets = sequence()
    await follow(authority, [[octets[at : at + size] for at in range(0, len(octets), size)]])


async def test_every_cut_in_two(authority: Authority) -> None:
    """Wherever the octets are cut in two: the same verdicts and end."""
    octets = sequence()
    await follow(authority, [[octets[:at], octets[at:]] for at in range(1, len(octets))])
