"""Check 2: many frames in one read are what they are one by one."""

import pytest
from hyperframe.frame import Frame, GoAwayFrame, PingFrame, RstStreamFrame, WindowUpdateFrame

from pushsvc.delivery.wire import (
    Answered,
    Limits,
    NotProcessed,
    Unknown,
)
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks, windows_agree
from tests.integration.wire.peer import Peer, Wire, answer_all as answer_strictly
from tests.integration.wire.raw_peer import (
    RawPeer,
    RawWire,
    Reads,
    acknowledged,
    answer_all,
    answer_on,
    settings,
)
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1)


def woven(wire: RawWire, ids: list[int]) -> list[Frame]:
    """All heads, then all bodies backwards in two pieces each, other frames in between."""
    heads: list[Frame] = [wire.head(one, 400, [("apns-id", f"{one // 2}")]) for one in ids]
    starts: list[Frame] = [wire.data(one, b"<%d" % one) for one in reversed(ids)]
    ends: list[Frame] = [wire.data(one, b">", end=True) for one in ids]
    between: list[Frame] = [PingFrame(0, b"12345678"), WindowUpdateFrame(0, 5), settings()]
    return [*heads, *between, *starts, *between, *ends]


async def test_everything_in_one_read(authority: Authority) -> None:
    """SETTINGS, their ACK and a hundred woven answers in one read; the connection goes on."""

    async def play(wire: RawWire) -> None:
        ids = [request.stream_id for request in await wire.requests(100)]
        frames = [settings(max_concurrent_streams=200), acknowledged(), *woven(wire, ids)]
        await reads.deliver(wire, b"".join(frame.serialize() for frame in frames))
        pieces.append(reads.pieces)
        await answer_on(wire)

    pieces: list[int] = []
    reads = Reads(authority)
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool = reads.pool(peer.port, ONE)
        async with nothing_leaks(pool):
            told, after = Told(), Told()
            await pool.send_many(calls(range(100)), told, timeout_seconds=SECONDS)
            assert told.verdicts == {
                key: Answered(400, ((b"apns-id", b"%d" % key),), b"<%d>" % (2 * key + 1))
                for key in range(100)
            }
            await until(lambda: pieces)
            await pool.send_many(calls(range(100, 110)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(100, 110))
        await peer.over()
    assert pieces == [1]
    assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_more_than_one_read_holds(authority: Authority, open_pool: OpenPool) -> None:
    """A thousand answers of 2 KB in one write, backwards: each request gets its own."""

    async def play(wire: Wire) -> None:
        for request in reversed(await wire.requests(1_000)):
            own = request.fields[b"apns-id"]
            head = [(b":status", b"200"), (b"apns-id", own)]
            wire.h2.send_headers(request.stream_id, head)
            wire.h2.send_data(request.stream_id, own.rjust(2_000), end_stream=True)
        wire.flush()
        await answer_strictly(wire)

    async with Peer(play, initial={3: 1_000}).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(1_000)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(1_000))
            assert {key: own_body(told, key) for key in range(1_000)} == {
                key: b"%2000d" % key for key in range(1_000)
            }
            await pool.send_many(calls(range(10)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(10))
            await until(lambda: windows_agree(pool, peer.wires[0]))
        assert len(peer.wires) == 1


def own_body(told: Told, key: int) -> bytes:
    """The body of an answer."""
    answer = told.verdicts[key]
    assert isinstance(answer, Answered)
    return answer.body


async def test_answers_and_the_end_in_one_read(authority: Authority, open_pool: OpenPool) -> None:
    """Answers, a reset, GOAWAY and FIN at once: each request has its verdict, and we leave too."""

    async def end(wire: RawWire) -> None:
        await wire.requests(5)
        wire.say(
            settings(),
            acknowledged(),
            wire.head(1, end=True),
            RstStreamFrame(3, ErrorCode.REFUSED_STREAM),
            GoAwayFrame(0, 7, ErrorCode.NO_ERROR, b"bye"),
            wire.head(5, 503, end=True),
        )
        wire.close()

    async with RawPeer(end, answer_all).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(5)), told, timeout_seconds=SECONDS)
            assert told.verdicts == {
                0: Answered(200, (), b""),
                1: NotProcessed("reset: REFUSED_STREAM"),
                2: Answered(503, (), b""),
                3: Unknown("end of connection after GOAWAY NO_ERROR bye"),
                4: NotProcessed("GOAWAY NO_ERROR bye"),
            }
            await peer.wires[0].until(peer.wires[0].ended.is_set)
            await pool.send_many(calls(range(5)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(5))
        await peer.over()
        assert len(peer.wires) == 2


async def test_an_offence_in_the_middle_of_a_read(
    authority: Authority, open_pool: OpenPool
) -> None:
    """What stands before an illegal frame counts, what stands behind it does not."""

    async def offend(wire: RawWire) -> None:
        await wire.requests(2)
        illegal = WindowUpdateFrame(0, 2**31 - 1)
        wire.say(settings(), wire.head(1, end=True), illegal, wire.head(3, end=True))
        await wire.until(wire.ended.is_set)
        assert wire.goaways == [ErrorCode.FLOW_CONTROL_ERROR]

    async with RawPeer(offend, answer_all).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(2)), told, timeout_seconds=SECONDS)
            assert told.verdicts == {
                0: Answered(200, (), b""),
                1: Unknown("FLOW_CONTROL_ERROR: window above 2^31-1"),
            }
            await peer.wires[0].until(peer.wires[0].ended.is_set)
            await pool.send_many(calls(range(2)), after, timeout_seconds=SECONDS)
            assert after.own() == [0, 1]
        await peer.over()
        assert len(peer.wires) == 2
