"""A compiled condition picks the installations that Parse would: held against a plain reference."""

import random
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import ColumnElement, event, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.util import ClauseAdapter

from pushsvc.storage.tables import apps, badges, installations
from pushsvc.targeting.compile import compile_condition
from pushsvc.targeting.where import channels_where, parse_where

pytestmark = pytest.mark.integration

DOCUMENTS = 150
CLAUSES = 100
START = datetime(2026, 11, 22, 10, 0, 0, 123_456, tzinfo=UTC)

Document = dict[str, Any]


# ---------------------------------------------------------------- installations and clauses

POINTERS = [{"__type": "Pointer", "className": "Team", "objectId": f"t{n}"} for n in range(3)]
DATES = [{"__type": "Date", "iso": f"2026-11-2{n}T10:00:00.000Z"} for n in range(3)]
#: Values alike but for their type, so that a comparison which is not strict is found out.
VALUES: list[Any] = ["a", "b", "1", "", "true", 1, 1.5, 0, True, False, *POINTERS, *DATES]
OTHERS: list[Any] = ["it's", '"', "ünï👋", "{", "a,b", -1, 10**12, 1e300]
TEXTS = ["a", "b", "it's", "ünï👋", "", "1"]

MISSING = object()


def document(dice: random.Random, number: int) -> Document:
    """Return an installation as Parse shows it, any field of it missing at times."""
    fields = {
        "objectId": f"o{number}",
        "deviceType": dice.choice(["ios", "android"]),
        "timeZone": dice.choice([MISSING, *TEXTS]),
        "channels": dice.choice([MISSING, [], *([dice.choice(TEXTS)] * 3), TEXTS]),
        "channelUris": dice.choice([MISSING, {}, {"_Default": dice.choice(TEXTS)}]),
        "badge": dice.choice([MISSING, 0, 1, -1]),
        "createdAt": START + timedelta(microseconds=dice.choice([0, 400, 1000])),
        "plan": custom_value(dice),
        "tags": custom_value(dice),
        "prefs": dice.choice([MISSING, None, 1, {"news": custom_value(dice)}]),
    }
    if isinstance(fields["channels"], str):
        fields["channels"] = [fields["channels"], dice.choice(TEXTS)]
    return without_missing(fields)


def custom_value(dice: random.Random) -> Any:
    some = [dice.choice([*VALUES, None]) for _ in range(dice.randrange(4))]
    return dice.choice([MISSING, None, dice.choice(VALUES), some, {"deep": dice.choice(VALUES)}])


def without_missing(fields: Document) -> Document:
    return {
        key: without_missing(value) if isinstance(value, dict) else value
        for key, value in fields.items()
        if value is not MISSING
    }


SPECIAL = ["objectId", "deviceType", "timeZone", "channels", "channelUris", "badge", "createdAt"]
CUSTOM = ["plan", "tags", "prefs", "nowhere"]
WITHIN = [
    "plan.deep",
    "prefs.news",
    "prefs.news.deep",
    "prefs.news.1",
    "tags.0",
    "channelUris._Default",
    "channels.0",
    "timeZone.x",
]
KEYS = [*SPECIAL, *CUSTOM, *WITHIN]


def clause(dice: random.Random, depth: int = 0) -> dict[str, Any]:
    """Return a where-clause that has something to do with the installations."""
    where: dict[str, Any] = {}
    for _ in range(dice.choice([1, 1, 1, 2])):
        if depth < 3 and dice.random() < 0.3:
            inner = [clause(dice, depth + 1) for _ in range(dice.choice([1, 2, 3]))]
            where[dice.choice(["$and", "$or"])] = inner
        else:
            where[dice.choice(KEYS)] = constraint(dice)
    return where


def constraint(dice: random.Random) -> Any:
    match dice.choice(["equal", "equal", "in", "in", "many", "exists", "null", "both"]):
        case "equal":
            return operand(dice)
        case "in":
            return {"$in": [operand(dice) for _ in range(dice.randrange(4))]}
        case "many":
            return {"$in": [*VALUES, *OTHERS, *TEXTS, "o1", "o2", *range(100, 110)]}
        case "exists":
            return {"$exists": dice.choice([True, False])}
        case "null":
            return dice.choice([None, {"$in": [None, operand(dice)]}])
        case _:
            return {"$exists": True, "$in": [operand(dice), operand(dice)]}


def operand(dice: random.Random) -> Any:
    moment = {"__type": "Date", "iso": "2026-11-22T10:00:00.123Z"}
    return dice.choice([*VALUES, *OTHERS, *TEXTS, "ios", "o7", moment, moment["iso"]])


# ---------------------------------------------------------------- the reference


def fits(where: Mapping[str, Any], found: Document) -> bool:
    """Tell whether an installation is meant, as Parse on MongoDB has it."""
    return all(fits_key(key, value, found) for key, value in where.items())


