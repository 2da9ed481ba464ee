"""A compiled condition picks the installations that Parse would: held against a plain reference."""

import bisect
import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.storage.schema import Schema
from pushsvc.storage.tables import apps, installations
from pushsvc.targeting.compile import compile_condition
from pushsvc.targeting.rows import Reader, installation_rows
from pushsvc.targeting.values import WhereError
from pushsvc.targeting.where import channels_where, parse_where
from tests.integration.mongo import POINTERS, clause, document, fits
from tests.integration.picking import keep, picked

pytestmark = pytest.mark.integration

DOCUMENTS = 40

CREATED = {"__type": "Date", "iso": "2026-11-22T10:00:00.000Z"}
READER = Reader(app_id=0, schema=Schema())
ROWS = installation_rows(READER)

# ---------------------------------------------------------------- the tests


async def picked_by_alias(
    connection: AsyncConnection, where: dict[str, Any], app_id: int
) -> set[str]:
    """The same where the table goes by another name, within a query on installations."""
    other = installations.alias()
    moved = compile_condition(parse_where(where), installation_rows(READER, other))
    twin = select(other.c.id).where(other.c.id == installations.c.id, moved).exists()
    return await picked(connection, twin, app_id)


async def test_an_alias_picks_the_same(database: AsyncEngine) -> None:
    """A condition that is moved to another name of the table means the same there."""
    dice = random.Random(4)
    documents = [document(dice, number) for number in range(DOCUMENTS)]
    async with database.connect() as connection:
        app_id = await keep(connection, documents)
        for _ in range(200):
            where = clause(dice)
            condition = compile_condition(parse_where(where), ROWS)
            expected = {found["objectId"] for found in documents if fits(where, found)}
            assert expected == await picked(connection, condition, app_id), where
            assert expected == await picked_by_alias(connection, where, app_id), where


def largest(clause_of: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """Return as many such clauses as the bounds let through, each on a key of its own."""

    def refused(count: int) -> int:
        try:
            parse_where({"$or": [clause_of(number) for number in range(count)]})
        except WhereError:
            return 1
        return 0

    first = bisect.bisect_left(range(2_000), 1, key=refused)
    return {"$or": [clause_of(number) for number in range(first - 1)]}


def place(n: int) -> dict[str, int]:
    return {"latitude": n, "longitude": n}


def query(class_name: str, n: int) -> dict[str, Any]:
    return {"className": class_name, "where": {f"k{n}.a": n}}


@pytest.mark.parametrize(
    "clause_of",
    [
        pytest.param(lambda n: {f"k{n}.0": {"$lt": 1}}, id="order within lists"),
        pytest.param(lambda n: {f"k{n}": {"$gt": {"$relativeTime": "now"}}}, id="moments"),
        pytest.param(lambda n: {f"k{n}": n}, id="equalities"),
        pytest.param(lambda n: {".".join([f"k{n}", *"0" * 15]): {"$ne": "a"}}, id="deep keys"),
        pytest.param(lambda n: {f"k{n}.a.b.c.d": None}, id="null"),
        pytest.param(
            lambda n: {"k.0": {"$geoWithin": {"$polygon": [[n, 0], [n, 9], [n + 9, 0]]}}},
            id="places",
        ),
        pytest.param(
            lambda n: {"k.0": {"$geoIntersects": {"$point": {"latitude": n, "longitude": n}}}},
            id="polygons",
        ),
        pytest.param(
            lambda n: {"k.0": {"$text": {"$search": {"$term": f'"{n}" ' + "-a " * 31}}}},
            id="words",
        ),
        pytest.param(lambda n: {"k": {"$inQuery": query("Team", n)}}, id="other objects"),
        pytest.param(lambda n: {"k.a": {"$inQuery": query("Team", n)}}, id="of dotted keys"),
        pytest.param(
            lambda n: {"k.0": {"$select": {"query": query("_Installation", n), "key": "badge"}}},
            id="their values",
        ),
    ],
)
async def test_the_largest_clauses(
    database: AsyncEngine, clause_of: Callable[[int], dict[str, Any]]
) -> None:
    """What the bounds let through, Postgres can run."""
    where = largest(clause_of)
    assert len(where["$or"]) > 1
    condition = compile_condition(parse_where(where), ROWS)
    async with database.connect() as connection:
        app_id = await keep(connection, [document(random.Random(1), 1)])
        await picked(connection, condition, app_id)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        pytest.param([], set(), id="nobody"),
        pytest.param(["a"], {"o0", "o1"}, id="one"),
        pytest.param(["b", "c"], {"o1", "o2"}, id="a union"),
        pytest.param([""], {"o3"}, id="the empty name"),
        pytest.param(["z"], set(), id="no subscriber"),
        pytest.param([f"x{number}" for number in range(1999)] + ["a"], {"o0", "o1"}, id="many"),
    ],
)
async def test_channels(database: AsyncEngine, channels: list[str], expected: set[str]) -> None:
    """A push to channels is for who is subscribed to any of them."""
    subscriptions = [["a"], ["a", "b"], ["c"], [""], [], None]
    documents = [
        {"objectId": f"o{number}", "deviceType": "ios", "channels": names, "createdAt": CREATED}
        for number, names in enumerate(subscriptions)
    ]
    async with database.connect() as connection:
        app_id = await keep(connection, documents)
        condition = compile_condition(channels_where(channels), ROWS)
        assert expected == await picked(connection, condition, app_id)


