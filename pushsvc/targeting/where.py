"""A Parse where-clause becomes a tree of conditions, checked and bounded; no SQL here.

The meaning is that of Parse on MongoDB: a value fits a field that equals it or, where the field is
a list, holds it; types are strict; null fits what is missing or null. An empty list fits nobody.
Codes and words of the errors are Parse's.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from pushsvc.model import Json

INVALID_QUERY: Final = 102
INVALID_KEY_NAME: Final = 105
INVALID_JSON: Final = 107
INCORRECT_TYPE: Final = 111
INVALID_CHANNEL_NAME: Final = 112
INVALID_CHANNELS_ARRAY: Final = 134

#: How deep `$and` and `$or` may nest.
MAX_DEPTH: Final = 20
#: Values compared in one clause, all told: each equality and `$exists` is one, each `$in` is as
#: many as its list. Channels of a push have the same bound.
MAX_VALUES: Final = 2000
#: Characters of a key; Parse's SDKs stay far below.
_MAX_KEY: Final = 256
#: Characters of the caller's own text in an error's message.
_MAX_SHOWN: Final = 100
#: Half of a surrogate pair is no text, and U+0000 cannot be stored: neither can fit any field.
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
#: Postgres keeps any number, our JSON encoder ends here.
_MAX_BITS: Final = 63
_KEY: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z0-9_]+)*")

#: A value to compare with: null, a scalar, a moment (Parse's Date), or another of Parse's encoded
#: values as the object it is stored as.
Atom = None | bool | int | float | str | datetime | Json


class WhereError(Exception):
    """A where-clause that Parse would refuse, or that is over our bounds."""

    def __init__(self, code: int, message: str, *, field: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        #: JSON pointer into the request: "/where/$or/0/age", "/channels"
        self.field = field


@dataclass(frozen=True, slots=True)
class Equal:
    """The field is the value, or a list that holds it; None fits what is missing or null."""

    field: str
    value: Atom


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field equals one of the values; without values, it fits nobody."""

    field: str
    values: tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is there (a stored null is), or is not."""

    field: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class And:
    """All of the conditions hold; without conditions, it fits everybody."""

    conditions: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """One of the conditions holds; without conditions, it fits nobody."""

    conditions: "tuple[Condition, ...]"


Condition = Equal | OneOf | Exists | And | Or


def parse_where(where: Json) -> And:
    """Return the condition that a where-clause states.

    Raises WhereError: 102 a query that cannot be (`ACL`, a bad `$or`, over a bound), 105 a bad
    key, 107 an unknown operator or a value that cannot be compared with, 111 a bad encoded value.
    """
    condition = _clause(where, at="/where", depth=0)
    if _values_compared(condition) > MAX_VALUES:
        message = f"Too many values to compare with: at most {MAX_VALUES}."
        raise WhereError(INVALID_QUERY, message, field="/where")
    return condition


def channels_where(channels: Sequence[str]) -> Condition:
    """Return the condition of a push to channels: subscribed to one of them; `[]` is nobody.

    Raises WhereError: 134 not a list, or too many; 112 a channel that is not text.
    """
    if not isinstance(channels, list | tuple):
        message = "channels must be an array of strings."
        raise WhereError(INVALID_CHANNELS_ARRAY, message, field="/channels")
    if len(channels) > MAX_VALUES:
        message = f"Too many channels: at most {MAX_VALUES}."
        raise WhereError(INVALID_CHANNELS_ARRAY, message, field="/channels")
    for name in channels:
        if not isinstance(name, str) or _UNSTORABLE.search(name):
            message = f"Invalid channel name: {_text(name)}"
            raise WhereError(INVALID_CHANNEL_NAME, message, field="/channels")
    return OneOf("channels", tuple(channels))


def audience_condition(audience: Json) -> Condition:
    """Return the condition of a push's audience, `{"channels": [...]}` or `{"where": {...}}`.

    Raises WhereError as `channels_where` and `parse_where` do.
    """
    if "channels" in audience:
        return channels_where(audience["channels"])
    return parse_where(audience["where"])


def mentions_device_token(where: Json) -> bool:
    """Tell whether the clause has a `deviceToken` of its own, at the top.

    As in Parse Server, such a clause says itself which tokens it wants; every other one is only
    about devices with a token.
    """
    return "deviceToken" in where


def _clause(where: Any, *, at: str, depth: int) -> And:
    if not isinstance(where, Mapping):
        message = f"You cannot use {_text(where)} as a query parameter."
        raise WhereError(INVALID_JSON, message, field=at)
    if depth > MAX_DEPTH:
        message = f"Query condition nesting depth exceeds maximum allowed depth of {MAX_DEPTH}"
        raise WhereError(INVALID_QUERY, message, field=at)
    conditions: list[Condition] = []
    for key, value in where.items():
        pointer = f"{at}/{_cut(key).replace('~', '~0').replace('/', '~1')}"
        if key in _JUNCTIONS:
            conditions.append(_junction(key, value, at=pointer, depth=depth))
        else:
            _check_key(key, at=pointer)
            conditions.extend(_constraints(key, value, at=pointer))
    return And(tuple(conditions))


#: The operators that stand in place of a key.
_JUNCTIONS: Final[Mapping[str, type[And | Or]]] = {"$and": And, "$or": Or}


def _junction(operator: str, value: Any, *, at: str, depth: int) -> Condition:
    if not isinstance(value, list):
        message = f"Bad {operator} format - use an array value."
        raise WhereError(INVALID_QUERY, message, field=at)
    if not value:
        # MongoDB's rule. Otherwise an `$and` made of a list that came out empty is everybody.
        message = f"Bad {operator} format - use an array of at least 1 value."
        raise WhereError(INVALID_QUERY, message, field=at)
    clauses = (
        _clause(clause, at=f"{at}/{place}", depth=depth + 1) for place, clause in enumerate(value)
    )
    return _JUNCTIONS[operator](tuple(clauses))


def _check_key(key: str, *, at: str) -> None:
    if key == "ACL":
        raise WhereError(INVALID_QUERY, "Cannot query on ACL.", field=at)
    if len(key) > _MAX_KEY or not _KEY.fullmatch(key):
        raise WhereError(INVALID_KEY_NAME, f"Invalid key name: {_cut(key)}", field=at)


def _constraints(key: str, value: Any, *, at: str) -> Iterator[Condition]:
    """Yield what one key asks for: an equality, or one condition for each operator."""
    is_object = isinstance(value, Mapping) and "__type" not in value
    if isinstance(value, list) or (is_object and not any(name.startswith("$") for name in value)):
        message = f"You cannot use {_text(value)} as a query parameter."
        raise WhereError(INVALID_JSON, message, field=at)
    if not is_object:
        yield _eq(key, value, at)
        return
    for operator, operand in value.items():
        if operator not in _OPERATORS:
            raise WhereError(INVALID_JSON, f"bad constraint: {_cut(operator)}", field=at)
        yield _OPERATORS[operator](key, operand, f"{at}/{operator}")


def _eq(key: str, operand: Any, at: str) -> Condition:
    return Equal(key, _atom(operand, at=at))


def _in(key: str, operand: Any, at: str) -> Condition:
    if not isinstance(operand, list):
        raise WhereError(INVALID_JSON, "bad $in value", field=at)
    # Lists within the list are flattened, as Parse Server does.
    flat = (inner for item in operand for inner in (item if isinstance(item, list) else [item]))
    return OneOf(key, tuple(_atom(value, at=at) for value in flat))


def _exists(key: str, operand: Any, _at: str) -> Condition:
    # What is true is what JavaScript calls so: all but false, null, 0 and "".
    return Exists(key, isinstance(operand, list | Mapping) or bool(operand))


#: A new operator is a row here, a node above, and a row in `compile`.
_OPERATORS: Final[Mapping[str, Callable[[str, Any, str], Condition]]] = {
    "$eq": _eq,
    "$in": _in,
    "$exists": _exists,
}


#: Parse's encoded values -> their fields and the types of these.
_ENCODED: Final[Mapping[str, Mapping[str, type | tuple[type, ...]]]] = {
    "Bytes": {"base64": str},
    "Date": {"iso": str},
    "GeoPoint": {"latitude": (int, float), "longitude": (int, float)},
    "Pointer": {"className": str, "objectId": str},
}


def _atom(value: Any, *, at: str) -> Atom:
    if isinstance(value, Mapping):
        return _encoded(value, at=at)
    if not _is_scalar(value):
        raise WhereError(INVALID_JSON, f"bad atom: {_text(value)}", field=at)
    scalar: Atom = value
    return scalar


def _encoded(value: Json, *, at: str) -> Atom:
    name = value.get("__type")
    parts = _ENCODED.get(name) if isinstance(name, str) else None
    if parts is None:
        raise WhereError(INVALID_JSON, f"bad atom: {_text(value)}", field=at)
    for part, types in parts.items():
        if not isinstance(value.get(part), types) or not _is_scalar(value[part]):
            raise WhereError(INCORRECT_TYPE, f"This is not a valid {name}", field=at)
    if name != "Date":
        return {"__type": name, **{part: value[part] for part in parts}}
    moment = moment_of(value["iso"])
    if moment is None:
        raise WhereError(INCORRECT_TYPE, "This is not a valid Date", field=at)
    return moment


def moment_of(iso: str) -> datetime | None:
    """Return the moment that an ISO 8601 text names, to the millisecond as Parse keeps it.

    Without a zone it is UTC. None where the text names no moment.
    """
    try:
        moment = datetime.fromisoformat(iso)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _is_scalar(value: Any) -> bool:
    """Tell whether it is a scalar that a field can hold; what cannot be stored fits nothing."""
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is None
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and value.bit_length() <= _MAX_BITS)


def _values_compared(condition: Condition) -> int:
    if isinstance(condition, And | Or):
        # Empty ones count as well, or there could be any number of them.
        return max(1, sum(map(_values_compared, condition.conditions)))
    return max(1, len(condition.values)) if isinstance(condition, OneOf) else 1


def _text(value: Any) -> str:
    """Return the value as JSON for an error's message; only its type where it is not JSON."""
    try:
        return _cut(orjson.dumps(value).decode())
    except orjson.JSONEncodeError:
        return type(value).__name__


def _cut(text: str) -> str:
    """Return a caller's text as a message can hold it: short, and without half characters."""
    text = text.encode(errors="replace").decode()
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
