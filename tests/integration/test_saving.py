"""Saves that arrive together: one transaction, and what each would have come to alone."""

import asyncio
import itertools
import random
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.errors import CallerError, InvalidInstallationError, UnavailableError
from pushsvc.storage.fields import parse_installation_fields
from pushsvc.storage.installations import Installation, Saved, SaveRequest, import_lock
from pushsvc.storage.saving import statements
from pushsvc.storage.saving.plan import Stamp, Wanted, plan, wanted
from pushsvc.storage.saving.saver import Saver
from pushsvc.storage.tables import badges, installations as i
from tests.integration.conftest import AppRow

SECONDS = 20


def asked(object_id: str | None = None, **body: Any) -> SaveRequest:
    """A create, or an update of the installation with the object id."""
    return SaveRequest(fields=parse_installation_fields(body), object_id=object_id)


def device(number: int, **body: Any) -> SaveRequest:
    return asked(
        deviceType="ios",
        installationId=f"id-{number}",
        deviceToken=f"t-{number}",
        **body,
    )


class Store:
    """Installations of one app, and who saves them."""

    def __init__(self, database: AsyncEngine, app_id: int, saver: Saver) -> None:
        self.database = database
        self.app_id = app_id
        self.saver = saver

    async def save(self, *requests: SaveRequest) -> list[Saved | BaseException]:
        """Save all of these at once; return what came of each."""
        saves = (self.saver.save(self.app_id, request) for request in requests)
        return await asyncio.gather(*saves, return_exceptions=True)

    async def rows(self) -> Sequence[Any]:
        """Return all rows with their badges and who wrote them, the oldest first."""
        statement = (
            select(i, badges.c.badge, text("installations.xmin::text AS writer"))
            .join(badges, badges.c.installation_id == i.c.id)
            .where(i.c.app_id == self.app_id)
            .order_by(i.c.id)
        )
        async with self.database.connect() as connection:
            return (await connection.execute(statement)).all()

    async def ids(self) -> set[str | None]:
        """Return the installation ids that are stored."""
        return {row.installation_id for row in await self.rows()}


@pytest.fixture
async def saver(database: AsyncEngine) -> AsyncIterator[Saver]:
    """Saves, as the API does."""
    made = Saver(database)
    yield made
    await made.close()


@pytest.fixture
def store(database: AsyncEngine, app_row: AppRow, saver: Saver) -> Store:
    """The installations of a fresh app."""
    return Store(database, app_row.app.id, saver)


@asynccontextmanager
async def importing(database: AsyncEngine, app_id: int) -> AsyncIterator[None]:
    """Hold up the app's saves, as an import does."""
    lock = text("SELECT pg_advisory_xact_lock(:key)")
    async with database.begin() as connection:
        await connection.execute(lock, {"key": import_lock(app_id)})
        yield


async def waiting(database: AsyncEngine, app_id: int) -> list[int]:
    """Wait until a save waits for the app's import; return the backends of those that do."""
    statement = text("""
        SELECT pid FROM pg_locks
        WHERE locktype = 'advisory' AND NOT granted AND mode = 'ShareLock'
            AND ((classid::bigint << 32) | objid::bigint) = :key
    """)
    async with asyncio.timeout(SECONDS), database.connect() as connection:
        while True:
            found = await connection.execute(statement, {"key": import_lock(app_id)})
            if pids := [row.pid for row in found]:
                return pids
            await connection.rollback()


# ---------------------------------------------------------------- together


async def test_saves_that_arrive_together_share_a_transaction(store: Store) -> None:
    """Fifty devices are not fifty commits."""
    saved = await store.save(*(device(n, badge=n, tag=n) for n in range(50)))

    rows = await store.rows()
    assert all(isinstance(one, Saved) and one.created for one in saved)
    assert [(row.installation_id, row.badge, row.custom) for row in rows] == [
        (f"id-{n}", n, {"tag": n}) for n in range(50)
    ]
    assert len({row.writer for row in rows}) <= 2


async def test_a_group_writes_every_field_of_every_device(store: Store) -> None:
    """Whatever the others of its group have."""
    uris = {"_Default": 'https://db3.notify.windows.com/?token="{a},\\b"'}
    place = {"__type": "GeoPoint", "latitude": 47.5, "longitude": 8.75}
    full = asked(
        deviceType="winrt",
        installationId="full",
        channelUris=uris,
        channels=["", "news"],
        timeZone="Europe/Zurich",
        home=place,
        odd='{"a",\\b}',
        nothing=None,
    )

    created = await store.save(full, device(1), asked(deviceType="ios", deviceToken="t"))
    again = [
        asked(one.installation.object_id, badge=7) for one in created if isinstance(one, Saved)
    ]
    updated = await store.save(*again)

    first, second, third = await store.rows()
    assert [type(one) for one in updated] == [Saved] * 3
    assert (first.channels, first.channel_uris, first.badge) == (["", "news"], uris, 7)
    assert (first.time_zone, first.latitude, first.longitude) == ("Europe/Zurich", 47.5, 8.75)
    assert first.custom == {"home": place, "odd": '{"a",\\b}', "nothing": None}
    assert (second.channels, second.channel_uris, second.custom) == (None, None, {})
    assert (third.installation_id, third.device_token, third.badge) == (None, "t", 7)


