"""Queries that lead to other objects are refused in Parse's words, where they cannot be."""

from typing import Any

import pytest

from pushsvc.targeting.asked import Limits
from pushsvc.targeting.values import WhereError
from pushsvc.targeting.where import parse_where

POINTER = {"__type": "Pointer", "className": "Team", "objectId": "t1"}
TEAMS = {"className": "Team", "where": {}}


def refused(where: Any) -> tuple[int, str, str]:
    """Return code, words and place of the error."""
    with pytest.raises(WhereError) as caught:
        parse_where(where)
    return caught.value.code, caught.value.message, caught.value.field


@pytest.mark.parametrize("operator", ["$inQuery", "$notInQuery"])
@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        pytest.param({"where": {}}, 102, "improper usage of {}", id="no class"),
        pytest.param({"className": "Team"}, 102, "improper usage of {}", id="no clause"),
        pytest.param("Team", 102, "improper usage of {}", id="text"),
        pytest.param([], 102, "improper usage of {}", id="list"),
        pytest.param(None, 102, "improper usage of {}", id="null"),
        pytest.param(
            {**TEAMS, "className": "a b"}, 103, "Invalid classname: a b", id="no class's name"
        ),
        pytest.param({**TEAMS, "className": 5}, 103, "Invalid classname: 5", id="number"),
        pytest.param(
            {**TEAMS, "redirectClassNameForKey": "k"},
            102,
            "Invalid parameter for query: redirectClassNameForKey",
            id="another class than it says",
        ),
    ],
)
def test_bad_queries(operator: str, query: Any, code: int, message: str) -> None:
    """A query has a class and a clause."""
    assert refused({"k": {operator: query}}) == (
        code,
        message.format(operator),
        f"/where/k/{operator}",
    )


@pytest.mark.parametrize("operator", ["$select", "$dontSelect"])
@pytest.mark.parametrize(
    ("operand", "code", "message"),
    [
        pytest.param({"query": TEAMS}, 102, "improper usage of {}", id="no key"),
        pytest.param({"key": "k"}, 102, "improper usage of {}", id="no query"),
        pytest.param(
            {"query": TEAMS, "key": "k", "x": 1}, 102, "improper usage of {}", id="more than two"
        ),
        pytest.param({"query": {}, "key": "k"}, 102, "improper usage of {}", id="no class"),
        pytest.param(5, 102, "improper usage of {}", id="number"),
        pytest.param({"query": TEAMS, "key": "a b"}, 105, "Invalid key name: a b", id="bad key"),
        pytest.param({"query": TEAMS, "key": 5}, 105, "Invalid key name: 5", id="no key's name"),
    ],
)
def test_bad_selections(operator: str, operand: Any, code: int, message: str) -> None:
    """A selection has a query and a key, and nothing else."""
    assert refused({"k": {operator: operand}}) == (
        code,
        message.format(operator),
        f"/where/k/{operator}",
    )


@pytest.mark.parametrize(
    "operand",
    [
        pytest.param(5, id="number"),
        pytest.param({}, id="empty"),
        pytest.param({"object": POINTER}, id="no key"),
        pytest.param({"key": "k"}, id="no object"),
        pytest.param({"object": "t1", "key": "k"}, id="bare id"),
        pytest.param({"object": {"className": "Team"}, "key": "k"}, id="no id"),
        pytest.param({"object": {**POINTER, "objectId": "\0"}, "key": "k"}, id="NUL"),
        pytest.param({"object": POINTER, "key": "a b"}, id="bad key"),
    ],
)
def test_bad_relations(operand: Any) -> None:
    """`$relatedTo` names an object and its relation."""
    for where in ({"$relatedTo": operand}, {"$or": [{"$relatedTo": operand}]}):
        code, message, field = refused(where)
        assert (code, message) == (102, "improper usage of $relatedTo")
        assert field.endswith("$relatedTo")


@pytest.mark.parametrize(
    ("inner", "code", "message", "place"),
    [
        pytest.param({"ACL": 1}, 102, "Cannot query on ACL.", "/ACL", id="ACL"),
        pytest.param({"a b": 1}, 105, "Invalid key name: a b", "/a b", id="bad key"),
        pytest.param({"l": {"$x": 1}}, 107, "bad constraint: $x", "/l", id="unknown operator"),
        pytest.param({"$or": []}, 102, "at least 1 value", "/$or", id="$or of nothing"),
        pytest.param(5, 107, "You cannot use 5 as a query parameter.", "", id="no clause"),
        pytest.param(
            {"objectId": {"$lt": {"$relativeTime": "now"}}},
            107,
            "$relativeTime can only be used with Date field",
            "/objectId/$lt",
            id="an id is no moment in any class",
        ),
        pytest.param(
            {"$or": [{"l": {"$nearSphere": {"latitude": 1, "longitude": 2}}}]},
            102,
            "$nearSphere cannot be used within $or or $nor.",
            None,
            id="near among alternatives",
        ),
    ],
)
def test_what_is_wrong_within(inner: Any, code: int, message: str, place: str | None) -> None:
    """The clause of a query within is read like every other; the error says where it is."""
    for operator, query, way in (
        ("$inQuery", {"className": "Team", "where": inner}, "/$inQuery/where"),
        ("$select", {"query": {**TEAMS, "where": inner}, "key": "k"}, "/$select/query/where"),
    ):
        found = refused({"k": {operator: query}})
        assert found[0] == code
        assert message in found[1]
        assert found[2] == ("/where" if place is None else f"/where/k{way}{place}")


