"""What texts with variables can make of a value: Jinja's filters of these names, on JSON's values.

None makes much of little, so that a text costs what its values are long.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson
from jinja2 import StrictUndefined, pass_environment
from jinja2.filters import do_default, do_float, do_int, do_round, do_title, do_truncate

from pushsvc.shaping.values import as_integer

#: Digits behind the point, or before it: 10 to the power of a caller's number has no bound.
_DIGITS: Final = range(-15, 16)
#: Each character of a value may be looked for among all of them.
_TRIMMED_CHARACTERS: Final = 64


class Missing(StrictUndefined):
    """What stands for a variable that a device has no value for; its error says only the name."""

    @property
    def _undefined_message(self) -> str:
        return str(self._undefined_name)


def shown(value: Any) -> Any:
    """Return a value as people expect to read it: JSON's words, and a date's time."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float):
        return as_integer(value)
    if isinstance(value, Mapping) and value.get("__type") == "Date":
        return value.get("iso", "")
    if isinstance(value, bool | Mapping | list):
        return as_json(value)
    return value


def as_json(value: Any) -> str:
    """Return a value as JSON text, for texts that are JSON themselves."""
    if isinstance(value, Missing):
        str(value)  # raises, with the name
    return orjson.dumps(value).decode()


def _on_text(work: Callable[[str], str]) -> Callable[[Any], str]:
    return lambda value: work(str(shown(value)))


def _is_precision(value: Any) -> bool:
    return value in _DIGITS


def _is_trimmed(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= _TRIMMED_CHARACTERS)


#: filter -> argument -> what it must be, and how that is said
LIMITS: Final[Mapping[str, Mapping[str, tuple[Callable[[Any], bool], str]]]] = {
    "round": {"precision": (_is_precision, "up to 15 digits")},
    "trim": {"chars": (_is_trimmed, f"a text of up to {_TRIMMED_CHARACTERS} characters")},
}


def _round(value: float, precision: int = 0, method: str = "common") -> float:
    if not _is_precision(precision):
        message = "precision out of range"
        raise ValueError(message)
    return round(value, precision) if method == "common" else do_round(value, precision, method)  # type: ignore[arg-type]  # refused by it


def _trim(value: Any, chars: str | None = None) -> str:
    if not _is_trimmed(chars):
        message = "too many characters, or none"
        raise ValueError(message)
    return str(shown(value)).strip(chars)


def _at(place: int, name: str) -> Callable[[Any], Any]:
    def find(value: Any) -> Any:
        members = list(value) if isinstance(value, Mapping) else value
        return members[place] if len(members) else Missing(name=name)

    return find


@pass_environment
def _truncate(environment: Any, value: Any, *args: Any, **named: Any) -> str:
    return do_truncate(environment, str(shown(value)), *args, **named)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": abs,
    "capitalize": _on_text(str.capitalize),
    "count": len,
    "d": do_default,
    "default": do_default,
    "first": _at(0, "first"),
    "float": do_float,
    "int": do_int,
    "last": _at(-1, "last"),
    "length": len,
    "lower": _on_text(str.lower),
    "round": _round,
    "string": _on_text(str),
    "title": _on_text(do_title),
    "tojson": as_json,
    "trim": _trim,
    "truncate": _truncate,
    "upper": _on_text(str.upper),
    "urlencode": _on_text(lambda text: quote(text, safe="")),
}
#: What a filter may be given in brackets, in order and by name.
ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("d", "default"), ("default_value", "boolean")),
    "float": ("default",),
    "int": ("default", "base"),
    "round": ("precision", "method"),
    "trim": ("chars",),
    "truncate": ("length", "killwords", "end", "leeway"),
}
#: They make more of a text than it is: of a character up to so many.
ESCAPING: Final[Mapping[str, int]] = {"tojson": 6, "urlencode": 12}
