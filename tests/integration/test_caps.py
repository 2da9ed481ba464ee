"""The frequency cap: a device gets messages of so many pushes of campaigns, whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import (
    HOLDOUT,
    BadgeChange,
    Batch,
    FrequencyCap,
    Lane,
    Ledger,
    NewBatch,
    OutcomeClass,
    Push,
    Rules,
    Schedule,
    Source,
    Submission,
)
from pushsvc.storage import batches, caps, partitions, pushes, tables
from pushsvc.storage.ids import new_object_id
from tests.integration.conftest import AppRow
from tests.integration.pushing import blocks_another, until

pytestmark = pytest.mark.integration

BERLIN, PARIS = "Europe/Berlin", "Europe/Paris"
ONCE = FrequencyCap(count=1, seconds=86_400)
OPEN, CAPPED, OK = OutcomeClass.OPEN, OutcomeClass.CAPPED, OutcomeClass.OK


@dataclass(frozen=True, kw_only=True)
class Campaigns:
    """Runs of an app's campaigns, without a worker: batches as plans write them."""

    engine: AsyncEngine
    app_id: int
    devices: Sequence[int]

    async def run(self, *ids: int, cap: FrequencyCap | None = ONCE, **batch: Any) -> Push:
        """Store a run with one batch, of all devices where none is named."""
        asked = Submission(
            source=Source.V1,
            audience={"channels": ["all"]},
            content={"data": {"alert": "Sale"}},
            campaign_id=1,
            rules=Rules(salt=1, cap=cap),
        )
        new = NewBatch(**{"installation_ids": ids or self.devices, "zone": BERLIN} | batch)
        async with self.engine.begin() as connection:
            now = (await connection.execute(text("SELECT now()"))).scalar_one()
            when = Schedule(due_at=now, expires_at=None, push_time="", expiration_interval=None)
            push = (
                await pushes.insert_push(
                    connection,
                    asked,
                    app_id=self.app_id,
                    schedule=when,
                    lane=Lane.BULK,
                    push_hash="",
                )
            ).push
            await batches.write_batches(
                connection, [new], push_id=push.id, lane=Lane.BULK, first_seq=0
            )
            await connection.execute(
                update(tables.pushes).where(tables.pushes.c.id == push.id).values(batches_planned=1)
            )
        return push

    async def lease(self, push: Push, seq: int = 0, **changes: Any) -> Batch | None:
        """Lease a batch as a worker does."""
        given = {
            "lease_seconds": 60,
            "expires_at": None,
            "badge": BadgeChange(increment=1),
            "cap": caps.cap_of(push),
        }
        return await batches.lease_batch(self.engine, push.id, seq, **given | changes)

    async def outcomes(self, push: Push) -> list[OutcomeClass]:
        """Lease the run's batch, and return what is settled then."""
        batch = await self.lease(push)
        assert batch is not None
        return [OutcomeClass(byte) for byte in batch.outcomes]

    async def ended(self, *outcomes: OutcomeClass, ids: Sequence[int] = (), **batch: Any) -> Push:
        """Store a run of before, that ended so; what goes on is in a follow-up."""
        push = await self.run(*(ids or self.devices[: len(outcomes)]), cap=None, **batch)
        leased = await self.lease(push)
        assert leased is not None
        gone_on = [
            number
            for number, outcome in zip(leased.installation_ids, outcomes, strict=True)
            if outcome in {OutcomeClass.CARRIED, OutcomeClass.RESENT}
        ]
        follow_up = NewBatch(installation_ids=gone_on, zone=leased.zone, badges_applied=True)
        ledger = Ledger(
            outcomes=bytes(outcomes),
            counts={},
            exceptions={},
            follow_ups=[follow_up] if gone_on else [],
        )
        assert await batches.finish_batch(self.engine, leased, ledger)
        return push

    async def set(self, table: Any, push: Push, **values: Any) -> None:
        """Change the rows of a push by hand."""
        key = table.c.id if table is tables.pushes else table.c.push_id
        async with self.engine.begin() as connection:
            await connection.execute(update(table).where(key == push.id).values(values))