def test_queries_nest_so_deep() -> None:
    """And no deeper."""
    where: dict[str, Any] = {"k": 1}
    for _ in range(3):
        where = {"k": {"$inQuery": {"className": "Team", "where": where}}}
    parse_where(where)
    parse_where(where, limits=Limits(query_depth=3))
    with pytest.raises(WhereError, match="exceeds maximum allowed depth of 2") as caught:
        parse_where(where, limits=Limits(query_depth=2))
    assert caught.value.code == 102


@pytest.mark.parametrize(
    ("search", "message"),
    [
        pytest.param({}, "bad $text: $search, should be object", id="no search"),
        pytest.param({"$search": "a"}, "bad $text: $search, should be object", id="text"),
        pytest.param({"$search": {}}, "bad $text: $term, should be string", id="no term"),
        pytest.param({"$search": {"$term": 5}}, "bad $text: $term, should be string", id="number"),
        pytest.param(
            {"$search": {"$term": "a", "$language": 5}},
            "bad $text: $language, should be string",
            id="no language",
        ),
        pytest.param(
            {"$search": {"$term": "a", "$language": "tlh"}},
            "bad $text: $language should be one of",
            id="unknown language",
        ),
        pytest.param(
            {"$search": {"$term": "a", "$caseSensitive": 1}},
            "bad $text: $caseSensitive, should be boolean",
            id="no boolean",
        ),
        pytest.param(
            {"$search": {"$term": "a", "$caseSensitive": True}},
            "bad $text: $caseSensitive true not supported",
            id="case",
        ),
        pytest.param(
            {"$search": {"$term": "a", "$diacriticSensitive": "x"}},
            "bad $text: $diacriticSensitive, should be boolean",
            id="no boolean either",
        ),
        pytest.param(
            {"$search": {"$term": "a", "$diacriticSensitive": False}},
            "bad $text: $diacriticSensitive false not supported",
            id="diacritics",
        ),
        pytest.param(
            {"$search": {"$term": "a " * 33}},
            "bad $text: $term has at most 32 words",
            id="many words",
        ),
        pytest.param(
            {"$search": {"$term": "a" * 1001}},
            "bad $text: $term has at most 1000 characters",
            id="long words",
        ),
    ],
)
def test_bad_searches(search: Any, message: str) -> None:
    """A search has words, in a language that is known."""
    code, words, field = refused({"k": {"$text": search}})
    assert (code, field) == (107, "/where/k/$text")
    assert words.startswith(message)
    # It is asked of a field; of all fields together it is no key.
    assert refused({"$text": search})[:2] == (105, "Invalid key name: $text")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param({"__type": "File", "url": "x"}, "This is not a valid File", id="File"),
        pytest.param({"__type": "File", "name": 5}, "This is not a valid File", id="File's name"),
        pytest.param(
            {"__type": "Object", "className": "Team"}, "This is not a valid Object", id="Object"
        ),
        pytest.param({"__type": "Relation"}, "This is not a valid Relation", id="Relation"),
        pytest.param({"__type": "Bytes"}, "This is not a valid Bytes", id="Bytes"),
        pytest.param({"__type": "Polygon"}, "This is not a valid Polygon", id="Polygon"),
        pytest.param(
            {"__type": "Polygon", "coordinates": []}, "This is not a valid Polygon", id="no corners"
        ),
        pytest.param(
            {"__type": "Polygon", "coordinates": [[0, 0], [0, 181], [1, 1]]},
            "This is not a valid Polygon",
            id="off the map",
        ),
        pytest.param(
            {"__type": "Polygon", "coordinates": [[0, 0], [0, True], 5]},
            "This is not a valid Polygon",
            id="no places",
        ),
        pytest.param(
            {"__type": "Polygon", "coordinates": [[0, 0], [0, 1], [0, 0]]},
            "GeoJSON: Loop must have at least 3 different vertices",
            id="two corners",
        ),
        pytest.param(
            {"__type": "GeoPoint", "latitude": True, "longitude": 1},
            "This is not a valid GeoPoint",
            id="no latitude",
        ),
    ],
)
def test_bad_values(value: Any, message: str) -> None:
    """An encoded value has its parts."""
    assert refused({"k": value}) == (111, message, "/where/k")
    assert refused({"k": {"$in": [value]}}) == (111, message, "/where/k/$in")
