"""Check 6: the connection's window is used up by many streams, then widened."""

import asyncio

import pytest
from hyperframe.frame import DataFrame, Frame, HeadersFrame, RstStreamFrame, WindowUpdateFrame

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Unknown, Verdict
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks, windows_agree
from tests.integration.wire.peer import Peer
from tests.integration.wire.raw_peer import RawPeer, RawWire, answer_on, raw
from tests.integration.wire.sending import SECONDS, OpenPool, Told, call, calls, until

pytestmark = pytest.mark.integration

WAITING = Limits(max_connections=1, await_settings=True)
WINDOW_UPDATE = 0x8
LARGEST = 2**31 - 1
BODY = b"x" * 4_096


async def whole_requests(wire: RawWire, octets: int = 0) -> int:
    """How many requests have come when the window is so much wider; none is there in part."""
    if octets:
        wire.say(WindowUpdateFrame(0, octets))
    await wire.settled()
    heads = [frame.stream_id for frame in wire.of(HeadersFrame)]
    ended = [frame.stream_id for frame in wire.of(DataFrame) if "END_STREAM" in frame.flags]
    assert heads == ended
    return len(heads)


async def test_starved_and_widened(authority: Authority, open_pool: OpenPool) -> None:
    """What fits goes, whole; the rest waits for the window, to the octet, and for nothing else."""

    async def play(wire: RawWire) -> None:
        wire.greet(initial_window_size=LARGEST)
        # 15 bodies leave 4,095 octets.
        assert await whole_requests(wire) == 15
        last, *others = await wire.requests(15)
        for request in others:
            wire.answer_own(request)
        assert await whole_requests(wire) == 15
        assert await whole_requests(wire, 1) == 16
        assert await whole_requests(wire, 4_095) == 16
        assert await whole_requests(wire, 1 + 2 * 4_096) == 19
        assert await whole_requests(wire, 2**20) == 100
        wire.answer_own(last)
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, WAITING), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(100), BODY), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(100))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_many_streams_starve_often(authority: Authority, open_pool: OpenPool) -> None:
    """Bodies of all sizes from many senders through the least window; h2 faults an overrun."""
    async with Peer(initial={3: 1_000}).listen(authority.server_context()) as peer:
        pool, tolds = open_pool(peer.port, WAITING), [Told() for _ in range(5)]
        async with nothing_leaks(pool):
            await asyncio.gather(
                *(
                    pool.send_many(
                        (call(key, b"x" * (key * number * 7 % 9_000)) for key in range(100)),
                        told,
                        timeout_seconds=SECONDS,
                    )
                    for number, told in enumerate(tolds)
                )
            )
            assert [told.own() for told in tolds] == [list(range(100))] * 5
            await until(lambda: windows_agree(pool, peer.wires[0]))
        assert len(peer.wires) == 1


