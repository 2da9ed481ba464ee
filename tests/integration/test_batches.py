"""Batches in Postgres: how they are leased, stored and counted, without a worker."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import (
    BadgeChange,
    Batch,
    Lane,
    Ledger,
    NewBatch,
    OutcomeClass,
    Push,
    Schedule,
    Source,
    Submission,
)
from pushsvc.storage import batches, caps, pushes, tables
from pushsvc.storage.ids import new_object_id
from tests.integration.conftest import AppRow

pytestmark = pytest.mark.integration

OK, OPEN, DOUBLE = OutcomeClass.OK, OutcomeClass.OPEN, OutcomeClass.DEDUPLICATED
MOST = 2**31 - 1
#: No device is capped by it, but each is asked about: the lease is not a usual one.
CAP = caps.Cap(app_id=0, count=1_000, seconds=60)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """An app, whose pushes get batches as plans write them."""

    engine: AsyncEngine
    app_id: int

    async def devices(self, *badges: int | None) -> list[int]:
        """Store devices with these badges; return their keys. None is one without a row for it."""
        installations = [
            {"app_id": self.app_id, "object_id": new_object_id(), "device_type": "ios"}
            for _ in badges
        ]
        async with self.engine.begin() as connection:
            statement = insert(tables.installations).returning(tables.installations.c.id)
            ids = sorted((await connection.execute(statement, installations)).scalars())
            rows = [
                {"installation_id": number, "badge": badge}
                for number, badge in zip(ids, badges, strict=True)
                if badge is not None
            ]
            await connection.execute(insert(tables.badges).values(rows))
        return ids

    async def push(self, *new: NewBatch) -> Push:
        """Store a push with these batches."""
        asked = Submission(
            source=Source.V1, audience={"channels": ["all"]}, content={"data": {"alert": "Hello"}}
        )
        async with self.engine.begin() as connection:
            now = (await connection.execute(text("SELECT now()"))).scalar_one()
            when = Schedule(due_at=now, expires_at=None, push_time="", expiration_interval=None)
            stored = await pushes.insert_push(
                connection,
                asked,
                app_id=self.app_id,
                schedule=when,
                lane=Lane.BULK,
                push_hash="",
            )
            await batches.write_batches(
                connection, new, push_id=stored.push.id, lane=Lane.BULK, first_seq=0
            )
        return stored.push

    async def lease(self, push: Push, seq: int = 0, **changes: Any) -> Batch | None:
        """Lease a batch as a worker does."""
        given: dict[str, Any] = {"lease_seconds": 60, "expires_at": None, "badge": None}
        return await batches.lease_batch(self.engine, push.id, seq, **given | changes)

    async def badges(self, ids: list[int]) -> dict[int, int]:
        """Return installation -> badge as the table has it."""
        badges = tables.badges.c
        async with self.engine.connect() as connection:
            rows = await connection.execute(
                select(badges.installation_id, badges.badge).where(badges.installation_id.in_(ids))
            )
            return {row[0]: row[1] for row in rows}


@pytest.fixture
def scene(database: AsyncEngine, app_row: AppRow) -> Scene:
    """An app without devices."""
    return Scene(engine=database, app_id=app_row.app.id)


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (BadgeChange(increment=1), [1, 8, MOST]),
        (BadgeChange(increment=-3), [0, 4, MOST - 3]),
        (BadgeChange(increment=0), [0, 7, MOST]),
        (BadgeChange(absolute=5), [5, 5, 5]),
        (BadgeChange(absolute=0), [0, 0, 0]),
    ],
)
@pytest.mark.parametrize("unusual", [{}, {"cap": CAP}])
@pytest.mark.parametrize("outcomes", [None, bytes([OPEN, DOUBLE, OPEN, OPEN])])
async def test_every_way_to_lease_a_batch_changes_badges_alike(
    scene: Scene,
    change: BadgeChange,
    after: list[int],
    unusual: dict[str, Any],
    outcomes: bytes | None,
) -> None:
    """In one statement or in steps; a device without a badge of its own gets none."""
    ids = await scene.devices(0, 7, MOST, None)
    push = await scene.push(NewBatch(installation_ids=ids, outcomes=outcomes))

    batch = await scene.lease(push, badge=change, **unusual)

    assert batch is not None
    expected = dict(zip(ids, after, strict=False))
    assert dict(batch.badges) == await scene.badges(ids) == expected
    assert (batch.leases, batch.outcomes) == (1, outcomes or bytes(4))
    assert list(batch.installation_ids) == ids


async def test_a_batch_that_many_reach_for_is_leased_by_one(scene: Scene) -> None:
    """Its badges move once, and so they do when it is leased again."""
    ids = await scene.devices(*range(50))
    push = await scene.push(NewBatch(installation_ids=ids))
    change = BadgeChange(increment=1)

    had = await asyncio.gather(*(scene.lease(push, badge=change, lease_seconds=0) for _ in "12345"))
    await batches.expire_leases(scene.engine, limit=1_000)
    again = await scene.lease(push, badge=change)

    assert again is not None
    expected = {number: badge + 1 for badge, number in enumerate(ids)}
    assert [dict(batch.badges) for batch in [*had, again] if batch] == [expected] * 2
    assert await scene.badges(ids) == expected


async def test_counts_are_the_sums_of_batches_that_are_alike_or_not(scene: Scene) -> None:
    """Three of one kind, one of another, and one that is open."""
    ids = await scene.devices(*range(5))
    push = await scene.push(*(NewBatch(installation_ids=[number]) for number in ids))
    alike = {"ios": {OK: 1}}
    other = {"ios": {OK: 1, DOUBLE: 2}, "android": {OK: 3}}

    for seq, counts in enumerate([alike, other, alike, alike]):
        batch = await scene.lease(push, seq)
        assert batch is not None
        ledger = Ledger(outcomes=bytes([OK]), counts=counts, exceptions={}, follow_ups=())
        assert await batches.finish_batch(scene.engine, batch, ledger)

    async with scene.engine.connect() as connection:
        found = await pushes.counts_of(connection, push)
    assert found == {"ios": {OK: 4, DOUBLE: 2}, "android": {OK: 3}}


async def test_no_day_compresses_the_ids_of_its_batches(database: AsyncEngine) -> None:
    """A day that is made ahead is stored like the others."""
    async with database.connect() as connection:
        found = await connection.execute(
            text("""
                SELECT DISTINCT attstorage FROM pg_attribute
                WHERE attname = 'installation_ids' AND attrelid IN (
                    SELECT 'batches'::regclass UNION ALL
                    SELECT inhrelid FROM pg_inherits WHERE inhparent = 'batches'::regclass
                )
            """)
        )
        assert [row[0] for row in found] == [b"e"]
