"""Check 25: a caller cancelled at each of its awaits disturbs nobody else on the same pool."""

import asyncio
import socket
from collections.abc import Coroutine

import hpack
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, HeadersFrame, WindowUpdateFrame

from pushsvc.delivery.wire import Limits, NotProcessed, Pool, Verdict
from tests.integration.wire.certificates import Authority
from tests.integration.wire.checks.gate import Gate
from tests.integration.wire.fate import carries_on, nothing_leaks, paused, windows_agree
from tests.integration.wire.peer import Peer, Request, Wire, answer_all as answer_strictly
from tests.integration.wire.raw_peer import RawPeer, RawWire, answer_on, settings
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1, await_settings=True)
#: Keys of the caller who leaves, of those who came before, and of those who came after.
LEAVING, EARLIER, LATER = range(10), range(100, 110), range(200, 210)


def sending(pool: Pool, keys: range, told: Told, body: bytes = b"{}") -> asyncio.Task[None]:
    """A caller under way."""
    return asyncio.create_task(pool.send_many(calls(keys, body), told, timeout_seconds=SECONDS))


async def cancelled(caller: asyncio.Task[None]) -> None:
    """Cancel a caller, who ends at once and with nothing else."""
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


class Three:
    """Three callers of one pool, of whom the second is cancelled."""

    def __init__(self, pool: Pool, body: bytes = b"{}") -> None:
        self.pool = pool
        self.earlier, self.leaving, self.later = Told(), Told(), Told()
        self._callers = [
            sending(pool, keys, told, body)
            for keys, told in zip(
                (EARLIER, LEAVING, LATER), (self.earlier, self.leaving, self.later), strict=True
            )
        ]

    async def one_leaves(self) -> None:
        """Cancel the one in the middle."""
        await cancelled(self._callers[1])

    async def others_are_served(self) -> None:
        """Both of the others get their answers, on one connection that goes on; it gets none."""
        await asyncio.gather(self._callers[0], self._callers[2])
        assert self.earlier.own() == list(EARLIER)
        assert self.later.own() == list(LATER)
        assert self.leaving.verdicts == {}
        await carries_on(self.pool)
        assert self.pool.stats.opened == 1


def of_leaving(wire: RawWire) -> int:
    """How many requests of the cancelled caller reached the server, whole or not."""
    decoder = hpack.Decoder()
    heads = [decoder.decode(head.data, raw=True) for head in wire.of(HeadersFrame)]
    keys = [int(value) for head in heads for name, value in head if name == b"apns-id"]
    return len([key for key in keys if key in LEAVING])


@pytest.mark.parametrize("slow_answers", [False, True], ids=["our hello", "its hello"])
async def test_while_connecting(
    authority: Authority, open_pool: OpenPool, *, slow_answers: bool
) -> None:
    """The connection is opened for all who wait; one less does not stop it."""
    async with (
        RawPeer().listen(authority.server_context()) as peer,
        Gate(peer.port, slow_answers=slow_answers).listen() as gate,
    ):
        pool = open_pool(gate.port, ONE)
        async with nothing_leaks(pool):
            three = Three(pool)
            await until(lambda: gate.arrived)
            await three.one_leaves()
            gate.open()
            await three.others_are_served()
        assert of_leaving(peer.wires[0]) == 0


async def test_alone_while_connecting(authority: Authority, open_pool: OpenPool) -> None:
    """The connection that nobody waits for any more is there for the next caller."""
    async with (
        RawPeer().listen(authority.server_context()) as peer,
        Gate(peer.port).listen() as gate,
    ):
        pool, told = open_pool(gate.port, ONE), Told()
        async with nothing_leaks(pool):
            caller = sending(pool, LEAVING, told)
            await until(lambda: gate.arrived)
            await cancelled(caller)
            assert told.verdicts == {}
            gate.open()
            await until(lambda: pool.stats.connections)
            await carries_on(pool)
        assert (gate.arrived, of_leaving(peer.wires[0])) == (1, 0)


async def test_while_waiting_for_settings(authority: Authority, open_pool: OpenPool) -> None:
    """Before SETTINGS nothing has been sent for anybody, and nothing will be for this one."""

    async def play(wire: RawWire) -> None:
        await left.wait()
        assert wire.of(HeadersFrame) == []
        wire.greet()
        await answer_on(wire)

    left = asyncio.Event()
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, ONE)
        async with nothing_leaks(pool):
            three = Three(pool)
            await until(lambda: pool.stats.connections)
            await three.one_leaves()
            left.set()
            await three.others_are_served()
        assert of_leaving(peer.wires[0]) == 0


