"""Which objects installations point to: kept by the database, and what `$inQuery` finds by it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.model import Json
from pushsvc.storage import migrate
from pushsvc.storage.engine import create_engine
from pushsvc.storage.tables import apps, installation_pointers, installations
from tests.integration.targets import install, keep, members_of, new_app, pointer

pytestmark = pytest.mark.integration


@pytest.fixture
async def connection(database: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection in a transaction that is taken back."""
    async with database.connect() as opened:
        yield opened


async def targets(connection: AsyncConnection, number: int) -> set[str]:
    kept = select(installation_pointers.c.target)
    found = await connection.execute(kept.where(installation_pointers.c.installation_id == number))
    return {target.split(":", 1)[1] for target in found.scalars()}


async def change(connection: AsyncConnection, number: int, custom: Json) -> None:
    of_it = installations.c.id == number
    await connection.execute(update(installations).where(of_it).values(custom=custom))


@pytest.mark.parametrize(
    ("custom", "kept"),
    [
        pytest.param({}, set(), id="none"),
        pytest.param({"plan": "Pointer", "n": [1, None]}, set(), id="other values"),
        pytest.param({"user": pointer("a")}, {"user:_User:a"}, id="one"),
        pytest.param(
            {"user": pointer("a"), "team": pointer("b", "Team")},
            {"user:_User:a", "team:Team:b"},
            id="two fields",
        ),
        pytest.param(
            {"friends": [pointer("a"), 5, pointer("b"), pointer("a")]},
            {"friends:_User:a", "friends:_User:b"},
            id="a list",
        ),
        pytest.param({"deep": {"user": pointer("a")}}, set(), id="within an object"),
        pytest.param({"lists": [[pointer("a")]]}, set(), id="a list in a list"),
        pytest.param({"user": {**pointer("a"), "objectId": 5}}, set(), id="a number is no id"),
        pytest.param({"user": pointer("a", "no:class")}, set(), id="no class has such a name"),
        pytest.param({"user": pointer("a" * 3000)}, set(), id="longer than an index takes"),
    ],
)
async def test_the_pointers_of_an_installation_are_kept(
    connection: AsyncConnection, custom: Json, kept: set[str]
) -> None:
    """Whoever inserts or updates it; nested ones are not, as `$inQuery` does not mean them."""
    app_id = await new_app(connection)
    assert await targets(connection, await install(connection, app_id, custom=custom)) == kept
    number = await install(connection, app_id, custom={"user": pointer("former"), "plan": "x"})
    await change(connection, number, custom)
    assert await targets(connection, number) == kept


async def test_what_is_not_changed_stays(connection: AsyncConnection) -> None:
    """An update of another field leaves the rows alone; a deletion takes them along."""
    app_id = await new_app(connection)
    number = await install(connection, app_id, custom={"user": pointer("a")})
    place = select(text("ctid::text")).select_from(installation_pointers)
    before = (await connection.execute(place)).scalars().all()
    await change(connection, number, {"user": pointer("a"), "plan": "pro"})
    assert (await connection.execute(place)).scalars().all() == before
    await connection.execute(delete(installations).where(installations.c.id == number))
    assert await targets(connection, number) == set()


async def test_many_at_once(connection: AsyncConnection) -> None:
    """One statement that inserts many keeps the pointers of each."""
    app_id = await new_app(connection)
    rows = [
        {
            "app_id": app_id,
            "object_id": f"{n}",
            "device_type": "ios",
            "custom": {"user": pointer(f"u{n}")},
        }
        for n in range(50)
    ]
    made = insert(installations).returning(installations.c.id, installations.c.custom)
    for number, custom in (await connection.execute(made, rows)).all():
        assert await targets(connection, number) == {f"user:_User:{custom['user']['objectId']}"}


@pytest.mark.parametrize(
    ("columns", "marks"),
    [
        pytest.param({}, (True, False), id="a token"),
        pytest.param({"device_token": None}, (False, False), id="no token"),
        pytest.param(
            {"device_token": None, "channel_uris": {"": "https://x"}}, (True, False), id="a channel"
        ),
        pytest.param({"token_retired_at": func.now()}, (False, False), id="a dead token"),
        pytest.param({"token_shared": True}, (True, True), id="a token that others have"),
        pytest.param(
            {"token_shared": True, "custom": {"user": pointer("b"), "friends": [pointer("c")]}},
            (True, True),
            id="with other pointers",
        ),
    ],
)
async def test_pointers_tell_whether_a_push_may_go_there(
    connection: AsyncConnection, columns: dict[str, Any], marks: tuple[bool, bool]
) -> None:
    """As the installation does when it is stored, and when it changes."""
    app_id = await new_app(connection)
    custom = {"user": pointer("a"), "friends": [pointer("b"), pointer("c")]}
    made = await install(connection, app_id, **{"custom": custom} | columns)
    changed = await install(connection, app_id, custom=custom)
    of_it = installations.c.id == changed
    await connection.execute(
        update(installations).where(of_it).values(columns or {"app_name": "x"})
    )
    own = installation_pointers.c
    for number in (made, changed):
        kept = select(own.reachable, own.token_shared).where(own.installation_id == number)
        assert set((await connection.execute(kept)).all()) == {marks}
    back = {"device_token": "t", "token_retired_at": None, "token_shared": False}
    await connection.execute(update(installations).where(of_it).values(back))
    kept = select(own.reachable, own.token_shared).where(own.installation_id == changed)
    assert set((await connection.execute(kept)).all()) == {(True, False)}