async def test_24_parallel_creates_leave_one_row(store: Store) -> None:
    """One of them creates; the others find its row, and keep their order."""
    saved = await store.save(*(device(1, tag=n) for n in range(24)))

    assert [isinstance(one, Saved) and one.created for one in saved] == [True] + [False] * 23
    [row] = await store.rows()
    assert row.custom == {"tag": 23}


async def test_parallel_increments_all_count(store: Store) -> None:
    """By object id, by installation id and by token: it is one row."""
    [made] = await store.save(device(1))
    assert isinstance(made, Saved)
    one_more = {"__op": "Increment", "amount": 1}
    by_object = asked(made.installation.object_id, n=one_more)
    by_id = asked(installationId="id-1", n=one_more)
    by_token = asked(deviceToken="t-1", deviceType="ios", n=one_more)

    await store.save(*[by_object, by_id, by_token] * 10)

    [row] = await store.rows()
    assert row.custom == {"n": 30}


async def test_an_error_is_told_to_its_save_alone(store: Store) -> None:
    """132, 135, 136 and 404 among others that are saved."""
    await store.save(
        asked(deviceType="ios", deviceToken="two", installationId="a", appIdentifier="a"),
        asked(deviceType="ios", deviceToken="two", installationId="b", appIdentifier="b"),
    )
    [made] = await store.save(device(0))
    assert isinstance(made, Saved)

    outcomes = await store.save(
        device(1),
        asked(deviceType="ios", deviceToken="two"),
        asked(installationId="new"),
        asked(made.installation.object_id, deviceType="android"),
        asked("nobody", badge=1),
        device(2),
    )

    codes = [one.parse_number if isinstance(one, CallerError) else None for one in outcomes]
    assert codes == [None, 132, 135, 136, 101, None]
    assert {"id-1", "id-2"} <= await store.ids()


async def test_a_save_that_names_nobody_is_refused_at_once(store: Store) -> None:
    """135, before it waits for anything."""
    [outcome] = await store.save(asked(deviceType="ios"))

    assert isinstance(outcome, InvalidInstallationError)


@asynccontextmanager
async def failing(database: AsyncEngine, app_id: int, *, sqlstate: str) -> AsyncIterator[None]:
    """Let the database refuse the app's installations whose app name is `bad`."""
    name = f"failing_{app_id}"
    async with database.begin() as connection:
        await connection.execute(
            text(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE 'no' USING ERRCODE = '{sqlstate}'; END $$"
            )
        )
        await connection.execute(
            text(
                f"CREATE TRIGGER {name} BEFORE INSERT ON installations FOR EACH ROW WHEN "
                f"(NEW.app_name = 'bad' AND NEW.app_id = {app_id}) EXECUTE FUNCTION {name}()"
            )
        )
    yield
    async with database.begin() as connection:
        await connection.execute(text(f"DROP FUNCTION {name} CASCADE"))


@pytest.mark.parametrize("sqlstate", ["22012", "23505", "40P01", "40001", "53100"])
async def test_what_the_database_refuses_fails_alone(store: Store, sqlstate: str) -> None:
    """The group is halved until the culprit is alone; nothing is lost, nothing doubled."""
    async with failing(store.database, store.app_id, sqlstate=sqlstate):
        requests = [device(n, **({"appName": "bad"} if n == 11 else {})) for n in range(30)]
        outcomes = await store.save(*requests)

    failed = [n for n, one in enumerate(outcomes) if isinstance(one, BaseException)]
    assert failed == [11]
    assert [row.installation_id for row in await store.rows()] == [
        f"id-{n}" for n in range(30) if n != 11
    ]


# ---------------------------------------------------------------- as if one after the other