async def test_while_waiting_for_a_stream(authority: Authority, open_pool: OpenPool) -> None:
    """With one stream at a time, those behind the cancelled caller move up."""

    async def play(wire: RawWire) -> None:
        wire.greet(max_concurrent_streams=1)
        first = await wire.request()
        await three[0].one_leaves()
        wire.answer_own(first)
        await answer_on(wire)

    three: list[Three] = []
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, ONE)
        async with nothing_leaks(pool):
            three.append(Three(pool))
            await three[0].others_are_served()
        assert of_leaving(peer.wires[0]) == 0
        assert peer.wires[0].resets == []


async def test_while_waiting_for_the_window(authority: Authority, open_pool: OpenPool) -> None:
    """A body too large for what is left of the window blocks its caller, not those after it."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        first = await wire.request()
        assert len(first.body) == 60_000
        large.append(sending(pool, LEAVING, left, b"x" * 30_000))
        small.append(sending(pool, LATER, told))
        await until(lambda: pool.stats.waiting == 2)
        await wire.settled()
        assert len(wire.of(HeadersFrame)) == 1
        await cancelled(large[0])
        for request in await wire.requests(10):
            wire.answer_own(request)
        wire.answer_own(first)
        wire.say(WindowUpdateFrame(0, 65_535))
        await answer_on(wire)

    large: list[asyncio.Task[None]] = []
    small: list[asyncio.Task[None]] = []
    left, told, first_told = Told(), Told(), Told()
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, ONE)
        async with nothing_leaks(pool):
            await sending(pool, range(1, 2), first_told, b"x" * 60_000)
            await small[0]
            assert (first_told.own(), told.own(), left.verdicts) == ([1], list(LATER), {})
            await carries_on(pool)
        assert len(peer.wires) == 1


async def test_in_flight(authority: Authority, open_pool: OpenPool) -> None:
    """Its requests are reset, each once; the others' are answered, and late answers ignored."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        requests = await wire.requests(30)
        await three[0].one_leaves()
        await wire.until(lambda: len(wire.resets) == 10)
        for request in requests:
            wire.answer_own(request)
        await answer_on(wire)

    three: list[Three] = []
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, ONE)
        async with nothing_leaks(pool):
            three.append(Three(pool))
            await three[0].others_are_served()
        wire = peer.wires[0]
        assert of_leaving(wire) == len(dict(wire.resets)) == len(wire.resets) == 10
        assert {code for _, code in wire.resets} == {ErrorCodes.CANCEL}


async def test_half_written(authority: Authority, open_pool: OpenPool) -> None:
    """What its bodies had reserved of the connection's window is free for the others."""

    async def play(wire: Wire) -> None:
        await wire.until(lambda: len(wire._bodies) == 30)
        await three[0].one_leaves()
        await wire.until(lambda: len(wire.resets) == 10)
        wire.settings(initial_window_size=65_535)
        await answer_strictly(wire)

    three: list[Three] = []
    async with Peer(play, initial={4: 0}).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, ONE)
        async with nothing_leaks(pool):
            # Thirty bodies of 2,000 reserve nearly the whole window.
            three.append(Three(pool, b"x" * 2_000))
            await three[0].others_are_served()
            whole = Told()
            await sending(pool, range(300, 301), whole, b"x" * 65_000)
            assert whole.own() == [300]
            await until(lambda: windows_agree(pool, peer.wires[0]))


