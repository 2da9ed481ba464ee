"""Check 22: many senders leave at once; the tables stay in step, and a worn connection goes."""

import asyncio
import random

import hpack
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import HeadersFrame

from pushsvc.delivery.wire import Answered, Limits, Pool
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import carries_on, is_replaced, nothing_leaks, windows_agree
from tests.integration.wire.peer import Peer, Request, Wire
from tests.integration.wire.raw_peer import (
    RawPeer,
    RawWire,
    acknowledged,
    answer_all,
    answer_on,
    settings,
)
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1, await_settings=True, growth_spacing_seconds=0.0)
#: Keys of those who stay; below are those who leave.
STAYING = 1_000


def start(pool: Pool, keys: range, told: Told) -> asyncio.Task[None]:
    """A sender under way."""
    return asyncio.create_task(pool.send_many(calls(keys), told, timeout_seconds=SECONDS))


async def leave(senders: list[asyncio.Task[None]]) -> None:
    """All of them are cancelled in one turn of the loop."""
    for sender in senders:
        sender.cancel()
    await asyncio.gather(*senders, return_exceptions=True)


def key_of(request: Request) -> int:
    """Whose request it is."""
    return int(request.fields[b"apns-id"])


def notes(key: int) -> list[tuple[str, str]]:
    """Fields of an answer, each of which enters the table; they recur in other answers."""
    return [("apns-id", str(key)), ("x-note", f"note {key % 7}"), ("x-more", f"more {key % 11}")]


def noted(key: int) -> Answered:
    """The answer with these fields."""
    fields = [(name.encode(), value.encode()) for name, value in notes(key)]
    return Answered(200, tuple(fields), b"")


async def test_tables_stay_in_step(authority: Authority, open_pool: OpenPool) -> None:
    """Answers nobody waits for fill the table that later answers refer to (E1.9, E1.17).

    The server has not read our SETTINGS yet, so it still uses the table.
    """

    def answer(wire: RawWire, requests: list[Request]) -> None:
        for request in requests:
            wire.answer(request.stream_id, fields=notes(key_of(request)))

    async def play(wire: RawWire) -> None:
        wire.encoder = hpack.Encoder()
        wire.say(settings())
        requests = await wire.requests(100)
        doomed = [request for request in requests if key_of(request) < STAYING]
        living = [request for request in requests if key_of(request) >= STAYING]
        # These are on their way when their senders leave; a few may still be read before.
        answer(wire, doomed[:40])
        await leave(leaving)
        await wire.until(lambda: len(wire.resets) + len(left.verdicts) == 80)
        for turn in range(20):
            answer(wire, [*doomed[40 + 2 * turn : 42 + 2 * turn], living[turn]])
        wire.say(acknowledged())
        wire.encoder.header_table_size = 0
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, left, stayed = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            leaving = [start(pool, range(at, at + 4), left) for at in range(0, 80, 4)]
            staying = start(pool, range(STAYING, STAYING + 20), stayed)
            await staying
            assert left.verdicts == {key: noted(key) for key in left.verdicts}
            assert stayed.verdicts == {key: noted(key) for key in range(STAYING, STAYING + 20)}
            await carries_on(pool)
        wire = peer.wires[0]
        assert {code for _, code in wire.resets} == {ErrorCodes.CANCEL}
        assert len({stream_id for stream_id, _ in wire.resets}) == len(wire.resets) >= 40
        assert wire.goaways == [ErrorCodes.NO_ERROR]


async def test_a_worn_connection_is_replaced(authority: Authority, open_pool: OpenPool) -> None:
    """After many more resets than answers another connection takes over; the old one finishes."""

    async def old(wire: RawWire) -> None:
        wire.greet()
        requests = await wire.requests(205)
        all_read.set()
        await wire.until(lambda: len(wire.resets) == 200)
        await elsewhere.wait()
        for request in requests[-5:]:
            wire.answer_own(request)
        await wire.until(wire.ended.is_set)
        assert wire.goaways == [ErrorCodes.NO_ERROR]
        assert len(wire.of(HeadersFrame)) == 205

    all_read, elsewhere = asyncio.Event(), asyncio.Event()
    async with RawPeer(old, answer_all).listen(authority.server_context()) as peer:
        pool, left, stayed = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            leaving = [start(pool, range(at, at + 10), left) for at in range(0, 200, 10)]
            staying = start(pool, range(STAYING, STAYING + 5), stayed)
            await all_read.wait()
            await leave(leaving)
            # Since five requests are under way, the next one is opened without anything new.
            await until(lambda: pool.stats.opened == 2)
            await is_replaced(pool)
            assert (pool.stats.draining, stayed.verdicts) == (1, {})
            elsewhere.set()
            await staying
            assert left.verdicts == {}
            assert stayed.own() == list(range(STAYING, STAYING + 5))
            await peer.wires[0].until(peer.wires[0].ended.is_set)
        assert len(peer.wires) == 2
        assert pool.stats.connect_failures == 0


async def test_answers_make_up_for_resets(authority: Authority, open_pool: OpenPool) -> None:
    """One reset in ten answers wears nothing out, however many there are in all."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        while request := await wire.request_or_end():
            if key_of(request) >= STAYING:
                wire.answer_own(request)
            elif key_of(request) % 30 == 29:
                read.set()

    read = asyncio.Event()
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, left = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            for turn in range(6):
                leaving = start(pool, range(30 * turn, 30 * turn + 30), left)
                await read.wait()
                read.clear()
                await leave([leaving])
                await carries_on(pool, range(STAYING, STAYING + 300))
            await peer.wires[0].settled()
        assert len(peer.wires[0].resets) == 180
        assert len(peer.wires) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_at_any_moment(authority: Authority, open_pool: OpenPool, seed: int) -> None:
    """Senders that leave in any turn of the loop, half written or not: a strict server reads on."""

    async def play(wire: Wire) -> None:
        while request := await wire.request_or_end():
            if request.stream_id not in {stream_id for stream_id, _ in wire.resets}:
                own = [(b"apns-id", request.fields[b"apns-id"])]
                wire.answer(request.stream_id, fields=own)

    async def leaves(number: int) -> None:
        keys = range(10 * number, 10 * number + 3)
        sending = pool.send_many(calls(keys, b"x" * 3_000), left, timeout_seconds=SECONDS)
        sender = asyncio.create_task(sending)
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)

    chance = random.Random(seed)
    left, stayed = Told(), Told()
    async with Peer(play, initial={3: 8, 4: 1_000}).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, ONE)
        async with nothing_leaks(pool):
            staying = start(pool, range(STAYING, STAYING + 300), stayed)
            await until(lambda: stayed.verdicts)
            for number in range(30):
                await leaves(number)
            await staying
            assert stayed.own() == list(range(STAYING, STAYING + 300))
            assert left.keys() == left.own()
            await carries_on(pool)
            await until(lambda: windows_agree(pool, peer.wires[0]))
        assert len(peer.wires) == 1
