"""Postgres's plans: audiences, and pushes that end, are found by indexes, whatever there is."""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.model import Json
from pushsvc.storage import (
    batches,
    claim,
    claims,
    firing,
    halts,
    heads,
    plans,
    pushes,
    small_deliveries,
    turns,
)
from pushsvc.storage.engine import BY_INDEX
from pushsvc.storage.tables import installations
from pushsvc.targeting.audience import criterion
from pushsvc.targeting.compile import compile_condition
from pushsvc.targeting.reading import SETTINGS, Held, members
from pushsvc.targeting.rows import Reader, installation_rows
from pushsvc.targeting.where import parse_where
from tests.integration.targets import SCHEMA, new_app, pointer

pytestmark = pytest.mark.integration

#: Devices and users of one app, one to one, and a team that some are fans of.
_MANY = text("""
    WITH seeds AS (SELECT n, n % 100 - 50 AS lat, n % 300 - 150 AS lng
        FROM generate_series(1, 20000) AS n),
    users AS (
        INSERT INTO objects (app_id, class_name, object_id, fields, latitude, longitude)
        SELECT :app_id, '_User', 'u' || n, jsonb_build_object('plan', n % 100), lat, lng FROM seeds
    ), fans AS (
        INSERT INTO relations (app_id, class_name, field, owner_id, related_id)
        SELECT :app_id, 'Team', 'fans', 'giants', 'i' || n FROM seeds WHERE n < 100
    )
    INSERT INTO installations (app_id, object_id, installation_id, device_type, device_token,
        channels, custom, latitude, longitude)
    SELECT :app_id, 'i' || n, 'id-' || n, 'ios', 't' || n, ARRAY['c' || n % 100],
        jsonb_build_object('plan', n % 100, 'user', jsonb_build_object(
            '__type', 'Pointer', 'className', '_User', 'objectId', 'u' || n)), lat, lng FROM seeds
""")
_DONE = text("""
    WITH done AS (
        INSERT INTO pushes (object_id, app_id, source, audience, content, due_at, push_time, lane,
            on_unknown, state, push_hash)
        SELECT 'volley' || n, :app_id, 'v1', '{}', '{}', now(), '', 'urgent', 'resend', 'done', ''
        FROM generate_series(1, 1000) AS n
        RETURNING id
    )
    INSERT INTO batches (push_id, seq, lane, state, leases, not_before)
    SELECT id, seq, 'urgent', 2, 1, now() FROM done CROSS JOIN generate_series(0, 1) AS seq
    RETURNING push_id
""")
_TABLES = ("installations", "installation_pointers", "objects", "relations")
PLACE = {"__type": "GeoPoint", "latitude": 10.0, "longitude": 20.0}
NEAR = {"$nearSphere": PLACE, "$maxDistanceInMiles": 50}
USERS_NEAR = {"className": "_User", "where": {"location": NEAR}}


@pytest.fixture
async def app(database: AsyncEngine) -> AsyncIterator[tuple[AsyncConnection, int]]:
    """Many devices, in a transaction that is taken back."""
    async with database.connect() as connection:
        app_id = await new_app(connection)
        await connection.execute(_MANY, {"app_id": app_id})
        for gin in ("installations_channels", "installations_custom", "objects_fields"):
            # Entries that wait to be sorted in would make the index look dear.
            await connection.execute(select(func.gin_clean_pending_list(text(f"'{gin}'"))))
        for table in _TABLES:
            await connection.execute(text(f"ANALYZE {table}"))
        await connection.execute(SETTINGS)
        yield connection, app_id


async def explained(connection: AsyncConnection, statement: Any) -> str:
    """Return the plan of a statement, its parameters bound as ever."""

    def explain(*args: Any) -> tuple[str, Any]:
        _connection, _cursor, sql, parameters, *_rest = args
        return f"EXPLAIN {sql}", parameters

    plain = connection.sync_connection
    event.listen(plain, "before_cursor_execute", explain, retval=True)
    try:
        return "\n".join((await connection.execute(statement)).scalars())
    finally:
        event.remove(plain, "before_cursor_execute", explain)


