"""What a where-clause may ask for at once has bounds, and they are settings."""

from typing import Any

import pytest

from pushsvc.config import Settings
from pushsvc.targeting.asked import LIMITS, Limits
from pushsvc.targeting.limits import limits_of
from pushsvc.targeting.values import WhereError
from pushsvc.targeting.where import parse_where

PLACE = {"__type": "GeoPoint", "latitude": 1, "longitude": 2}
POINTER = {"__type": "Pointer", "className": "_User", "objectId": "u1"}
MAX_VALUES = LIMITS.values


def nested(depth: int, operator: str = "$or") -> dict[str, Any]:
    where: dict[str, Any] = {"k": 1}
    for _ in range(depth):
        where = {operator: [where]}
    return where


def test_depth_is_bounded() -> None:
    """Clauses nest so deep and no deeper."""
    parse_where(nested(LIMITS.depth))
    with pytest.raises(WhereError, match="exceeds maximum allowed depth of 20") as caught:
        parse_where(nested(4000, "$and"))
    assert caught.value.code == 102


@pytest.mark.parametrize(
    ("fits", "exceeds"),
    [
        pytest.param(
            {"k": {"$in": ["a"] * (MAX_VALUES - 2)}},
            {"k": {"$in": ["a"] * (MAX_VALUES - 1)}},
            id="one list",
        ),
        pytest.param(
            {"k": {"$in": ["a"] * (MAX_VALUES - 3)}, "l": 1},
            {"k": {"$in": ["a"] * (MAX_VALUES - 3)}, "l": 1, "m": 1},
            id="all told",
        ),
        pytest.param(
            {"k": {"$in": [POINTER] * (MAX_VALUES - 2)}},
            {"k": {"$in": [POINTER] * (MAX_VALUES - 1)}},
            id="a Pointer is one value",
        ),
        pytest.param(
            {"$nor": [{"k": {"$nin": ["a"] * (MAX_VALUES - 4)}}]},
            {"$nor": [{"k": {"$containedBy": ["a"] * (MAX_VALUES - 3)}}]},
            id="what is denied",
        ),
        pytest.param(
            {"$or": [{}] * (MAX_VALUES - 1)}, {"$or": [{}] * MAX_VALUES}, id="empty clauses"
        ),
    ],
)
def test_values_are_bounded(fits: dict[str, Any], exceeds: dict[str, Any]) -> None:
    """So many values and no more, however they are spread."""
    parse_where(fits)
    with pytest.raises(WhereError, match="Too many values: at most 10000") as caught:
        parse_where(exceeds)
    assert caught.value.code == 102


def test_the_places_of_a_polygon_are_values() -> None:
    """Each place, and its latitude and longitude."""
    ring = [[n / 1000, 1] for n in range(4000)]
    with pytest.raises(WhereError, match="Too many values"):
        parse_where({"k": {"__type": "Polygon", "coordinates": ring}})


@pytest.mark.parametrize(
    ("asked", "weight"),
    [
        pytest.param(1, 1, id="equality"),
        pytest.param({"$in": [1, 2, 3]}, 1, id="$in"),
        pytest.param({"$exists": True}, 1, id="$exists"),
        pytest.param(None, 6, id="null"),
        pytest.param({"$in": [1, None]}, 6, id="null among others"),
        pytest.param({"$gt": 1}, 5, id="order"),
        pytest.param({"$regex": "a"}, 5, id="pattern"),
        pytest.param({"$containedBy": [1]}, 5, id="$containedBy"),
        pytest.param({"$all": [1, 2]}, 2, id="$all"),
        pytest.param({"$text": {"$search": {"$term": "a b"}}}, 16, id="words"),
        pytest.param({"$geoWithin": {"$centerSphere": [PLACE, 1]}}, 20, id="place"),
        pytest.param({"$inQuery": {"className": "C", "where": {"l": 1}}}, 16, id="$inQuery"),
    ],
)
def test_weights(asked: Any, weight: int) -> None:
    """What a query asks for is weighed: docs/api.md has the weights."""
    parse_where({"k": asked}, limits=Limits(conditions=weight))
    with pytest.raises(WhereError, match=f"Too many conditions: at most {weight - 1}") as caught:
        parse_where({"k": asked}, limits=Limits(conditions=weight - 1))
    assert caught.value.code == 102


def test_dotted_keys_weigh_more() -> None:
    """Each further part is another look into lists."""
    parse_where({"k.l.m": 1}, limits=Limits(conditions=11))
    inner = {"$inQuery": {"className": "C", "where": {"l": 1}}}
    parse_where({"k.l": inner}, limits=Limits(conditions=31))
    for where in ({"k.l.m": 1}, {"k.l": inner}):
        with pytest.raises(WhereError, match="Too many conditions"):
            parse_where(where, limits=Limits(conditions=10))


def test_relations_weigh() -> None:
    """They are a look into another table."""
    related = {"$relatedTo": {"object": POINTER, "key": "r"}}
    parse_where(related, limits=Limits(conditions=2))
    with pytest.raises(WhereError, match="Too many conditions"):
        parse_where(related, limits=Limits(conditions=1))


def test_near_is_no_alternative() -> None:
    """What sorts the result stands beside all else."""
    near = {"k": {"$nearSphere": PLACE}}
    parse_where({"$and": [near, {"l": 1}]})
    for where in ({"$or": [near, {"l": 1}]}, {"$nor": [near]}, {"$and": [{"$or": [near]}]}):
        with pytest.raises(WhereError, match="cannot be used within") as caught:
            parse_where(where)
        assert caught.value.code == 102


def test_places_are_bounded() -> None:
    """So many shapes and no more."""
    cap = {"k": {"$geoWithin": {"$centerSphere": [PLACE, 1]}}}
    parse_where({"$or": [cap] * LIMITS.places})
    with pytest.raises(WhereError, match="Too many places: at most 16") as caught:
        parse_where({"$or": [cap] * (LIMITS.places + 1)})
    assert caught.value.code == 102


def test_limits_are_given() -> None:
    """The bounds are parameters."""
    parse_where({"k": {"$all": ["a"] * 10}}, limits=Limits(all_items=10))
    with pytest.raises(WhereError, match="depth of 1"):
        parse_where(nested(2), limits=Limits(depth=1))


def test_what_was_accepted_is_understood_for_ever() -> None:
    """An accepted push is planned, though the bounds are narrower by now."""
    narrow = Limits(depth=1, query_depth=0, values=3, conditions=1, all_items=1, places=0)
    where = nested(3) | {
        "l": {"$all": ["a", "b"], "$nearSphere": PLACE},
        "m": {"$inQuery": {"className": "C", "where": {}}},
    }
    with pytest.raises(WhereError):
        parse_where(where, limits=narrow)
    assert parse_where(where) == parse_where(where, limits=narrow.of_stored())
    assert Limits(near_miles=5).of_stored().near_miles == 5


def test_limits_are_those_of_the_settings() -> None:
    """The defaults are the same, and 0 miles are no bound."""
    assert limits_of(Settings()) == LIMITS
    assert limits_of(Settings(query_near_miles=0)).near_miles is None
    assert limits_of(Settings(query_all_limit=20)).all_items == 20
