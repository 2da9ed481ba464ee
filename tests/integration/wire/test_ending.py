"""Deadlines, resets, ends of connections and senders that leave: each request's one verdict."""

import asyncio
from collections.abc import Iterator

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame, RstStreamFrame

from pushsvc.delivery.wire import Answered, Call, Limits, NotProcessed, Unknown, Verdict
from tests.integration.wire.certificates import Authority
from tests.integration.wire.peer import Peer, Wire, answer_all
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (ErrorCodes.REFUSED_STREAM, NotProcessed("reset: REFUSED_STREAM")),
        (ErrorCodes.INTERNAL_ERROR, Unknown("reset: INTERNAL_ERROR")),
        (ErrorCodes.ENHANCE_YOUR_CALM, Unknown("reset: ENHANCE_YOUR_CALM")),
    ],
)
async def test_resets(
    authority: Authority, open_pool: OpenPool, code: ErrorCodes, verdict: Verdict
) -> None:
    """A reset ends its request only (E3.13)."""

    async def play(wire: Wire) -> None:
        one, two, three = await wire.requests(3)
        wire.answer(one.stream_id)
        wire.reset(two.stream_id, code)
        wire.answer(three.stream_id)

    async with Peer(play).listen(authority.server_context()) as peer:
        told = Told()
        await open_pool(peer.port).send_many(calls(range(3)), told, timeout_seconds=SECONDS)
        assert told.keys(Answered) == [0, 2]
        assert told.verdicts[1] == verdict


async def test_an_answer_before_the_body_is_read(authority: Authority, open_pool: OpenPool) -> None:
    """As nginx does: the answer, then RST_STREAM NO_ERROR. That is success (RFC 9113 8.1)."""

    async def play(wire: Wire) -> None:
        while request := await wire.request_or_end():
            wire.answer(request.stream_id)
            wire.say(RstStreamFrame(request.stream_id, ErrorCodes.NO_ERROR))

    async with Peer(play).listen(authority.server_context()) as peer:
        told = Told()
        await open_pool(peer.port).send_many(calls(range(500)), told, timeout_seconds=SECONDS)
        assert told.keys(Answered) == list(range(500))


async def test_a_deadline_and_what_comes_late(authority: Authority, open_pool: OpenPool) -> None:
    """The request out of time is reset and unknown; its late answer harms nobody (E3.21)."""

    async def play(wire: Wire) -> None:
        one, two = await wire.requests(2)
        wire.answer(two.stream_id)
        await wire.until(lambda: wire.resets)
        late = wire.resets[0][0]
        assert late == one.stream_id
        wire.say(
            b"\x00\x00\x01\x01\x04" + late.to_bytes(4, "big") + b"\x88",
            b"\x00\x00\x04\x00\x01" + late.to_bytes(4, "big") + b"late",
        )
        await answer_all(wire)

    async with Peer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        await pool.send_many(calls(range(2)), told, timeout_seconds=0.2)
        assert told.verdicts[0] == Unknown("deadline")
        assert told.keys(Answered) == [1]
        after = Told()
        await pool.send_many(calls(range(100)), after, timeout_seconds=SECONDS)
        assert len(after.own()) == 100
        assert peer.wires[0].resets == [(1, ErrorCodes.CANCEL)]
        assert len(peer.wires) == 1


@pytest.mark.parametrize("ending", ["close", "tear"])
async def test_the_connection_ends(authority: Authority, open_pool: OpenPool, ending: str) -> None:
    """What was written and not answered is unknown; what was not pulled yet goes elsewhere."""

    async def end(wire: Wire) -> None:
        first, *_ = await wire.requests(5)
        wire.answer(first.stream_id)
        # The answer must be read before a TCP reset discards it.
        await until(lambda: told.verdicts)
        getattr(wire, ending)()

    told = Told()
    limits = Limits(max_connections=1, max_streams=5, streams_before_settings=5)
    async with Peer(end, answer_all).listen(authority.server_context()) as peer:
        await open_pool(peer.port, limits).send_many(
            calls(range(20)), told, timeout_seconds=SECONDS
        )
        assert len(peer.wires) == 2
        unknown = told.keys(Unknown)
        assert set(unknown) >= {1, 2, 3, 4}
        assert len(unknown) + len(told.keys(Answered)) == 20
        assert len(unknown) <= 5