async def test_within_an_answer(authority: Authority, open_pool: OpenPool) -> None:
    """Heads are in and bodies are not: what comes of them after the reset is dropped."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        requests = await wire.requests(30)
        for request in requests:
            own = [("apns-id", request.fields[b"apns-id"].decode())]
            wire.say(wire.head(request.stream_id, fields=own), wire.data(request.stream_id, b"{"))
        await wire.settled()
        await three[0].one_leaves()
        for request in requests:
            wire.say(wire.data(request.stream_id, b"}", end=True))
        await answer_on(wire)

    three: list[Three] = []
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, ONE)
        async with nothing_leaks(pool):
            three.append(Three(pool))
            await three[0].others_are_served()
        assert len(peer.wires[0].resets) == 10


async def test_while_the_transport_is_full(authority: Authority, open_pool: OpenPool) -> None:
    """Resets wait behind what is written, in order; a strict server finds nothing wrong."""

    async def play(wire: Wire) -> None:
        await wire.request()
        wire.stop_reading()
        await until(lambda: paused(pool))
        await cancelled(callers[0])
        wire.read_on()
        await wire.until(lambda: wire.resets)
        await answer_what_is_left(wire)

    async def answer_what_is_left(wire: Wire) -> None:
        wire.answer(1, fields=[(b"apns-id", b"1000")])
        while request := await wire.request_or_end():
            if request.stream_id not in dict(wire.resets):
                wire.answer(request.stream_id, fields=own(request))

    def own(request: Request) -> list[tuple[bytes, bytes]]:
        return [(b"apns-id", request.fields[b"apns-id"])]

    callers: list[asyncio.Task[None]] = []
    left, told, body = Told(), Told(), b"x" * 16_000
    peer = Peer(play, initial={3: 1_000, 4: 2**30})
    peer.connection_window = 2**30
    async with peer.listen(authority.server_context()):
        pool = open_pool(peer.port, ONE)
        async with nothing_leaks(pool):
            staying = sending(pool, range(1_000, 1_400), told, body)
            callers.append(sending(pool, range(900), left, body))
            await staying
            assert told.own() == list(range(1_000, 1_400))
            assert left.verdicts == {}
            assert len(peer.wires) == 1


def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def test_while_calls_are_given_back(open_pool: OpenPool) -> None:
    """Its own giving back stops within a turn; others are given back all of theirs."""

    def leave_at_600(key: int, verdict: Verdict) -> None:
        left(key, verdict)
        if len(left.verdicts) == 600:
            caller.cancel()

    left, others = Told(), Told()
    limits = Limits(connect_attempts=1, backoff_first_seconds=0.01)
    pool = open_pool(unused_port(), limits)
    async with nothing_leaks(pool):
        mine: Coroutine[None, None, None] = pool.send_many(
            calls(range(5_000)), leave_at_600, timeout_seconds=SECONDS
        )
        caller = asyncio.create_task(mine)
        another = sending(pool, range(3_000), others)
        with pytest.raises(asyncio.CancelledError):
            await caller
        await another
        assert 600 <= len(left.verdicts) < 2_000
        assert left.keys(NotProcessed) == left.keys()
        assert others.keys(NotProcessed) == list(range(3_000))


async def test_by_its_own_last_verdict(authority: Authority, open_pool: OpenPool) -> None:
    """Cancelled as its last verdict comes in, a caller may end either way, and that is all."""

    def last(key: int, verdict: Verdict) -> None:
        left(key, verdict)
        if len(left.verdicts) == len(LEAVING):
            caller.cancel()

    left, told = Told(), Told()
    async with RawPeer().listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, ONE)
        async with nothing_leaks(pool):
            caller = asyncio.create_task(
                pool.send_many(calls(LEAVING), last, timeout_seconds=SECONDS)
            )
            another = sending(pool, LATER, told)
            await asyncio.gather(caller, return_exceptions=True)
            await another
            assert (left.own(), told.own()) == (list(LEAVING), list(LATER))
            await carries_on(pool)
        assert peer.wires[0].resets == []


async def test_while_the_pool_closes(authority: Authority, open_pool: OpenPool) -> None:
    """Closing waits for those in flight; when they leave it has nothing to wait for."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        await wire.requests(10)
        closing = asyncio.create_task(pool.close(drain_seconds=SECONDS))
        await until(lambda: pool.stats.draining)
        await cancelled(callers[0])
        async with asyncio.timeout(SECONDS / 2):
            await closing
        assert wire.goaways == [ErrorCodes.NO_ERROR]
        assert len(wire.resets) == 10

    callers: list[asyncio.Task[None]] = []
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            callers.append(sending(pool, LEAVING, told))
            await until(callers[0].done)
            await until(lambda: not pool.stats.draining)
            assert told.verdicts == {}


async def test_a_single_request(authority: Authority, open_pool: OpenPool) -> None:
    """`request` under a timeout of its caller's is reset like any other."""

    async def play(wire: RawWire) -> None:
        wire.greet(initial_window_size=10)
        await wire.next(DataFrame)
        await wire.until(lambda: wire.resets)
        wire.say(settings(initial_window_size=65_535))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, ONE)
        async with nothing_leaks(pool):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await pool.request(b"POST", b"/", [], b"x" * 100, timeout_seconds=SECONDS)
            await carries_on(pool)
        assert peer.wires[0].resets == [(1, ErrorCodes.CANCEL)]
