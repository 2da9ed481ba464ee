"""Check 24: a server that stops reading, and one whose TLS is slow."""

import asyncio

import pytest
from hyperframe.frame import PingFrame

from pushsvc.delivery.wire import Limits, NotProcessed, Pool, Unknown
from tests.integration.wire.certificates import Authority
from tests.integration.wire.checks.gate import Gate
from tests.integration.wire.fate import (
    carries_on,
    is_replaced,
    nothing_leaks,
    paused,
    unwritten,
    windows_agree,
)
from tests.integration.wire.peer import Peer, Play, Wire, answer_all
from tests.integration.wire.raw_peer import RawPeer, Reads
from tests.integration.wire.sending import SECONDS, OpenPool, Pulled, Told, calls, until

pytestmark = pytest.mark.integration

#: Five senders of 300 bodies of 16,000 octets: 24 MB, more than sockets hold.
BODY = b"x" * 16_000
SENDERS, EACH = 5, 300
ALL = range(SENDERS * EACH)
#: What a connection may hold unwritten: the limit of TLS transports (512 KiB), and a turn or two.
BOUND = 800 * 1024


def wide(*plays: Play) -> Peer:
    """A server that allows a thousand streams, and windows that never matter."""
    peer = Peer(*plays, initial={3: 1_000, 4: 2**30})
    peer.connection_window = 2**30
    return peer


def sources() -> list[Pulled]:
    """What each sender sends."""
    return [Pulled(calls(range(at, at + EACH), BODY)) for at in ALL[::EACH]]


async def send(pool: Pool, pulled: list[Pulled], told: Told) -> None:
    """All senders at once."""
    sending = [pool.send_many(source, told, timeout_seconds=SECONDS) for source in pulled]
    await asyncio.gather(*sending)


async def test_a_reader_that_rests(authority: Authority) -> None:
    """While the transport's buffer is full nothing is pulled, whatever is read meanwhile.

    Then the server reads on, and everything is answered on the same connection.
    """

    async def hears(wire: Wire, times: int) -> None:
        for _ in range(times):
            due = reads.octets + 17
            wire.say(PingFrame(0, b"pull on?"))
            await until(lambda due=due: reads.octets >= due)  # type: ignore[misc] # int

    async def play(wire: Wire) -> None:
        first = await wire.request()
        wire.stop_reading()
        await until(lambda: paused(pool))
        # The sockets' own buffers fill first.
        await hears(wire, 20)
        for _ in range(2):
            counts.append(sum(source.count for source in pulled))
            await hears(wire, 20)
        held.append(unwritten(pool))
        own = [(b"apns-id", first.fields[b"apns-id"])]
        wire.answer(first.stream_id, fields=own)
        wire.read_on()
        await answer_all(wire)

    counts: list[int] = []
    held: list[int] = []
    pulled, told, reads = sources(), Told(), Reads(authority)
    async with wide(play).listen(authority.server_context()) as peer:
        pool = reads.pool(peer.port, Limits(max_connections=1))
        async with nothing_leaks(pool):
            await send(pool, pulled, told)
            assert told.own() == list(ALL)
            assert counts[0] == counts[1] < len(ALL)
            assert 0 < held[0] < BOUND
            await carries_on(pool)
            await until(lambda: windows_agree(pool, peer.wires[0]))
        assert len(peer.wires) == 1


async def test_a_reader_that_never_wakes(authority: Authority, open_pool: OpenPool) -> None:
    """What was written is unknown after `stalled_write_seconds`; the rest goes elsewhere."""

    async def play(wire: Wire) -> None:
        await wire.request()
        wire.stop_reading()
        await until(lambda: told.keys(Unknown))
        unread.append(sum(source.count for source in pulled))
        wire.read_on()

    unread: list[int] = []
    pulled, told = sources(), Told()
    limits = Limits(max_connections=1, stalled_write_seconds=1.5, backoff_first_seconds=0.01)
    async with wide(play, answer_all).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, limits)
        async with nothing_leaks(pool):
            await send(pool, pulled, told)
            unknown = told.keys(Unknown)
            assert {str(told.verdicts[key]) for key in unknown} == {
                str(Unknown("the peer has stopped reading"))
            }
            assert 0 < len(unknown) <= unread[0] < len(ALL)
            assert sorted(unknown + told.own()) == list(ALL)
            await is_replaced(pool)
            await peer.wires[0].until(peer.wires[0].ended.is_set)


@pytest.mark.parametrize("slow_answers", [False, True], ids=["our hello", "its hello"])
async def test_tls_in_time(
    authority: Authority, open_pool: OpenPool, *, slow_answers: bool
) -> None:
    """A handshake that takes its time within the limit is no failure; calls wait for it."""
    async with (
        RawPeer().listen(authority.server_context()) as peer,
        Gate(peer.port, slow_answers=slow_answers).listen() as gate,
    ):
        pool, told = open_pool(gate.port), Told()
        async with nothing_leaks(pool):
            sender = asyncio.create_task(
                pool.send_many(calls(range(50)), told, timeout_seconds=SECONDS)
            )
            await until(lambda: gate.arrived)
            assert (pool.stats.waiting, told.verdicts) == (1, {})
            gate.open()
            await sender
            assert told.own() == list(range(50))
            await carries_on(pool)
            assert (pool.stats.opened, pool.stats.connect_failures) == (1, 0)
        assert gate.arrived == 1


@pytest.mark.parametrize("slow_answers", [False, True], ids=["our hello", "its hello"])
async def test_tls_too_slow(
    authority: Authority, open_pool: OpenPool, *, slow_answers: bool
) -> None:
    """Beyond the limit calls are given back, the sockets are closed, and later all works again."""
    limits = Limits(connect_attempts=2, connect_timeout_seconds=0.2, backoff_first_seconds=0.01)
    async with (
        RawPeer().listen(authority.server_context()) as peer,
        Gate(peer.port, slow_answers=slow_answers).listen() as gate,
    ):
        pool, told = open_pool(gate.port, limits), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(5)), told, timeout_seconds=SECONDS)
            why = f"no connection: 127.0.0.1:{gate.port}: no answer in time"
            assert told.verdicts == dict.fromkeys(range(5), NotProcessed(why))
            assert pool.stats.connect_failures == gate.arrived == 2
            await until(lambda: gate.left == 2)
            gate.open()
            await is_replaced(pool, opened=1)
