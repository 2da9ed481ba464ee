"""Slots and work lists in Redis: fair between apps and between pushes, bounded, and mended."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from redis.exceptions import WatchError

from pushsvc import worker
from pushsvc.model import Lane
from pushsvc.planning import queue
from pushsvc.planning.fair_scripts import SLOTS
from pushsvc.planning.parking import Lot
from pushsvc.planning.precedence import Precedence
from pushsvc.planning.queue import Job, Queue
from pushsvc.resources import Resources
from pushsvc.storage.batches import BatchRef
from pushsvc.storage.due import DuePush
from pushsvc.storage.engine import create_engine

pytestmark = pytest.mark.integration

NAME = queue.queue_name(Lane.BULK)


@pytest.fixture
async def waker(servers: tuple[str, str]) -> AsyncIterator[Queue]:
    """A queue in the run's Redis, emptied."""
    opened = Queue(queue.connect(servers[1]))
    await opened.redis.flushall()
    yield opened
    await opened.close()


def batches(app: int, push: int, count: int, *, devices: int = 1_000) -> list[BatchRef]:
    return [BatchRef(push, seq, Lane.BULK, app, devices) for seq in range(count)]


async def waiting(waker: Queue) -> list[str]:
    return [slot.decode() for slot in await waker.redis.zrange(NAME, 0, -1)]


async def start(waker: Queue) -> tuple[str, str] | None:
    """Do what arq does with the first slot: start it, and forget it; return app and push."""
    for slot in (await waiting(waker))[:1]:
        job = await waker.take(Lane.BULK, slot)
        await waker.redis.zrem(NAME, slot)
        return None if job is None else (slot.partition("/")[0], str(job.arguments[0]))
    return None


async def started(waker: Queue, count: int) -> list[tuple[str, str]]:
    return [found for _ in range(count) if (found := await start(waker))]


async def test_an_app_that_comes_late_waits_for_nobodys_backlog(waker: Queue) -> None:
    """From then on both have the same share, counted in devices."""
    await waker.wake_batches(batches(1, 10, 200))
    await started(waker, 20)
    await waker.wake_batches([*batches(2, 20, 5), *batches(3, 30, 20, devices=450)])

    found = Counter(app for app, _ in await started(waker, 16))

    assert all(3 <= found[app] <= 4 for app in ("1", "2"))
    assert 8 <= found["3"] <= 9


async def test_pushes_of_an_app_share_what_the_app_has(waker: Queue) -> None:
    """A second push, and its plan, do not wait for the first; the other app's share stays."""
    await waker.wake_batches([*batches(1, 10, 100), *batches(2, 20, 100)])
    await started(waker, 10)
    await waker.wake_plans([DuePush(12, Lane.BULK, 1)])
    await waker.wake_batches([*batches(1, 11, 50), *batches(1, 13, 50)])

    found = Counter(await started(waker, 25))

    assert found["1", "12"] == 1
    assert 11 <= found["2", "20"] <= 14
    assert all(3 <= found["1", push] <= 5 for push in ("10", "11", "13"))


async def test_a_stream_of_small_pushes_does_not_starve_a_large_one(waker: Queue) -> None:
    """Each is new, and asks for little; together they get no more than their share."""
    await waker.wake_batches(batches(1, 10, 20))
    found: Counter[str] = Counter()
    for push in range(100, 140):
        await waker.wake_batches(batches(1, push, 1, devices=100))
        found.update(push for _, push in await started(waker, 1))

    assert found["10"] >= 3


async def test_who_is_alone_has_everything_and_everything_is_done_once(waker: Queue) -> None:
    """Work-conserving; what was asked for twice is done once."""
    await waker.wake_batches(batches(1, 10, 70))
    await waker.wake_batches(batches(1, 10, 70))

    jobs = []
    while slots := await waiting(waker):
        jobs.append(await waker.take(Lane.BULK, slots[0]))
        await waker.redis.zrem(NAME, slots[0])

    assert sorted(job.arguments for job in jobs if job) == [(10, seq) for seq in range(70)]


async def test_nobodys_backlog_fills_the_queue(waker: Queue) -> None:
    """arq looks at so many jobs at once: of each app only the next stand there."""
    await waker.wake_batches([*batches(1, 10, 1_000), *batches(2, 20, 1)])

    assert Counter(slot.partition("/")[0] for slot in await waiting(waker)) == {"1": SLOTS, "2": 1}
    # The job behind a slot is one for arq, which older versions can run.
    raw = await waker.redis.get(f"arq:job:{(await waiting(waker))[0]}")
    assert raw is not None
    assert b'"f":"deliver_batch","a":[10,0]' in raw


async def test_slots_that_are_gone_are_made_anew_when_the_clock_asks(waker: Queue) -> None:
    """They went with a worker, or with a key; the work is still in the list."""
    asked = batches(1, 10, 3)
    await waker.wake_batches(asked)
    first, second, _ = await waiting(waker)
    await waker.redis.zrem(NAME, first)
    await waker.redis.set(f"arq:in-progress:{second}", 1)

    await waker.wake_batches(asked)
    assert len(await waiting(waker)) == 2
    await waker.wake_batches(asked, anew=True)
    assert len(set(await waiting(waker)) - {first, second}) == 3