#: The first is better once VACUUM has seen the table, which it does not see in a transaction.
BY_ID = "(installations_reachable|installations_reachable_zones|installations_pkey)"
AUDIENCES = [
    pytest.param({"channels": ["c7"]}, ["installations_channels"], id="channel"),
    pytest.param({"where": {"plan": 7}}, ["installations_custom"], id="custom field"),
    pytest.param({"where": {"timeZone": "x"}}, ["installations_reachable_zones"], id="zone"),
    pytest.param({"where": {"location": NEAR}}, ["installations_reachable_places"], id="near"),
    pytest.param(
        {"where": {"location": {"$within": {"$box": [PLACE, {**PLACE, "latitude": 12}]}}}},
        ["installations_reachable_places"],
        id="box",
    ),
    pytest.param(
        {
            "where": {
                "location": {"$geoWithin": {"$polygon": [[9, 9], [9, 9.5], [9.5, 9.5], [9.5, 9.2]]}}
            }
        },
        ["installations_reachable_places"],
        id="polygon",
    ),
    pytest.param(
        {"where": {"user": {"$inQuery": USERS_NEAR}}},
        [
            "objects_app_id_class_name_latitude_longitude",
            "installation_pointers_key",
        ],
        id="in query",
    ),
    pytest.param(
        {"where": {"user": {"$inQuery": {"className": "_User", "where": {"plan": 7}}}}},
        ["objects_fields", "installation_pointers_key"],
        id="in query by a field",
    ),
    pytest.param(
        {"where": {"user": {"$inQuery": USERS_NEAR}, "appVersion": "x"}},
        ["installation_pointers_key", BY_ID],
        id="in query and another field",
    ),
    pytest.param({"where": {}}, [BY_ID], id="everyone"),
]


@pytest.mark.parametrize(("audience", "indexes"), AUDIENCES)
async def test_audiences_are_found_by_indexes(
    app: tuple[AsyncConnection, int], audience: Json, indexes: list[str]
) -> None:
    """No table is read from one end to the other, but for everyone."""
    connection, app_id = app
    # What is asked is whether the index can serve, not whether it is worth it for these.
    await connection.execute(text("SET LOCAL enable_seqscan = off"))
    wanted = criterion(audience, Reader(app_id=app_id, schema=SCHEMA))
    plan = await explained(connection, Held(members(wanted, after=0)))
    assert "Seq Scan" not in plan
    for index in indexes:
        assert re.search(rf"using {index} |Scan on {index} ", plan), plan


@pytest.mark.parametrize(
    ("where", "index"),
    [
        pytest.param(
            {"installationId": {"$select": {"query": USERS_NEAR, "key": "device"}}},
            "installations_app_id_installation_id_key",
            id="select",
        ),
        pytest.param(
            {"$relatedTo": {"object": pointer("giants", "Team"), "key": "fans"}},
            "installations_app_id_object_id_key",
            id="related to",
        ),
        pytest.param(
            {"location": NEAR}, "installations_app_id_latitude_longitude", id="a find near"
        ),
    ],
)
async def test_finds_are_found_by_indexes(
    app: tuple[AsyncConnection, int], where: Json, index: str
) -> None:
    """Also where devices without a token are meant."""
    connection, app_id = app
    await connection.execute(text("SET LOCAL enable_seqscan = off"))
    rows = installation_rows(Reader(app_id=app_id, schema=SCHEMA))
    condition = rows.are(compile_condition(parse_where(where), rows))
    plan = await explained(connection, installations.select().where(condition))
    assert "Seq Scan on installations" not in plan
    assert f"{index} " in plan, plan


