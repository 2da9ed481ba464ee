"""Kinds of values in FCM's messages: what each must be, and how FCM v1 writes it.

A kind finds flaws in what a caller wrote, before texts with variables are marked: an enum with a
variable in it is none. What passed is written later, with marks, and no longer looked at.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from pushsvc.shaping import limits
from pushsvc.shaping.fault import NAME_CHARACTERS, dotted, within
from pushsvc.shaping.values import is_number, is_share

#: where it is, as a JSON pointer, and a sentence
Flaw = tuple[str, str]

_HUMP: Final = re.compile(r"(?<=[a-z0-9])[A-Z]")
_DURATION: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?s")
#: Milliseconds that are nine digits of seconds.
_LONGEST_MILLISECONDS: Final = 10**12
_RGB: Final = re.compile(r"#[0-9A-Fa-f]{6}")
_RGBA: Final = re.compile(r"#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?")
_SHARES: Final = ("red", "green", "blue", "alpha")
#: RFC 3339, section 5.6; Python's own reader takes more of ISO 8601.
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_INT32: Final = range(-(2**31), 2**31)


class Kind(Protocol):
    """What a value must be."""

    def flaws(self, place: str, value: Any) -> Iterator[Flaw]:
        """Yield what FCM would refuse."""

    def written(self, value: Any) -> Any:
        """Return a value without flaws as FCM v1 writes it."""


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Value:
    """A value of its own."""

    is_right: Callable[[Any], bool]
    said: str
    write: Callable[[Any], Any] = _as_it_is

    def flaws(self, place: str, value: Any) -> Iterator[Flaw]:
        """Yield that it is something else."""
        if not self.is_right(value):
            yield place, f"{dotted(place)} must be {self.said}."

    def written(self, value: Any) -> Any:
        """Return it in FCM's form."""
        return self.write(value)


