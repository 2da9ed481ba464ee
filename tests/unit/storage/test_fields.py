"""What an installation may hold, and what operations come to."""

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from pushsvc.errors import InvalidObjectError
from pushsvc.storage.encoded import OBJECT_BYTES, check_storable, holds_nul
from pushsvc.storage.fields import (
    UNSET,
    Operation,
    changed,
    channel_flaw,
    parse_installation_fields,
    parse_installation_row,
    results,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
names = st.sampled_from(
    ["deviceToken", "badge", "channels", "channelUris", "timeZone", "ACL", "custom", "objectId"]
)


@given(st.dictionaries(names | st.text(), json_values))
def test_any_json_is_taken_or_refused(body: dict[str, Any]) -> None:
    """With an error of the caller's, and what is taken can be stored."""
    values: dict[str, Any] = {}
    # Any other error would fail the test.
    with contextlib.suppress(InvalidObjectError):
        values = changed(parse_installation_fields(body), {})

    kept = {name: value for name, value in values.items() if value is not UNSET}
    assert b"\\u0000" not in orjson.dumps(kept).replace(b"\\\\", b"")


@given(st.text())
def test_nul_is_seen_however_it_is_escaped(text: str) -> None:
    """And a backslash before the letters is no escape."""
    assert holds_nul(orjson.dumps(text)) == ("\0" in text)
    assert not holds_nul(orjson.dumps(text.replace("\0", "") + "\\u0000"))


def nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return {"a": value}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (nested(300), 111),
        ({"a": "\ud800"}, 111),
        ({"a": 2**64}, 111),
        ({"a": "x" * OBJECT_BYTES}, 116),
    ],
)
def test_what_cannot_be_stored_is_refused(body: dict[str, Any], code: int) -> None:
    """Too deep, no text, too large a number, too large."""
    with pytest.raises(InvalidObjectError) as caught:
        check_storable(body)
    assert caught.value.parse_number == code


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("", True),
        ("news", True),
        ("Giants_2-b", True),
        ("1st", False),
        ("_x", False),
        ("a b", False),
        ("é", False),
        ("a" * 2_001, False),
    ],
)
def test_channel_names(name: str, *, right: bool) -> None:
    """Parse's rule, with the dashes of its newer docs."""
    assert (channel_flaw(name) is None) == right


def test_ids_and_apns_tokens_are_lowered_and_others_are_not() -> None:
    """FCM's tokens tell upper from lower case."""
    fields = parse_installation_fields({"installationId": "AB", "deviceToken": "AB" * 32})
    assert fields == {"installationId": "ab", "deviceToken": "ab" * 32}
    assert parse_installation_fields({"deviceToken": "AbC"}) == {"deviceToken": "AbC"}


def test_channels_are_a_set_in_order() -> None:
    """Twice the same is once."""
    assert parse_installation_fields({"channels": ["b", "a", "b"]}) == {"channels": ["b", "a"]}


def apply(operation: dict[str, Any], stored: dict[str, Any]) -> Any:
    fields = parse_installation_fields({"field": operation})
    return results(fields, changed(fields, stored)).get("field")


@pytest.mark.parametrize(
    ("operation", "stored", "result"),
    [
        ({"__op": "Increment", "amount": 2}, None, 2),
        ({"__op": "Increment", "amount": -0.5}, 1, 0.5),
        ({"__op": "Add", "objects": [1, 1]}, [1], [1, 1, 1]),
        ({"__op": "Add", "objects": [1]}, None, [1]),
        ({"__op": "AddUnique", "objects": [1, True, 1]}, [1], [1, True]),
        ({"__op": "AddUnique", "objects": [{"b": 1, "a": 2}]}, [{"a": 2, "b": 1}], None),
        ({"__op": "Remove", "objects": [1, {"a": 1}]}, [1, True, {"a": 1}, 1], [True]),
        ({"__op": "Remove", "objects": [1]}, None, []),
    ],
)
def test_operations(operation: dict[str, Any], stored: Any, result: Any) -> None:
    """As Parse has them; values are the same only if their types are."""
    found = apply(operation, {} if stored is None else {"field": stored})

    assert repr(found) == repr(stored if result is None else result)


def test_an_operation_must_not_grow_the_object_beyond_its_limit() -> None:
    """Each request is small, and there may be many."""
    fields = parse_installation_fields({"field": {"__op": "Add", "objects": ["x" * 1000]}})
    stored = {"field": ["x" * (OBJECT_BYTES - 500)]}

    with pytest.raises(InvalidObjectError) as caught:
        changed(fields, stored)
    assert caught.value.parse_number == 116


def test_an_imported_row_has_values_only() -> None:
    """Operations come to what they would on nothing, and null is nothing."""
    row = parse_installation_row(
        {
            "deviceType": "ios",
            "deviceToken": "t",
            "badge": {"__op": "Increment", "amount": 2},
            "appName": None,
            "objectId": "abcdefghij",
            "createdAt": {"__type": "Date", "iso": "2020-01-01T00:00:00"},
        }
    )

    assert row == {
        "deviceType": "ios",
        "deviceToken": "t",
        "badge": 2,
        "objectId": "abcdefghij",
        "createdAt": "2020-01-01T00:00:00+00:00",
    }


def test_an_increment_beyond_the_numbers_is_refused_and_the_value_stays() -> None:
    """JSON has no infinity: the sum would be stored as null."""
    fields = parse_installation_fields({"score": {"__op": "Increment", "amount": 1e308}})

    with pytest.raises(InvalidObjectError) as caught:
        changed(fields, {"score": 1e308})

    assert caught.value.parse_number == 111


@pytest.mark.parametrize(
    ("iso", "kept"),
    [
        ("2026-11-22T10:00:00.000Z", "2026-11-22T10:00:00.000Z"),
        ("2026-11-22T12:00:00+02:00", "2026-11-22T10:00:00.000Z"),
        ("2026-11-22", "2026-11-22T00:00:00.000Z"),
        ("2026-11-22T10:00:00.123999", "2026-11-22T10:00:00.123Z"),
    ],
)
def test_dates_have_one_form(iso: str, kept: str) -> None:
    """However a Date was written, it is kept as Parse shows it, wherever it stands."""
    sent, date = {"__type": "Date", "iso": iso}, {"__type": "Date", "iso": kept}
    body = {"born": sent, "seen": {"days": [sent]}, "more": {"__op": "Add", "objects": [sent]}}
    fields = parse_installation_fields(body)
    assert fields["born"] == date
    assert fields["seen"] == {"days": [date]}
    assert fields["more"] == Operation("Add", [date])


def test_a_date_before_all_time_is_none() -> None:
    """What UTC has no year for cannot be kept."""
    with pytest.raises(InvalidObjectError, match="This is not a valid Date"):
        parse_installation_fields({"born": {"__type": "Date", "iso": "0001-01-01T00:00:00+14:00"}})


def test_a_channel_uri_is_text() -> None:
    """The error says what is wrong within the object."""
    with pytest.raises(InvalidObjectError, match="each a text") as caught:
        parse_installation_fields({"channelUris": {"_Default": 5}})
    assert caught.value.parse_number == 111