async def test_starved_for_too_long(authority: Authority, open_pool: OpenPool) -> None:
    """With nothing else under way one is begun, and given back in time; the connection goes on."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        for request in await wire.requests(15):
            wire.answer_own(request)
        await wire.until(lambda: len(wire.resets) == 2)
        assert sent(wire)[31] == 4_095
        assert 33 not in sent(wire)
        assert wire.resets == [(31, ErrorCode.CANCEL), (33, ErrorCode.CANCEL)]
        wire.say(WindowUpdateFrame(0, 2**20))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, WAITING), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(15), BODY), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(15))
            await pool.send_many(calls([15, 16], BODY), told, timeout_seconds=0.2)
            given_back = NotProcessed("deadline, not sent in full")
            assert [told.verdicts[key] for key in (15, 16)] == [given_back] * 2
            await pool.send_many(calls(range(50), BODY), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(50))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_a_body_larger_than_the_window(authority: Authority, open_pool: OpenPool) -> None:
    """It goes in pieces when nothing else is under way, and what follows waits its turn."""

    async def play(wire: RawWire) -> None:
        wire.greet(initial_window_size=LARGEST)
        await wire.settled()
        assert sent(wire) == {1: 65_535}
        follow.set()
        await until(lambda: pool.stats.waiting == 1)
        for octets, expected in (
            (4_000, {1: 69_535}),
            (30_464, {1: 99_999}),
            # The last octet, and one of the two that the next body needs.
            (2, {1: 100_000}),
            (1, {1: 100_000, 3: 2}),
        ):
            wire.say(WindowUpdateFrame(0, octets))
            await wire.settled()
            assert sent(wire) == expected
        assert (await wire.request()).body == body
        assert max(len(frame.data) for frame in wire.of(DataFrame)) <= 16_384
        for stream_id in (1, 3):
            wire.answer(stream_id, fields=[("apns-id", f"{stream_id // 2}")])

    follow = asyncio.Event()
    body = bytes(range(250)) * 400
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, large, small = open_pool(peer.port, WAITING), Told(), Told()
        async with nothing_leaks(pool), asyncio.TaskGroup() as senders:
            senders.create_task(pool.send_many(calls([0], body), large, timeout_seconds=SECONDS))
            await follow.wait()
            senders.create_task(pool.send_many(calls([1]), small, timeout_seconds=SECONDS))
        assert (large.own(), small.own()) == ([0], [1])
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


def sent(wire: RawWire) -> dict[int, int]:
    """How much of each body has come."""
    sizes: dict[int, int] = {}
    for frame in wire.of(DataFrame):
        sizes[frame.stream_id] = sizes.get(frame.stream_id, 0) + len(frame.data)
    return sizes


@pytest.mark.parametrize(
    ("end", "verdict", "resets"),
    [
        pytest.param("refuse", NotProcessed("reset: REFUSED_STREAM"), [], id="refused"),
        pytest.param(
            "fail", NotProcessed("reset: INTERNAL_ERROR, not sent in full"), [], id="reset"
        ),
        pytest.param(
            "wait",
            NotProcessed("deadline, not sent in full"),
            [(1, ErrorCode.CANCEL)],
            id="deadline",
        ),
        pytest.param(
            "answer", Answered(413, (), b"large"), [(1, ErrorCode.NO_ERROR)], id="answered early"
        ),
    ],
)
async def test_the_end_of_a_starved_request(
    authority: Authority,
    open_pool: OpenPool,
    end: str,
    verdict: Verdict,
    resets: list[tuple[int, int]],
) -> None:
    """What a request had reserved and not used is free again for those that follow."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        await wire.settled()
        words: dict[str, list[Frame]] = {
            "refuse": [RstStreamFrame(1, ErrorCode.REFUSED_STREAM)],
            "fail": [RstStreamFrame(1, ErrorCode.INTERNAL_ERROR)],
            "answer": [wire.head(1, 413), wire.data(1, b"large", end=True)],
            "wait": [],
        }
        wire.say(*words[end])
        await until(lambda: told.verdicts)
        # Exactly the next body's octets.
        wire.say(WindowUpdateFrame(0, 10))
        wire.answer_own(await wire.request())
        assert (sent(wire), wire.resets) == ({1: 65_535, 3: 10}, resets)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, WAITING), Told(), Told()
        async with nothing_leaks(pool):
            seconds = 0.3 if end == "wait" else SECONDS
            await pool.send_many(calls([1], b"x" * 100_000), told, timeout_seconds=seconds)
            assert told.verdicts == {1: verdict}
            await pool.send_many(calls([2], b"x" * 10), after, timeout_seconds=SECONDS)
            assert after.own() == [2]
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


@pytest.mark.parametrize(
    ("octets", "code"),
    [(0, ErrorCode.PROTOCOL_ERROR), (LARGEST, ErrorCode.FLOW_CONTROL_ERROR)],
)
async def test_an_update_that_cannot_be(
    authority: Authority, open_pool: OpenPool, octets: int, code: ErrorCode
) -> None:
    """Zero, or a window above 2^31-1, ends the connection; what waited goes over another."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        assert await whole_requests(wire) == 15
        wire.say(WindowUpdateFrame(0, 4_095))
        wire.say(raw(WINDOW_UPDATE, 0, 0, octets.to_bytes(4, "big")))
        await wire.until(wire.ended.is_set)
        assert wire.goaways == [code]

    async def wide(wire: RawWire) -> None:
        wire.greet()
        wire.say(WindowUpdateFrame(0, LARGEST - 65_535))
        await answer_on(wire)

    async with RawPeer(play, wide).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, WAITING), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(40), BODY), told, timeout_seconds=SECONDS)
            doubtful = [verdict for verdict in told.verdicts.values() if type(verdict) is Unknown]
            assert told.keys(Unknown) == list(range(len(doubtful)))
            assert all(verdict.why.startswith(f"{code.name}: ") for verdict in doubtful)
            assert told.own() == list(range(len(doubtful), 40))
            assert 15 <= len(doubtful) <= 16
        await peer.over()
        assert len(peer.wires) == 2
