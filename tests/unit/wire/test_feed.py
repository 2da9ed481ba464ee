"""One sender's calls, between its iterator and the connections."""

import asyncio
from collections.abc import Iterator

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


def feed_of(source: Iterator[Call], verdicts: dict[int, Verdict]) -> Feed:
    done = asyncio.get_running_loop().create_future()
    return Feed(source, verdicts.__setitem__, done, timeout_seconds=1)


async def test_what_is_put_back_comes_first_and_keeps_the_feed_going() -> None:
    """Also where the iterator has already ended."""
    feed = feed_of(iter(calls(5)), {})
    feed.in_flight += 1
    taken = feed.take(9)
    assert [call[0] for call in taken] == [0, 1, 2, 3, 4]
    assert feed.ended

    feed.put_back(taken[2:])

    assert not feed.ended
    assert [call[0] for call in feed.take(2)] == [2, 3]
    assert [call[0] for call in feed.take(2)] == [4]
    assert feed.ended


async def test_what_was_pulled_before_an_exception_is_not_lost() -> None:
    """It is sent, or given back where it is put back."""

    def broken() -> Iterator[Call]:
        yield from calls(4)
        message = "broken"
        raise RuntimeError(message)

    verdicts: dict[int, Verdict] = {}
    feed = feed_of(broken(), verdicts)
    feed.in_flight += 1
    taken = feed.take(9)
    assert [call[0] for call in taken] == [0, 1, 2, 3]
    assert isinstance(feed.failure, RuntimeError)

    feed.put_back(taken[3:])

    assert feed.ended
    assert feed.take(9) == []
    await feed.give_back()
    assert verdicts == {3: NotProcessed("given up by its sender")}


async def test_a_failure_after_the_last_call_was_taken_gives_back_what_is_put_back() -> None:
    """The feed had nothing more to pull, and yet something that is not to be sent."""
    verdicts: dict[int, Verdict] = {}
    feed = feed_of(iter(calls(3)), verdicts)
    feed.in_flight += 1
    taken = feed.take(9)
    feed.fail(RuntimeError("broken"))
    feed.put_back(taken[1:])
    assert feed.take(9) == []
    await feed.give_back()
    assert sorted(verdicts) == [1, 2]
