"""Queries within queries are run once each, however Postgres joins them."""

from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.picking import asked, keep_world, rows_of
from tests.integration.worlds import INSTALLATION, TEAM, USER, World, pointer_to

pytestmark = pytest.mark.integration

OBJECTS = 40
#: One within another and so on.
QUERIES = 4
CREATED = {"__type": "Date", "iso": "2026-11-22T10:00:00.000Z"}
#: What Postgres may come to by itself where it takes the tables for small: loops within loops.
#: Were a query run anew in each, the innermost would run 40 x 40 x 40 times and more.
AT_WORST = text("""
    SELECT set_config(name, value, true) FROM (VALUES
        ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'), ('enable_material', 'off'),
        ('enable_memoize', 'off'), ('enable_indexscan', 'off'), ('enable_bitmapscan', 'off'),
        ('enable_indexonlyscan', 'off'), ('statement_timeout', '5s')
    ) AS setting (name, value)
""")
#: Until the end of the transaction, which is rolled back: loops over what other tests have left
#: would be no sign of anything.
ALONE = text("TRUNCATE installations, objects, relations CASCADE")
#: A class, the field with its pointers, and the class that they lead to.
LEADS = {INSTALLATION: ("user", USER), USER: ("team", TEAM), TEAM: ("captain", USER)}
RELATIONS = {USER: ("follows", TEAM), TEAM: ("members", USER)}


def row(name: str, number: int, **fields: Any) -> dict[str, Any]:
    return {
        "objectId": f"{name}{number}",
        "createdAt": CREATED,
        "deviceType": "ios",
        "plan": f"p{number}",
        "tags": [f"p{number}"],
        **fields,
    }


NUMBERS = range(OBJECTS)
WORLD = World(
    documents={
        INSTALLATION: [row("o", n, user=pointer_to(USER, f"u{n}")) for n in NUMBERS],
        USER: [row("u", n, team=pointer_to(TEAM, f"t{n}")) for n in NUMBERS],
        TEAM: [row("t", n, captain=pointer_to(USER, f"u{n}")) for n in NUMBERS],
    },
    relations=frozenset(
        related
        for n in NUMBERS
        for related in (
            (TEAM, "members", f"t{n}", f"u{n}"),
            (USER, "follows", f"u{n}", f"t{n}"),
        )
    ),
)


def pointing(class_name: str, depth: int = QUERIES, *, by: Any = LEADS) -> dict[str, Any]:
    """Return a clause over a class that leads to another, and so on."""
    if not depth:
        return {"plan": {"$ne": "p1"}}
    field, target = by[class_name]
    query = {"className": target, "where": pointing(target, depth - 1, by=by)}
    return {field: {"$inQuery": query}}


def selecting(field: str, key: str, depth: int = QUERIES) -> dict[str, Any]:
    """Return a clause by values that users have, who have values that users have, and so on."""
    if not depth:
        return {"plan": {"$ne": "p1"}}
    query = {"className": USER, "where": selecting(field, key, depth - 1)}
    return {field: {"$select": {"query": query, "key": key}}}


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("class_name", "where"),
    [
        pytest.param(INSTALLATION, pointing(INSTALLATION), id="pointers"),
        pytest.param(TEAM, pointing(TEAM, by=RELATIONS), id="relations"),
        pytest.param(INSTALLATION, selecting("plan", "plan"), id="values"),
        pytest.param(INSTALLATION, selecting("tags", "tags"), id="items of lists"),
        pytest.param(USER, selecting("objectId", "objectId"), id="ids"),
    ],
)
async def test_each_query_runs_once(
    database: AsyncEngine, class_name: str, where: dict[str, Any], *, known: bool
) -> None:
    """Four within one another end in time, with every join a loop; with statistics, without."""
    async with database.connect() as connection:
        await connection.execute(ALONE)
        rows = rows_of(class_name, await keep_world(connection, WORLD))
        if known:
            await connection.execute(text("ANALYZE installations, objects, relations"))
        await connection.execute(AT_WORST)
        found = select(func.count()).select_from(rows.table).where(rows.are(asked(where, rows)))
        assert (await connection.execute(found)).scalar_one() == OBJECTS - 1
