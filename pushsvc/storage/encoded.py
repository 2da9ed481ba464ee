"""Values as Parse encodes them: what of them can be stored, and in which form. Pure."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import orjson

from pushsvc.errors import InvalidInstallationError, InvalidObjectError

#: Parse's limit of an object (error 116).
OBJECT_BYTES: Final = 128 * 1024
#: Characters of a caller's own text in an error's message.
SHOWN_CHARACTERS: Final = 100
#: Parse's numbers that are about installations alone.
_OF_INSTALLATIONS: Final = frozenset({112, 114, 132, 133, 134, 135, 136})

#: U+0000, escaped as JSON must: an odd number of backslashes before the u. Postgres has no such
#: character.
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def holds_nul(encoded: bytes) -> bool:
    """Tell whether JSON text holds the character U+0000, which Postgres cannot store."""
    return rb"\u0000" in encoded and _NUL.search(encoded) is not None


def refuse(code: int, field: str | None, text: str) -> NoReturn:
    """Raise InvalidObjectError, or InvalidInstallationError, with Parse's code."""
    pointer = None if field is None else f"/{field}"
    kind = InvalidInstallationError if code in _OF_INSTALLATIONS else InvalidObjectError
    raise kind(text, field=pointer, parse_code=code)


def mismatch(field: str, expected: str, got: str, *, class_name: str) -> NoReturn:
    """Raise Parse's error 111: what was sent is of another type than the field."""
    text = f"schema mismatch for {class_name}.{field}; expected {expected} but got {got}"
    refuse(111, field, text)


def shown(text: Any) -> str:
    """Return a caller's own text as a message can hold it."""
    return str(text)[:SHOWN_CHARACTERS]


def is_number(value: Any) -> bool:
    """Tell whether it is a number of JSON's; Python's bool is an int, and NaN a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def type_name(value: Any) -> str:
    """Return Parse's name of the value's type."""
    if isinstance(value, Mapping):
        return shown(value.get("__type", "Object"))
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "Null")


#: In this order: a bool is an int, too.
_TYPES: Final = (
    (str, "String"),
    (bool, "Boolean"),
    (int, "Number"),
    (float, "Number"),
    (list, "Array"),
)


def identity(value: Any) -> bytes:
    """Return what two values share when they are the same to Parse: 1 and 1.0, not 1 and true."""
    return orjson.dumps(_of_one_kind(value), option=orjson.OPT_SORT_KEYS)


def _of_one_kind(value: Any) -> Any:
    """Return the value with all whole numbers as integers, as far as those are exact."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= EXACT else value
    if isinstance(value, list):
        return [_of_one_kind(part) for part in value]
    if isinstance(value, Mapping):
        return {name: _of_one_kind(part) for name, part in value.items()}
    return value


#: Up to here a double holds each integer (IEEE 754).
EXACT: Final = 2**53


def check_storable(body: Any) -> None:
    """Raise InvalidObjectError for what JSON, UTF-8 or Postgres cannot hold, or is too large.

    orjson's own bounds are ours: 64-bit integers, and 254 levels.
    """
    try:
        encoded = orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        refuse(111, None, f"The object cannot be stored: {error}.")
    if len(encoded) > OBJECT_BYTES:
        refuse(116, None, "The object is larger than 128 KB.")
    if holds_nul(encoded):
        refuse(111, None, "The object holds the character U+0000, which cannot be stored.")


def stored_form(field: str, value: Any) -> Any:
    """Return the value as it is stored, once it has passed `check_storable`.

    Dates are as Parse shows them, which sort as texts; Polygons are closed; an object that came
    whole where a Pointer would do is one.

    Raises:
        InvalidObjectError: 121 a bad nested key, 111 a bad encoded value.
    """
    if isinstance(value, list):
        return [stored_form(field, part) for part in value]
    if not isinstance(value, Mapping):
        return value
    if "__type" in value:
        return _encoded(field, value["__type"], value)
    return {_nested_key(field, key): stored_form(field, part) for key, part in value.items()}


def check_nested_key(field: str, key: str) -> None:
    """Raise InvalidObjectError (121) for a key within an object that no query could lead to."""
    if "$" in key or "." in key:
        refuse(121, field, "Nested keys should not contain the '$' or '.' characters")


def _nested_key(field: str, key: str) -> str:
    check_nested_key(field, key)
    return key


def _encoded(field: str, name: Any, value: Mapping[str, Any]) -> Mapping[str, Any]:
    form = _ENCODED.get(name) if isinstance(name, str) else None
    found = form(value) if form else None
    if found is None:
        refuse(111, field, f"This is not a valid {shown(name)}")
    return found


# ---------------------------------------------------------------- each of Parse's types


def is_name(value: Any) -> bool:
    """Tell whether it can be a class's name or an object's id, which indexes hold."""
    return isinstance(value, str) and 0 < len(value) <= NAME_CHARACTERS


#: Four of them, in UTF-8, stay below the 2,700 bytes of an index's entry.
NAME_CHARACTERS: Final = 150


def _date(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    try:
        moment = datetime.fromisoformat(value.get("iso"))  # type: ignore[arg-type] # a TypeError is caught
        in_utc = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).replace(tzinfo=None)
    except (TypeError, ValueError, OverflowError):
        return None
    return {"__type": "Date", "iso": f"{in_utc.isoformat(timespec='milliseconds')}Z"}


def _pointer(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    class_name, object_id = value.get("className"), value.get("objectId")
    if not (is_name(class_name) and is_name(object_id)):
        return None
    return {"__type": "Pointer", "className": class_name, "objectId": object_id}


def _relation(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    class_name = value.get("className")
    return {"__type": "Relation", "className": class_name} if is_name(class_name) else None


def _geo_point(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    latitude, longitude = value.get("latitude"), value.get("longitude")
    if not _is_place(latitude, longitude):
        return None
    return {"__type": "GeoPoint", "latitude": latitude, "longitude": longitude}


def _polygon(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    pairs = value.get("coordinates")
    if not isinstance(pairs, list) or not pairs or not all(map(_is_pair, pairs)):
        return None
    closed = pairs if list(pairs[0]) == list(pairs[-1]) else [*pairs, pairs[0]]
    if len({tuple(pair) for pair in closed}) < LEAST_VERTICES:
        refuse(111, None, "GeoJSON: Loop must have at least 3 different vertices")
    return {"__type": "Polygon", "coordinates": closed}


LEAST_VERTICES: Final = 3
_PAIR: Final = 2


def _is_pair(pair: Any) -> bool:
    """Tell whether it is a latitude and a longitude, in Parse's order."""
    return isinstance(pair, Sequence) and len(pair) == _PAIR and _is_place(*pair)


def _is_place(latitude: Any, longitude: Any) -> bool:
    return _is_within(latitude, 90) and _is_within(longitude, 180)


def _is_within(number: Any, limit: int) -> bool:
    return is_number(number) and -limit <= number <= limit


def _texts(*names: str) -> Callable[[Mapping[str, Any]], Mapping[str, Any] | None]:
    """Return a form that keeps these texts, of which the first must be there."""

    def form(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
        texts = {name: value[name] for name in names if isinstance(value.get(name), str)}
        return {"__type": value["__type"], **texts} if names[0] in texts else None

    return form


#: Parse's encoded values -> the form to store; None where one is wrong.
_ENCODED: Final[Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any] | None]]] = {
    "Bytes": _texts("base64"),
    "Date": _date,
    "File": _texts("name", "url"),
    "GeoPoint": _geo_point,
    "Object": _pointer,
    "Pointer": _pointer,
    "Polygon": _polygon,
    "Relation": _relation,
}
