"""A where-clause is understood as Parse understands it, or refused in Parse's words."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pushsvc.targeting.asked import LIMITS
from pushsvc.targeting.conditions import (
    NOBODY,
    And,
    Compared,
    Condition,
    ContainedBy,
    Equal,
    Exists,
    FromNow,
    InQuery,
    Matches,
    Not,
    OneOf,
    Or,
    Order,
    Query,
    RelatedTo,
    Searched,
    Selected,
)
from pushsvc.targeting.values import WhereError, moment_of
from pushsvc.targeting.where import (
    audience_condition,
    channels_where,
    mentions_device_token,
    parse_where,
)

PLACE = {"__type": "GeoPoint", "latitude": 1, "longitude": 2}
MAX_VALUES = LIMITS.values

NOW = {"$relativeTime": "now"}
POINTER = {"__type": "Pointer", "className": "_User", "objectId": "u1"}
MOMENT = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("where", "conditions"),
    [
        pytest.param({}, [], id="everybody"),
        pytest.param({"k": "v"}, [Equal("k", "v")], id="text"),
        pytest.param({"k": 1.5}, [Equal("k", 1.5)], id="number"),
        pytest.param({"k": True}, [Equal("k", value=True)], id="boolean"),
        pytest.param({"k": None}, [Equal("k", None)], id="null"),
        pytest.param({"k": {"$eq": "v"}}, [Equal("k", "v")], id="$eq"),
        pytest.param({"k": POINTER}, [Equal("k", POINTER)], id="Pointer"),
        pytest.param(
            {"k": {**POINTER, "x": 1}}, [Equal("k", POINTER)], id="only what makes the Pointer"
        ),
        pytest.param(
            {"k": {"__type": "Date", "iso": "2026-11-22T10:00:00.000Z"}},
            [Equal("k", MOMENT)],
            id="Date",
        ),
        pytest.param(
            {"k": {"__type": "GeoPoint", "latitude": 1, "longitude": -2.5}},
            [Equal("k", {"__type": "GeoPoint", "latitude": 1, "longitude": -2.5})],
            id="GeoPoint",
        ),
        pytest.param(
            {"k": {"__type": "Bytes", "base64": "AA=="}},
            [Equal("k", {"__type": "Bytes", "base64": "AA=="})],
            id="Bytes",
        ),
        pytest.param({"k": {"$in": []}}, [OneOf("k", ())], id="$in of nothing"),
        pytest.param(
            {"k": {"$in": ["a", None, POINTER]}}, [OneOf("k", ("a", None, POINTER))], id="$in"
        ),
        pytest.param(
            {"k": {"$in": [["a", "b"], "c"]}}, [OneOf("k", ("a", "b", "c"))], id="$in flattens"
        ),
        pytest.param({"k": {"$ne": "v"}}, [Not(Equal("k", "v"))], id="$ne"),
        pytest.param({"k": {"$ne": None}}, [Not(Equal("k", None))], id="$ne null"),
        pytest.param({"k": {"$nin": ["a", ["b"]]}}, [Not(OneOf("k", ("a", "b")))], id="$nin"),
        pytest.param({"k": {"$nin": []}}, [Not(OneOf("k", ()))], id="$nin of nothing"),
        pytest.param({"k": {"$all": ["a", None]}}, [Equal("k", "a"), Equal("k", None)], id="$all"),
        pytest.param({"k": {"$all": []}}, [NOBODY], id="$all of nothing"),
        pytest.param(
            {"k": {"$containedBy": ["a", 1]}}, [ContainedBy("k", ("a", 1))], id="$containedBy"
        ),
        pytest.param({"k": {"$lt": 1}}, [Compared("k", Order.LT, 1)], id="$lt"),
        pytest.param({"k": {"$lte": "a"}}, [Compared("k", Order.LTE, "a")], id="$lte"),
        pytest.param(
            {"k": {"$gt": {"__type": "Date", "iso": "2026-11-22T10:00:00Z"}}},
            [Compared("k", Order.GT, MOMENT)],
            id="$gt Date",
        ),
        pytest.param({"k": {"$gte": None}}, [Equal("k", None)], id="$gte null is null"),
        pytest.param({"k": {"$lt": None}}, [NOBODY], id="nothing is less than null"),
        pytest.param(
            {"updatedAt": {"$lt": {"$relativeTime": "3 days ago"}}},
            [Compared("updatedAt", Order.LT, FromNow(-3 * 86_400))],
            id="$relativeTime past",
        ),
        pytest.param(
            {"k": {"$gte": {"$relativeTime": "In 1 wk 2 hrs"}}},
            [Compared("k", Order.GTE, FromNow(7 * 86_400 + 7_200))],
            id="$relativeTime future",
        ),
        pytest.param(
            {"k": {"$lte": {"$relativeTime": "now"}}},
            [Compared("k", Order.LTE, FromNow(0))],
            id="$relativeTime now",
        ),
        pytest.param(
            {"k": {**POINTER, "$exists": True}},
            [Exists("k", wanted=True), Equal("k", POINTER)],
            id="an encoded value beside an operator",
        ),
        pytest.param({"k": {"$regex": "^a"}}, [Matches("k", "***:(?p)^a")], id="$regex"),
        pytest.param(
            {"k": {"$options": "im", "$regex": "a"}},
            [Matches("k", "***:(?ni)a")],
            id="$options",
        ),
        pytest.param(
            {"k": {"$all": [{"$regex": "^\\Qa.\\E"}]}},
            [Matches("k", r"***:(?p)^a\.")],
            id="$all of patterns",
        ),
        pytest.param(
            {"$nor": [{"k": 1}, {"l": 2}]},
            [Not(Or((Equal("k", 1), Equal("l", 2))))],
            id="$nor",
        ),
        pytest.param({"k": {"$exists": True}}, [Exists("k", wanted=True)], id="$exists"),
        pytest.param({"k": {"$exists": False}}, [Exists("k", wanted=False)], id="$exists not"),
        pytest.param({"k": {"$exists": 0}}, [Exists("k", wanted=False)], id="$exists 0"),
        pytest.param({"k": {"$exists": ""}}, [Exists("k", wanted=False)], id="$exists empty text"),
        pytest.param({"k": {"$exists": None}}, [Exists("k", wanted=False)], id="$exists null"),
        pytest.param({"k": {"$exists": []}}, [Exists("k", wanted=True)], id="$exists list"),
        pytest.param({"k": {"$exists": {}}}, [Exists("k", wanted=True)], id="$exists object"),
        pytest.param(
            {"k": {"$exists": True, "$in": ["a"]}, "l.m_1.0": 1},
            [Exists("k", wanted=True), OneOf("k", ("a",)), Equal("l.m_1.0", 1)],
            id="several",
        ),
        pytest.param(
            {"$or": [{"k": 1}, {"l": 2, "m": 3}], "n": 4},
            [Or((Equal("k", 1), And((Equal("l", 2), Equal("m", 3))))), Equal("n", 4)],
            id="$or beside a key",
        ),
        pytest.param(
            {"$and": [{"$or": [{"k": 1}]}, {}]},
            [Equal("k", 1)],
            id="$and",
        ),
        pytest.param(
            {"$or": [{"k": 1}, {"l": {"$gt": 1}}, {"k": {"$in": [2, None]}}, {"k": POINTER}]},
            [Or((OneOf("k", (1, 2, None, POINTER)), Compared("l", Order.GT, 1)))],
            id="equalities of one key are one",
        ),
        pytest.param(
            {"k": {"$ne": 1}, "$and": [{"k": {"$nin": [2]}}, {"k": 3}]},
            [Not(OneOf("k", (1, 2))), Equal("k", 3)],
            id="and so are those that are denied",
        ),
        pytest.param({"$or": [{"k": 1}, {}]}, [], id="everybody is an alternative"),
        pytest.param(
            {"$and": [{"k": 1}, {"k": {"$all": []}}]}, [NOBODY], id="nobody is no alternative"
        ),
        pytest.param(
            {"k": {"$inQuery": {"className": "Team", "where": {"$or": [{"l": 1}, {"l": 2}]}}}},
            [InQuery("k", Query("Team", And((OneOf("l", (1, 2)),))))],
            id="$inQuery",
        ),
        pytest.param(
            {"k": {"$inQuery": {"className": "Team", "where": {"badge": {"$lt": NOW}}}}},
            [InQuery("k", Query("Team", And((Compared("badge", Order.LT, FromNow(0)),))))],
            id="another class may have a badge that is a Date",
        ),
        pytest.param(
            {"k": {"$notInQuery": {"className": "Team", "where": {}, "limit": 1, "order": "a"}}},
            [Not(InQuery("k", Query("Team", And(()))))],
            id="$notInQuery, and what has no effect",
        ),
        pytest.param(
            {"k": {"$select": {"query": {"className": "Team"}, "key": "a.b"}}},
            [Selected("k", Query("Team", And(())), "a.b")],
            id="$select",
        ),
        pytest.param(
            {"k": {"$dontSelect": {"query": {"className": "Team", "where": {"l": 1}}, "key": "a"}}},
            [Not(Selected("k", Query("Team", And((Equal("l", 1),))), "a"))],
            id="$dontSelect",
        ),
        pytest.param(
            {"$or": [{"$relatedTo": {"object": POINTER, "key": "r"}}, {"k": 1}]},
            [Or((RelatedTo("_User", "u1", "r"), Equal("k", 1)))],
            id="$relatedTo",
        ),
        pytest.param(
            {"k": {"$text": {"$search": {"$term": 'a "b c" -d', "$language": "de"}}}},
            [Searched("k", "german", words=("a",), phrases=("b c",), unwanted=("d",))],
            id="$text",
        ),
        pytest.param(
            {"k": {"__type": "Object", "className": "_User", "objectId": "u1", "name": "x"}},
            [Equal("k", POINTER)],
            id="an Object is a Pointer",
        ),
        pytest.param(
            {"k": {"__type": "File", "name": "x", "url": "y"}},
            [Equal("k", {"__type": "File", "name": "x"})],
            id="a File is its name",
        ),
        pytest.param(
            {"k": {"__type": "Polygon", "coordinates": [[0, 0], [0, 1], [1, 0]]}},
            [Equal("k", {"__type": "Polygon", "coordinates": [[0, 0], [0, 1], [1, 0], [0, 0]]})],
            id="a Polygon is closed",
        ),
        pytest.param(
            {"k": {"__type": "Relation", "className": "Team"}},
            [Equal("k", {"__type": "Relation", "className": "Team"})],
            id="Relation",
        ),
    ],
)
def test_where(where: dict[str, Any], conditions: list[Condition]) -> None:
    """Every key is a condition, and all must hold."""
    assert And(tuple(conditions)) == parse_where(where)


@pytest.mark.parametrize(
    ("where", "code", "message", "field"),
    [
        pytest.param(
            {"k": {"$foo": 1}}, 107, "bad constraint: $foo", "/where/k", id="unknown operator"
        ),
        pytest.param(
            {"k": {"$in": ["a"], "x": 1}}, 107, 'bad atom: {"x":1}', "/where/k/$eq", id="mixed keys"
        ),
        pytest.param({"k": {"$in": "a"}}, 107, "bad $in value", "/where/k/$in", id="$in"),
        pytest.param({"k": {"$nin": {}}}, 107, "bad $nin value", "/where/k/$nin", id="$nin"),
        pytest.param({"k": {"$all": "a"}}, 107, "bad $all value", "/where/k/$all", id="$all"),
        pytest.param(
            {"k": {"$all": ["a"] * 10}},
            102,
            "$all takes at most 9 values.",
            "/where/k/$all",
            id="$all of many",
        ),
        pytest.param(
            {"k": {"$containedBy": "a"}},
            107,
            "bad $containedBy: should be an array",
            "/where/k/$containedBy",
            id="$containedBy",
        ),
        pytest.param(
            {"k": {"$all": ["b", {"$regex": "a"}]}},
            107,
            'All $all values must be of regex type or none: ["b",{"$regex":"a"}]',
            "/where/k/$all",
            id="$all of patterns and texts",
        ),
        pytest.param(
            {"k": {"$regex": 5}},
            102,
            "$regex value must be a string",
            "/where/k/$regex",
            id="no pattern",
        ),
        pytest.param(
            {"k": {"$regex": "a" * 1001}},
            102,
            "$regex has at most 1000 characters.",
            "/where/k/$regex",
            id="long pattern",
        ),
        pytest.param(
            {"k": {"$regex": r"(a)\1"}},
            102,
            r"Invalid $regex value for query: \1 is not known here",
            "/where/k/$regex",
            id="back reference",
        ),
        pytest.param(
            {"k": {"$regex": "a", "$options": "g"}},
            102,
            "Bad $options value for query: g",
            "/where/k/$regex",
            id="no such option",
        ),
        pytest.param(
            {"k": {"$regex": "a", "$options": ""}},
            102,
            "Bad $options value for query: ",
            "/where/k/$regex",
            id="no options",
        ),
        pytest.param(
            {"k": {"$options": "i"}},
            102,
            "$options needs a $regex",
            "/where/k/$options",
            id="options of nothing",
        ),
        pytest.param(
            {"$or": [{"k": {"$regex": "a"}}] * 33},
            102,
            "Too many $regex: at most 32.",
            "/where",
            id="many patterns",
        ),
        pytest.param({"k": {"$ne": ["a"]}}, 107, 'bad atom: ["a"]', "/where/k/$ne", id="$ne list"),
        pytest.param(
            {"k": {"$lt": {"a": 1}}}, 107, 'bad atom: {"a":1}', "/where/k/$lt", id="$lt object"
        ),
        pytest.param(
            {"k": {"$lt": POINTER}},
            107,
            'bad atom: {"__type":"Pointer","className":"_User","objectId":"u1"}',
            "/where/k/$lt",
            id="Pointers have no order",
        ),
        pytest.param(
            {"k": {"$eq": {"$relativeTime": "now"}}},
            107,
            "$relativeTime can only be used with the $lt, $lte, $gt, and $gte operators",
            "/where/k/$eq",
            id="no moment is equal to now",
        ),
        pytest.param(
            {"badge": {"$lt": {"$relativeTime": "now"}}},
            107,
            "$relativeTime can only be used with Date field",
            "/where/badge/$lt",
            id="a badge is no moment",
        ),
        pytest.param(
            {"k": {"$lt": {"$relativeTime": "in 1 hour ago"}}},
            107,
            "bad $relativeTime ($lt) value. Time cannot have both 'in' and 'ago'",
            "/where/k/$lt",
            id="future and past",
        ),
        pytest.param(
            {"k": {"$lt": {"$relativeTime": "soon"}}},
            107,
            "bad $relativeTime ($lt) value. Time should either start with 'in' or end with 'ago'",
            "/where/k/$lt",
            id="neither future nor past",
        ),
        pytest.param(
            {"k": {"$lt": {"$relativeTime": "in 1"}}},
            107,
            "bad $relativeTime ($lt) value. Invalid time string. Dangling unit or number.",
            "/where/k/$lt",
            id="no unit",
        ),
        pytest.param(
            {"k": {"$lt": {"$relativeTime": "1.5 days ago"}}},
            107,
            "bad $relativeTime ($lt) value. '1.5' is not an integer.",
            "/where/k/$lt",
            id="half a day",
        ),
        pytest.param(
            {"k": {"$lt": {"$relativeTime": "1 eon ago"}}},
            107,
            "bad $relativeTime ($lt) value. Invalid interval: 'eon'",
            "/where/k/$lt",
            id="no such unit",
        ),
        pytest.param(
            {"k": {"$lt": {"$relativeTime": "9999999 years ago"}}},
            107,
            "bad $relativeTime ($lt) value. That is more than a thousand years.",
            "/where/k/$lt",
            id="before all time",
        ),
        pytest.param(
            {"k": {"$lt": {"$relativeTime": 5}}},
            107,
            "bad $relativeTime ($lt) value. It should be a string.",
            "/where/k/$lt",
            id="no words",
        ),
        pytest.param(
            {"k": {"$in": [[["a"]]]}}, 107, 'bad atom: ["a"]', "/where/k/$in", id="$in twice nested"
        ),
        pytest.param(
            {"k": {"$in": [{"a": 1}]}}, 107, 'bad atom: {"a":1}', "/where/k/$in", id="$in object"
        ),
        pytest.param(
            {"k": ["a"]}, 107, 'You cannot use ["a"] as a query parameter.', "/where/k", id="list"
        ),
        pytest.param(
            {"k": {"a": 1}},
            107,
            'You cannot use {"a":1} as a query parameter.',
            "/where/k",
            id="object",
        ),
        pytest.param(
            {"k": {}}, 107, "You cannot use {} as a query parameter.", "/where/k", id="empty object"
        ),
        pytest.param(
            "k", 107, 'You cannot use "k" as a query parameter.', "/where", id="where is text"
        ),
        pytest.param(
            {"k": {"__type": "Sound"}},
            107,
            'bad atom: {"__type":"Sound"}',
            "/where/k",
            id="unknown type",
        ),
        pytest.param(
            {"k": {"__type": ["x"]}}, 107, 'bad atom: {"__type":["x"]}', "/where/k", id="no type"
        ),
        pytest.param(
            {"k": {"$eq": {"__type": "Pointer", "objectId": "x"}}},
            111,
            "This is not a valid Pointer",
            "/where/k/$eq",
            id="Pointer to no class",
        ),
        pytest.param(
            {"k": {"__type": "Date", "iso": "soon"}},
            111,
            "This is not a valid Date",
            "/where/k",
            id="no date",
        ),
        pytest.param(
            {"k": {"__type": "GeoPoint", "latitude": float("inf"), "longitude": 0}},
            111,
            "This is not a valid GeoPoint",
            "/where/k",
            id="no place",
        ),
        pytest.param({"a b": 1}, 105, "Invalid key name: a b", "/where/a b", id="space in key"),
        pytest.param({"": 1}, 105, "Invalid key name: ", "/where/", id="empty key"),
        pytest.param({"_a": 1}, 105, "Invalid key name: _a", "/where/_a", id="internal key"),
        pytest.param({"$foo": 1}, 105, "Invalid key name: $foo", "/where/$foo", id="no junction"),
        pytest.param(
            {"$relatedTo": 1},
            102,
            "improper usage of $relatedTo",
            "/where/$relatedTo",
            id="related",
        ),
        pytest.param(
            {"a" + ".a" * 16: 1},
            105,
            "Invalid key name: a" + ".a" * 16,
            "/where/a" + ".a" * 16,
            id="deep key",
        ),
        pytest.param({"a..b": 1}, 105, "Invalid key name: a..b", "/where/a..b", id="empty part"),
        pytest.param(
            {"a/~\ud800": 1}, 105, "Invalid key name: a/~?", "/where/a~1~0?", id="no text in key"
        ),
        pytest.param(
            {"k" * 257: 1},
            105,
            "Invalid key name: " + "k" * 100 + "...",
            "/where/" + "k" * 100 + "...",
            id="long key",
        ),
        pytest.param({"ACL": 1}, 102, "Cannot query on ACL.", "/where/ACL", id="ACL"),
        pytest.param(
            {"$or": {"k": 1}}, 102, "Bad $or format - use an array value.", "/where/$or", id="$or"
        ),
        pytest.param(
            {"$and": None}, 102, "Bad $and format - use an array value.", "/where/$and", id="$and"
        ),
        pytest.param(
            {"$and": []},
            102,
            "Bad $and format - use an array of at least 1 value.",
            "/where/$and",
            id="$and of nothing",
        ),
        pytest.param(
            {"$nor": 1},
            102,
            "Bad $nor format - use an array of at least 1 value.",
            "/where/$nor",
            id="$nor",
        ),
        pytest.param(
            {"$nor": []},
            102,
            "Bad $nor format - use an array of at least 1 value.",
            "/where/$nor",
            id="$nor of nothing",
        ),
        pytest.param(
            {"$or": [{}, {"$and": [{"k": {"$x": 1}}]}]},
            107,
            "bad constraint: $x",
            "/where/$or/1/$and/0/k",
            id="deep inside",
        ),
        pytest.param(
            {"$or": [5]},
            107,
            "You cannot use 5 as a query parameter.",
            "/where/$or/0",
            id="no clause",
        ),
        pytest.param({"k": "a\0"}, 107, 'bad atom: "a\\u0000"', "/where/k", id="NUL"),
        pytest.param({"k": "\ud800"}, 107, "bad atom: str", "/where/k", id="half a character"),
        pytest.param({"k": float("nan")}, 107, "bad atom: null", "/where/k", id="NaN"),
        pytest.param({"k": 2**63}, 107, "bad atom: 9223372036854775808", "/where/k", id="integer"),
        pytest.param({"k": b""}, 107, "bad atom: bytes", "/where/k", id="no JSON"),
    ],
)
def test_bad_where(*, where: Any, code: int, message: str, field: str) -> None:
    """Code and words are Parse's; the field is a JSON pointer to what is wrong."""
    with pytest.raises(WhereError) as caught:
        parse_where(where)
    assert (code, message, field) == (caught.value.code, caught.value.message, caught.value.field)


