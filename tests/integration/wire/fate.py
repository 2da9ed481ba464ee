"""What must be true when all verdicts are told, and how a connection ended: nothing leaks.

The one file of these tests that looks inside a pool.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pushsvc.delivery.wire import Pool
from pushsvc.delivery.wire.link import Link
from tests.integration.wire.peer import Wire
from tests.integration.wire.sending import SECONDS, Told, calls


def links(pool: Pool) -> list[Link]:
    """The connections the pool has now, draining ones too."""
    return list(pool._links)


def leaks(pool: Pool) -> list[str]:
    """Everything that a pool still holds for requests that are over; empty when all is well."""
    found = [] if not pool.stats.waiting else [f"{pool.stats.waiting} senders wait"]
    for link in links(pool):
        core = link.core
        left = {
            "open streams": len(core.streams),
            "begun responses": len(core._requests.responses),
            "stalled bodies": len(core._out.stalled),
            "reserved octets": core._out.reserved,
        }
        found += [f"{link!r}: {count} {what}" for what, count in left.items() if count]
    return found


def windows_agree(pool: Pool, wire: Wire) -> bool:
    """Whether the one open connection and its peer count the same octets for what we may send."""
    (link,) = links(pool)
    return link.core._out.window == wire.h2.inbound_flow_control_window


@asynccontextmanager
async def nothing_leaks(*pools: Pool) -> AsyncIterator[None]:
    """Around a check: afterwards no stream, window or task of it is left, once pools are closed."""
    before = asyncio.all_tasks()
    yield
    assert [leak for pool in pools for leak in leaks(pool)] == []
    for pool in pools:
        await pool.close(drain_seconds=SECONDS)
        assert links(pool) == []
    names = {task.get_name() for task in asyncio.all_tasks() - before if not task.done()}
    assert {name for name in names if name.startswith("open ")} == set()


def paused(pool: Pool) -> bool:
    """Whether the one connection's transport holds as much as it wants to."""
    (link,) = links(pool)
    return link.paused


def unwritten(pool: Pool) -> int:
    """Octets that wait to be written, in the cores and in the transports' buffers."""
    return sum(
        sum(map(len, link.core._out._out)) + link._transport.get_write_buffer_size()
        for link in links(pool)
        if link._transport is not None
    )


def ticked(pool: Pool) -> bool:
    """Whether the connections have forgotten how much noise they heard."""
    return not any(link.core._patience._spent for link in links(pool))


def use_up_ids(pool: Pool, *, left: int) -> None:
    """Have the one connection go on as if only so many stream ids were left to it."""
    (link,) = links(pool)
    link.core._out.next_id = 2**31 + 1 - 2 * left


async def carries_on(pool: Pool, keys: range = range(9_000, 9_010)) -> None:
    """The pool's connection answers later requests; no other is opened for them."""
    opened, told = pool.stats.opened, Told()
    await pool.send_many(calls(keys), told, timeout_seconds=SECONDS)
    assert told.own() == list(keys)
    assert pool.stats.opened == opened


async def is_replaced(pool: Pool, keys: range = range(9_000, 9_010), *, opened: int = 2) -> None:
    """Later requests are answered, and in all so many connections have been opened."""
    told = Told()
    await pool.send_many(calls(keys), told, timeout_seconds=SECONDS)
    assert told.own() == list(keys)
    assert pool.stats.opened == opened
