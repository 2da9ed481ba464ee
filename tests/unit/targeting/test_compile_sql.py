"""The SQL of a condition: every value a bind parameter, in forms that the indexes know."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.dialects.postgresql import asyncpg

from pushsvc.storage.schema import Schema
from pushsvc.targeting.compile import compile_condition
from pushsvc.targeting.conditions import Or
from pushsvc.targeting.rows import Reader, installation_rows
from pushsvc.targeting.where import channels_where, parse_where

POISON = "'; DROP TABLE installations; --"
PLACE = {"__type": "GeoPoint", "latitude": 12.0625, "longitude": -7.125}
DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's own

ROWS = installation_rows(Reader(app_id=0, schema=Schema()))


def sql_of(where: dict[str, Any]) -> str:
    sql = str(compile_condition(parse_where(where), ROWS).compile(dialect=DIALECT))
    return " ".join(sql.replace("installations.", "").split())


@pytest.mark.parametrize(
    ("where", "sql"),
    [
        pytest.param({}, "true", id="everybody"),
        pytest.param({"deviceType": "ios"}, "device_type = $1::VARCHAR", id="text"),
        pytest.param(
            {"timeZone": {"$in": ["a", "b", 5]}}, "time_zone = ANY ($1::TEXT[])", id="texts"
        ),
        pytest.param({"appName": None}, "app_name IS NULL", id="null"),
        pytest.param({"appName": {"$exists": True}}, "app_name IS NOT NULL", id="exists"),
        pytest.param({"channels": "a"}, "channels && $1::TEXT[]", id="one channel"),
        pytest.param({"channels": {"$in": ["a", "b"]}}, "channels && $1::TEXT[]", id="channels"),
        pytest.param(
            {"channels": {"$in": ["a", None]}},
            "channels IS NULL OR channels && $1::TEXT[]",
            id="channels or none",
        ),
        pytest.param({"channels": {"$in": []}}, "false", id="no channels are nobody"),
        pytest.param({"channels": 5}, "false", id="a number is no channel"),
        pytest.param(
            {"appVersion": {"$gte": "1.2"}}, '(app_version COLLATE "C") >= $1::VARCHAR', id="order"
        ),
        pytest.param(
            {"objectId": {"$gt": "a"}}, "object_id > $1::VARCHAR", id="order of the index"
        ),
        pytest.param({"appVersion": {"$gte": 1}}, "false", id="no text is more than a number"),
        pytest.param(
            {"appName": {"$ne": "a"}}, "(app_name = $1::VARCHAR) IS NOT true", id="not equal"
        ),
        pytest.param({"channels": {"$nin": []}}, "false IS NOT true", id="not of nothing"),
        pytest.param({"channelUris": "x"}, "false", id="no text is an object"),
        pytest.param({"plan": "pro"}, "custom @> ANY ($1::JSONB[])", id="custom field"),
        pytest.param(
            {"plan": {"$in": ["a", "b"]}}, "custom @> ANY ($1::JSONB[])", id="values of it"
        ),
        pytest.param(
            {"createdAt": "2026-11-22T10:00:00Z"},
            "date_trunc('milliseconds', created_at) = $1::TIMESTAMP WITH TIME ZONE",
            id="moment",
        ),
    ],
)
def test_sql(where: dict[str, Any], sql: str) -> None:
    """Special fields are columns, channels overlap, custom fields are contained."""
    assert sql == sql_of(where)


def test_values_are_bound() -> None:
    """Nothing that the caller wrote is in the SQL; his keys are neither."""
    poison = "'; DROP TABLE installations; --"
    values = [poison, {"__type": "Pointer", "className": poison, "objectId": poison}]
    for key in ("deviceType", "channels", "createdAt", "badge", "oneKey", "oneKey.inside"):
        sql = sql_of({key: {"$in": values}, "$or": [{key: poison}, {key: {"$exists": True}}]})
        assert "DROP" not in sql
        assert "Key" not in sql


@pytest.mark.parametrize(
    "asked",
    [
        {"$ne": POISON},
        {"$all": [POISON]},
        {"$containedBy": [POISON]},
        {"$gt": POISON},
        {"$regex": rf"\Q{POISON}\E"},
        {"$geoWithin": {"$polygon": [PLACE, PLACE, PLACE]}},
        {"$geoIntersects": {"$point": PLACE}},
        {"$nearSphere": PLACE, "$maxDistanceInMiles": 7.125},
    ],
)
def test_every_operator_binds(asked: dict[str, Any]) -> None:
    """No text and no number of the caller's is in the SQL, whatever is asked."""
    for key in ("deviceType", "channels", "createdAt", "badge", "oneKey", "oneKey.0.inside"):
        sql = sql_of({"$nor": [{key: asked}] if "$nearSphere" not in asked else [{}], key: asked})
        assert not any(word in sql for word in ("DROP", "Key", "inside", "7.125", "12.0625"))


def test_postgres_has_few_lookups_to_choose_from() -> None:
    """Of a thousand it would weigh each with each other; IS TRUE is what no index looks up."""
    ways = ("k{}", "l{}")
    alternatives = [{"$or": [{way.format(n): n} for way in ways]} for n in range(100)]
    for where in ({f"k{n}": n for n in range(100)}, {"$and": alternatives}):
        clauses = sql_of(where).split(" AND ")
        assert [clause.endswith("IS true") for clause in clauses] == [False] * 32 + [True] * 68


def test_what_no_index_looks_up_takes_the_place_of_no_lookup() -> None:
    """The one equality of a clause that asks whether many fields are there leads to its row."""
    many = {f"k{n}": {"$exists": True} for n in range(50)} | {f"l{n}": {"$ne": n} for n in range(9)}
    assert sql_of({**many, "objectId": "x"}).startswith("object_id = $1::VARCHAR AND ")


def test_channels_are_one_parameter() -> None:
    """Two thousand channels are one array."""
    condition = channels_where([f"c{number}" for number in range(2000)])
    compiled = compile_condition(condition, ROWS).compile(dialect=DIALECT)
    assert len(compiled.params) == 1


def test_nothing_is_nobody() -> None:
    """No alternatives fit nobody."""
    assert str(compile_condition(Or(()), ROWS).compile(dialect=DIALECT)) == "false"


def test_dates_are_compared_as_stored() -> None:
    """A Date in a custom field is Parse's object, with milliseconds and Z."""
    where = {"birthday": {"__type": "Date", "iso": "2026-11-22T12:00:00+02:00"}}
    compiled = compile_condition(parse_where(where), ROWS).compile(dialect=DIALECT)
    stored = {"__type": "Date", "iso": "2026-11-22T10:00:00.000Z"}
    assert [{"birthday": stored}, {"birthday": [stored]}] in compiled.params.values()
    assert datetime(2026, 11, 22, 10, tzinfo=UTC) not in compiled.params.values()
