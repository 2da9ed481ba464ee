"""Many requests over few connections, as the peer allows."""

import asyncio

import pytest

from pushsvc.delivery.wire import Answered, HeaderError, Limits
from tests.integration.wire.certificates import Authority
from tests.integration.wire.peer import Peer, Wire, answer_all
from tests.integration.wire.sending import SECONDS, OpenPool, Pulled, Told, call, calls, until

pytestmark = pytest.mark.integration


async def test_each_request_gets_its_own_answer(authority: Authority, open_pool: OpenPool) -> None:
    """A thousand requests on one connection: one verdict each, with its own apns-id."""
    async with Peer().listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port), Told()
        await pool.send_many(calls(range(1_000)), told, timeout_seconds=SECONDS)
        assert told.own() == list(range(1_000))
        assert len(peer.wires) == 1
        assert (pool.stats.answered, pool.stats.in_flight, pool.stats.waiting) == (1_000, 0, 0)


async def test_nothing_to_send_opens_nothing(authority: Authority, open_pool: OpenPool) -> None:
    """An empty batch returns at once."""
    async with Peer().listen(authority.server_context()) as peer:
        await open_pool(peer.port).send_many([], Told(), timeout_seconds=SECONDS)
        assert peer.wires == []


async def test_one_request(authority: Authority, open_pool: OpenPool) -> None:
    """`request` sends any method, path, headers and body, and gives headers and body back."""

    async def play(wire: Wire) -> None:
        request = await wire.request()
        assert request.fields[b":method"] == b"GET"
        assert request.fields[b":path"] == b"/1/apps?x=y"
        assert request.fields[b":authority"] == b"localhost"
        assert request.fields[b"x-own"] == b"value"
        wire.answer(request.stream_id, 429, request.body * 3, [(b"retry-after", b"5")])

    async with Peer(play).listen(authority.server_context()) as peer:
        verdict = await open_pool(peer.port).request(
            b"GET", b"/1/apps?x=y", [(b"x-own", b"value")], b"body", timeout_seconds=SECONDS
        )
        assert isinstance(verdict, Answered)
        assert (verdict.status, verdict.body) == (429, b"body" * 3)
        assert verdict.header(b"retry-after") == b"5"


async def test_a_request_that_must_not_be_sent(authority: Authority, open_pool: OpenPool) -> None:
    """`request` refuses bad headers and paths before anything is opened."""
    async with Peer().listen(authority.server_context()) as peer:
        pool = open_pool(peer.port)
        with pytest.raises(HeaderError, match="x-a"):
            await pool.request(b"GET", b"/", [(b"x-a", b"a\nb")], b"", timeout_seconds=SECONDS)
        with pytest.raises(HeaderError, match=":path"):
            await pool.request(b"GET", b"/ ", [], b"", timeout_seconds=SECONDS)
        assert peer.wires == []


async def test_calls_are_pulled_as_streams_are_free(
    authority: Authority, open_pool: OpenPool
) -> None:
    """Never more is pulled than the peer has streams, but one."""
    most: list[int] = []

    async def play(wire: Wire) -> None:
        wire.settings(max_concurrent_streams=10)
        for _ in range(20):
            for request in await wire.requests(10):
                most.append(pulled.count - len(told.verdicts))
                wire.answer(request.stream_id)

    limits = Limits(await_settings=True, max_connections=1)
    pulled, told = Pulled(calls(range(200))), Told()
    async with Peer(play).listen(authority.server_context()) as peer:
        await open_pool(peer.port, limits).send_many(pulled, told, timeout_seconds=SECONDS)
    assert told.keys(Answered) == list(range(200))
    assert max(most) <= 11


async def test_senders_take_turns(authority: Authority, open_pool: OpenPool) -> None:
    """With one stream at a time, a short batch does not wait for a long one to end."""
    limits = Limits(max_connections=1, max_streams=1, streams_before_settings=1)
    async with Peer().listen(authority.server_context()) as peer:
        pool, long_told, short_told = open_pool(peer.port, limits), Told(), Told()
        long = asyncio.create_task(
            pool.send_many(calls(range(300)), long_told, timeout_seconds=SECONDS)
        )
        await until(lambda: long_told.verdicts)
        await pool.send_many(calls(range(5)), short_told, timeout_seconds=SECONDS)
        assert len(long_told.verdicts) < 100
        await long
        assert len(long_told.own()) == 300