def test_deep_values_are_refused() -> None:
    """A value nested deeper than JSON is written is named by its type."""
    value: list[Any] = []
    for _ in range(900):
        value = [value]
    with pytest.raises(WhereError, match="You cannot use list as a query parameter"):
        parse_where({"k": value})


def test_channels() -> None:
    """Channels are a union; no channels are nobody, and the empty name is a channel, too."""
    assert OneOf("channels", ("a", "")) == channels_where(["a", ""])
    assert OneOf("channels", ()) == channels_where([])


@pytest.mark.parametrize(
    ("channels", "code"),
    [
        pytest.param("a", 134, id="text"),
        pytest.param({"a": 1}, 134, id="object"),
        pytest.param(None, 134, id="null"),
        pytest.param(["a"] * (MAX_VALUES + 1), 134, id="too many"),
        pytest.param(["a", 5], 112, id="number"),
        pytest.param(["a\0"], 112, id="NUL"),
        pytest.param(["\udc00"], 112, id="half a character"),
    ],
)
def test_bad_channels(channels: Any, code: int) -> None:
    """Channels that are not texts in an array have Parse's codes for that."""
    with pytest.raises(WhereError) as caught:
        channels_where(channels)
    assert (code, "/channels") == (caught.value.code, caught.value.field)


