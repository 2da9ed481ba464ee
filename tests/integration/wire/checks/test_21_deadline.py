"""Check 21: requests out of time, and what the server says about them after our CANCEL."""

import asyncio

import hpack
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    RstStreamFrame,
    WindowUpdateFrame,
)

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Unknown
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import carries_on, nothing_leaks, windows_agree
from tests.integration.wire.peer import Peer, Wire, answer_all as answer_strictly
from tests.integration.wire.raw_peer import (
    RawPeer,
    RawWire,
    acknowledged,
    answer_on,
    settings,
)
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1, await_settings=True)
#: A deadline that is missed.
SOON = 0.1


def late_answers(wire: RawWire) -> None:
    """An answer of every shape, one for each of the streams 1 to 13, woven into each other."""
    fields = [("x-late", "yes"), ("apns-id", "late")]
    # Blocks are made in the order in which they are sent.
    wire.say(wire.head(1, fields=fields, end=True), wire.head(3, fields=fields))
    block = wire.encoder.encode([(":status", "200"), ("x-cut", "into three")])
    wire.say(
        HeadersFrame(5, block[:2], flags=["END_STREAM"]),
        ContinuationFrame(5, block[2:4]),
        ContinuationFrame(5, block[4:], flags=["END_HEADERS"]),
        wire.head(7, 103, [("link", "</late>")]),
        wire.data(3, b"late", end=True),
        wire.head(7, 200, fields),
        wire.data(7, b"late"),
        wire.block(7, [("x-trailer", "late")], end=True),
        RstStreamFrame(9, ErrorCodes.INTERNAL_ERROR),
        wire.head(11, 500, fields),
        RstStreamFrame(11, ErrorCodes.NO_ERROR),
        WindowUpdateFrame(13, 1_000),
        DataFrame(13, b"a body without a head"),
    )


async def test_late_answers(authority: Authority, open_pool: OpenPool) -> None:
    """Unknown, once, whatever is said later; its blocks keep the table, its octets nobody's."""

    async def play(wire: RawWire) -> None:
        wire.encoder = hpack.Encoder()
        wire.say(settings())
        await wire.requests(7)
        await wire.until(lambda: len(wire.resets) == 7)
        assert sorted(wire.resets) == [(one, ErrorCodes.CANCEL) for one in range(1, 14, 2)]
        late_answers(wire)
        for _ in range(10):
            request = await wire.request()
            # Out of the table that the late answers filled.
            fields = [("apns-id", request.fields[b"apns-id"].decode()), ("x-late", "yes")]
            wire.answer(request.stream_id, fields=fields)
        wire.say(acknowledged())
        wire.encoder.header_table_size = 0
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(7)), told, timeout_seconds=SOON)
            assert told.verdicts == dict.fromkeys(range(7), Unknown("deadline"))
            assert pool.stats.in_flight == 0
            await pool.send_many(calls(range(10, 20)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(10, 20))
            lates = [verdict.header(b"x-late") for verdict in after.verdicts.values()]  # type: ignore[union-attr] # all are answered
            assert lates == [b"yes"] * 10
            await carries_on(pool)
            assert told.keys() == list(range(7))
        assert peer.wires[0].goaways == [ErrorCodes.NO_ERROR]
        assert len(peer.wires[0].resets) == 7


async def test_half_an_answer_in_time(authority: Authority, open_pool: OpenPool) -> None:
    """A head before the deadline and the body after it: no answer, and no second verdict."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        await wire.requests(2)
        wire.answer(3, 200, fields=[("apns-id", "1")])
        wire.say(wire.head(1, 200, [("content-length", "4")]), wire.data(1, b"la"))
        await wire.until(lambda: wire.resets)
        wire.say(wire.data(1, b"te", end=True))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(2)), told, timeout_seconds=SOON)
            assert told.verdicts[0] == Unknown("deadline")
            assert told.own() == [1]
            await carries_on(pool)
        assert peer.wires[0].resets == [(1, ErrorCodes.CANCEL)]


async def test_a_late_body_is_credited(authority: Authority, open_pool: OpenPool) -> None:
    """Octets for a stream that is over spend the connection's window, and are granted again."""

    async def play(wire: RawWire) -> None:
        def left() -> int:
            grants = [frame for frame in wire.of(WindowUpdateFrame) if frame.stream_id == 0]
            return 65_535 + sum(frame.window_increment for frame in grants) - sent

        sent = 0
        wire.greet()
        await wire.request()
        await wire.until(lambda: wire.resets)
        wire.say(wire.head(1))
        for _ in range(30):
            await wire.until(lambda: left() >= 10_000)
            wire.say(DataFrame(1, b"x" * 9_000, flags=["PADDED"], pad_length=255))
            sent += 9_256
        await wire.settled()
        assert left() > 32_000
        request = await wire.request()
        wire.say(wire.head(request.stream_id, fields=[("apns-id", "2")]))
        wire.say(*[wire.data(request.stream_id, b"y" * 16_000, end=end) for end in (False, True)])
        await answer_on(wire)

    limits = Limits(max_connections=1, await_settings=True, connection_window_bytes=0)
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SOON)
            assert told.verdicts == {1: Unknown("deadline")}
            await pool.send_many(calls([2]), told, timeout_seconds=SECONDS)
            assert told.verdicts[2] == Answered(200, ((b"apns-id", b"2"),), b"y" * 32_000)
            await carries_on(pool)
        assert peer.wires[0].goaways == [ErrorCodes.NO_ERROR]


