"""Check 10: frame types, settings, flags and reserved bits that nobody knows are ignored."""

import pytest
from hyperframe.frame import PingFrame, SettingsFrame

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Unknown
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks
from tests.integration.wire.raw_peer import (
    RawPeer,
    RawWire,
    acknowledged,
    answer_all,
    answer_on,
    raw,
)
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1)
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0x0, 0x1, 0x2, 0x3, 0x4
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0x6, 0x7, 0x8, 0x9
END_STREAM, END_HEADERS = 0x1, 0x4
RESERVED = 2**31
OK = b"\x88"
FULL_FRAME = 16_384


async def served_between(
    authority: Authority, open_pool: OpenPool, unknown: list[bytes]
) -> RawWire:
    """Say each of these in the middle of an answer; all answers count, on one connection."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        for octets in unknown:
            request = await wire.request()
            apns_id = request.fields[b"apns-id"].decode()
            head = wire.head(request.stream_id, fields=[("apns-id", apns_id)])
            wire.say(octets, head, octets, wire.data(request.stream_id, b"x", end=True), octets)
        await wire.settled()
        await answer_on(wire)

    keys = range(len(unknown))
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(keys), told, timeout_seconds=SECONDS)
            assert told.verdicts == {
                key: Answered(200, ((b"apns-id", b"%d" % key),), b"x") for key in keys
            }
            await pool.send_many(calls(range(9)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(9))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])
        assert peer.wires[0].resets == []
    return peer.wires[0]


async def test_unknown_types(authority: Authority, open_pool: OpenPool) -> None:
    """All types from 0x0a on, whatever their flags and content, wherever they stand."""
    every_type = [raw(kind, 0xFF, 0, b"\xff" * 9) for kind in range(0x0A, 0x100)]
    # On the connection, a closed stream, an open one, one of the server's, an idle one.
    streams = [raw(0xFA, 0xFF, stream_id, b"x") for stream_id in (0, 1, 7, 2, 2**31 - 1)]
    sizes = [raw(0xFA, 0, 1), raw(0xFA, 0, 1, bytes(FULL_FRAME))]
    at_once = [b"".join(every_type[at : at + 41]) for at in range(0, len(every_type), 41)]
    await served_between(authority, open_pool, [*at_once, *streams, *sizes])


async def test_unknown_settings(authority: Authority, open_pool: OpenPool) -> None:
    """Settings of other extensions, with any value, change nothing; each frame gets its ACK."""
    names = (0x0, 0x7, 0x8, 0x9, 0x10, 0x0A0A, 0xFFFF)
    values = (0, 1, 2**31, 2**32 - 1)
    entries = [
        name.to_bytes(2, "big") + value.to_bytes(4, "big") for name in names for value in values
    ]
    frames = [raw(SETTINGS, 0, 0, entry) for entry in entries]
    frames.append(raw(SETTINGS, 0, 0, b"".join(entries)))
    wire = await served_between(authority, open_pool, frames)
    acks = [frame for frame in wire.of(SettingsFrame) if "ACK" in frame.flags]
    assert len(acks) == 1 + 3 * len(frames)


async def test_unknown_flags(authority: Authority, open_pool: OpenPool) -> None:
    """Flags that a frame type does not have mean nothing, padding and END_STREAM among them."""
    wire = await served_between(
        authority,
        open_pool,
        [
            raw(PRIORITY, 0xFF, 1, bytes(5)),
            raw(RST_STREAM, 0xFF, 1, bytes(4)),
            raw(SETTINGS, 0xFE, 0),
            raw(PING, 0xFE, 0, b"\x09unknown"),
            raw(PING, 0xFF, 0, b"\x09unknown"),
            raw(WINDOW_UPDATE, 0xFF, 0, b"\x00\x00\x00\x01"),
            raw(WINDOW_UPDATE, 0xFF, 1, b"\x00\x00\x00\x01"),
        ],
    )
    # The echoes of the PINGs that were none themselves.
    echoes = [frame for frame in wire.of(PingFrame) if frame.opaque_data == b"\x09unknown"]
    assert [set(frame.flags) for frame in echoes] == [{"ACK"}] * 3


async def test_unknown_flags_of_a_response(authority: Authority, open_pool: OpenPool) -> None:
    """HEADERS, CONTINUATION and DATA with all flags that they do not have."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        one, two, three = [request.stream_id for request in await wire.requests(3)]
        wire.say(
            raw(HEADERS, 0xD2 | END_HEADERS | END_STREAM, one, OK),
            raw(HEADERS, 0xD2, two, b""),
            raw(CONTINUATION, 0xFB, two, b""),
            raw(CONTINUATION, 0xFF, two, OK),
            raw(DATA, 0xF6, two, b"\x09pad"),
            raw(DATA, 0xF6 | END_STREAM, two, b"ded"),
            raw(HEADERS, 0xD2 | END_HEADERS, three, OK),
            raw(DATA, 0xF6 | END_STREAM, three, b""),
        )
        await wire.settled()
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
            assert told.verdicts == {
                0: Answered(200, (), b""),
                1: Answered(200, (), b"\x09padded"),
                2: Answered(200, (), b""),
            }
            await pool.send_many(calls(range(9)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(9))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_reserved_bits(authority: Authority, open_pool: OpenPool) -> None:
    """The bit beside a stream id, an increment and a last id is not part of it (4.1, 6.8, 6.9)."""

    async def play(wire: RawWire) -> None:
        wire.say(raw(SETTINGS, 0, RESERVED), acknowledged())
        one, two, three = [request.stream_id for request in await wire.requests(3)]
        wire.say(
            raw(PING, 0, RESERVED, b"reserved"),
            raw(WINDOW_UPDATE, 0, RESERVED, (RESERVED | 5).to_bytes(4, "big")),
            raw(WINDOW_UPDATE, 0, RESERVED | one, (RESERVED | 5).to_bytes(4, "big")),
            raw(HEADERS, END_HEADERS, RESERVED | one, OK),
            raw(DATA, END_STREAM, RESERVED | one, b"x"),
            raw(RST_STREAM, 0, RESERVED | two, (7).to_bytes(4, "big")),
            # Flags that GOAWAY does not have.
            raw(GOAWAY, 0xFF, RESERVED, (RESERVED | two).to_bytes(4, "big") + bytes(4)),
        )
        await wire.until(wire.ended.is_set)
        assert wire.goaways == [ErrorCode.NO_ERROR]
        assert wire.of(PingFrame)[0].opaque_data == b"reserved"
        assert three == 5

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
            assert told.verdicts == {
                0: Answered(200, (), b"x"),
                1: NotProcessed("reset: REFUSED_STREAM"),
                2: NotProcessed("GOAWAY NO_ERROR"),
            }
            await pool.send_many(calls(range(9)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(9))
        await peer.over()
        assert len(peer.wires) == 2


async def test_an_unknown_frame_too_large(authority: Authority, open_pool: OpenPool) -> None:
    """The size of a frame is a rule for unknown ones too (4.2): its nine octets are enough."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        await wire.request()
        wire.say(raw(0xFA, 0, 1, bytes(FULL_FRAME + 1))[:9])
        await wire.until(wire.ended.is_set)
        assert wire.goaways == [ErrorCode.FRAME_SIZE_ERROR]

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            assert told.verdicts == {1: Unknown("FRAME_SIZE_ERROR: frame of 16385 bytes")}
            await pool.send_many(calls(range(2, 9)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(2, 9))
        await peer.over()
        assert len(peer.wires) == 2