async def test_a_redis_that_forgets_begins_anew(waker: Queue) -> None:
    """Also when it forgets a part: whoever comes then is not put before all others for long."""
    await waker.wake_batches(batches(1, 10, 40))
    await started(waker, 10)
    for key in ("now", "ends"):
        await waker.redis.delete(f"{NAME}:{key}", f"{NAME}:{key}:1")
    await waker.wake_batches(batches(2, 20, 40))

    turns = [app for app, _ in await started(waker, 20)]
    assert 8 <= Counter(turns)["1"] <= 12

    await waker.redis.delete(f"{NAME}:work:1")
    await waker.wake_batches(batches(1, 10, 40))
    assert await waker.redis.zcard(f"{NAME}:work:1") >= 15

    await waker.redis.flushall()
    await waker.wake_batches(batches(1, 10, 1))
    assert await started(waker, 2) == [("1", "10")]
    # Nothing is kept for ever.
    keys = [key async for key in waker.redis.scan_iter(f"{NAME}:*")]
    lives = [await waker.redis.ttl(key) for key in keys]
    assert keys
    assert [key for key, left in zip(keys, lives, strict=True) if left < 0] == []


async def test_tags_of_what_is_over_are_forgotten(waker: Queue) -> None:
    """Ten thousand pushes a day leave nothing behind."""
    for push in itertools.islice(itertools.count(100), 50):
        await waker.wake_batches(batches(1, push, 1))
        await started(waker, 1)

    assert await waker.redis.zcard(f"{NAME}:ends:1") <= 1
    assert not await waker.redis.exists(f"{NAME}:costs:1")


async def test_a_place_that_is_free_takes_the_next_without_a_start(waker: Queue) -> None:
    """Everything once, apps in turns; what arq has started is not taken, and nothing is left."""
    await waker.wake_batches([*batches(1, 10, 40), *batches(2, 20, 40)])
    begun = (await waiting(waker))[0]
    await waker.redis.set(f"arq:in-progress:{begun}", 1)

    found = [found async for found in nexts(waker, {})]

    last = await waker.take(Lane.BULK, begun)
    jobs = [*(job for job, _ in found), *([last] if last else [])]
    assert sorted(job.arguments for job in jobs) == [(p, n) for p in (10, 20) for n in range(40)]
    assert all(int(app) * 10 == job.arguments[0] for job, app in found)
    turns = Counter(app for _, app in found[:20])
    assert 8 <= turns["1"] <= 12
    assert await waiting(waker) == [begun]
    assert [key async for key in waker.redis.scan_iter("arq:job:*")] == [
        f"arq:job:{begun}".encode()
    ]


async def test_the_next_is_of_the_app_that_has_fewest_here(waker: Queue) -> None:
    """Whoever waits in front; an app that is alone has all."""
    await waker.wake_batches([*batches(1, 10, 10), *batches(2, 20, 1)])

    found = [app async for _, app in nexts(waker, {"1": 2, "2": 1})]

    assert found == ["2", *["1"] * 10]


async def nexts(waker: Queue, here: dict[str, int]) -> AsyncIterator[tuple[Job, str]]:
    while (found := await waker.next(Lane.BULK, here)) is not None:
        yield found


async def test_a_slot_is_started_or_taken_and_not_both(waker: Queue) -> None:
    """arq watches a key while it starts one: it sees that it comes too late."""
    await waker.wake_batches(batches(1, 10, 1))
    (slot,) = await waiting(waker)
    async with waker.redis.pipeline(transaction=True) as starting:
        await starting.watch(f"arq:in-progress:{slot}")
        assert await waker.next(Lane.BULK, {}) is not None
        starting.multi()  # type: ignore[no-untyped-call]
        starting.psetex(f"arq:in-progress:{slot}", 1000, b"1")
        with pytest.raises(WatchError):
            await starting.execute()


async def test_a_lane_is_rung_for_what_waits_and_the_clock_rings_again(waker: Queue) -> None:
    """A ring is heard once; one that was lost costs a look of the clock."""
    bell = queue.bell_of(Lane.BULK)
    await waker.wake_batches(batches(1, 10, 3))
    assert await waker.hear(1, bell=bell)
    assert not await waker.hear(0.01, bell=bell)

    assert await waker.wake_batches(batches(1, 10, 4), anew=True) == 1
    assert await waker.redis.exists(bell)
    assert await waker.hear(1, bell=bell)
    assert len([found async for found in nexts(waker, {})]) == 4
    # Nothing that waits is missing, and nothing waits: all of it was just taken.
    assert await waker.wake_batches(batches(1, 10, 4), anew=True) == 0
    assert not await waker.hear(0.01, bell=bell)


async def test_who_does_not_reach_postgres_leaves_the_queue_to_others(
    waker: Queue, resources: Resources
) -> None:
    """A place goes on by itself: where each job fails at once it would take all there is."""
    await waker.wake_batches(batches(1, 10, 40))
    engine = create_engine("postgresql://127.0.0.1:1/nobody", connections=1)
    cut_off = replace(resources, engine=engine)
    (slot, *_) = await waiting(waker)
    context = {
        "resources": cut_off,
        "lane": Lane.BULK,
        "places": {},
        "job_id": slot,
        "lot": Lot(places=0, after_seconds=60, end_seconds=60),
        "precedence": Precedence(wait_seconds=0),
    }

    place = asyncio.create_task(worker.deliver_batch(context, 10, 0))
    done, _ = await asyncio.wait({place}, timeout=0.3)
    cut_off.stopping.set()
    await place

    assert not done
    assert await waker.redis.zcard(f"{NAME}:work:1") == 39