async def test_goaway_with_requests_under_way(authority: Authority, open_pool: OpenPool) -> None:
    """Above the last id: not processed. Below: answered. New requests: another connection."""

    async def go_away(wire: Wire) -> None:
        requests = await wire.requests(10)
        wire.say(GoAwayFrame(0, requests[5].stream_id, 0, b'{"reason":"Shutdown"}'))
        for request in requests[:6]:
            wire.answer(request.stream_id)

    told = Told()
    limits = Limits(max_connections=1, max_streams=10, streams_before_settings=10)
    async with Peer(go_away, answer_all).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, limits)
        await pool.send_many(calls(range(50)), told, timeout_seconds=SECONDS)
        assert told.keys(NotProcessed) == [6, 7, 8, 9]
        assert told.verdicts[6] == NotProcessed('GOAWAY NO_ERROR {"reason":"Shutdown"}')
        assert len(told.keys(Answered)) == 46
        assert len(peer.wires) == 2
        assert pool.stats.goaways == 1
        await peer.wires[0].until(peer.wires[0].ended.is_set)


async def test_rolling_goaway_loses_and_doubles_nothing(
    authority: Authority, open_pool: OpenPool
) -> None:
    """A peer that leaves after every 50 requests: what it accepted it answered, once."""
    accepted: list[bytes] = []

    async def some(wire: Wire) -> None:
        for turn in range(50):
            request = await wire.request_or_end()
            if request is None:
                return
            accepted.append(request.fields[b"apns-id"])
            if turn == 49:
                wire.say(GoAwayFrame(0, request.stream_id, 0))
            wire.answer(request.stream_id, fields=[(b"apns-id", request.fields[b"apns-id"])])

    told = Told()
    async with Peer(some).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, ONE)
        waiting = list(range(400))
        while waiting:
            round_told = Told()
            await pool.send_many(calls(waiting), round_told, timeout_seconds=SECONDS)
            for key in round_told.own():
                told(key, round_told.verdicts[key])
            waiting = round_told.keys(NotProcessed)
            assert round_told.keys(Unknown) == []
    assert told.own() == list(range(400))
    assert sorted(accepted) == sorted(b"%d" % key for key in range(400))


async def test_goaway_on_every_connection(authority: Authority, open_pool: OpenPool) -> None:
    """Connections that never answer are failed connects: after a few, calls are given back."""

    async def go_away(wire: Wire) -> None:
        wire.say(GoAwayFrame(0, 0, 0, b'{"reason":"BadCertificateEnvironment"}'))

    limits = Limits(connect_attempts=3, backoff_first_seconds=0.01)
    async with Peer(go_away).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        await pool.send_many(calls(range(2_000)), told, timeout_seconds=SECONDS)
        assert told.keys(NotProcessed) == list(range(2_000))
        assert len(peer.wires) <= 4
        assert "BadCertificateEnvironment" in str(told.verdicts[1_999])


async def test_a_blackhole_is_found_by_ping(authority: Authority, open_pool: OpenPool) -> None:
    """Requests out, nothing heard, no answer to PING: the connection is dead (E3.16)."""

    async def silence(wire: Wire) -> None:
        await wire.request()
        wire.mute = True

    limits = Limits(max_connections=1, ping_after_seconds=0.2, ping_deadline_seconds=0.2)
    async with Peer(silence).listen(authority.server_context()) as peer:
        told = Told()
        await open_pool(peer.port, limits).send_many(calls(range(3)), told, timeout_seconds=SECONDS)
        assert set(told.verdicts.values()) == {Unknown("no answer to PING")}
        assert peer.wires[0].pings == 1


async def test_slow_is_not_dead(authority: Authority, open_pool: OpenPool) -> None:
    """A peer that answers PINGs keeps its connection, however long the answers take."""

    async def slow(wire: Wire) -> None:
        request = await wire.request()
        await wire.until(lambda: wire.pings >= 3)
        wire.answer(request.stream_id)

    limits = Limits(max_connections=1, ping_after_seconds=0.1, ping_deadline_seconds=1.0)
    async with Peer(slow).listen(authority.server_context()) as peer:
        told = Told()
        await open_pool(peer.port, limits).send_many(calls([1]), told, timeout_seconds=SECONDS)
        assert told.keys(Answered) == [1]


