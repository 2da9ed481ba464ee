"""Pushes that arrive together: one commit, and each fares as if it had come alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.clock import SystemClock
from pushsvc.errors import UnavailableError
from pushsvc.model import Lane, NewBatch, PushState, Recipient, Source, Submission
from pushsvc.planning import schedule
from pushsvc.storage import pushes
from pushsvc.storage.intake import Incoming, Intake
from pushsvc.storage.pushes import Stored
from pushsvc.storage.tables import batches, pushes as p
from tests.integration.conftest import AppRow

pytestmark = pytest.mark.integration

SECONDS = 20


def incoming(app_id: int, number: int, *, ready: bool = True, **changes: Any) -> Incoming:
    """A push to one device for now."""
    token = f"token-{number}"
    asked = Submission(
        source=Source.V1,
        audience={"devices": [{"device_type": "ios", "token": token}]},
        content={"data": {"alert": f"Number {number}", "list": [1, 2.5, None, "ü"]}},
        **{"expiration_interval": 60} | changes,
    )
    recipient = Recipient(device_type="ios", token=token)
    return Incoming(
        app_id=app_id,
        submission=asked,
        schedule=schedule.resolve(asked, now=SystemClock().now()),
        lane=Lane.URGENT,
        push_hash="0" * 32,
        batch=NewBatch(recipients=[recipient]) if ready else None,
    )


def keyed(app_id: int, number: int, key: str, request_hash: bytes = b"same") -> Incoming:
    return incoming(app_id, number, idempotency_key=key, request_hash=request_hash)


class Door:
    """Stores pushes of one app, and looks at what is stored."""

    def __init__(self, database: AsyncEngine, app_id: int) -> None:
        self.database = database
        self.app_id = app_id
        self.intake = Intake(database)

    async def store(self, *wanted: Incoming) -> list[Stored | BaseException | None]:
        """Store all of these at once; return what came of each."""
        calls = (self.intake.store(one) for one in wanted)
        return await asyncio.gather(*calls, return_exceptions=True)

    async def alerts(self) -> list[str]:
        """Return what the app's stored pushes say, in order."""
        async with self.database.connect() as connection:
            statement = select(p.c.content).where(p.c.app_id == self.app_id)
            contents = (await connection.execute(statement)).scalars()
            return sorted(content["data"]["alert"] for content in contents)


@pytest.fixture
async def door(database: AsyncEngine, app_row: AppRow) -> AsyncIterator[Door]:
    """The intake of a fresh app."""
    made = Door(database, app_row.app.id)
    yield made
    await made.intake.close()


@asynccontextmanager
async def held_up(door: Door, key: str) -> AsyncIterator[None]:
    """Hold up whoever stores a push under this key: somebody else is about to, and does not."""
    async with door.database.connect() as connection:
        statement = text("""
            INSERT INTO pushes (object_id, app_id, source, audience, content, due_at, push_time,
                lane, on_unknown, state, push_hash, idempotency_key)
            VALUES (:key, :app_id, 'v1', '{}', '{}', now(), '', 'urgent', 'drop', 'done', '', :key)
        """)
        await connection.execute(statement, {"key": key, "app_id": door.app_id})
        yield
        await connection.rollback()


async def waiting(door: Door, *, until_none: bool = False) -> list[int]:
    """Wait until a group waits for somebody's transaction, or none does; return the backends."""
    statement = text("""
        SELECT pid FROM pg_stat_activity WHERE datname = current_database()
            AND query LIKE '%INSERT INTO pushes%' AND wait_event = 'transactionid'
    """)
    async with asyncio.timeout(SECONDS), door.database.connect() as connection:
        while True:
            pids = [row.pid for row in await connection.execute(statement)]
            if bool(pids) is not until_none:
                return pids
            await connection.rollback()


async def test_pushes_that_arrive_together_share_a_commit(door: Door) -> None:
    """Fifty are not fifty transactions, and each is told what a look at its row would tell."""
    wanted = [incoming(door.app_id, n, ready=n % 5 > 0) for n in range(50)]

    stored = await door.store(*wanted)

    async with door.database.connect() as connection:
        for one, asked in zip(stored, wanted, strict=True):
            assert isinstance(one, Stored)
            assert one.push == await pushes.get_push(connection, one.push.id)
            assert (one.push.state is PushState.SENDING) == (asked.batch is not None)
        statement = (
            select(text("pushes.xmin::text"), batches.c.recipients, batches.c.lane, p.c.content)
            .join(batches, batches.c.push_id == p.c.id)
            .where(p.c.app_id == door.app_id)
        )
        rows = (await connection.execute(statement)).all()
    assert len(rows) == 40
    assert len({row[0] for row in rows}) <= 2
    assert {row[1][0]["token"].removeprefix("token-") for row in rows} == {
        row[3]["data"]["alert"].removeprefix("Number ") for row in rows
    }


async def test_a_bad_one_harms_none_of_the_others(door: Door) -> None:
    """An error of the database is told to the push that it is about."""
    nobodys = 2**40
    wanted = [incoming(nobodys if n in {7, 8} else door.app_id, n) for n in range(20)]

    outcomes = await door.store(*wanted)

    assert [n for n, one in enumerate(outcomes) if isinstance(one, Exception)] == [7, 8]
    assert len(await door.alerts()) == 18


