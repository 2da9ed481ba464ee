"""What holds when work is lost, taken over, repeated or given up."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import func
from redis.asyncio import ConnectionPool, UnixDomainSocketConnection
from redis.exceptions import RedisError
from sqlalchemy import update

from pushsvc import pipeline
from pushsvc.clock import SystemClock
from pushsvc.config import Settings
from pushsvc.errors import InvalidPushTimeError
from pushsvc.model import Batch, Lane, Ledger, OutcomeClass, PushState
from pushsvc.planning.queue import Queue
from pushsvc.shaping import body
from pushsvc.storage import batches, tables
from pushsvc.storage.leases import LEASE_LIMIT, held
from pushsvc.targeting import audience
from pushsvc.worker import LaneWorker
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, site as open_site, working

pytestmark = pytest.mark.integration


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def test_work_whose_lease_is_lost_is_cut_off_and_what_follows_goes_on() -> None:
    """Another worker has it: going on would send what that one sends."""
    cut = asyncio.Event()

    async def lost() -> bool:
        return False

    async with held(lost, lease_seconds=0.03, name="test"):
        try:
            await asyncio.Event().wait()
        finally:
            cut.set()

    assert cut.is_set()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_process_that_was_halted_hands_nothing_more_to_a_gateway(site: Site) -> None:
    """Its lease ran out meanwhile: the device goes on in a follow-up, whoever has it by then."""
    token = apns_token()
    number = await site.install(token)
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    # A lease that is over as soon as it is made; nobody else claims the batch.
    settings = site.resources.settings.model_copy(update={"lease_seconds": 0.0})

    await pipeline.deliver_batch(replace(site.resources, settings=settings), push.id, 0)
    assert site.sent_to(token) == []

    async with working(site):
        await site.done(push)
    assert await site.ledger(push) == {number: (OutcomeClass.OK, "")}
    assert len(site.sent_to(token)) == 1


async def test_a_database_that_is_away_for_a_lease_is_a_lease_lost() -> None:
    """Whoever can reach it may have the work by then."""

    async def away() -> bool:
        raise OSError

    async with asyncio.timeout(5), held(away, lease_seconds=0.03, name="test"):
        await asyncio.Event().wait()


async def test_a_lease_that_is_renewed_disturbs_nobody() -> None:
    """Renewals go on beside the work, and a stop from outside still stops it."""
    renewed = asyncio.Semaphore(0)

    async def renew() -> bool:
        renewed.release()
        return True

    async def work() -> None:
        async with held(renew, lease_seconds=0.03, name="test"):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    for _ in range(4):
        await renewed.acquire()
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_batch_whose_lease_ran_out_can_be_closed_until_another_claims_it(
    site: Site,
) -> None:
    """The number of the lease is the fence: known answers are not thrown away."""
    await site.install(apns_token())
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)

    async def lease() -> Batch | None:
        return await batches.lease_batch(
            site.engine,
            push.id,
            0,
            lease_seconds=0,
            expires_at=None,
            badge=body.badge_change(push.content),
        )

    first = await lease()
    assert first is not None
    await batches.expire_leases(site.engine, limit=100)
    second = await lease()
    assert second is not None
    ledger = Ledger(outcomes=bytes([OutcomeClass.OK]), counts={}, exceptions={}, follow_ups=[])
    await batches.expire_leases(site.engine, limit=100)

    assert not await batches.renew_lease(site.engine, first, lease_seconds=1)
    assert not await batches.finish_batch(site.engine, first, ledger)
    assert await batches.renew_lease(site.engine, second, lease_seconds=1)
    assert await batches.finish_batch(site.engine, second, ledger)
    assert not await batches.finish_batch(site.engine, second, ledger)


async def test_a_batch_that_workers_die_over_is_not_sent_for_ever(site: Site) -> None:
    """After five leases its devices end as unknown, and nobody is sent another copy."""
    token = apns_token()
    number = await site.install(token)
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    async with site.engine.begin() as connection:
        await connection.execute(
            update(tables.batches)
            .where(tables.batches.c.push_id == push.id)
            .values(leases=LEASE_LIMIT)
        )

    async with working(site):
        await site.done(push)

    assert await site.ledger(push) == {number: (OutcomeClass.UNKNOWN, "WorkerLost")}
    assert not site.sent_to(token)


async def test_a_plan_that_cannot_succeed_is_given_up_and_says_why(site: Site) -> None:
    """After five leases, not before."""
    push = await site.push()
    async with site.engine.begin() as connection:
        await connection.execute(
            update(tables.pushes)
            .where(tables.pushes.c.id == push.id)
            .values(audience={"where": {"a": {"$foo": 1}}}, leases=LEASE_LIMIT)
        )

    async with working(site):
        done = await site.done(push)

    assert done.state is PushState.FAILED
    assert done.error is not None
    assert "$foo" in done.error


async def test_more_devices_are_named_than_postgres_takes_parameters(site: Site) -> None:
    """They go as one array."""
    number = await site.install(apns_token(), object_id="namedfirst")
    devices = [{"object_id": "namedfirst"}, *({"object_id": f"no{n}"} for n in range(40_000))]

    async with site.engine.connect() as connection:
        named = await audience.named(connection, devices, app_id=site.app.id)

    assert list(named.ids) == [number]
    assert len(named.recipients) == 40_000


class Later(SystemClock):
    """A clock some minutes ahead."""

    def now(self) -> datetime:
        """Return a later wall time."""
        return super().now() + timedelta(minutes=5)


async def test_a_repeat_is_answered_after_its_times_have_passed(site: Site) -> None:
    """It is the first request's push, not a new one that comes too late."""
    soon = (datetime.now(UTC) + timedelta(minutes=1)).timestamp()
    times = {"push_time": soon, "idempotency_key": "late", "request_hash": b"1"}
    first = await site.push(**times)
    object.__setattr__(site.resources, "clock", Later())

    assert (await site.push(**times)).id == first.id
    with pytest.raises(InvalidPushTimeError):
        await site.push(push_time=soon)


async def test_a_redis_that_stumbles_costs_no_place_in_a_lane() -> None:
    """arq takes a place before it asks Redis; sixteen failures must not make the lane deaf."""

    async def job(_context: object) -> None:
        """Nothing."""

    pool = ConnectionPool(connection_class=UnixDomainSocketConnection, path="/nowhere/redis.sock")
    waker = Queue(ArqRedis(pool))
    functions = [func(cast(WorkerCoroutine, job), name="job")]
    lane = LaneWorker(Lane.BULK, waker, functions=functions, max_jobs=2)

    for _ in range(5):
        with pytest.raises((RedisError, OSError)):
            await lane.start_chosen("job:1")

    assert lane.job_counter == 0
    await waker.close()
