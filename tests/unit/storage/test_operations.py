"""Operations on the fields of any class, dotted keys and relations."""

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from pushsvc.errors import InvalidObjectError
from pushsvc.storage.field_types import FieldType, fresh
from pushsvc.storage.object_fields import changed, parse_fields, relating, results, rules_of
from pushsvc.storage.operations import UNSET, Relating

TEAM = rules_of("Team")
TYPES = {"list": FieldType("Array")}
ALICE = {"__type": "Pointer", "className": "_User", "objectId": "alice"}
BOB = {"__type": "Pointer", "className": "_User", "objectId": "bob"}


def after(body: dict[str, Any], stored: dict[str, Any], *, creating: bool = False) -> Any:
    """What an update leaves, and what it tells."""
    fields = parse_fields(TEAM, body, creating=creating)
    values = changed(TEAM, fields, stored, types=TYPES, creating=creating)
    kept = {n: v for n, v in {**stored, **values}.items() if v is not UNSET}
    return kept, results(fields, values)


def increment(amount: Any) -> dict[str, Any]:
    return {"__op": "Increment", "amount": amount}


@pytest.mark.parametrize(
    ("body", "stored", "kept", "told"),
    [
        ({"a.b": 1}, {}, {"a": {"b": 1}}, {}),
        ({"a.b": 1}, {"a": None}, {"a": {"b": 1}}, {}),
        ({"a.b.c": 1}, {"a": {"x": 0}}, {"a": {"x": 0, "b": {"c": 1}}}, {}),
        ({"a.b": increment(2)}, {"a": {"b": 1}}, {"a": {"b": 3}}, {"a": {"b": 3}}),
        (
            {"a.b": increment(2), "a.c": increment(1)},
            {"a": {"b": 1, "x": 0}},
            {"a": {"b": 3, "c": 1, "x": 0}},
            {"a": {"b": 3, "c": 1}},
        ),
        ({"a.b": {"__op": "Delete"}}, {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}, {}),
        ({"a.b": {"__op": "Delete"}}, {"a": {"b": 1}}, {"a": {}}, {}),
        ({"a.b": {"__op": "Delete"}}, {}, {}, {}),
        ({"a.b.c": {"__op": "Delete"}}, {"a": {}}, {"a": {}}, {}),
        ({"a.1": "x"}, {"a": [0, 1, 2]}, {"a": [0, "x", 2]}, {}),
        ({"a.1": "x"}, {"a": [0]}, {"a": [0, "x"]}, {}),
        ({"a.0.b": increment(1)}, {"a": [{"b": 1}]}, {"a": [{"b": 2}]}, {"a": [{"b": 2}]}),
        ({"a.0": {"__op": "Delete"}}, {"a": [0, 1]}, {"a": [None, 1]}, {}),
        ({"list.0": "x"}, {}, {"list": ["x"]}, {}),
        ({"list.0": "x"}, {"list": None}, {"list": ["x"]}, {}),
        ({"list.0": {"__op": "Delete"}}, {}, {}, {}),
        ({"a.0": "x"}, {}, {"a": {"0": "x"}}, {}),
        ({"a": {"b": 1}, "a.c": 2}, {"a": {"x": 0}}, {"a": {"b": 1, "c": 2}}, {}),
    ],
)
def test_a_dotted_key_changes_a_part(
    body: dict[str, Any], stored: dict[str, Any], kept: Any, told: Any
) -> None:
    """Objects on the way are made; the reply has the part that an operation changed."""
    assert after(body, stored) == (kept, told)


@pytest.mark.parametrize(
    ("body", "stored", "code"),
    [
        ({"a.b": 1}, {"a": 1}, 111),
        ({"a.b": 1}, {"a": ALICE}, 111),
        ({"a.b.c": 1}, {"a": {"b": "x"}}, 111),
        ({"a.2": 1}, {"a": [0]}, 111),
        ({"a.x": 1}, {"a": [0]}, 111),
        ({"a.b": increment(1)}, {"a": {"b": "x"}}, 111),
        ({"a.b": {"__op": "AddRelation", "objects": [ALICE]}}, {}, 111),
        ({"a.b": {"__type": "Relation", "className": "_User"}}, {}, 111),
        ({"a.": 1}, {}, 105),
        ({"a..b": 1}, {}, 105),
        ({".a": 1}, {}, 105),
        ({"a" + ".b" * 17: 1}, {}, 105),
        ({"a.$b": 1}, {}, 121),
        ({"ACL.*": 1}, {}, 105),
        ({"objectId.a": 1}, {}, 105),
        ({"x" * 151: 1}, {}, 105),
    ],
)
def test_a_dotted_key_must_lead_somewhere(
    body: dict[str, Any], stored: dict[str, Any], code: int
) -> None:
    """Through objects and lists alone."""
    with pytest.raises(InvalidObjectError) as caught:
        after(body, stored)
    assert caught.value.parse_number == code


