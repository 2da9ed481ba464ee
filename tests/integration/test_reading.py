"""An audience is found by one statement, and read in pages while other work goes on."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from sqlalchemy import Subquery, delete, func, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.model import Json
from pushsvc.storage.engine import create_engine
from pushsvc.storage.tables import apps, installations
from pushsvc.targeting.audience import criterion
from pushsvc.targeting.criterion import Criterion
from pushsvc.targeting.reading import AudienceTimeoutError, Page, pages
from pushsvc.targeting.rows import Reader
from tests.integration.pushing import until
from tests.integration.targets import SCHEMA, all_of, install, new_app, read

pytestmark = pytest.mark.integration

EVERYONE: Json = {"where": {}}
DEVICES = 25
#: Ids that lie in as many arrays.
FAR_APART = text("""
    INSERT INTO installations
        (id, app_id, object_id, device_token, device_type, channels)
    OVERRIDING SYSTEM VALUE
    SELECT n, :app_id, 'far-' || n, 'far-' || n, 'ios', ARRAY['far']
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint), 5000) AS n
""")


@pytest.fixture
async def connection(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection outside of a transaction."""
    async with database.connect() as opened:
        yield opened


@pytest.fixture
async def app_id(connection: AsyncConnection) -> AsyncIterator[int]:
    """An app with devices, which are removed again."""
    async with connection.begin():
        number = await new_app(connection)
        for _ in range(DEVICES):
            await install(connection, number, channels=["all"])
    yield number
    async with connection.begin():
        await connection.execute(delete(apps).where(apps.c.id == number))


async def numbers_of(connection: AsyncConnection, app_id: int) -> list[int]:
    async with connection.begin():
        return list(await all_of(connection, app_id))


@pytest.mark.parametrize("size", [1, 7, DEVICES, 1000])
async def test_pages_are_full_and_in_order(
    connection: AsyncConnection, app_id: int, size: int
) -> None:
    """All members by id, each page as large as asked for, but for the last."""
    found = await read(connection, app_id, EVERYONE, size=size)
    numbers = await numbers_of(connection, app_id)
    assert [an_id for page in found for an_id in page.ids] == numbers
    assert all(len(page.ids) == size for page in found[:-1])
    assert not any(page.duplicates for page in found)


@pytest.mark.parametrize(
    "where",
    [{}, {"deviceToken": {"$exists": True}}, {"deviceToken": {"$exists": False}}, {"badge": None}],
    ids=["everybody", "with tokens", "without", "any"],
)
async def test_retired_tokens_are_in_no_audience(
    connection: AsyncConnection, app_id: int, where: Json
) -> None:
    """Whatever the clause says of tokens: to Parse they are gone."""
    table = installations
    async with connection.begin():
        retire = update(table).where(table.c.app_id == app_id).values(token_retired_at=func.now())
        await connection.execute(retire)

    assert await read(connection, app_id, {"where": where}) == []


async def test_reading_goes_on_after_an_id(connection: AsyncConnection, app_id: int) -> None:
    """As after a crash, at the checkpoint."""
    numbers = await numbers_of(connection, app_id)
    [page] = await read(connection, app_id, EVERYONE, after=numbers[9])
    assert page.ids == numbers[10:]
    assert await read(connection, app_id, EVERYONE, after=numbers[-1]) == []


async def test_members_are_those_of_the_beginning(connection: AsyncConnection, app_id: int) -> None:
    """Who comes or goes while pages are read changes nothing; commits do not end the reading."""
    wanted = criterion({"channels": ["all"]}, Reader(app_id=app_id, schema=SCHEMA))
    numbers, found = await numbers_of(connection, app_id), list[int]()
    async with pages(connection, wanted, after=0, size=10, timeout_seconds=60) as members:
        async for page in members:
            found += page.ids
            async with connection.begin():
                await install(connection, app_id, channels=["all"])
                of_app = installations.c.app_id == app_id
                await connection.execute(update(installations).where(of_app).values(channels=[]))
    assert found == numbers