@pytest.mark.parametrize(
    ("where", "index"),
    [
        pytest.param({"channels": "a"}, "installations_channels", id="channel"),
        pytest.param({"channels": {"$in": ["a", "b"]}}, "installations_channels", id="channels"),
        pytest.param({"plan": "pro"}, "installations_custom", id="custom field"),
        pytest.param({"prefs.news": True}, "installations_custom", id="within an object"),
        pytest.param({"user": {"$in": [*POINTERS]}}, "installations_custom", id="some pointers"),
        pytest.param(
            {"objectId": {"$in": ["a", "b"]}}, "installations_app_id_object_id_key", id="ids"
        ),
        pytest.param({"deviceToken": "a"}, "installations_app_id_device_token", id="device token"),
    ],
)
async def test_indexes_are_used(database: AsyncEngine, where: dict[str, Any], index: str) -> None:
    """The usual conditions are in a form that their index can answer."""
    condition = compile_condition(parse_where(where), ROWS)
    async with database.connect() as connection:
        await connection.execute(MANY)
        app_id = (await connection.execute(select(func.max(apps.c.id)))).scalar_one()
        statement = select(installations.c.id).where(installations.c.app_id == app_id, condition)
        for gin in ("installations_channels", "installations_custom"):
            # Entries that wait to be sorted in would make the index look dear.
            await connection.execute(select(func.gin_clean_pending_list(text(f"'{gin}'"))))
        await connection.execute(text("ANALYZE installations"))
        # What is asked is whether the index can serve, not whether it is worth it for these.
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        await connection.execute(text("SET LOCAL enable_indexscan = off"))
        event.listen(connection.sync_connection, "before_cursor_execute", explain, retval=True)
        plan = (await connection.execute(statement)).scalars().all()
    assert f"Bitmap Index Scan on {index} " in "\n".join(map(str, plan))


#: So many installations of one app that its other indexes are no way to a few of them.
MANY = text("""
    WITH app AS (
        INSERT INTO apps (application_id, name)
        SELECT name, name FROM (SELECT gen_random_uuid()::text AS name) AS fresh RETURNING id
    )
    INSERT INTO installations (app_id, object_id, device_type, device_token, channels, custom)
    SELECT app.id, n, 'ios', n, ARRAY[n::text], jsonb_build_object('plan', n, 'user', n)
    FROM app, generate_series(1, 5000) AS n
""")


def explain(*args: Any) -> tuple[str, Any]:
    """Have the plan of a statement instead of its rows, the parameters bound as ever."""
    _connection, _cursor, statement, parameters, *_rest = args
    return f"EXPLAIN {statement}", parameters
