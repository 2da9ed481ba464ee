"""An app is emptied while its pushes are on their way."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pushsvc import pipeline
from pushsvc.config import Settings
from pushsvc.model import Ledger, NewBatch, OutcomeClass, Push
from pushsvc.storage import batches, plans, tables
from pushsvc.storage.emptying import empty_app
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, site as open_site, working

pytestmark = pytest.mark.integration


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker; small batches, so that there are many."""
    small = settings.model_copy(update={"batch_size": 5})
    async with open_site(small, app_row.app, tmp_path) as opened:
        yield opened


async def batches_of(site: Site, push: Push) -> int:
    async with site.engine.connect() as connection:
        columns = tables.batches.c
        statement = select(func.count()).where(columns.push_id == push.id)
        found: int = (await connection.execute(statement)).scalar_one()
        return found


async def test_a_batch_in_a_worker_s_hands_ends_without_a_trace(site: Site) -> None:
    """Its lease is lost; neither ledger nor follow-ups are written, and the close finds nothing."""
    await site.install(apns_token())
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    batch = await batches.lease_batch(
        site.engine, push.id, 0, lease_seconds=60, expires_at=None, badge=None
    )
    assert batch is not None
    ledger = Ledger(
        outcomes=bytes([OutcomeClass.CARRIED]),
        counts={},
        exceptions={},
        follow_ups=[NewBatch(installation_ids=batch.installation_ids, attempt=2)],
    )

    await empty_app(site.engine, site.app.id)

    assert not await batches.renew_lease(site.engine, batch, lease_seconds=60)
    assert not await batches.finish_batch(site.engine, batch, ledger)
    await pipeline.close_push(site.resources, push.id)
    assert await batches_of(site, push) == 0


async def test_a_plan_in_a_worker_s_hands_loses_its_lease(site: Site) -> None:
    """It writes no batch of a push that is gone."""
    push = await site.push()
    lease = await site.leased(push)

    await empty_app(site.engine, site.app.id)

    with pytest.raises(plans.LeaseLostError):
        async with site.engine.begin() as connection:
            await plans.record_piece(
                connection,
                push.id,
                lease=lease,
                planned_through=0,
                batch_count=1,
                devices=1,
                lease_seconds=60,
            )


async def test_jobs_that_name_what_is_gone_end_quietly(site: Site) -> None:
    """The queue still has them."""
    await site.install(apns_token())
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)

    await empty_app(site.engine, site.app.id)

    await pipeline.plan_push(site.resources, push.id)
    await pipeline.deliver_batch(site.resources, push.id, 0)
    await pipeline.tick(site.resources)
    assert site.sent() == []


async def test_an_app_is_emptied_under_full_work_and_works_on(site: Site) -> None:
    """Whatever the workers hold at that moment: what is left is empty, and new pushes go out."""
    for _ in range(200):
        await site.install(apns_token("fa170e02"))

    async with working(site):
        for _ in range(5):
            running = [await site.push() for _ in range(3)]
            await empty_app(site.engine, site.app.id)
            assert [await batches_of(site, push) for push in running] == [0, 0, 0]
        token = apns_token()
        await site.install(token)
        push = await site.done(await site.push())

    assert push.devices == 1
    assert len(site.sent_to(token)) == 1