async def test_without_pings_silence_moves_on(authority: Authority, open_pool: OpenPool) -> None:
    """Where PING is not wanted, a deadline in full silence sends what follows elsewhere."""

    async def silence(wire: Wire) -> None:
        await wire.request()
        wire.mute = True

    limits = Limits(max_connections=1, ping_after_seconds=None, silence_seconds=0.2)
    async with Peer(silence, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        await pool.send_many(calls([1]), told, timeout_seconds=0.3)
        assert told.verdicts == {1: Unknown("deadline")}
        await pool.send_many(calls([2]), told, timeout_seconds=SECONDS)
        assert told.keys(Answered) == [2]
        assert peer.wires[0].pings == 0


async def test_a_peer_that_reads_no_more(authority: Authority, open_pool: OpenPool) -> None:
    """What we wrote waits for long and nothing is read: the connection is given up."""

    async def stop(wire: Wire) -> None:
        await wire.request()
        wire.stop_reading()

    limits = Limits(max_connections=1, stalled_write_seconds=0.3)
    peer = Peer(stop, answer_all, initial={3: 1_000, 4: 2**30})
    peer.connection_window = 2**30
    async with peer.listen(authority.server_context()):
        told = Told()
        await open_pool(peer.port, limits).send_many(
            calls(range(900), b"x" * 16_000), told, timeout_seconds=SECONDS
        )
        assert set(told.verdicts) == set(range(900))
        assert Unknown("the peer has stopped reading") in told.verdicts.values()
        assert len(told.keys(Answered)) + len(told.keys(Unknown)) == 900


async def test_a_deadline_frees_the_stream_for_the_next(
    authority: Authority, open_pool: OpenPool
) -> None:
    """With one stream and a short time, the second call goes out when the first is given up."""

    async def be_silent_once(wire: Wire) -> None:
        await wire.request()
        await answer_all(wire)

    limits = Limits(await_settings=True, max_connections=1)
    async with Peer(be_silent_once, initial={3: 1}).listen(authority.server_context()) as peer:
        told = Told()
        await open_pool(peer.port, limits).send_many(calls(range(3)), told, timeout_seconds=0.1)
        assert told.verdicts[0] == Unknown("deadline")
        assert told.own() == [1, 2]


async def test_no_stream_for_ever(authority: Authority, open_pool: OpenPool) -> None:
    """A peer that allows no stream at all: calls are given back, not kept for ever."""
    limits = Limits(await_settings=True, max_connections=1)
    async with Peer(initial={3: 0}).listen(authority.server_context()) as peer:
        told = Told()
        await open_pool(peer.port, limits).send_many(calls(range(5)), told, timeout_seconds=0.3)
        assert told.keys(NotProcessed) == list(range(5))


async def test_a_cancelled_sender_takes_its_own_along(
    authority: Authority, open_pool: OpenPool
) -> None:
    """Its requests are reset, it hears no more; another sender's are not touched (E3.25)."""

    async def play(wire: Wire) -> None:
        requests = await wire.requests(20)
        all_read.set()
        await wire.until(lambda: len(wire.resets) == 10)
        for request in requests:
            if request.fields[b":path"] >= b"/3/device/00000064":
                wire.answer(request.stream_id)

    all_read = asyncio.Event()
    async with Peer(play).listen(authority.server_context()) as peer:
        pool, leaving, staying = open_pool(peer.port, ONE), Told(), Told()
        sender = asyncio.create_task(
            pool.send_many(calls(range(10)), leaving, timeout_seconds=SECONDS)
        )
        other = asyncio.create_task(
            pool.send_many(calls(range(100, 110)), staying, timeout_seconds=SECONDS)
        )
        await all_read.wait()
        sender.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sender
        await other
        assert leaving.verdicts == {}
        assert staying.keys(Answered) == list(range(100, 110))
        assert {code for _, code in peer.wires[0].resets} == {ErrorCodes.CANCEL}
        assert pool.stats.in_flight == 0


async def test_a_sender_cancelled_while_connecting(
    authority: Authority, open_pool: OpenPool
) -> None:
    """Nothing was sent, nothing remains, and the pool goes on working."""
    async with Peer().listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port), Told()
        sender = asyncio.create_task(
            pool.send_many(calls(range(10)), told, timeout_seconds=SECONDS)
        )
        await asyncio.sleep(0)
        sender.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sender
        await pool.send_many(calls(range(5)), told, timeout_seconds=SECONDS)
        assert told.own() == list(range(5))


