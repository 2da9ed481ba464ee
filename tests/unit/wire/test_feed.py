"""One sender's calls, between its iterator and the connections."""

import asyncio

from pushsvc.delivery.wire.events import NotProcessed, Verdict
from pushsvc.delivery.wire.feed import Feed
from pushsvc.delivery.wire.headers import Call, Template

TEMPLATE = Template(())


def calls(count: int) -> list[Call]:
    return [(key, TEMPLATE, b"/", (), b"") for key in range(count)]


async def test_a_refused_feed_hands_out_nothing_and_gives_everything_back() -> None:
    """Also the call it looked ahead to: a connection that asks once more does not get it."""
    verdicts: dict[int, Verdict] = {}
    done = asyncio.get_running_loop().create_future()
    feed = Feed(iter(calls(3)), verdicts.__setitem__, done, timeout_seconds=1)

    feed.refuse("the pool is closed")

    assert list(feed.take(1)) == []
    await feed.give_back()
    assert verdicts == dict.fromkeys(range(3), NotProcessed("the pool is closed"))
    assert done.done()
