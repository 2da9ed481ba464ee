"""A migration while the version before it goes on: what it stores, and what it sends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.config import Settings
from pushsvc.model import OutcomeClass
from pushsvc.storage import apps, migrate
from tests.integration.pushing import apns_token, site as open_site, until, working
from tests.integration.test_migrations import of_its_own

pytestmark = pytest.mark.integration

REVISION = "0008"
#: The lowest level at which this version of the service can work.
LEAST = "0011"
DATABASE = "live_test"


@pytest.fixture
async def empty(servers: tuple[str, str], database: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """A database of its own, without tables."""
    async with of_its_own(servers, database, DATABASE) as opened:
        yield opened


@pytest.fixture
async def level_before(empty: AsyncEngine) -> str:
    """The level before ledgers by day."""
    async with empty.connect() as connection:
        levels = await migrate.pending(connection)
    return levels[levels.index(REVISION) - 1]


@pytest.fixture
async def engine(empty: AsyncEngine, level_before: str) -> AsyncEngine:
    """The same database, at that level."""
    await migrate.upgrade(empty, level_before)
    return empty


# As the versions before say it.
_OLD_APP = text("INSERT INTO apps (name, application_id) VALUES ('old', 'old')")
_OLD_PUSH = text("""
    INSERT INTO pushes (object_id, app_id, source, audience, content, due_at, push_time, lane,
        on_unknown, state, push_hash)
    SELECT :name, id, 'v1', '{}', '{}', now(), '', 'bulk', 'resend', 'sending', '' FROM apps
    RETURNING id
""")
_OLD_BATCH = text("""
    INSERT INTO batches (push_id, seq, lane, installation_ids, recipients, outcomes, attempt,
        badges_applied, not_before)
    VALUES (:push, :seq, 'bulk', '{1,2}', NULL, NULL, 1, false, now())
""")
_OLD_LEASE = text("""
    UPDATE batches SET state = 1, leases = leases + 1 WHERE push_id = :push AND seq = :seq
""")


async def _push(connection: AsyncConnection, name: str) -> int:
    number: int = (await connection.execute(_OLD_PUSH, {"name": name})).scalar_one()
    return number


async def _batches(connection: AsyncConnection) -> list[tuple[int, int, int]]:
    found = await connection.execute(
        text("SELECT push_id, seq, state FROM batches ORDER BY push_id, seq")
    )
    return [tuple(row) for row in found]


async def test_the_statements_of_the_version_before_still_work(
    engine: AsyncEngine, level_before: str
) -> None:
    """On pushes of either level; apps and pushes take their batches along; and back, and again."""
    async with engine.begin() as connection:
        await connection.execute(_OLD_APP)
        before = await _push(connection, "before")
        await connection.execute(_OLD_BATCH, {"push": before, "seq": 0})

    await migrate.upgrade(engine, REVISION)
    async with engine.begin() as connection:
        await connection.execute(_OLD_BATCH, {"push": before, "seq": 1})
        await connection.execute(_OLD_LEASE, {"push": before, "seq": 0})
        after = await _push(connection, "after")
        await connection.execute(_OLD_BATCH, {"push": after, "seq": 0})
        gone = await _push(connection, "gone")
        await connection.execute(_OLD_BATCH, {"push": gone, "seq": 0})
        await connection.execute(text("DELETE FROM pushes WHERE id = :id"), {"id": gone})
        there = await _batches(connection)
    assert there == [(before, 0, 1), (before, 1, 0), (after, 0, 0)]
    assert before < 1 << 32 < after < gone

    await migrate.downgrade(engine, level_before)
    async with engine.begin() as connection:
        assert await _batches(connection) == there
        back = await _push(connection, "back")
        assert back > after
        await connection.execute(_OLD_BATCH, {"push": back, "seq": 0})
    await migrate.upgrade(engine, REVISION)
    async with engine.begin() as connection:
        again = await _push(connection, "again")
        assert again > back
        await connection.execute(_OLD_BATCH, {"push": again, "seq": 0})
        assert len(await _batches(connection)) == len(there) + 2
        await connection.execute(text("DELETE FROM apps"))
        assert await _batches(connection) == []


async def test_a_migration_meets_a_worker_that_delivers(
    settings: Settings, empty: AsyncEngine, tmp_path: Path
) -> None:
    """Every device has one outcome and one message, whichever side of it its push is on."""
    await migrate.upgrade(empty, LEAST)
    async with empty.begin() as connection:
        app = await apps.create_app(connection, name="live")
    assert settings.database_url is not None
    live = settings.model_copy(
        update={
            "database_url": settings.database_url.replace("/pushsvc?", f"/{DATABASE}?"),
            "batch_size": 2,
        }
    )
    async with open_site(live, app, tmp_path) as site, working(site):
        numbers = [await site.install(apns_token()) for _ in range(20)]
        sent = [await site.push() for _ in range(3)]
        await site.done(sent[0])
        migrating = asyncio.create_task(migrate.upgrade(empty))
        while not migrating.done():
            sent.append(await site.push())
        await migrating
        sent.append(await site.push())
        for push in sent:
            await site.done(push)
            assert await site.ledger(push) == dict.fromkeys(numbers, (OutcomeClass.OK, ""))
        assert len(site.sent()) == len(numbers) * len(sent)


_SAVE = text("""
    INSERT INTO installations (app_id, object_id, device_type)
    SELECT id, :name, 'ios' FROM apps