async def test_a_key_stores_one_push_within_a_group_and_between_processes(door: Door) -> None:
    """The same keys from two processes, in crossing orders; and one with another body."""
    other = Intake(door.database)
    keys = [f"key-{n}" for n in range(30)]
    ours = [keyed(door.app_id, n, key) for n, key in enumerate(keys)]

    outcomes = await asyncio.gather(
        *(door.intake.store(one) for one in (*ours, *ours)),
        *(other.store(one) for one in reversed(ours)),
    )
    [again, mismatched] = await door.store(
        keyed(door.app_id, 1, keys[0]), keyed(door.app_id, 1, keys[0], b"other")
    )
    await other.close()

    first = {one.push.id for one in outcomes if one is not None and not one.replayed}
    assert len(first) == 30
    assert sum(one is not None and one.replayed for one in outcomes) == 60
    assert len(await door.alerts()) == 30
    assert isinstance(again, Stored)
    assert isinstance(mismatched, Stored)
    assert (again.replayed, again.mismatched, mismatched.mismatched) == (True, False, True)


async def test_without_a_partition_they_wait_for_their_plan(door: Door) -> None:
    """Nobody made one for today: what needs a batch is stored without, and told so."""
    async with without_todays_partition(door):
        ready, waits = await door.store(
            incoming(door.app_id, 1), incoming(door.app_id, 2, ready=False)
        )

    for one in (ready, waits):
        assert isinstance(one, Stored)
        assert (one.push.state, one.push.batches) == (PushState.WAITING, 0)
    assert len(await door.alerts()) == 2


async def test_who_is_stored_is_told_so_whatever_becomes_of_those_without_a_partition(
    door: Door,
) -> None:
    """Else a repeat would store it a second time."""
    asked = 0

    def away_the_second_time(*_: object) -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise OSError

    async with without_todays_partition(door):
        pool = door.database.sync_engine
        event.listen(pool, "checkout", away_the_second_time)
        ready, waits = await door.store(
            incoming(door.app_id, 1), incoming(door.app_id, 2, ready=False)
        )
        event.remove(pool, "checkout", away_the_second_time)

    assert isinstance(ready, OSError)
    assert isinstance(waits, Stored)
    assert await door.alerts() == ["Number 2"]


@asynccontextmanager
async def without_todays_partition(door: Door) -> AsyncIterator[None]:
    [probe] = await door.store(incoming(door.app_id, 0))
    assert isinstance(probe, Stored)
    async with door.database.begin() as connection:
        found = text("""
            SELECT oid::regclass::text AS name, pg_get_expr(relpartbound, oid) AS bound
            FROM pg_class WHERE oid = (SELECT tableoid FROM batches WHERE push_id = :id)
        """)
        name, bound = (await connection.execute(found, {"id": probe.push.id})).one()
        await connection.execute(text("DELETE FROM pushes WHERE id = :id"), {"id": probe.push.id})
        await connection.execute(text(f"ALTER TABLE batches DETACH PARTITION {name}"))
    yield
    async with door.database.begin() as connection:
        await connection.execute(text(f"ALTER TABLE batches ATTACH PARTITION {name} {bound}"))


# ---------------------------------------------------------------- who goes away


async def test_who_goes_away_neither_loses_nor_doubles_a_push(door: Door) -> None:
    """One whose group is on its way is stored, one who still waits is not."""
    async with held_up(door, "key"):
        calls = [asyncio.create_task(door.intake.store(keyed(door.app_id, 0, "key")))]
        await waiting(door)
        calls += [
            asyncio.create_task(door.intake.store(keyed(door.app_id, n, "key"))) for n in (1, 2)
        ]
        await asyncio.sleep(0)
        calls[0].cancel()
        calls[1].cancel()
        await asyncio.wait(calls[:2])
    stored = await calls[2]

    assert stored is not None
    assert stored.replayed
    assert await door.alerts() == ["Number 0"]


async def test_a_lost_connection_strikes_its_group_and_no_other(door: Door) -> None:
    """Nothing of it is stored, and the next push is."""
    async with held_up(door, "key"):
        calls = asyncio.create_task(
            door.store(*(keyed(door.app_id, n, "key" if n == 5 else f"k{n}") for n in range(9)))
        )
        for pid in await waiting(door):
            async with door.database.connect() as connection:
                await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        outcomes = await calls

    lost = [n for n, one in enumerate(outcomes) if isinstance(one, Exception)]
    assert 5 in lost
    assert await door.alerts() == [f"Number {n}" for n in range(9) if n not in lost]
    assert isinstance((await door.store(incoming(door.app_id, 10)))[0], Stored)


# ---------------------------------------------------------------- the end


async def test_what_waits_is_stored_before_the_end(door: Door) -> None:
    """Closing lets those finish that were let in, and nobody else in."""
    door.intake = Intake(door.database, close_seconds=SECONDS)
    async with held_up(door, "key"):
        calls = asyncio.create_task(
            door.store(*(keyed(door.app_id, n, "key" if n == 0 else f"k{n}") for n in range(150)))
        )
        await waiting(door)
        closing = asyncio.create_task(door.intake.close())
    await closing

    assert all(isinstance(one, Stored) for one in await calls)
    assert len(await door.alerts()) == 150
    assert isinstance((await door.store(incoming(door.app_id, 1)))[0], UnavailableError)


async def test_the_end_does_not_wait_for_ever(door: Door) -> None:
    """What is not stored by then is told so, and given up."""
    door.intake = Intake(door.database, close_seconds=0.05)
    async with held_up(door, "key"):
        calls = asyncio.create_task(door.store(keyed(door.app_id, 1, "key")))
        await waiting(door)
        await door.intake.close()
        [outcome] = await calls
        # It is cancelled in Postgres, too.
        await waiting(door, until_none=True)

    assert isinstance(outcome, UnavailableError)
    assert await door.alerts() == []