async def test_the_stream_is_free_at_once(authority: Authority, open_pool: OpenPool) -> None:
    """Our reset ends a stream (RFC 9113 5.1.2): the next request need not wait for the server."""

    async def play(wire: Wire) -> None:
        await wire.requests(2)
        await wire.until(lambda: len(wire.resets) == 2)
        await answer_strictly(wire)

    async with Peer(play, initial={3: 1}).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(2)), told, timeout_seconds=2 * SOON)
            assert told.keys(Unknown) == [0, 1]
            await carries_on(pool)
            assert windows_agree(pool, peer.wires[0])
        assert peer.wires[0].resets == [(one, ErrorCodes.CANCEL) for one in (1, 3)]


async def test_half_a_request(authority: Authority, open_pool: OpenPool) -> None:
    """Not sent in full by the deadline: not processed, and what it reserved is free again."""

    async def play(wire: Wire) -> None:
        await wire.until(lambda: len(wire.resets) == 2)
        wire.settings(initial_window_size=65_535)
        # A window for a stream that is over.
        wire.say(WindowUpdateFrame(1, 50_000))
        settled.set()
        await answer_strictly(wire)

    settled = asyncio.Event()
    async with Peer(play, initial={4: 0}).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(2), b"x" * 30_000), told, timeout_seconds=SOON)
            assert told.verdicts == dict.fromkeys(
                range(2), NotProcessed("deadline, not sent in full")
            )
            await settled.wait()
            # Nearly the whole connection's window: nothing of it may still be reserved.
            await pool.send_many(calls([2], b"x" * 60_000), after, timeout_seconds=SECONDS)
            assert after.own() == [2]
            await carries_on(pool)
            assert windows_agree(pool, peer.wires[0])
        assert sorted(peer.wires[0].resets) == [(1, ErrorCodes.CANCEL), (3, ErrorCodes.CANCEL)]


async def test_never_written(authority: Authority, open_pool: OpenPool) -> None:
    """What never got a stream is given back, and nothing is said about it to the server."""

    async def play(wire: RawWire) -> None:
        wire.greet(max_concurrent_streams=0)
        await given_back.wait()
        assert wire.of(HeadersFrame) == []
        wire.say(settings(max_concurrent_streams=10))
        await answer_on(wire)

    given_back = asyncio.Event()
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(3)), told, timeout_seconds=SOON)
            assert told.keys(NotProcessed) == [0, 1, 2]
            given_back.set()
            await carries_on(pool)
        assert peer.wires[0].resets == []
        assert len(peer.wires) == 1


async def test_each_sender_has_its_own_time(authority: Authority, open_pool: OpenPool) -> None:
    """One sender's deadline passes; another's request on the same connection is answered later."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        requests = await wire.requests(6)
        await wire.until(lambda: len(wire.resets) == 3)
        for request in requests:
            wire.answer_own(request)
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, hasty, patient = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await asyncio.gather(
                pool.send_many(calls(range(3)), hasty, timeout_seconds=SOON),
                pool.send_many(calls(range(3, 6)), patient, timeout_seconds=SECONDS),
            )
            assert set(hasty.verdicts.values()) == {Unknown("deadline")}
            assert patient.own() == [3, 4, 5]
            await carries_on(pool)