def in_query(class_name: str = "_User", **where: Any) -> Json:
    return {"$inQuery": {"className": class_name, "where": where}}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        pytest.param({"user": in_query(fan=True)}, "ann both list-in-user", id="a pointer"),
        pytest.param({"friends": in_query(fan=True)}, "list", id="a list of pointers"),
        pytest.param({"user": in_query()}, "ann ben both list-in-user", id="all of a class"),
        pytest.param({"user": in_query(fan="no")}, "", id="nobody"),
        pytest.param({"user": in_query("Team")}, "team", id="of another class"),
        pytest.param({"user": in_query("None")}, "", id="of a class without objects"),
        pytest.param(
            {"user": {"$notInQuery": {"className": "_User", "where": {"fan": True}}}},
            "ben team list deep none",
            id="not in a query",
        ),
        pytest.param({"user.owner": in_query(fan=True)}, "deep", id="within an object"),
        pytest.param({"user": in_query(fan=True), "plan": "pro"}, "both", id="and another field"),
        pytest.param(
            {"user": in_query(fan=True), "friends": in_query(fan=True)}, "", id="two queries"
        ),
        pytest.param(
            {"$or": [{"user": in_query(fan=True)}, {"friends": in_query(fan=True)}]},
            "ann both list list-in-user",
            id="one of two queries",
        ),
        pytest.param(
            {"user": in_query(team=in_query("Team", city="x"))}, "ben", id="a query in a query"
        ),
    ],
)
async def test_in_query(connection: AsyncConnection, where: Json, expected: str) -> None:
    """Installations that point to what the inner query finds, and no others."""
    app_id = await new_app(connection)
    await keep(connection, app_id, "ann", "joe", fan=True)
    await keep(connection, app_id, "ben", team=pointer("t", "Team"))
    await keep(connection, app_id, "t", class_name="Team", city="x")
    customs: dict[str, Json] = {
        "ann": {"user": pointer("ann")},
        "ben": {"user": pointer("ben")},
        "both": {"user": pointer("ann"), "plan": "pro"},
        "team": {"user": pointer("t", "Team")},
        "list": {"friends": [pointer("ben"), pointer("ann"), pointer("joe")]},
        "list-in-user": {"user": [pointer("joe"), pointer("ann")]},
        "deep": {"user": {"owner": pointer("ann")}},
        "none": {},
    }
    await install(connection, app_id, custom=customs["ann"], device_token=None)
    stored = [
        (name, await install(connection, app_id, custom=each)) for name, each in customs.items()
    ]
    other = await new_app(connection)
    await install(connection, other, custom=customs["ann"])
    await keep(connection, other, "ben", fan=True)
    await connection.commit()
    try:
        numbers = await members_of(connection, app_id, where)
    finally:
        async with connection.begin():
            await connection.execute(delete(apps).where(apps.c.id.in_([app_id, other])))
    assert [name for name, number in stored if number in numbers] == [
        name for name, _ in stored if name in expected.split()
    ]
    assert len(numbers) == len(expected.split())


async def test_texts_with_one_key_are_told_apart(connection: AsyncConnection) -> None:
    """The key is a hash; were two the same, only the right one is found."""
    app_id = await new_app(connection)
    await keep(connection, app_id, "ann")
    number = await install(connection, app_id, custom={"user": pointer("joe")})
    key = select(func.hashtextextended(f"{app_id}:user:_User:ann", text("0")))
    await connection.execute(
        update(installation_pointers)
        .where(installation_pointers.c.installation_id == number)
        .values(key=key.scalar_subquery())
    )
    await connection.commit()
    assert await members_of(connection, app_id, {"user": in_query()}) == []
    async with connection.begin():
        await connection.execute(delete(apps).where(apps.c.id == app_id))


async def test_the_migration_finds_the_pointers_of_before(
    servers: tuple[str, str], connection: AsyncConnection
) -> None:
    """What it fills the table with is what the triggers keep from then on."""
    connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
    await connection.execute(text("DROP DATABASE IF EXISTS pointers_test"))
    await connection.execute(text("CREATE DATABASE pointers_test"))
    engine = create_engine(servers[0].replace("/pushsvc?", "/pointers_test?"), connections=1)
    custom: Json = {"user": pointer("a"), "friends": [pointer("b"), pointer("a")], "plan": "x"}
    columns = installation_pointers.c
    kept = select(columns.installation_id, columns.target, columns.key)
    try:
        await migrate.upgrade(engine, "0002")
        async with engine.begin() as before:
            app_id = await new_app(before)
            number = await install(before, app_id, custom=custom)
        await migrate.upgrade(engine)
        async with engine.begin() as after:
            filled = set((await after.execute(kept)).all())
            await change(after, number, {})
            assert (await after.execute(kept)).all() == []
            await change(after, number, custom)
            assert set((await after.execute(kept)).all()) == filled
            assert len(filled) == 3
    finally:
        await engine.dispose()