async def test_an_error_of_the_callback(authority: Authority, open_pool: OpenPool) -> None:
    """It is raised to its sender; the connection and other senders do not notice."""

    def broken(key: int, verdict: Verdict) -> None:
        heard.append((key, verdict))
        if key == 3:
            message = "broken callback"
            raise RuntimeError(message)

    heard: list[tuple[int, Verdict]] = []
    async with Peer().listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        other = asyncio.create_task(
            pool.send_many(calls(range(500)), told, timeout_seconds=SECONDS)
        )
        with pytest.raises(RuntimeError, match="broken callback"):
            await pool.send_many(calls(range(100_000)), broken, timeout_seconds=SECONDS)
        await other
        assert told.own() == list(range(500))
        assert len({key for key, _ in heard}) == len(heard) < 5_000
        assert len(peer.wires) == 1


async def test_an_error_of_the_calls(authority: Authority, open_pool: OpenPool) -> None:
    """What was pulled gets its verdict, then the error is raised."""

    def broken() -> Iterator[Call]:
        yield from calls(range(10))
        message = "broken source"
        raise RuntimeError(message)

    async with Peer().listen(authority.server_context()) as peer:
        told = Told()
        with pytest.raises(RuntimeError, match="broken source"):
            await open_pool(peer.port).send_many(broken(), told, timeout_seconds=SECONDS)
        assert told.own() == list(range(10))


async def test_closing_lets_requests_finish(authority: Authority, open_pool: OpenPool) -> None:
    """What is under way is answered, what was not pulled is given back, GOAWAY is said."""

    async def play(wire: Wire) -> None:
        requests = await wire.requests(4)
        closing.append(asyncio.create_task(pool.close(drain_seconds=SECONDS)))
        await asyncio.sleep(0)
        for request in requests:
            wire.answer(request.stream_id)

    closing: list[asyncio.Task[None]] = []
    limits = Limits(max_connections=1, max_streams=4, streams_before_settings=4)
    async with Peer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        await pool.send_many(calls(range(10)), told, timeout_seconds=SECONDS)
        assert told.keys(Answered) == [0, 1, 2, 3]
        assert told.keys(NotProcessed) == [4, 5, 6, 7, 8, 9]
        await asyncio.gather(*closing)
        await peer.wires[0].until(peer.wires[0].ended.is_set)
        assert peer.wires[0].goaways == [ErrorCodes.NO_ERROR]
        await pool.send_many(calls([11]), told, timeout_seconds=SECONDS)
        assert told.verdicts[11] == NotProcessed("the pool is closed")


async def test_closing_does_not_wait_for_ever(authority: Authority, open_pool: OpenPool) -> None:
    """After the drain time what is left is unknown."""

    async def silent(wire: Wire) -> None:
        await wire.request()
        read.set()

    read = asyncio.Event()
    async with Peer(silent).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port), Told()
        sender = asyncio.create_task(pool.send_many(calls([1]), told, timeout_seconds=SECONDS))
        await read.wait()
        await pool.close(drain_seconds=0.1)
        await sender
        assert told.verdicts == {1: Unknown("the pool is closed")}


async def test_a_peer_that_breaks_the_rules(authority: Authority, open_pool: OpenPool) -> None:
    """GOAWAY with the right code, the connection closed, the next one used."""

    async def illegal(wire: Wire) -> None:
        await wire.request()
        wire.say(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00")

    async with Peer(illegal, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port), Told()
        await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
        assert told.verdicts == {1: Unknown("PROTOCOL_ERROR: WINDOW_UPDATE of zero")}
        await peer.wires[0].until(lambda: peer.wires[0].goaways)
        assert peer.wires[0].goaways == [ErrorCodes.PROTOCOL_ERROR]
        await pool.send_many(calls([2]), told, timeout_seconds=SECONDS)
        assert told.keys(Answered) == [2]
