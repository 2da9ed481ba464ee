"""Ledgers lie by day: made ahead, and dropped with their pushes when they are old."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc import pipeline
from pushsvc.config import Settings
from pushsvc.model import OutcomeClass, PushState
from pushsvc.storage import partitions
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, site as open_site, until, working

pytestmark = pytest.mark.integration

_TODAY = text("SELECT floor(extract(epoch FROM now()) / 86400)::bigint")
_DAYS = text("""
    SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'batches'::regclass
""")
_AGE = text("""
    UPDATE pushes SET id = (CAST(:day AS bigint) << 32) + (id & 4294967295), state = :state,
        finished_at = CASE WHEN :state = 'done' THEN now() - make_interval(days => :days) END
    WHERE id = :id RETURNING id
""")
_LEDGER = text("INSERT INTO batches (push_id, seq, lane, state) VALUES (:id, 0, 'bulk', 2)")
_OPENED = text("INSERT INTO opens (push_id, hour, opens) VALUES (:id, now(), 1)")
_LEFT = text("""
    SELECT (SELECT count(*) FROM pushes WHERE id = :id),
        (SELECT count(*) FROM batches WHERE push_id = :id),
        (SELECT count(*) FROM opens WHERE push_id = :id)
""")


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        async with opened.engine.begin() as connection:
            # What was there before the migration has all days before it.
            await connection.execute(text("DROP TABLE IF EXISTS batches_before"))
        yield opened


async def today(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        day: int = (await connection.execute(_TODAY)).scalar_one()
    return day


async def days(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set((await connection.execute(_DAYS)).scalars())


async def old_push(site: Site, *, days_ago: int, state: str = "done", ended: int = 40) -> int:
    """Store a push with a ledger and an open, as if it were days ago; return its key."""
    day = await today(site.engine) - days_ago
    push = await site.push()
    async with site.engine.begin() as connection:
        values = {"day": day, "id": push.id, "state": state, "days": ended}
        number: int = (await connection.execute(_AGE, values)).scalar_one()
    await partitions.make_ahead(site.engine, push_id=number)
    async with site.engine.begin() as connection:
        await connection.execute(_LEDGER, {"id": number})
        await connection.execute(_OPENED, {"id": number})
    return number


async def left(site: Site, number: int) -> tuple[int, ...]:
    """Return how many rows there are of a push, its batches and its opens."""
    async with site.engine.connect() as connection:
        return tuple((await connection.execute(_LEFT, {"id": number})).one())


async def keep_up(site: Site) -> None:
    while await pipeline.upkeep(site.resources):
        pass


async def test_a_push_tells_the_day_it_was_stored_on(site: Site) -> None:
    """Its id begins with it, goes on within it, and stays a number that JSON has exactly."""
    first, second = await site.push(), await site.push()

    assert first.id >> 32 == second.id >> 32 == await today(site.engine)
    assert first.id < second.id < 1 << 53


async def test_days_go_when_they_are_old_with_their_pushes_and_opens(site: Site) -> None:
    """One day at a time; the days to come are there."""
    old, older = await old_push(site, days_ago=45), await old_push(site, days_ago=46)
    young = await old_push(site, days_ago=29, ended=28)
    before = await days(site.engine)

    await keep_up(site)

    assert await left(site, old) == await left(site, older) == (0, 0, 0)
    assert await left(site, young) == (1, 1, 1)
    after = await days(site.engine)
    assert len(before - after) == 2
    assert len(after) > partitions.DAYS_AHEAD


async def test_a_day_stays_while_a_push_of_it_is_open_or_ended_lately(site: Site) -> None:
    """With all that lies in it."""
    done = await old_push(site, days_ago=50)
    sending = await old_push(site, days_ago=50, state="sending")
    # It waited for its time.
    late = await old_push(site, days_ago=51, ended=29)

    await keep_up(site)

    for number in (done, sending, late):
        assert await left(site, number) == (1, 1, 1)
    async with site.engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE pushes SET state = 'done', finished_at = now() - interval '31 days' "
                "WHERE id = ANY(:ids)"
            ),
            {"ids": [sending, late]},
        )
    await keep_up(site)
    for number in (done, sending, late):
        assert await left(site, number) == (0, 0, 0)


async def test_what_is_in_use_is_not_waited_for_long(site: Site) -> None:
    """A statement that runs keeps the day for now, and the workers do not wait behind the drop."""
    number = await old_push(site, days_ago=55)
    async with site.engine.connect() as connection:
        await connection.execute(text("SELECT FROM batches LIMIT 1"))
        with pytest.raises(Exception, match="lock timeout"):
            await pipeline.upkeep(site.resources)
    assert await left(site, number) == (1, 1, 1)

    await keep_up(site)

    assert await left(site, number) == (0, 0, 0)


async def test_a_plan_makes_the_partition_that_lacks(site: Site) -> None:
    """Where no worker ran for longer than partitions were made ahead."""
    device = await site.install(apns_token())
    push = await site.push()
    day = await today(site.engine) + partitions.DAYS_AHEAD + 2
    async with site.engine.begin() as connection:
        values = {"day": day, "id": push.id, "state": "waiting", "days": 0}
        number = (await connection.execute(_AGE, values)).scalar_one()

    await pipeline.plan_push(site.resources, number)
    async with site.engine.begin() as connection:
        await connection.execute(
            text("UPDATE pushes SET lease_until = now() WHERE id = :id"), {"id": number}
        )
    async with working(site):

        async def closed() -> bool:
            async with site.engine.connect() as connection:
                found = text("SELECT state FROM pushes WHERE id = :id")
                return (await connection.execute(found, {"id": number})).scalar() == PushState.DONE

        await until(closed)

    async with site.engine.begin() as connection:
        ids, outcomes = (
            await connection.execute(
                text("SELECT installation_ids, outcomes FROM batches WHERE push_id = :id"),
                {"id": number},
            )
        ).one()
    assert (ids, outcomes) == ([device], bytes([OutcomeClass.OK]))