@pytest.mark.parametrize("lowered", [20, 5, 1, 0])
async def test_a_lowered_stream_limit(
    authority: Authority, open_pool: OpenPool, lowered: int
) -> None:
    """Ten under way, the limit falls, all are answered; later ones wait for their turn.

    This is where httpcore hangs: its reader waits for a slot that only reading can free.
    """

    async def play(wire: Wire) -> None:
        wire.settings(max_concurrent_streams=10)
        first = await wire.requests(10)
        wire.settings(max_concurrent_streams=lowered)
        for request in first:
            wire.answer(request.stream_id)
        if not lowered:
            await wire.until(lambda: wire.h2.open_inbound_streams == 0)
            wire.settings(max_concurrent_streams=3)
        await answer_all(wire)

    limits = Limits(await_settings=True, max_connections=1)
    async with Peer(play).listen(authority.server_context()) as peer:
        told = Told()
        await open_pool(peer.port, limits).send_many(
            calls(range(50)), told, timeout_seconds=SECONDS
        )
        assert told.keys(Answered) == list(range(50))


async def test_one_stream_until_the_first_answer(authority: Authority, open_pool: OpenPool) -> None:
    """As APNs does: one stream, then a thousand; h2 faults a client that opens more."""

    async def play(wire: Wire) -> None:
        first = await wire.request()
        await asyncio.sleep(0)
        assert wire._requests.empty()
        wire.settings(max_concurrent_streams=1_000)
        wire.answer(first.stream_id)
        await answer_all(wire)

    limits = Limits(await_settings=True)
    async with Peer(play, initial={3: 1}).listen(authority.server_context()) as peer:
        told = Told()
        await open_pool(peer.port, limits).send_many(
            calls(range(500)), told, timeout_seconds=SECONDS
        )
        assert len(told.keys(Answered)) == 500


async def test_bodies_beyond_the_connection_window(
    authority: Authority, open_pool: OpenPool
) -> None:
    """Bodies of 4 KiB, many windows full: each goes whole, as window is granted."""
    async with Peer().listen(authority.server_context()) as peer:
        told = Told()
        await open_pool(peer.port).send_many(
            calls(range(200), b"x" * 4_096), told, timeout_seconds=SECONDS
        )
        assert len(told.own()) == 200


async def test_a_body_larger_than_every_window(authority: Authority, open_pool: OpenPool) -> None:
    """Half a megabyte goes as the peer grants it."""

    async def play(wire: Wire) -> None:
        request = await wire.request()
        wire.answer(request.stream_id, fields=[(b"x-size", b"%d" % len(request.body))])

    async with Peer(play).listen(authority.server_context()) as peer:
        verdict = await open_pool(peer.port).request(
            b"POST", b"/", [], b"x" * 500_000, timeout_seconds=SECONDS
        )
        assert isinstance(verdict, Answered)
        assert verdict.header(b"x-size") == b"500000"


async def test_a_peer_that_stops_reading(authority: Authority, open_pool: OpenPool) -> None:
    """The transport's buffer fills, nothing more is pulled, and all goes on when it reads."""
    body = b"x" * 16_000

    async def play(wire: Wire) -> None:
        await wire.request()
        wire.stop_reading()
        wire.answer(1)
        await until(lambda: pool._links[0].paused)
        seen.append(pulled.count)
        wire.read_on()
        await answer_all(wire)

    seen: list[int] = []
    pulled, told = Pulled(calls(range(2_000), body)), Told()
    peer = Peer(play, initial={3: 1_000, 4: 2**30})
    peer.connection_window = 2**30
    async with peer.listen(authority.server_context()):
        pool = open_pool(peer.port, Limits(max_connections=1))
        await pool.send_many(pulled, told, timeout_seconds=SECONDS)
    assert len(told.keys(Answered)) == 2_000
    assert seen[0] < 1_500


async def test_three_thousand_errors(authority: Authority, open_pool: OpenPool) -> None:
    """Error bodies far beyond 65,535 octets in all (aioapns stops after 2,427)."""

    async def play(wire: Wire) -> None:
        while request := await wire.request_or_end():
            wire.answer(request.stream_id, 400, b'{"reason":"BadDeviceToken"}')

    async with Peer(play).listen(authority.server_context()) as peer:
        told = Told()
        await open_pool(peer.port).send_many(calls(range(3_000)), told, timeout_seconds=SECONDS)
        bodies = {
            verdict.body for verdict in told.verdicts.values() if isinstance(verdict, Answered)
        }
        assert bodies == {b'{"reason":"BadDeviceToken"}'}
        assert len(told.keys(Answered)) == 3_000


async def test_calls_that_can_never_be_sent(authority: Authority, open_pool: OpenPool) -> None:
    """A bad header value is that call's own verdict; its neighbours are not disturbed."""
    bad = (5, *call(5)[1:3], (b"a\r\nb",), b"{}")
    async with Peer().listen(authority.server_context()) as peer:
        told = Told()
        mixed = [*calls(range(5)), bad, *calls(range(6, 10))]
        await open_pool(peer.port).send_many(mixed, told, timeout_seconds=SECONDS)
        assert told.own() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
        assert "apns-id" in str(told.verdicts[5])
        only = Told()
        await open_pool(peer.port).send_many([bad], only, timeout_seconds=SECONDS)
        assert only.keys() == [5]
