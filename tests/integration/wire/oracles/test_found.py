"""What servers of others have once shown to be wrong with the wire, played by a scripted one."""

import asyncio
from typing import cast

import pytest
from hyperframe.frame import HeadersFrame

from pushsvc.delivery.wire import Answered, Limits
from tests.integration.wire.certificates import Authority
from tests.integration.wire.peer import Peer, Wire, answer_all
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1)


async def test_a_wider_window_is_used_after_its_acknowledgement(
    authority: Authority, open_pool: OpenPool
) -> None:
    """Servers let DATA through by the windows they know to be acknowledged (RFC 9113 6.5.3)."""

    async def widen(wire: Wire) -> None:
        # The heads are in, and so are the 1,000 octets that each body was allowed.
        await wire.until(lambda: len(wire._bodies) == 3 and min(map(len, wire._bodies.values())))
        wire.settings(initial_window_size=65_535)
        await answer_all(wire)

    told = Told()
    async with Peer(widen, initial={4: 1_000}).listen(authority.server_context()) as peer:
        limits = Limits(max_connections=1, await_settings=True)
        await open_pool(peer.port, limits).send_many(
            calls(range(3), bytes(5_000)), told, timeout_seconds=SECONDS
        )
    assert told.own() == [0, 1, 2]


async def test_senders_take_turns_when_the_window_is_what_limits_them(
    authority: Authority, open_pool: OpenPool
) -> None:
    """A few large bodies do not wait for the end of a sender with thousands of them."""
    many, few = Told(), Told()
    async with Peer(answer_all).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, ONE)
        body = bytes(4_000)
        first = asyncio.create_task(
            pool.send_many(calls(range(3_000), body), many, timeout_seconds=SECONDS)
        )
        await until(lambda: many.verdicts)
        await pool.send_many(calls(range(10), body), few, timeout_seconds=SECONDS)
        seen = len(many.verdicts)
        await first
    assert few.keys(Answered) == list(range(10))
    assert seen < 300


async def test_a_peer_that_breaks_every_connection_is_not_stormed(
    authority: Authority, open_pool: OpenPool
) -> None:
    """After a few connections without an answer there is a pause, however slowly they close."""

    async def break_it(wire: Wire) -> None:
        request = await wire.request()
        # RFC 7541 section 2.3.3: an index of no table.
        wire.say(HeadersFrame(request.stream_id, b"\xff\x00", flags=["END_HEADERS"]))
        # It does not even read that we close.
        cast("asyncio.Transport", wire._writer.transport).pause_reading()

    told = Told()
    async with Peer(break_it, initial={3: 100}).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, Limits(max_connections=1))
        await pool.send_many(calls(range(20_000)), told, timeout_seconds=SECONDS)
        assert len(told.verdicts) == 20_000
        assert pool.stats.opened <= 2 * Limits().connect_attempts
