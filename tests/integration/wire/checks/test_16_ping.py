"""Check 16: PING, ours and the server's, and a flood of it (RFC 9113 section 6.7)."""

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame

from pushsvc.delivery.wire import Limits, Unknown
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import (
    carries_on,
    is_replaced,
    nothing_leaks,
    paused,
    ticked,
)
from tests.integration.wire.peer import Peer, Wire, answer_all as answer_strictly
from tests.integration.wire.raw_peer import RawPeer, RawWire, Reads, answer_all, answer_on, settings
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1, await_settings=True, backoff_first_seconds=0.01)
CALM = ErrorCodes.ENHANCE_YOUR_CALM


def pings(count: int, start: int = 0) -> list[PingFrame]:
    """PINGs, each with octets of its own."""
    return [PingFrame(0, number.to_bytes(8, "big")) for number in range(start, start + count)]


def echoes(wire: RawWire) -> list[bytes]:
    """The octets of the PINGs that the client acknowledged."""
    return [frame.opaque_data for frame in wire.of(PingFrame) if "ACK" in frame.flags]


async def test_each_ping_is_echoed(authority: Authority, open_pool: OpenPool) -> None:
    """The same eight octets, in their order, whatever else is going on; no other PING is sent."""

    async def play(wire: RawWire) -> None:
        wire.greet(initial_window_size=10)
        await wire.next(DataFrame)
        asked = pings(500)
        for ping in asked[:100]:
            wire.say(ping)
        wire.say(wire.head(1, fields=[("apns-id", "1")]), *asked[100:400])
        wire.say(*asked[400:], wire.data(1, b"{}", end=True))
        await wire.until(lambda: len(wire.of(PingFrame)) == 500)
        assert echoes(wire) == [ping.opaque_data for ping in asked]
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1], b"x" * 100), told, timeout_seconds=SECONDS)
            assert told.own() == [1]
            await carries_on(pool)
        assert len(peer.wires[0].of(PingFrame)) == 500


async def test_an_echo_does_not_wait_for_windows(authority: Authority, open_pool: OpenPool) -> None:
    """Control frames are not counted: with every window shut a PING is still answered."""

    async def play(wire: RawWire) -> None:
        wire.greet(initial_window_size=0)
        await wire.next(HeadersFrame)
        wire.say(*pings(3))
        await wire.until(lambda: len(echoes(wire)) == 3)
        assert wire.of(DataFrame) == []
        wire.say(settings(initial_window_size=100))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(5), b"body"), told, timeout_seconds=SECONDS)
            assert told.own() == [0, 1, 2, 3, 4]
            await carries_on(pool)


async def test_answers_to_pings_nobody_sent(authority: Authority, open_pool: OpenPool) -> None:
    """A stray ACK is not echoed and harms nobody."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        await wire.request()
        wire.say(*[PingFrame(0, b"surprise", flags=["ACK"])] * 10)
        await wire.settled()
        assert echoes(wire) == [b"settled1", b"settled2"]
        wire.answer(1, fields=[("apns-id", "1")])
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            assert told.own() == [1]
            await carries_on(pool)


async def test_pings_while_we_leave(authority: Authority, open_pool: OpenPool) -> None:
    """After GOAWAY, as long as streams are open, PINGs are answered: servers time that."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        await wire.request()
        wire.say(GoAwayFrame(0, 2**31 - 1, 0), *pings(1))
        await wire.until(lambda: echoes(wire) == [bytes(8)])
        wire.answer(1, fields=[("apns-id", "1")])

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            assert told.own() == [1]
            await is_replaced(pool)


FLOODS = {
    "PING": PingFrame(0, b"flooding"),
    "PING ACK": PingFrame(0, b"flooding", flags=["ACK"]),
}


@pytest.mark.parametrize("frame", FLOODS.values(), ids=FLOODS)
async def test_a_flood(authority: Authority, open_pool: OpenPool, frame: Frame) -> None:
    """Thousands at once are answered with ENHANCE_YOUR_CALM, and the connection is closed."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        await wire.requests(3)
        wire.answer(1, fields=[("apns-id", "0")])
        wire.say(*[frame] * 5_000)

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
            assert told.own() == [0]
            assert told.keys(Unknown) == [1, 2]
            assert str(told.verdicts[2]).count("ENHANCE_YOUR_CALM: flood") == 1
            await peer.wires[0].until(peer.wires[0].ended.is_set)
            assert peer.wires[0].goaways == [CALM]
            assert len(echoes(peer.wires[0])) <= 1_010
            await is_replaced(pool)


async def test_a_flood_whose_echoes_nobody_reads(authority: Authority) -> None:
    """Echoes that wait to be written are bounded too: more than some thousands are a flood.

    CVE-2019-9512: each tick allows some PINGs, but their echoes must not heap up tick by tick.
    """

    async def play(wire: Wire) -> None:
        await wire.request()
        wire.stop_reading()
        await until(lambda: paused(pool))
        for _ in range(5):
            await until(lambda: ticked(pool))
            await says(wire, pings(900))
        wire.tear()

    async def says(wire: Wire, frames: list[PingFrame]) -> None:
        due = reads.octets + 17 * len(frames)
        wire.say(*frames)
        await until(lambda: reads.octets >= due or told.keys(Unknown))

    reads = Reads(authority)
    peer = Peer(play, answer_strictly, initial={3: 1_000, 4: 2**30})
    peer.connection_window = 2**30
    async with peer.listen(authority.server_context()):
        pool, told = reads.pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(900), b"x" * 16_000), told, timeout_seconds=SECONDS)
            whys = {str(told.verdicts[key]) for key in told.keys(Unknown)}
            assert len(whys) == 1
            assert "ENHANCE_YOUR_CALM" in whys.pop()
            assert len(told.own()) + len(told.keys(Unknown)) == 900
            await is_replaced(pool)


async def test_our_ping_answered(authority: Authority, open_pool: OpenPool) -> None:
    """A long silence makes us ask; an answer of any length of time later is still an answer."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        await wire.request()
        for _ in range(3):
            ping = await wire.next(PingFrame)
            wire.say(PingFrame(0, ping.opaque_data, flags=["ACK"]))
        wire.answer(1, fields=[("apns-id", "1")])
        await answer_on(wire)

    limits = Limits(max_connections=1, ping_after_seconds=0.05, ping_deadline_seconds=SECONDS)
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            assert told.own() == [1]
            await carries_on(pool)


async def test_our_ping_unanswered(authority: Authority, open_pool: OpenPool) -> None:
    """One PING and no answer in time: what is under way is unknown, and another is opened."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        await wire.requests(3)
        await wire.until(wire.ended.is_set)
        assert len(wire.of(PingFrame)) == 1

    limits = Limits(max_connections=1, ping_after_seconds=0.1, ping_deadline_seconds=0.1)
    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
            assert set(told.verdicts.values()) == {Unknown("no answer to PING")}
            await is_replaced(pool)


async def test_silence_before_anything_is_asked(authority: Authority, open_pool: OpenPool) -> None:
    """With nothing under way and no idle PINGs wanted, none is sent (FCM answers with GOAWAY)."""

    async def play(wire: RawWire) -> None:
        await answer_all(wire)
        assert wire.of(PingFrame) == []

    limits = Limits(max_connections=1, ping_after_seconds=0.05, max_connection_age_seconds=0.2)
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            await peer.wires[0].until(peer.wires[0].ended.is_set)
            assert told.own() == [1]