def test_audience() -> None:
    """An audience is channels or a where-clause."""
    assert OneOf("channels", ("a",)) == audience_condition({"channels": ["a"]})
    assert And((Equal("k", 1),)) == audience_condition({"where": {"k": 1}})


@pytest.mark.parametrize(
    ("where", "mentions"),
    [
        pytest.param({"deviceToken": {"$exists": False}}, True, id="at the top"),
        pytest.param({"$or": [{"deviceToken": "t"}]}, False, id="within $or"),
        pytest.param({"deviceType": "ios"}, False, id="not at all"),
    ],
)
def test_own_device_token(*, where: dict[str, Any], mentions: bool) -> None:
    """Only a clause with a deviceToken of its own at the top decides which tokens it wants."""
    assert mentions == mentions_device_token(where)


@pytest.mark.parametrize(
    ("iso", "moment"),
    [
        pytest.param("2026-11-22T10:00:00.000Z", MOMENT, id="as JavaScript has it"),
        pytest.param("2026-11-22T12:00:00+02:00", MOMENT, id="zone"),
        pytest.param("2026-11-22T10:00:00", MOMENT, id="no zone is UTC"),
        pytest.param("2026-11-22", MOMENT.replace(hour=0), id="day"),
        pytest.param(
            "2026-11-22T10:00:00.123999Z", MOMENT + timedelta(milliseconds=123), id="milliseconds"
        ),
        pytest.param("tomorrow", None, id="no moment"),
        pytest.param("0001-01-01T00:00:00+14:00", None, id="before all time"),
    ],
)
def test_moment(iso: str, moment: datetime | None) -> None:
    """Moments are kept in UTC, to the millisecond."""
    assert moment == moment_of(iso)


@settings(deadline=None)
@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))])))
def test_every_moment_in_iso_is_found_again(moment: datetime) -> None:
    """What the calendar has is named by its ISO text."""
    found = moment_of(moment.isoformat())
    assert found is None or abs(found - moment) < timedelta(milliseconds=1)


WORDS = [
    *("$in", "$eq", "$exists", "$or", "$nor", "$ne", "$nin", "$lt", "$all", "$containedBy"),
    *("$relativeTime", "$regex", "$options", "__type", "iso", "k"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(WORDS) | st.text(),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


def understood(where: Any) -> And | WhereError:
    try:
        return parse_where(where)
    except WhereError as error:
        return error


@settings(deadline=None)
@given(JSON)
def test_any_json_is_understood_or_refused(where: Any) -> None:
    """No JSON whatever is met by another exception, and every message can be written."""
    found = understood(where)
    if isinstance(found, WhereError):
        assert found.code in {102, 105, 107, 111}
        assert found.field.encode().startswith(b"/where")
        assert found.message.encode()