@dataclass
class Serial:
    """Saves one after the other, in memory."""

    installations: dict[int, Installation] = field(default_factory=dict)
    shared: set[int] = field(default_factory=set)
    outcomes: dict[int, Any] = field(default_factory=dict)
    written: int = 0

    def save(self, number: int, one: Wanted) -> None:
        """Do what a save asks for."""
        try:
            planned = plan(
                one, [known for known in self.installations.values() if _is_named(one, known)]
            )
        except CallerError as error:
            self.outcomes[number] = error.parse_number
            return
        for gone in planned.obsolete:
            del self.installations[gone.id]
        self.written += 1
        key = planned.target.id if planned.target else self.written
        now = datetime.now(UTC)
        saved = planned.saved(Stamp(id=key, created_at=now, updated_at=now))
        self.installations[key] = saved.installation
        self.outcomes[number] = saved.created
        if planned.shared_token:
            self.shared |= {
                n
                for n, one in self.installations.items()
                if one.fields.get("deviceToken") == planned.shared_token
            }

    def state(self) -> tuple[Any, ...]:
        """Return what others can see of it."""
        rows = [
            _visible(one.fields, is_shared=key in self.shared)
            for key, one in self.installations.items()
        ]
        return sorted(rows), sorted(self.outcomes.items())


def _is_named(one: Wanted, known: Installation) -> bool:
    named = {kind: name for _, kind, name in one.names}
    return (
        named.get("object id") == known.object_id
        or named.get("id", "-") == known.fields.get("installationId")
        or named.get("token", "-") == known.fields.get("deviceToken")
    )


def _visible(fields: Any, *, is_shared: bool) -> tuple[str, ...]:
    names = ("installationId", "deviceToken", "appIdentifier", "last", "n", "badge")
    return (*(str(fields.get(name)) for name in names), str(is_shared))


def _random_saves(chance: random.Random, number: int) -> Iterable[SaveRequest]:
    """Make saves over so few ids and tokens that they meet."""
    for n in range(number):
        body = {
            "deviceType": "ios",
            "last": n,
            "n": {"__op": "Increment", "amount": 1},
            "installationId": chance.choice(["one", "two", None]),
            "deviceToken": chance.choice(["x", "y", None]),
            "appIdentifier": chance.choice(["a", None]),
        }
        body = {name: value for name, value in body.items() if value is not None}
        header = chance.choice(["one", "two", None]) if len(body) == 3 else None
        yield SaveRequest(
            fields=parse_installation_fields(body, creating=True),
            header_installation_id=header or None,
        )


@pytest.mark.parametrize("seed", range(40))
async def test_the_outcome_is_that_of_some_order(store: Store, seed: int) -> None:
    """Rows, badges, marks and answers: of two services that save at once, over the same devices."""
    chance = random.Random(seed)
    before = [one for one in _random_saves(chance, 3) if _names(store, one)]
    together = [one for one in _random_saves(chance, 5) if _names(store, one)]
    start = Serial()
    for number, request in enumerate(before):
        start.save(-1 - number, wanted(store.app_id, request))
        await store.save(request)
    other = Saver(store.database)
    savers = [chance.choice([store.saver, other]) for _ in together]

    saves = [one.save(store.app_id, request) for one, request in zip(savers, together, strict=True)]
    answers = await asyncio.gather(*saves, return_exceptions=True)
    await other.close()

    outcomes = {
        number: one.created if isinstance(one, Saved) else getattr(one, "parse_number", one)
        for number, one in enumerate(answers)
    }
    found = [
        _visible(
            {
                **row.custom,
                "installationId": row.installation_id,
                "deviceToken": row.device_token,
                "appIdentifier": row.app_identifier,
                "badge": row.badge,
            },
            is_shared=row.token_shared,
        )
        for row in await store.rows()
    ]
    possible = []
    for order in itertools.permutations(range(len(together))):
        serial = Serial(dict(start.installations), set(start.shared), {}, start.written)
        for number in order:
            serial.save(number, wanted(store.app_id, together[number]))
        possible.append(serial.state())
    assert (sorted(found), sorted(outcomes.items())) in possible


def _names(store: Store, request: SaveRequest) -> bool:
    try:
        wanted(store.app_id, request)
    except InvalidInstallationError:
        return False
    return True


# ---------------------------------------------------------------- what goes wrong


async def test_a_caller_that_goes_away_does_not_harm_the_others(store: Store) -> None:
    """Neither one whose save is under way nor one whose save waits."""
    async with importing(store.database, store.app_id):
        saves = [
            asyncio.create_task(store.saver.save(store.app_id, device(n, badge=n)))
            for n in (1, 2, 3, 1, 2)
        ]
        await waiting(store.database, store.app_id)
        saves[0].cancel()
        saves[4].cancel()
        await asyncio.wait([saves[0], saves[4]])
    done = await asyncio.gather(*saves, return_exceptions=True)

    assert [isinstance(one, Saved) for one in done] == [False, True, True, True, False]
    assert [row.badge for row in await store.rows()] == [1, 2, 3]


async def test_an_import_of_one_app_does_not_hold_up_another(
    store: Store, database: AsyncEngine
) -> None:
    """Their saves do not wait for the transaction that waits."""
    async with database.begin() as connection:
        statement = text("INSERT INTO apps (application_id, name) VALUES (:one, :one) RETURNING id")
        number = (await connection.execute(statement, {"one": uuid.uuid4().hex})).scalar_one()
    async with importing(database, number):
        held_up = asyncio.create_task(store.saver.save(number, device(1)))
        await waiting(database, number)

        async with asyncio.timeout(SECONDS):
            saved = await store.save(device(1), device(2))

        assert [type(one) for one in saved] == [Saved, Saved]
        assert not held_up.done()
    assert (await held_up).created


