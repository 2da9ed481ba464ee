"""Values of a where-clause, read and checked; and how it is refused. Pure."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from pushsvc.model import Json
from pushsvc.targeting.conditions import Atom, FromNow

INVALID_QUERY: Final = 102
INVALID_CLASS_NAME: Final = 103
INVALID_KEY_NAME: Final = 105
INVALID_JSON: Final = 107
INCORRECT_TYPE: Final = 111
INVALID_CHANNEL_NAME: Final = 112
INVALID_CHANNELS_ARRAY: Final = 134

#: Characters of the caller's own text in an error's message.
_MAX_SHOWN: Final = 100
#: Half of a surrogate pair is no text, and U+0000 cannot be stored: neither can fit any field.
UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
#: Postgres keeps any number, our JSON encoder ends here.
_MAX_BITS: Final = 63


class WhereError(Exception):
    """A where-clause that Parse would refuse, or that is over our bounds."""

    def __init__(self, code: int, message: str, *, field: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        #: JSON pointer into the request: "/where/$or/0/age", "/channels"
        self.field = field


#: Parse's encoded values -> their fields and the types of these.
_ENCODED: Final[Mapping[str, Mapping[str, type | tuple[type, ...]]]] = {
    "Bytes": {"base64": str},
    "Date": {"iso": str},
    # by its name; the stored one also says where it is
    "File": {"name": str},
    "GeoPoint": {"latitude": (int, float), "longitude": (int, float)},
    # an object that came whole where a Pointer would do
    "Object": {"className": str, "objectId": str},
    "Pointer": {"className": str, "objectId": str},
    "Polygon": {"coordinates": list},
    "Relation": {"className": str},
}


def atom(value: Any, *, at: str) -> Atom:
    """Return a value to compare with.

    Raises WhereError: 107 what cannot be compared with, 111 a bad encoded value.
    """
    if isinstance(value, Mapping):
        return _encoded(value, at=at)
    if not is_scalar(value):
        raise WhereError(INVALID_JSON, f"bad atom: {text(value)}", field=at)
    scalar: Atom = value
    return scalar


def _encoded(value: Json, *, at: str) -> Atom:
    name = value.get("__type")
    parts = _ENCODED.get(name) if isinstance(name, str) else None
    if parts is None:
        raise WhereError(INVALID_JSON, f"bad atom: {text(value)}", field=at)
    for part, types in parts.items():
        if not isinstance(value.get(part), types) or not _is_part(value[part]):
            raise WhereError(INCORRECT_TYPE, f"This is not a valid {name}", field=at)
    if name == "Polygon":
        return {"__type": name, "coordinates": _closed(value["coordinates"], at=at)}
    if name != "Date":
        stored_as = "Pointer" if name == "Object" else name
        return {"__type": stored_as, **{part: value[part] for part in parts}}
    moment = moment_of(value["iso"])
    if moment is None:
        raise WhereError(INCORRECT_TYPE, "This is not a valid Date", field=at)
    return moment


def _is_part(value: Any) -> bool:
    return isinstance(value, list) or (is_scalar(value) and not isinstance(value, bool))


#: A ring has three corners at least, and a corner is a latitude and a longitude.
_LEAST_CORNERS: Final = 3
_BOUNDS: Final = (90, 180)


def _closed(corners: Sequence[Any], *, at: str) -> list[Any]:
    """Return the ring as Polygons are stored: its last corner is the first."""
    if not corners or not all(map(_is_corner, corners)):
        raise WhereError(INCORRECT_TYPE, "This is not a valid Polygon", field=at)
    if len({tuple(corner) for corner in corners}) < _LEAST_CORNERS:
        message = "GeoJSON: Loop must have at least 3 different vertices"
        raise WhereError(INCORRECT_TYPE, message, field=at)
    return [*corners] if corners[0] == corners[-1] else [*corners, corners[0]]


def _is_corner(corner: Any) -> bool:
    if not isinstance(corner, list) or len(corner) != len(_BOUNDS):
        return False
    return all(
        isinstance(degrees, int | float) and not isinstance(degrees, bool) and abs(degrees) <= most
        for degrees, most in zip(corner, _BOUNDS, strict=True)
    )


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


def is_scalar(value: Any) -> bool:
    """Tell whether it is a scalar that a field can hold; what cannot be stored fits nothing."""
    if isinstance(value, str):
        return UNSTORABLE.search(value) is None
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and value.bit_length() <= _MAX_BITS)


#: Parse Server's words for spans of time (its `relativeTimeToDate`).
_SECONDS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("yr", "yrs", "year", "years"), 365 * 86_400),
    **dict.fromkeys(("wk", "wks", "week", "weeks"), 7 * 86_400),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), 3_600),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), 1),
}
#: Postgres adds intervals to moments up to the year 294276; a thousand years are enough.
_MAX_SECONDS: Final = 1_000 * 365 * 86_400
_INTEGER: Final = re.compile(r"[+-]?\d{1,12}")


def from_now(spoken: str) -> FromNow | str:
    """Return the moment of a `$relativeTime` ("in 1 hour", "3 days ago", "now"), or its flaw."""
    words = spoken.lower().split()
    future, past = words[:1] == ["in"], words[-1:] == ["ago"]
    if words == ["now"]:
        return FromNow(0)
    if future and past:
        return "Time cannot have both 'in' and 'ago'"
    if future:
        return _spans(words[1:], sign=1)
    if past:
        return _spans(words[:-1], sign=-1)
    return "Time should either start with 'in' or end with 'ago'"


def _spans(words: Sequence[str], *, sign: int) -> FromNow | str:
    if len(words) % 2:
        return "Invalid time string. Dangling unit or number."
    total = 0
    for number, unit in zip(words[::2], words[1::2], strict=True):
        if not _INTEGER.fullmatch(number):
            return f"'{cut(number)}' is not an integer."
        if unit not in _SECONDS:
            return f"Invalid interval: '{cut(unit)}'"
        total += int(number) * _SECONDS[unit]
    if abs(total) > _MAX_SECONDS:
        return "That is more than a thousand years."
    return FromNow(sign * total)


def text(value: Any) -> str:
    """Return the value as JSON for an error's message; only its type where it is not JSON."""
    try:
        return cut(orjson.dumps(value).decode())
    except orjson.JSONEncodeError:
        return type(value).__name__


def cut(long: str) -> str:
    """Return a caller's text as a message can hold it: short, and without half characters."""
    long = long.encode(errors="replace").decode()
    return long if len(long) <= _MAX_SHOWN else f"{long[:_MAX_SHOWN]}..."
