"""Values as Parse encodes them: their types, and what of them can be stored. Pure."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import orjson

from pushsvc.errors import InvalidInstallationError

#: Parse's limit of an object (error 116).
OBJECT_BYTES: Final = 128 * 1024
#: Characters of a caller's own text in an error's message.
SHOWN_CHARACTERS: Final = 100

#: U+0000, escaped as JSON must: an odd number of backslashes before the u. Postgres has no such
#: character.
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def holds_nul(encoded: bytes) -> bool:
    """Tell whether JSON text holds the character U+0000, which Postgres cannot store."""
    return rb"\u0000" in encoded and _NUL.search(encoded) is not None


def refuse(code: int, field: str | None, text: str) -> NoReturn:
    """Raise InvalidInstallationError with Parse's code."""
    pointer = None if field is None else f"/{field}"
    raise InvalidInstallationError(text, field=pointer, parse_code=code)


def mismatch(field: str, expected: str, value: Any) -> NoReturn:
    """Raise Parse's error 111: the value has another type than the field."""
    text = (
        f"schema mismatch for _Installation.{field}; expected {expected} but got {type_name(value)}"
    )
    refuse(111, field, text)


def is_number(value: Any) -> bool:
    """Tell whether it is a number of JSON's; Python's bool is an int, and NaN a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def type_name(value: Any) -> str:
    """Return Parse's name of the value's type."""
    if isinstance(value, Mapping):
        return str(value.get("__type", "Object"))[:SHOWN_CHARACTERS]
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "Null")


#: In this order: a bool is an int, too.
_TYPES: Final = (
    (bool, "Boolean"),
    (int, "Number"),
    (float, "Number"),
    (str, "String"),
    (list, "Array"),
)


def identity(value: Any) -> bytes:
    """Return what two values share when they are the same to Parse: 1 and true are not."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def check_storable(body: Any) -> None:
    """Raise InvalidInstallationError for what JSON, UTF-8 or Postgres cannot hold, or is too large.

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


def check_nested(field: str, value: Any) -> None:
    """Raise InvalidInstallationError for a bad nested key (121) or a bad encoded value (111).

    The value has passed `check_storable`, which bounds the depth.
    """
    if isinstance(value, list):
        for part in value:
            check_nested(field, part)
    elif isinstance(value, Mapping):
        if "__type" in value:
            _check_encoded(field, value)
        for key, part in value.items():
            if "$" in key or "." in key:
                refuse(121, field, "Nested keys should not contain the '$' or '.' characters")
            check_nested(field, part)


def canonical(value: Any) -> Any:
    """Return a checked value with its Dates as Parse shows them, which sort as texts."""
    if isinstance(value, list):
        return [canonical(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    parts = {key: canonical(part) for key, part in value.items()}
    if parts.get("__type") == "Date":
        moment = datetime.fromisoformat(parts["iso"])
        in_utc = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).replace(tzinfo=None)
        parts["iso"] = f"{in_utc.isoformat(timespec='milliseconds')}Z"
    return parts


def _check_encoded(field: str, value: Mapping[str, Any]) -> None:
    name = value["__type"]
    rule = _ENCODED.get(name) if isinstance(name, str) else None
    if rule is None or not rule(value):
        refuse(111, field, f"This is not a valid {str(name)[:SHOWN_CHARACTERS]}")


def _is_moment(text: Any) -> bool:
    try:
        moment = datetime.fromisoformat(text)
        moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _is_within(number: Any, limit: int) -> bool:
    return is_number(number) and -limit <= number <= limit


#: Parse's encoded values -> whether one is right.
_ENCODED: Final[Mapping[str, Callable[[Mapping[str, Any]], bool]]] = {
    "Bytes": lambda value: isinstance(value.get("base64"), str),
    "Date": lambda value: _is_moment(value.get("iso")),
    "File": lambda value: isinstance(value.get("name"), str),
    "GeoPoint": lambda value: (
        _is_within(value.get("latitude"), 90) and _is_within(value.get("longitude"), 180)
    ),
    "Object": lambda value: isinstance(value.get("className"), str),
    "Pointer": lambda value: (
        isinstance(value.get("className"), str) and isinstance(value.get("objectId"), str)
    ),
    "Polygon": lambda value: isinstance(value.get("coordinates"), list),
}