def fits_key(key: str, value: Any, found: Document) -> bool:
    if key == "$and":
        return all(fits(inner, found) for inner in value)
    if key == "$or":
        return any(fits(inner, found) for inner in value)
    stored = walk(found, key.split("."))
    if isinstance(value, dict) and "__type" not in value:
        return all(OPERATORS[operator](stored, operand) for operator, operand in value.items())
    return equals(stored, value)


def walk(value: Any, path: list[str]) -> Any:
    if path[0] in {"channels", "timeZone"} and len(path) > 1:
        return MISSING
    for key in path:
        if isinstance(value, list) and key.isdigit():
            value = value[int(key)] if int(key) < len(value) else MISSING
        else:
            value = value.get(key, MISSING) if isinstance(value, dict) else MISSING
    return value


def equals(stored: Any, wanted: Any) -> bool:
    if wanted is None:
        return stored is MISSING or stored is None
    if isinstance(stored, list):
        return any(same(item, wanted) for item in stored)
    return same(stored, wanted)


def same(stored: Any, wanted: Any) -> bool:
    if isinstance(stored, datetime):
        iso = wanted.get("iso") if isinstance(wanted, dict) else wanted
        return bool(iso == stored.strftime("%Y-%m-%dT%H:%M:%S.") + f"{stored.microsecond // 1000}Z")
    if isinstance(stored, bool) or isinstance(wanted, bool):
        return stored is wanted
    return bool(stored == wanted)


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$in": lambda stored, values: any(equals(stored, value) for value in values),
    "$exists": lambda stored, wanted: (stored is not MISSING) == wanted,
}


# ---------------------------------------------------------------- the tests


async def keep(connection: AsyncConnection, documents: list[Document]) -> int:
    """Store the installations in an app of their own; return its id."""
    name = f"test-{uuid.uuid4().hex}"
    app = insert(apps).values(application_id=name, name=name).returning(apps.c.id)
    app_id = (await connection.execute(app)).scalar_one()
    for found in documents:
        row = insert(installations).values(app_id=app_id, **columns(found))
        made = await connection.execute(row.returning(installations.c.id))
        if "badge" in found:
            badge = {"installation_id": made.scalar_one(), "badge": found["badge"]}
            await connection.execute(insert(badges).values(badge))
    return int(app_id)


COLUMNS = {
    "objectId": "object_id",
    "deviceType": "device_type",
    "timeZone": "time_zone",
    "channels": "channels",
    "channelUris": "channel_uris",
    "createdAt": "created_at",
}


def columns(found: Document) -> dict[str, Any]:
    special = {COLUMNS[key]: value for key, value in found.items() if key in COLUMNS}
    custom = {key: found[key] for key in found if key not in COLUMNS and key != "badge"}
    return {**special, "custom": custom}


async def picked(
    connection: AsyncConnection, condition: ColumnElement[bool], app_id: int
) -> set[str]:
    """Return the object ids of the installations that the condition picks."""
    statement = select(installations.c.object_id).where(installations.c.app_id == app_id, condition)
    return set((await connection.execute(statement)).scalars())


async def picked_by_alias(
    connection: AsyncConnection, condition: ColumnElement[bool], app_id: int
) -> set[str]:
    """The same where the table goes by another name, within a query on installations."""
    other = installations.alias()
    adapted = ClauseAdapter(other).traverse(condition)
    twin = select(other.c.id).where(other.c.id == installations.c.id, adapted).exists()
    return await picked(connection, twin, app_id)


@pytest.mark.parametrize("seed", range(4))
async def test_picks_whom_the_reference_picks(database: AsyncEngine, seed: int) -> None:
    """Random clauses over random installations mean the same here and there."""
    dice = random.Random(seed)
    documents = [document(dice, number) for number in range(DOCUMENTS)]
    async with database.connect() as connection:
        app_id = await keep(connection, documents)
        for _ in range(CLAUSES):
            where = clause(dice)
            condition = compile_condition(parse_where(where))
            expected = {found["objectId"] for found in documents if fits(where, found)}
            assert expected == await picked(connection, condition, app_id), where
            assert expected == await picked_by_alias(connection, condition, app_id), where


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
        {"objectId": f"o{number}", "deviceType": "ios", "channels": names}
        for number, names in enumerate(subscriptions)
    ]
    async with database.connect() as connection:
        app_id = await keep(connection, documents)
        condition = compile_condition(channels_where(channels))
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
    condition = compile_condition(parse_where(where))
    statement = select(installations.c.id).where(
        installations.c.app_id == select(func.max(apps.c.id)).scalar_subquery(), condition
    )
    async with database.connect() as connection:
        await connection.execute(MANY)
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