def test_a_new_object_has_no_parts_to_change() -> None:
    """105: a dotted key is no name of a field."""
    with pytest.raises(InvalidObjectError, match=r"Invalid field name: a\.b\.") as caught:
        after({"a.b": 1}, {}, creating=True)
    assert caught.value.parse_number == 105


@pytest.mark.parametrize(
    ("operation", "kept"),
    [
        (increment(2), {"a": 2}),
        ({"__op": "Add", "objects": [1, 1]}, {"a": [1, 1]}),
        ({"__op": "AddUnique", "objects": [1, 1]}, {"a": [1]}),
        ({"__op": "Remove", "objects": [1]}, {"a": []}),
        ({"__op": "SetOnInsert", "amount": "x"}, {"a": "x"}),
        ({"__op": "Delete"}, {}),
    ],
)
def test_a_new_object_has_what_operations_come_to(
    operation: dict[str, Any], kept: dict[str, Any]
) -> None:
    """As Parse flattens them."""
    assert after({"a": operation}, {}, creating=True)[0] == kept


def test_what_is_set_on_insert_stays_later() -> None:
    """Whether it is there or not."""
    operation = {"__op": "SetOnInsert", "amount": 1}
    assert after({"a": operation}, {"a": 0})[0] == {"a": 0}
    assert after({"a": operation}, {})[0] == {}


def test_a_batch_is_its_operations_in_order() -> None:
    """On the one field it is about."""
    ops = [{"__op": "Delete"}, {"__op": "Add", "objects": [1]}, {"__op": "Add", "objects": [2]}]
    assert after({"a": {"__op": "Batch", "ops": ops}}, {"a": [0]}) == ({"a": [1, 2]}, {"a": [1, 2]})


def test_a_batch_of_relations_comes_to_who_is_related_in_the_end() -> None:
    """SDKs send one that adds and one that removes."""
    ops = [
        {"__op": "AddRelation", "objects": [ALICE, BOB]},
        {"__op": "RemoveRelation", "objects": [ALICE]},
    ]
    fields = parse_fields(TEAM, {"fans": {"__op": "Batch", "ops": ops}, "name": "x"})

    assert relating(fields) == {"fans": Relating("_User", {"alice": False, "bob": True})}
    assert changed(TEAM, fields, {}, types={}, creating=True) == {"name": "x"}
    assert results(fields, {"name": "x"}) == {}