@pytest.mark.parametrize("operator", ["$select", "$dontSelect"])
async def test_values_are_found_in_a_hash_table(
    app: tuple[AsyncConnection, int], operator: str
) -> None:
    """Not by going over all that others have for each row."""
    connection, app_id = app
    rows = installation_rows(Reader(app_id=app_id, schema=SCHEMA))
    query = {"className": "_User", "where": {}}
    where = {"plan": {operator: {"query": query, "key": "plan"}}}
    condition = rows.are(compile_condition(parse_where(where), rows))
    assert "hashed SubPlan" in await explained(connection, installations.select().where(condition))


#: Takes the key of a push.
Values = Callable[[int], Sequence[object]]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BY_KEY: list[Any] = [
    pytest.param(heads._FIND, lambda push: (push, 0, None), id="look at a batch"),
    pytest.param(heads._DEFER, lambda push: (push, 0, NOON, None), id="have a batch wait"),
    pytest.param(claim.CLAIM, lambda push: (push, 0, None, None), id="lease a batch"),
    pytest.param(batches._RENEW, lambda push: (push, 0, 1, 60.0), id="renew its lease"),
    pytest.param(batches._UNLEASE, lambda push: (push, 0, 1), id="give it back"),
    pytest.param(
        batches._FINISH, lambda push: (push, 0, 1, b"\1", "{}", "{}", None), id="close a batch"
    ),
    pytest.param(turns._TAKE, lambda push: (push, 0, 0.1), id="take a turn"),
    pytest.param(pushes._IS_COMPLETE, lambda push: (push,), id="is a push complete"),
    pytest.param(pushes._CLOSE, lambda push: (push, 0), id="close a push"),
    pytest.param(plans._LEASE_PLAN, lambda push: (push, 60.0), id="lease a plan"),
    pytest.param(claims._CLAIM_ASKED, lambda push: (40, 60.0, [push]), id="claim pushes"),
    pytest.param(claims._GIVE_BACK, lambda push: ([push], [1]), id="give pushes back"),
    pytest.param(firing._BEGIN, lambda push: ([push], [1], [1], [1]), id="begin a volley"),
    pytest.param(firing._RENEW, lambda push: ([push], [0], 60.0), id="renew a volley"),
    pytest.param(
        firing.FINISH,
        lambda push: ([push], [0], [b"\1"], ["{}"], ["{}"], ["{}"], [1], ["{}"]),
        id="end a volley",
    ),
    pytest.param(
        small_deliveries._LEASE_ASKED, lambda push: (40, 60.0, 100, [push]), id="lease deliveries"
    ),
]
#: A row is read by an index of those that are open; whether there is one may be asked of it.
BY_OPEN = re.compile(
    r"Index Scan (using|on) (pushes_open|\S+_(lane_not_before|lease_until|push_id)_idx)"
)


@pytest.mark.parametrize(("statement", "values"), BY_KEY)
async def test_what_is_known_by_its_key_is_found_by_it(
    database: AsyncEngine, statement: str, values: Values
) -> None:
    """Also where Postgres believes that nothing is open, whatever is."""
    plan = await plan_of(database, statement, values)
    assert not BY_OPEN.search(plan), plan


async def plan_of(database: AsyncEngine, statement: str, values: Values) -> str:
    """Return the plan of a statement about a push, where nothing was open at the last look."""
    async with database.connect() as connection:
        done = await connection.execute(_DONE, {"app_id": await new_app(connection)})
        push_id = done.scalars().all()[-1]
        await connection.execute(text("ANALYZE pushes, batches"))
        await connection.execute(text(f"SELECT {BY_INDEX}"))
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        rows = await driver.fetch(f"EXPLAIN {statement}", *values(push_id))
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        pytest.param(halts._LEFT, lambda push: (push, 40), id="what is left of one"),
        pytest.param(str(halts._CANCELLED).replace(":limit", "9"), lambda _: (), id="of all"),
    ],
)
async def test_what_waits_of_a_cancelled_push_is_found_by_it(
    database: AsyncEngine, statement: str, values: Values
) -> None:
    """And not among all batches that wait, whosever they are."""
    assert "lane_not_before" not in await plan_of(database, statement, values)
