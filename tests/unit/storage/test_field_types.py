"""The types of fields."""

from typing import Any

import pytest

from pushsvc.errors import InvalidObjectError
from pushsvc.storage.field_types import (
    CLASSES_OF_APP,
    FIELDS_OF_APP,
    FIELDS_OF_CLASS,
    FieldType,
    check_room,
    fresh,
)
from pushsvc.storage.object_fields import parse_fields, rules_of

TEAM = rules_of("Team")
POINT = {"__type": "GeoPoint", "latitude": 1, "longitude": 2}
NUMBER = FieldType("Number")
KNOWN = {
    "score": NUMBER,
    "tags": FieldType("Array"),
    "prefs": FieldType("Object"),
    "owner": FieldType("Pointer", "_User"),
    "fans": FieldType("Relation", "_User"),
    "home": FieldType("GeoPoint"),
}


def pointer(class_name: str) -> dict[str, str]:
    return {"__type": "Pointer", "className": class_name, "objectId": "abcdefghij"}


def new(known: dict[str, FieldType], **body: Any) -> dict[str, FieldType]:
    return fresh("Team", parse_fields(TEAM, body), known, special=TEAM.types)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("x", "String"),
        (True, "Boolean"),
        (1, "Number"),
        (1.5, "Number"),
        ([], "Array"),
        ({"a": 1}, "Object"),
        (POINT, "GeoPoint"),
        ({"__type": "Date", "iso": "2026-11-22"}, "Date"),
        ({"__type": "Bytes", "base64": "AA=="}, "Bytes"),
        ({"__type": "File", "name": "a.txt"}, "File"),
        ({"__type": "Polygon", "coordinates": [[0, 0], [0, 1], [1, 0]]}, "Polygon"),
        (pointer("_User"), "Pointer<_User>"),
        ({**pointer("_User"), "__type": "Object", "name": "x"}, "Pointer<_User>"),
        ({"__type": "Relation", "className": "_User"}, "Relation<_User>"),
        ({"__op": "Increment", "amount": 1}, "Number"),
        ({"__op": "Add", "objects": [1]}, "Array"),
        ({"__op": "AddUnique", "objects": [1]}, "Array"),
        ({"__op": "Remove", "objects": [1]}, "Array"),
        ({"__op": "AddRelation", "objects": [pointer("_User")]}, "Relation<_User>"),
        ({"__op": "RemoveRelation", "objects": [pointer("_User")]}, "Relation<_User>"),
        ({"__op": "SetOnInsert", "amount": "x"}, "String"),
        ({"__op": "Batch", "ops": [{"__op": "Increment", "amount": 1}]}, "Number"),
    ],
)
def test_the_first_value_gives_the_type(value: Any, kind: str) -> None:
    """Parse's name of it; of an operation, that of what it is applied to."""
    assert {name: str(found) for name, found in new({}, field=value).items()} == {"field": kind}


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"__op": "Delete"},
        {"__op": "Batch", "ops": []},
        {"__op": "AddRelation", "objects": []},
    ],
)
def test_what_has_no_type_gives_none(value: Any) -> None:
    """And fits every type."""
    assert new({}, field=value) == {}
    assert new(KNOWN, score=value, fans=value) == {}


def test_a_dotted_key_leads_into_an_object() -> None:
    """Or into a list, where the next part is a number."""
    assert new({}, **{"prefs.news": True}) == {"prefs": FieldType("Object")}
    assert new(KNOWN, **{"prefs.news": True, "tags.0": "x"}) == {}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"score": "1"}, "Team.score; expected Number but got String"),
        ({"score": {"a": 1}}, "Team.score; expected Number but got Object"),
        ({"score.a": 1}, "Team.score; expected Number but got Object"),
        ({"tags.first": 1}, "Team.tags; expected Array but got Object"),
        ({"tags": {"__op": "Increment", "amount": 1}}, "Team.tags; expected Array but got Number"),
        ({"score": {"__op": "Add", "objects": []}}, "Team.score; expected Number but got Array"),
        (
            {"owner": pointer("Team")},
            "Team.owner; expected Pointer<_User> but got Pointer<Team>",
        ),
        (
            {"fans": {"__op": "AddRelation", "objects": [pointer("Team")]}},
            "Team.fans; expected Relation<_User> but got Relation<Team>",
        ),
    ],
)
def test_another_type_is_refused(body: dict[str, Any], text: str) -> None:
    """111 in Parse's words, with the class's name."""
    with pytest.raises(InvalidObjectError) as caught:
        new(KNOWN, **body)

    assert caught.value.detail == f"schema mismatch for {text}"
    assert caught.value.parse_number == 111


@pytest.mark.parametrize("known", [{}, KNOWN])
def test_two_places_are_one_too_many(known: dict[str, FieldType]) -> None:
    """Parse's rule: one GeoPoint field in a class, whether the other is new or not."""
    with pytest.raises(InvalidObjectError, match="only be one geopoint"):
        new(known, here=POINT, there=POINT)


def test_fields_that_parse_predefines_have_their_types_from_the_start() -> None:
    """The name of a role is a text, even if nobody ever wrote one."""
    with pytest.raises(InvalidObjectError, match=r"_Role\.name; expected String but got Number"):
        fresh("_Role", {"name": 1}, {}, special=TEAM.types)
    assert fresh("_Role", {"name": "x"}, {}, special=TEAM.types) == {"name": FieldType("String")}


@pytest.mark.parametrize(
    "classes",
    [
        {"Team": dict.fromkeys(map(str, range(FIELDS_OF_CLASS)), NUMBER)},
        {str(n): {"a": NUMBER} for n in range(CLASSES_OF_APP)},
        {"Team": {}, "Other": dict.fromkeys(map(str, range(FIELDS_OF_APP)), NUMBER)},
    ],
)
def test_there_is_room_for_so_many(classes: dict[str, dict[str, FieldType]]) -> None:
    """140 beyond: fields of a class, classes and fields of an app."""
    with pytest.raises(InvalidObjectError) as caught:
        check_room("Team", {"one": NUMBER}, classes)

    assert caught.value.parse_number == 140