@pytest.mark.parametrize(
    ("operation", "code", "text"),
    [
        ({"__op": "Divide"}, 108, "The Divide operator is not supported yet."),
        ({"__op": None}, 108, "__op must be the name"),
        ({"__op": {}}, 108, "__op must be the name"),
        (increment("1"), 107, "incrementing must provide a number"),
        (increment(None), 107, "incrementing must provide a number"),
        ({"__op": "Add"}, 107, "objects to add must be an array"),
        ({"__op": "Remove", "objects": 1}, 107, "objects to remove must be an array"),
        ({"__op": "AddRelation", "objects": ALICE}, 107, "must be an array of Pointers"),
        ({"__op": "AddRelation", "objects": ["alice"]}, 111, "must be Pointers"),
        (
            {"__op": "AddRelation", "objects": [ALICE, {**BOB, "className": "Team"}]},
            111,
            "schema mismatch for Team.a; expected Relation<_User> but got Relation<Team>",
        ),
        ({"__op": "Batch", "ops": {}}, 107, "ops of a Batch must be an array"),
        ({"__op": "Batch", "ops": [1]}, 107, "ops of a Batch must be an array"),
        ({"__op": "Batch", "ops": [{"__op": "Batch", "ops": []}]}, 107, "cannot hold another"),
        (
            {"__op": "Batch", "ops": [{"__op": "AddRelation", "objects": [BOB]}, increment(1)]},
            107,
            "changes a relation, or something else",
        ),
    ],
)
def test_a_bad_operation_is_refused(operation: dict[str, Any], code: int, text: str) -> None:
    """With Parse's codes and, where it has any, its words."""
    with pytest.raises(InvalidObjectError) as caught:
        after({"a": operation}, {})
    assert (caught.value.parse_number, text in caught.value.detail) == (code, True)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"__type": "Polygon", "coordinates": [[0, 0], [0, 1], [0, 0]]}, 111),
        ({"__type": "Polygon", "coordinates": []}, 111),
        ({"__type": "Polygon", "coordinates": [[0, 0], [0, 1], [91, 0]]}, 111),
        ({"__type": "Polygon", "coordinates": [[0, 0], [0, 1], [1]]}, 111),
        ({"__type": "Polygon", "coordinates": [[0, 0], [0, 1], "ab"]}, 111),
        ({"__type": "GeoPoint", "latitude": 0, "longitude": 180.1}, 111),
        ({"__type": "GeoPoint", "latitude": True, "longitude": 0}, 111),
        ({"__type": "Pointer", "className": "_User"}, 111),
        ({"__type": "Pointer", "className": "_User", "objectId": "x" * 151}, 111),
        ({"__type": "Object", "className": "_User"}, 111),
        ({"__type": None}, 111),
        ({"__type": []}, 111),
        ([{"a": {"b$": 1}}], 121),
    ],
)
def test_a_bad_value_is_refused(value: Any, code: int) -> None:
    """Wherever it stands."""
    for body in ({"a": value}, {"a": [value]}, {"a": {"__op": "Add", "objects": [value]}}):
        with pytest.raises(InvalidObjectError) as caught:
            parse_fields(TEAM, body)
        assert caught.value.parse_number == code


def test_values_are_kept_in_one_form() -> None:
    """A Polygon is closed, and an object that came whole is a pointer to it."""
    ring = [[0, 0], [0, 1], [1, 0]]
    fields = parse_fields(
        TEAM,
        {
            "area": {"__type": "Polygon", "coordinates": ring},
            "closed": {"__type": "Polygon", "coordinates": [*ring, ring[0]]},
            "owner": {**ALICE, "__type": "Object", "name": "Alice"},
            "file": {"__type": "File", "name": "a.txt", "url": "http://x/a.txt"},
        },
    )

    assert fields["area"] == fields["closed"]
    assert fields["area"]["coordinates"] == [*ring, ring[0]]
    assert fields["owner"] == ALICE
    assert fields["file"] == {"__type": "File", "name": "a.txt", "url": "http://x/a.txt"}


# ---------------------------------------------------------------- laws

items = st.lists(st.integers(0, 3) | st.booleans() | st.sampled_from(["x", "y"]), max_size=6)


@given(items, items)
def test_what_is_added_once_is_there_and_what_is_removed_is_not(
    stored: list[Any], objects: list[Any]
) -> None:
    """Twice is as once, and removing undoes adding."""
    once, _ = after({"a": {"__op": "AddUnique", "objects": objects}}, {"a": stored})
    twice, _ = after({"a": {"__op": "AddUnique", "objects": objects}}, once)
    gone, _ = after({"a": {"__op": "Remove", "objects": objects}}, once)

    assert repr(once) == repr(twice)
    assert {repr(one) for one in objects} <= {repr(one) for one in once["a"]}
    assert not {repr(one) for one in objects} & {repr(one) for one in gone["a"]}