def _no_clashes(_given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield from ()


@dataclass(frozen=True, slots=True)
class Strings:
    """An object with a string under each key: FCM takes nothing else there."""

    #: what is wrong with a key and its value, to follow its name; None if nothing is
    wrong: Callable[[str, str], str | None]
    #: what is wrong with keys that are right alone: each with the same
    clashes: Callable[[Mapping[str, str]], Iterator[tuple[str, str]]] = _no_clashes

    def flaws(self, place: str, value: Any) -> Iterator[Flaw]:
        """Yield what is no string, and what else is wrong."""
        if not isinstance(value, dict):
            yield place, f"{dotted(place)} must be an object of strings."
            return
        for key, text in value.items():
            said = "must be a string; write other values as JSON text"
            told = self.wrong(key, text) if isinstance(text, str) else said
            if told:
                yield (where := within(place, key)), f"{dotted(where)} {told}."
        for key, told in self.clashes(value):
            yield (where := within(place, key)), f"{dotted(where)} {told}."

    def written(self, value: Any) -> Any:
        """Return it as it is."""
        return value


@dataclass(frozen=True, slots=True)
class Record:
    """One of FCM's messages: its fields, by FCM's names and by those of Firebase's senders.

    A name may be in snake_case or lowerCamelCase; null is the same as nothing.
    """

    #: in FCM's reference
    name: str
    fields: Mapping[str, Kind]
    #: another name, in snake_case -> the field, and how its value is written under that name
    renamed: Mapping[str, tuple[str, Kind]] = field(default_factory=dict)
    #: fields without which FCM refuses it
    required: tuple[str, ...] = ()

    def flaws(self, place: str, value: Any) -> Iterator[Flaw]:
        """Yield what is no field, or is not what it must be."""
        if not isinstance(value, dict):
            yield place, f"{dotted(place)} must be an object."
            return
        given: dict[str, str] = {}
        for key, part in value.items():
            name, kind = self._field(key)
            where = within(place, key)
            if kind is None:
                yield where, self._unknown(place, key)
            elif part is None:
                continue
            elif name in given:
                yield where, f"{dotted(where)} and {given[name]} are the same field of FCM's."
            else:
                given[name] = key
                yield from kind.flaws(where, part)
        for name in self.required:
            if name not in given:
                yield place, f"{dotted(place)} must have {name}, too: FCM's {self.name} does."

    def written(self, value: Any) -> dict[str, Any]:
        """Return it in FCM's spelling."""
        found = ((*self._field(key), part) for key, part in value.items() if part is not None)
        return {name: kind.written(part) for name, kind, part in found if kind is not None}

    def _field(self, key: str) -> tuple[str, Kind | None]:
        name = _HUMP.sub(lambda hump: f"_{hump[0].lower()}", key)
        return self.renamed.get(name) or (name, self.fields.get(name))

    def _unknown(self, place: str, key: str) -> str:
        known = [*self.fields, *self.renamed]
        near = difflib.get_close_matches(key[:NAME_CHARACTERS], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"FCM's {self.name} tells which."
        return f"{dotted(place)} has no field {key[:NAME_CHARACTERS]!r}; {hint}"


# ---------------------------------------------------------------- simple kinds


def matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    """Return what tells whether a value is a text of this form."""
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def each(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return what tells whether a value is an array of such."""
    return lambda value: isinstance(value, list) and all(map(is_right, value))


def one_of(*names: str, prefix: str = "") -> Value:
    """Return an enum, in any case and with its prefix or without."""

    def write(value: str) -> str:
        return prefix + value.upper().removeprefix(prefix)

    def is_right(value: Any) -> bool:
        return isinstance(value, str) and value.upper().removeprefix(prefix) in names

    return Value(is_right, f"one of {', '.join(name.lower() for name in names)}", write)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in _INT32


TEXT: Final = Value(lambda value: isinstance(value, str), "a string")
TEXTS: Final = Value(each(TEXT.is_right), "an array of strings")
FLAG: Final = Value(lambda value: isinstance(value, bool), "true or false")
OBJECT: Final = Value(lambda value: isinstance(value, dict), "an object")
INTEGER: Final = Value(_is_integer, "a whole number of 32 bits")
RGB: Final = Value(matches(_RGB), "a color, as #rrggbb")


# ---------------------------------------------------------------- times


def seconds(value: float) -> str:
    """Return so many seconds as protobuf's JSON has a duration: "3600s", "0.5s"."""
    number = str(value) if isinstance(value, int) else f"{value:.9f}".rstrip("0").rstrip(".")
    return f"{number}s"


def _is_ttl(value: Any) -> bool:
    if is_number(value):
        return bool(0 <= value <= limits.FCM_TTL_SECONDS)
    return DURATION.is_right(value) and float(value[:-1]) <= limits.FCM_TTL_SECONDS


def _is_milliseconds(value: Any) -> bool:
    return is_number(value) and 0 <= value < _LONGEST_MILLISECONDS


def _from_milliseconds(value: float) -> str:
    return seconds(value / 1000)


def _is_moment(value: Any) -> bool:
    if not matches(_MOMENT)(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


DURATION: Final = Value(matches(_DURATION), 'a duration, as "3600s" or "0.5s"')
DURATIONS: Final = Value(each(DURATION.is_right), 'an array of durations, as "0.5s"')
MILLISECONDS: Final = Value(_is_milliseconds, "a number of milliseconds", _from_milliseconds)
ALL_MILLISECONDS: Final = Value(
    each(_is_milliseconds),
    "an array of milliseconds",
    lambda value: [_from_milliseconds(one) for one in value],
)
#: A number is seconds, as everywhere in our API; in Firebase's senders it is milliseconds.
TTL: Final = Value(
    _is_ttl,
    f'a duration of at most four weeks, as "3600s", or seconds: 0 to {limits.FCM_TTL_SECONDS}',
    lambda value: value if isinstance(value, str) else seconds(value),
)
MOMENT: Final = Value(_is_moment, "a time in RFC 3339, with its zone")


# ---------------------------------------------------------------- lights


def _is_light_color(value: Any) -> bool:
    if isinstance(value, dict):
        return value.keys() <= set(_SHARES) and all(map(is_share, value.values()))
    return matches(_RGBA)(value)


def _shares(value: Any) -> Any:
    """Return a color as FCM's Color has it; without its last two digits it is opaque."""
    if isinstance(value, dict):
        return value
    digits = f"{value[1:]}ff"[:8]
    return {
        name: int(digits[place : place + 2], 16) / 255
        for name, place in zip(_SHARES, range(0, 8, 2), strict=True)
    }


LIGHT_COLOR: Final = Value(
    _is_light_color,
    "a color, as #rrggbb or #rrggbbaa, or shares of red, green, blue, alpha",
    _shares,
)