@pytest.fixture
async def campaigns(database: AsyncEngine, app_row: AppRow) -> AsyncIterator[Campaigns]:
    """Six devices in Berlin, whom no campaign has sent to."""
    await partitions.make_ahead(database)
    table = tables.installations
    rows = [
        {
            "app_id": app_row.app.id,
            "object_id": new_object_id(),
            "device_type": "ios",
            "time_zone": BERLIN,
        }
        for _ in range(6)
    ]
    async with database.begin() as connection:
        found = await connection.execute(insert(table).values(rows).returning(table.c.id))
        ids = sorted(found.scalars())
        await connection.execute(
            insert(tables.badges), [{"installation_id": number} for number in ids]
        )
    yield Campaigns(engine=database, app_id=app_row.app.id, devices=ids)
    async with database.begin() as connection:
        await connection.execute(
            delete(tables.pushes).where(tables.pushes.c.app_id == app_row.app.id)
        )


async def test_what_arrived_or_may_have_counts_and_what_failed_does_not(
    campaigns: Campaigns,
) -> None:
    """A device that is being tried again counts, too, as it may get its message any time."""
    await campaigns.ended(
        OutcomeClass.OK,
        OutcomeClass.UNKNOWN,
        OutcomeClass.RESENT,
        OutcomeClass.CARRIED,
        OutcomeClass.TOKEN_DEAD,
        OutcomeClass.CAPPED,
    )

    found = await campaigns.outcomes(await campaigns.run())

    assert found == [CAPPED, CAPPED, CAPPED, CAPPED, OPEN, OPEN]


async def test_a_push_counts_once_however_often_it_was_tried(campaigns: Campaigns) -> None:
    """A message that was sent again in doubt is one of two; the next push is the second."""
    twice = FrequencyCap(count=2, seconds=60)
    first = await campaigns.ended(OutcomeClass.RESENT, ids=campaigns.devices[:1])
    again = await campaigns.lease(first, 1)
    assert again is not None

    assert await campaigns.outcomes(await campaigns.run(cap=twice)) == [OPEN] * 6
    third = await campaigns.run(cap=twice)
    # The second is leased, so it counts for everybody; the first for one.
    assert await campaigns.outcomes(third) == [CAPPED, *[OPEN] * 5]


async def test_a_capped_device_is_on_the_ledger_and_keeps_its_badge(campaigns: Campaigns) -> None:
    """The batch and the badges are those of one transaction."""
    await campaigns.ended(OK, ids=campaigns.devices[1:2])
    badges, ledgers = tables.badges.c, tables.batches.c
    push = await campaigns.run(*campaigns.devices[:2])
    async with campaigns.engine.connect() as connection:
        before = (
            await connection.execute(
                select(badges.badge).where(badges.installation_id == campaigns.devices[1])
            )
        ).scalar_one()

    batch = await campaigns.lease(push)

    assert batch is not None
    assert batch.badges == {campaigns.devices[0]: 1}
    async with campaigns.engine.connect() as connection:
        stored = await connection.execute(
            select(ledgers.outcomes).where(ledgers.push_id == push.id)
        )
        assert stored.scalar_one() == bytes([OPEN, CAPPED])
        badge = await connection.execute(
            select(badges.badge).where(badges.installation_id == campaigns.devices[1])
        )
        assert badge.scalar_one() == before


async def test_who_is_left_out_in_quiet_hours_is_so_for_good_before_a_worker_can_die(
    campaigns: Campaigns,
) -> None:
    """Whoever takes the batch over finds it settled, and no badge has changed."""
    push = await campaigns.run()
    lost = await campaigns.lease(push, lease_seconds=0, left_out=OutcomeClass.QUIET_HOURS)
    await batches.expire_leases(campaigns.engine, limit=1_000)

    again = await campaigns.lease(push)

    assert lost is not None
    assert again is not None
    assert lost.outcomes == again.outcomes == bytes([OutcomeClass.QUIET_HOURS] * 6)
    assert not lost.badges
    assert await campaigns.outcomes(await campaigns.run()) == [OPEN] * 6