async def test_what_is_found_beyond_the_first_answer_is_held(
    connection: AsyncConnection, app_id: int
) -> None:
    """Of more arrays than come in one answer the rest is found with them, and read later."""
    first = (1 << 50) + (app_id << 24)
    numbers = range(first, first + 70 * 5_000, 5_000)
    async with connection.begin():
        parameters = {"app_id": app_id, "first": first, "last": numbers[-1]}
        await connection.execute(FAR_APART, parameters)
    wanted = criterion({"channels": ["far"]}, Reader(app_id=app_id, schema=SCHEMA))
    found = list[Page]()
    async with pages(connection, wanted, after=0, size=30, timeout_seconds=60) as members:
        async for page in members:
            found.append(page)
            async with connection.begin():
                far = installations.c.id == numbers[-1]
                await connection.execute(delete(installations).where(far))
    assert [an_id for page in found for an_id in page.ids] == list(numbers)
    assert [page.is_last for page in found] == [False, False, True]
    async with connection.begin():
        held = await connection.execute(text("SELECT name FROM pg_cursors WHERE is_holdable"))
        assert held.all() == []


async def test_doubles_are_told_whatever_page_the_first_is_in(
    connection: AsyncConnection, app_id: int
) -> None:
    """Of those with one token the lowest id is none; who is not of the audience does not count."""
    numbers = await numbers_of(connection, app_id)
    shared = [numbers[place] for place in (2, 3, 20, 24)]
    async with connection.begin():
        same = {"device_token": f"shared-{app_id}", "token_shared": True}
        some = installations.c.id.in_(shared)
        await connection.execute(update(installations).where(some).values(same))
        other = installations.c.id == shared[0]
        await connection.execute(update(installations).where(other).values(channels=["other"]))
    found = await read(connection, app_id, {"channels": ["all"]}, size=5)
    assert {an_id for page in found for an_id in page.duplicates} == set(shared[2:])
    found = await read(connection, app_id, EVERYONE, after=numbers[10], size=5)
    assert {an_id for page in found for an_id in page.duplicates} == set(shared[2:])


async def test_a_reading_that_is_broken_off_leaves_nothing_behind(
    servers: tuple[str, str], app_id: int
) -> None:
    """The pool's only connection is fit for the next one."""
    engine = create_engine(servers[0], connections=1)
    wanted = criterion(EVERYONE, Reader(app_id=app_id, schema=SCHEMA))
    try:
        for error in (ZeroDivisionError, asyncio.CancelledError):
            with pytest.raises(error):
                await break_off(engine, wanted, error)
        async with engine.connect() as connection:
            assert len(await read(connection, app_id, EVERYONE, size=5)) == DEVICES // 5
            names = await connection.execute(text("SELECT name FROM pg_cursors WHERE is_holdable"))
            assert names.all() == []
    finally:
        await engine.dispose()


async def break_off(engine: AsyncEngine, wanted: Criterion, error: type[BaseException]) -> None:
    """Read a page, and end with an error."""
    async with (
        engine.connect() as connection,
        pages(connection, wanted, after=0, size=5, timeout_seconds=60) as members,
    ):
        await anext(members)
        raise error


class Slow:
    """A criterion whose members take five seconds to be found, and that nobody is of."""

    @staticmethod
    def members() -> Subquery:
        """Return them as `Criterion` does."""
        slow = func.pg_sleep(5).label("slow")
        columns = (literal(1).label("id"), literal(value=False).label("token_shared"))
        return select(*columns, literal(0).label("part"), slow).subquery()


async def test_an_audience_is_looked_for_so_long_and_no_longer(
    connection: AsyncConnection, database: AsyncEngine
) -> None:
    """Neither here nor in Postgres, and the connection is not used again."""
    async with connection.begin():
        backend = (await connection.execute(select(func.pg_backend_pid()))).scalar_one()
    wanted = cast(Criterion, Slow())
    with pytest.raises(AudienceTimeoutError):
        async with pages(connection, wanted, after=0, size=5, timeout_seconds=0.1):
            pass

    busy = text("SELECT 1 FROM pg_stat_activity WHERE pid = :pid AND state = 'active'")

    async def ended() -> bool:
        async with database.connect() as other:
            return (await other.execute(busy, {"pid": backend})).first() is None

    await until(ended, seconds=4)
