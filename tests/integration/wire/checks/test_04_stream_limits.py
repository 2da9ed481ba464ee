"""Check 4: MAX_CONCURRENT_STREAMS changes while requests are under way."""

import asyncio
from collections import deque
from itertools import cycle

import pytest
from hyperframe.frame import DataFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from pushsvc.delivery.wire import Limits, NotProcessed
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks, windows_agree
from tests.integration.wire.peer import Peer, Request, Wire
from tests.integration.wire.raw_peer import RawPeer, RawWire, answer_on, settings
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

WAITING = Limits(max_connections=1, await_settings=True)


class Gate:
    """A server that counts open streams, and changes how many there may be."""

    def __init__(self, wire: RawWire) -> None:
        self.wire = wire
        self.open: deque[Request] = deque()
        self._taken = 0

    async def count(self) -> int:
        """How many are open when the client has done all it may."""
        await self.wire.settled()
        begun = len(self.wire.of(HeadersFrame))
        while begun > self._taken:
            self.open.append(await self.wire.request())
            self._taken += 1
        return len(self.open)

    async def allow(self, streams: int) -> int:
        """Another limit; the answer is how many are open then."""
        self.wire.say(settings(max_concurrent_streams=streams))
        return await self.count()

    async def answer(self, streams: int) -> int:
        """Answer the oldest ones; the answer is how many are open then."""
        for _ in range(streams):
            self.wire.answer_own(self.open.popleft())
        return await self.count()


def check_limits(wire: RawWire) -> None:
    """From each ACK on, no stream was opened beyond the limit it acknowledges."""
    said: deque[int] = deque()
    limit = 0
    streams: set[int] = set()
    for ours, frame in wire.log:
        if isinstance(frame, SettingsFrame):
            if ours and not frame.flags:
                limits = frame.settings
                said.append(limits.get(SettingsFrame.MAX_CONCURRENT_STREAMS, -1))
            elif not ours and frame.flags:
                acknowledged = said.popleft()
                limit = limit if acknowledged < 0 else acknowledged
        elif isinstance(frame, HeadersFrame | DataFrame | RstStreamFrame):
            if not ours and isinstance(frame, HeadersFrame):
                assert len(streams) < limit
                streams.add(frame.stream_id)
            if isinstance(frame, RstStreamFrame) or (ours and "END_STREAM" in frame.flags):
                streams.discard(frame.stream_id)
    assert not said


async def test_one_a_thousand_one_none_five(authority: Authority, open_pool: OpenPool) -> None:
    """1, 1000, 1, 0, 5 while requests are open: always as many as may be, never one more."""

    async def play(wire: RawWire) -> None:
        wire.greet(max_concurrent_streams=1)
        gate = Gate(wire)
        assert [await gate.count(), await gate.answer(1)] == [1, 1]
        assert await gate.allow(1_000) == 1_000
        assert await gate.answer(10) == 1_000
        assert await gate.allow(1) == 1_000
        assert [await gate.answer(400), await gate.answer(599)] == [600, 1]
        assert [await gate.answer(1), await gate.answer(1)] == [1, 1]
        assert [await gate.allow(0), await gate.answer(1)] == [1, 0]
        assert pool.stats.waiting == 1
        assert [await gate.allow(5), await gate.answer(2), await gate.answer(5)] == [5, 5, 5]
        wire.say(settings(header_table_size=4_096))
        assert await gate.count() == 5
        # Beyond our own limit the peer's does not matter.
        assert await gate.allow(2**32 - 1) == 1_000
        assert await gate.answer(1_000) > 0
        for request in gate.open:
            wire.answer_own(request)
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, WAITING), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(3_100)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(3_100))
        await peer.over()
        check_limits(peer.wires[0])
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_a_limit_that_never_rests(authority: Authority, open_pool: OpenPool) -> None:
    """A limit that changes with every few answers; h2 faults a client that exceeds it."""

    async def play(wire: Wire) -> None:
        limits = cycle((1, 1_000, 1, 0, 5, 20, 3))
        answered = 0
        while request := await wire.request_or_end():
            if answered % 7 == 0:
                wire.settings(max_concurrent_streams=next(limits))
            own = request.fields[b"apns-id"]
            wire.answer(request.stream_id, fields=[(b"apns-id", own)])
            answered += 1
            if wire.h2.open_inbound_streams == 0:
                wire.settings(max_concurrent_streams=2)

    async with Peer(play, initial={3: 2}).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, WAITING), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(500)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(500))
            await until(lambda: windows_agree(pool, peer.wires[0]))
        assert len(peer.wires) == 1


async def test_none_and_a_sender_that_leaves(authority: Authority, open_pool: OpenPool) -> None:
    """At 0 a sender waits; one that left is not sent later, one that stayed is."""

    async def play(wire: RawWire) -> None:
        wire.greet(max_concurrent_streams=0)
        await left.wait()
        wire.say(settings(max_concurrent_streams=5))
        await answer_on(wire)

    left = asyncio.Event()
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, leaving, staying = open_pool(peer.port, WAITING), Told(), Told()
        async with nothing_leaks(pool), asyncio.TaskGroup() as senders:
            gone = senders.create_task(
                pool.send_many(calls(range(50)), leaving, timeout_seconds=SECONDS)
            )
            senders.create_task(
                pool.send_many(calls(range(100, 150)), staying, timeout_seconds=SECONDS)
            )
            await until(lambda: pool.stats.waiting == 2 and pool.stats.connections)
            gone.cancel()
            await asyncio.wait([gone])
            left.set()
        assert (leaving.verdicts, staying.own()) == ({}, list(range(100, 150)))
        assert len(peer.wires[0].of(HeadersFrame)) == 50
        await peer.over()
        check_limits(peer.wires[0])
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_none_for_too_long(authority: Authority, open_pool: OpenPool) -> None:
    """At 0 calls are given back in time; the connection stays, and serves once it may."""

    async def play(wire: RawWire) -> None:
        wire.greet(max_concurrent_streams=0)
        await until(lambda: told.verdicts)
        assert wire.of(HeadersFrame) == []
        wire.say(settings(max_concurrent_streams=5))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, WAITING), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(50)), told, timeout_seconds=0.2)
            given_back = NotProcessed("no stream was free for 0.2 s")
            assert told.verdicts == dict.fromkeys(range(50), given_back)
            await pool.send_many(calls(range(50)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(50))
        await peer.over()
        check_limits(peer.wires[0])
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])