async def test_a_lost_connection_fails_those_it_struck(store: Store) -> None:
    """None of them is stored; the next save is, on another connection."""
    async with importing(store.database, store.app_id):
        saves = asyncio.create_task(store.save(*(device(n) for n in range(10))))
        for pid in await waiting(store.database, store.app_id):
            async with store.database.connect() as connection:
                await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        outcomes = await saves

    assert all(isinstance(one, Exception) for one in outcomes)
    assert await store.rows() == []
    [again] = await store.save(device(1))
    assert isinstance(again, Saved)


async def test_connections_that_are_lost_again_and_again_lose_and_double_nothing(
    store: Store,
) -> None:
    """Whoever was told that it is stored finds it so; whoever was not may ask again."""
    ends = text("""
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND datname = current_database()
            AND query LIKE '%INTO installations%' AND state <> 'idle'
    """)

    async def disturb() -> None:
        """End what writes, each time that something was written."""
        seen = 0
        async with store.database.connect() as connection:
            while True:
                rows = len(await store.rows())
                if rows > seen and (await connection.execute(ends)).first():
                    seen = rows
                await connection.rollback()

    async def save_all() -> list[Saved | BaseException]:
        groups = [await store.save(*(device(n) for n in range(k, 300, 30))) for k in range(30)]
        return [one for group in groups for one in group]

    disturbing = asyncio.create_task(disturb())
    outcomes = await save_all()
    disturbing.cancel()
    await asyncio.gather(disturbing, return_exceptions=True)

    stored = [row.installation_id for row in await store.rows()]
    told = {one.installation.fields["installationId"] for one in outcomes if isinstance(one, Saved)}
    assert told <= set(stored)
    assert len(stored) == len(set(stored))
    assert all(isinstance(one, Saved) for one in await save_all())
    assert len(await store.rows()) == 300


async def test_a_save_takes_no_longer_than_the_service(store: Store) -> None:
    """Closing waits a little for what is under way; what is then unsaved is told so."""
    store.saver = Saver(store.database, close_seconds=0.05)
    async with importing(store.database, store.app_id):
        saves = asyncio.create_task(store.save(*(device(n) for n in (1, 2, 1, 2))))
        await waiting(store.database, store.app_id)

        await store.saver.close()
        outcomes = await saves
        late = await store.save(device(3))

    assert all(isinstance(one, UnavailableError) for one in [*outcomes, *late])
    assert await store.rows() == []


async def test_what_waits_is_saved_before_the_end(store: Store) -> None:
    """Closing lets those finish that were accepted."""
    store.saver = Saver(store.database, close_seconds=SECONDS)
    async with importing(store.database, store.app_id):
        saves = asyncio.create_task(store.save(*(device(n % 50) for n in range(200))))
        await waiting(store.database, store.app_id)
        closing = asyncio.create_task(store.saver.close())
    await closing

    assert all(isinstance(one, Saved) for one in await saves)
    assert len(await store.rows()) == 50


async def test_callers_beyond_the_places_wait_for_one(store: Store) -> None:
    """The queue has a bound, and nobody is turned away."""
    narrow = Saver(store.database, places=5)

    saved = await asyncio.gather(*(narrow.save(store.app_id, device(n)) for n in range(40)))
    await narrow.close()

    assert all(one.created for one in saved)
    assert len(await store.rows()) == 40


# ---------------------------------------------------------------- how it is looked up


@pytest.mark.parametrize("name", ["_LOOK_UP", "_MARK_SHARED"])
async def test_names_are_looked_up_in_their_own_indexes(database: AsyncEngine, name: str) -> None:
    """A plan that takes the app's index in their place reads the whole app for each save."""
    statement = getattr(statements, name)
    parameters = ", ".join(["NULL"] * (6 if name == "_LOOK_UP" else 2))
    async with database.connect() as connection:
        await statements.lock(connection, [])
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        await raw.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await raw.execute(f"PREPARE asked AS {statement}")
        lines = await raw.fetch(f"EXPLAIN EXECUTE asked({parameters})")
        await raw.execute("DEALLOCATE asked")

    plan_text = "\n".join(line[0] for line in lines)
    assert "installations_app_id_device_token" in plan_text
    assert "Seq Scan" not in plan_text
    assert "installations_app_id_id " not in plan_text
    if name == "_LOOK_UP":
        assert "installations_app_id_object_id_key" in plan_text
        assert "installations_app_id_installation_id_key" in plan_text