async def test_two_runs_at_once_do_not_pass_the_cap(campaigns: Campaigns) -> None:
    """The second lease waits for the first to commit, and sees it."""
    one, other = await campaigns.run(), await campaigns.run()
    cap = caps.cap_of(one)
    assert cap is not None
    asked = caps.Asked(push_id=one.id, zone=BERLIN, ids=campaigns.devices, outcomes=bytes(6))
    async with campaigns.engine.begin() as connection:
        # As lease_batch does it, stopped before its commit.
        await connection.execute(
            update(tables.batches)
            .where(tables.batches.c.push_id == one.id)
            .values(state=1, leases=1)
        )
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        assert await caps.capped(raw, cap, asked) is None
        waiting = asyncio.create_task(campaigns.outcomes(other))
        await until(lambda: blocks_another(connection))
    assert await waiting == [CAPPED] * 6


async def test_many_runs_at_once_send_to_each_device_as_often_as_the_cap_says(
    campaigns: Campaigns,
) -> None:
    """Whichever come first: of five runs two reach each device."""
    runs = [await campaigns.run(cap=FrequencyCap(count=2, seconds=60)) for _ in range(5)]

    found = await asyncio.gather(*map(campaigns.outcomes, runs))

    for device in zip(*found, strict=True):
        assert sorted(device) == [OPEN, OPEN, CAPPED, CAPPED, CAPPED]


async def test_a_batch_whose_worker_died_counts_until_it_is_settled(campaigns: Campaigns) -> None:
    """Its messages may have gone out, and it is not asked again when it is taken over."""
    lost = await campaigns.run()
    await campaigns.lease(lost, lease_seconds=0)
    await batches.expire_leases(campaigns.engine, limit=1_000)

    assert await campaigns.outcomes(await campaigns.run()) == [CAPPED] * 6
    assert await campaigns.outcomes(lost) == [OPEN] * 6


@pytest.mark.parametrize(
    "before",
    [
        {"variant": HOLDOUT, "outcomes": bytes([OutcomeClass.HOLDOUT] * 6)},
        {"zone": BERLIN, "delay_seconds": 3_600.0},
    ],
    ids=["holdout", "waits for its turn"],
)
async def test_what_was_not_sent_does_not_count(
    campaigns: Campaigns, before: dict[str, Any]
) -> None:
    """Those who get nothing, and a batch that nobody has leased yet."""
    await campaigns.lease(await campaigns.run(cap=None, **before))

    assert await campaigns.outcomes(await campaigns.run()) == [OPEN] * 6


async def test_only_campaigns_of_the_app_within_the_period_count(campaigns: Campaigns) -> None:
    """Neither other pushes, nor those of other apps, nor what is longer ago."""
    for table, values in (
        (tables.pushes, {"campaign_id": None}),
        (tables.batches, {"finished_at": text("now() - interval '25 hours'")}),
        (tables.pushes, {"finished_at": text("now() - interval '25 hours'")}),
    ):
        await campaigns.set(table, await campaigns.ended(*[OK] * 6), **values)

    assert await campaigns.outcomes(await campaigns.run()) == [OPEN] * 6


async def test_a_device_that_has_moved_takes_its_count_with_it(campaigns: Campaigns) -> None:
    """Its message is in a batch of the zone that it had then, or of none where we knew none."""
    one, other = campaigns.devices[:2]
    await campaigns.ended(OK, ids=[one])
    await campaigns.ended(OK, ids=[other], zone="")
    table = tables.installations
    async with campaigns.engine.begin() as connection:
        for zone in ("Moon/Sea", PARIS):
            await connection.execute(
                update(table).where(table.c.id.in_([one, other])).values(time_zone=zone)
            )

    found = await campaigns.outcomes(await campaigns.run(*campaigns.devices[:3], zone=PARIS))

    assert found == [CAPPED, CAPPED, OPEN]


async def test_what_is_too_late_or_only_looked_at_is_not_asked(campaigns: Campaigns) -> None:
    """What has expired ends as that; what is only looked at reaches nobody."""
    await campaigns.ended(*[OK] * 6)
    late = await campaigns.run()

    batch = await campaigns.lease(late, expires_at=late.created_at)

    assert batch is not None
    assert batch.outcomes == bytes(6)
    object.__setattr__(late, "content", {**late.content, "validate_only": True})
    assert caps.cap_of(late) is None