""")


async def test_an_index_is_built_while_devices_are_saved(empty: AsyncEngine) -> None:
    """It waits for who began before, and nobody for it; what broke off is built anew."""
    await migrate.upgrade(empty, "0009")
    async with empty.begin() as connection:
        await apps.create_app(connection, name="live")
    async with empty.connect() as saving:
        await saving.execute(_SAVE, {"name": "one"})
        building = asyncio.create_task(migrate.upgrade(empty))

        async def is_begun() -> bool:
            return await _is_valid(empty) is False

        await until(is_begun)
        async with asyncio.timeout(5), empty.begin() as other:
            await other.execute(_SAVE, {"name": "two"})
        assert not building.done()
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building
        await saving.commit()

    assert await _is_valid(empty) is False
    await asyncio.gather(migrate.upgrade(empty), migrate.upgrade(empty))
    assert await _is_valid(empty)
    async with empty.connect() as connection:
        assert await migrate.pending(connection) == []


async def test_an_index_that_cannot_be_built_says_so(
    empty: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is not done, what was before it is, and the next attempt goes on from there."""
    monkeypatch.setattr(migrate, "BUILD_LOCK_TIMEOUT", "100ms")
    await migrate.upgrade(empty, "0009")
    async with empty.begin() as connection:
        await apps.create_app(connection, name="live")
    async with empty.connect() as saving:
        await saving.execute(_SAVE, {"name": "one"})
        with pytest.raises(migrate.BusyError, match="again"):
            await migrate.upgrade(empty)
    async with empty.connect() as connection:
        assert (await migrate.pending(connection))[0] == "0010"
    await migrate.upgrade(empty)
    assert await _is_valid(empty)


async def _is_valid(engine: AsyncEngine) -> bool | None:
    async with engine.connect() as connection:
        valid: bool | None = await connection.scalar(
            text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"),
            {"name": "installations_reachable_zones"},
        )
        return valid


_WAITS = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'pushes'::regclass")


async def test_what_comes_while_a_migration_waits_for_a_lock_goes_on(
    empty: AsyncEngine,
) -> None:
    """From the last release, too; when the lock is free, it goes through."""
    await migrate.upgrade(empty, "0005")
    async with empty.connect() as reader, empty.connect() as other:
        await reader.execute(text("SELECT FROM pushes"))
        migrating = asyncio.create_task(migrate.upgrade(empty))

        async def waits() -> bool:
            async with empty.connect() as connection:
                return bool((await connection.execute(_WAITS)).scalar())

        await until(waits)
        async with asyncio.timeout(5):
            await other.execute(text("SELECT FROM pushes"))
        await other.rollback()
        assert not migrating.done()
        await reader.rollback()
        await migrating
