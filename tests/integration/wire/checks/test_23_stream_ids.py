"""Check 23: stream ids run out after 2^30 requests (RFC 9113 section 5.1.1)."""

import asyncio

import pytest
from h2.errors import ErrorCodes

from pushsvc.delivery.wire import Limits
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks, use_up_ids
from tests.integration.wire.peer import Peer, Wire, answer_all
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

MOST = 2**31 - 1
AT_ONCE = Limits(max_connections=1, growth_spacing_seconds=0.0)


class Noting:
    """A play that answers everything, and notes the stream ids; it may wait before the last ones.

    h2 itself refuses ids that fall, repeat, or are even.
    """

    def __init__(self, hold: asyncio.Event | None = None) -> None:
        self.ids: list[int] = []
        self._hold = hold

    async def __call__(self, wire: Wire) -> None:
        """Play."""
        while request := await wire.request_or_end():
            self.ids.append(request.stream_id)
            if self._hold is not None and request.stream_id == MOST:
                await self._hold.wait()
            wire.answer(request.stream_id, fields=[(b"apns-id", request.fields[b"apns-id"])])
        assert wire.goaways == [ErrorCodes.NO_ERROR]
        assert wire.resets == []


@pytest.mark.parametrize("left", [0, 1, 3, 40, 2**20 - 1])
async def test_another_connection_takes_over(
    authority: Authority, open_pool: OpenPool, left: int
) -> None:
    """Long before the last id the next connection is opened; nothing is lost on the way."""
    old, new = Noting(), Noting()
    async with Peer(old, new).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, AT_ONCE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([0]), told, timeout_seconds=SECONDS)
            use_up_ids(pool, left=left)
            await pool.send_many(calls(range(1, 500)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(500))
            await peer.wires[0].until(peer.wires[0].ended.is_set)
            assert (pool.stats.opened, pool.stats.connect_failures) == (2, 0)
    assert len(old.ids) + len(new.ids) == 500
    assert max(old.ids) <= MOST
    assert len(old.ids) <= left + 1


async def test_the_last_ids_are_used(authority: Authority, open_pool: OpenPool) -> None:
    """While no other may be opened yet, the ids up to 2^31-1 are used, and what is left waits."""
    old, new = Noting(), Noting()
    spaced = Limits(max_connections=1, growth_spacing_seconds=0.3)
    async with Peer(old, new).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, spaced), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([0]), told, timeout_seconds=SECONDS)
            use_up_ids(pool, left=3)
            await pool.send_many(calls(range(1, 50)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(50))
            await peer.wires[0].until(peer.wires[0].ended.is_set)
    assert old.ids == [1, MOST - 4, MOST - 2, MOST]
    assert len(new.ids) == 46
    assert new.ids[0] == 1


async def test_the_last_streams_finish(authority: Authority, open_pool: OpenPool) -> None:
    """What is open on the used-up connection is answered there, while the other one works."""
    hold = asyncio.Event()
    old, new = Noting(hold), Noting()
    spaced = Limits(max_connections=1, growth_spacing_seconds=0.2)
    async with Peer(old, new, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, spaced), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([0]), told, timeout_seconds=SECONDS)
            use_up_ids(pool, left=1)
            slow, after = Told(), Told()
            sender = asyncio.create_task(pool.send_many(calls([1]), slow, timeout_seconds=SECONDS))
            await until(lambda: pool.stats.in_flight)
            await pool.send_many(calls(range(2, 50)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(2, 50))
            assert (pool.stats.connections, pool.stats.draining, slow.verdicts) == (1, 1, {})
            hold.set()
            await sender
            assert slow.own() == [1]
            await peer.wires[0].until(peer.wires[0].ended.is_set)
    assert old.ids == [1, MOST]