paths = st.lists(st.sampled_from(["a", "b", "0", "1"]), min_size=1, max_size=4)
trees = st.recursive(
    st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab01"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(trees, paths, st.integers())
def test_what_is_set_can_be_read_where_it_was_set(stored: Any, path: list[str], value: int) -> None:
    """And nothing else has changed: set back, the rest is as it was."""
    before = {"f": stored, "g": 1}
    with contextlib.suppress(InvalidObjectError):
        kept, _ = after({".".join(("f", *path)): value}, before)
        found = kept["f"]
        for part in path:
            found = found[int(part)] if isinstance(found, list) else found[part]
        assert found == value
        assert kept["g"] == 1
        again, _ = after({".".join(("f", *path)): value}, kept)
        assert again == kept


parts = st.sampled_from(["a", "b", "0", "1", "", "$", "99", "9" * 5_000])
names = st.sampled_from(["a", "b", "ACL", "list", "objectId", "createdAt", "1st", "_x"]) | st.lists(
    parts, min_size=2, max_size=4
).map(".".join)
encoded = st.fixed_dictionaries(
    {"__type": st.sampled_from(["Date", "Pointer", "GeoPoint", "Polygon", "Relation", "X", None])},
    optional={
        "iso": st.sampled_from(["2026-11-22", "x", 1]),
        "className": st.sampled_from(["_User", "", 1]),
        "objectId": st.sampled_from(["abc", "x" * 200, None]),
        "latitude": st.floats() | st.none(),
        "longitude": st.floats() | st.integers(),
        "coordinates": st.lists(st.lists(st.integers(-90, 90) | st.none(), max_size=3)) | st.none(),
    },
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | encoded,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)
operators = st.sampled_from(
    [
        *("Increment", "Add", "AddUnique", "Remove", "Delete", "SetOnInsert"),
        *("AddRelation", "RemoveRelation", "Batch", "Divide"),
    ]
)


def operation(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An operation with operands that may fit."""
    optional = {
        "amount": inner,
        "objects": st.lists(inner, max_size=3) | inner,
        "ops": st.lists(inner, max_size=3) | inner,
    }
    return st.fixed_dictionaries({"__op": operators}, optional=optional)


sent = st.dictionaries(names, anything | operation(anything | operation(anything)), max_size=3)


@given(sent, st.dictionaries(st.sampled_from(["a", "b", "list"]), trees), st.booleans())
def test_any_change_is_taken_or_refused(
    body: dict[str, Any],
    stored: dict[str, Any],
    creating: bool,  # noqa: FBT001 - drawn
) -> None:
    """With an error of the caller's; what is taken can be stored, and read by its types."""
    kept: dict[str, Any] = {}
    # Any other error would fail the test.
    with contextlib.suppress(InvalidObjectError):
        kept, _ = after(body, {} if creating else stored, creating=creating)
        fresh("Team", parse_fields(TEAM, body, creating=creating), {}, special=TEAM.types)

    orjson.dumps(kept)
    assert not {"1st", "_x"} & set(kept)


@pytest.mark.parametrize(
    ("body", "stored", "code"),
    [
        ({"a": {"__op": "Batch", "ops": [increment(1)] * 33}}, {"a": 0}, 107),
        ({f"a.k{place}": 1 for place in range(1_001)}, {"a": {}}, 107),
        ({"a.0": 1, "a.00": 2}, {"a": [0]}, 111),
    ],
    ids=["operations on a field", "dotted keys", "two keys of one place"],
)
def test_a_save_changes_no_place_without_bound(
    body: dict[str, Any], stored: dict[str, Any], code: int
) -> None:
    """Each change of a list copies it: a small body could ask for a minute of work."""
    with pytest.raises(InvalidObjectError) as refused:
        after(body, stored)
    assert refused.value.parse_number == code


def test_a_save_may_change_much() -> None:
    """Up to the bounds."""
    counted = {"a": {"__op": "Batch", "ops": [increment(1)] * 32}}
    assert after(counted, {"a": 0})[0] == {"a": 32}

    parts = {f"k{place}": 1 for place in range(1_000)}
    assert after({f"a.{name}": 1 for name in parts}, {"a": {}})[0] == {"a": parts}


@pytest.mark.parametrize(("stored", "sent"), [(1.0, 1), (1, 1.0), ({"x": [2.0]}, {"x": [2]})])
def test_a_number_is_itself_however_it_is_written(stored: Any, sent: Any) -> None:
    """JSON has one kind of numbers: 1.0 is there when 1 is added, and goes when 1 is removed."""
    for name, left in (("AddUnique", [stored]), ("Remove", [])):
        assert after({"a": {"__op": name, "objects": [sent]}}, {"a": [stored]})[0] == {"a": left}
    kept, _ = after({"a": {"__op": "AddUnique", "objects": [True, 1.5]}}, {"a": [1]})
    assert kept == {"a": [1, True, 1.5]}
