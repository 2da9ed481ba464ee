"""Texts with variables, `Hello {{ name }}`: compiled once, filled for each device."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from jinja2 import UndefinedError
from jinja2.runtime import Context

from pushsvc.model import Json, Refused
from pushsvc.shaping.language import ENVIRONMENT, Text, VariableError, compiled, has_variables
from pushsvc.shaping.limits import TOO_LARGE
from pushsvc.shaping.splice import BAD_TEXT, mark
from pushsvc.shaping.values import is_storable

#: Different texts with variables of one push, and the parts and the characters in all of them: to
#: compile them takes a fifth of a second at the most.
TEXTS_LIMIT: Final = 200
TEXTS_PARTS: Final = 1_000
TEXTS_CHARACTERS: Final = 32_768
#: All texts of one device together, filled; no gateway takes as much.
FILLED_CHARACTERS: Final = 131_072
#: Characters of values and constants that the texts of one device may go over, as often as they
#: do: some tens of milliseconds.
WORK_CHARACTERS: Final = 250_000

#: Of a variable that a device lacks, so many characters are kept in the ledger.
NAME_CHARACTERS: Final = 100
MISSING_VARIABLE: Final = "MissingVariable"
#: Failed for another reason than a missing variable: text where a number should be.
TEMPLATE_FAILED: Final = Refused(reason="TemplateFailed")
#: The values are too long for how often the texts go over them.
VARIABLE_TOO_LONG: Final = Refused(reason="VariableTooLong")


@dataclass(slots=True)
class Variables:
    """The texts with variables of one content."""

    #: values that the push itself gives; they win over the installation's
    constants: Json
    _numbers: dict[str, int]
    _texts: list[Text]

    @classmethod
    def of(cls, constants: Json) -> "Variables":
        """Return none so far. A constant that is null is as one that is not there."""
        return cls({name: value for name, value in constants.items() if value is not None}, {}, [])

    def __bool__(self) -> bool:
        return bool(self._texts)

    @property
    def names(self) -> frozenset[str]:
        """The installation's fields that the texts look at."""
        found = frozenset[str]().union(*(text.names for text in self._texts))
        return found - self.constants.keys()

    def of_one(self, text: str) -> list[str]:
        """Return the texts as if all of them were this one."""
        return [text] * len(self._texts)

    def marked(self, value: Any) -> Any:
        """Return JSON with a mark in place of every text with variables.

        Raises:
            VariableError: one cannot be compiled, or there are too many.
        """
        if isinstance(value, str):
            return self._mark(value) if has_variables(value) else value
        if isinstance(value, Mapping):
            return {key: self.marked(part) for key, part in value.items()}
        return [self.marked(part) for part in value] if isinstance(value, list) else value

    def source(self, text: str) -> str:
        """Return what a mark stands for, as it was written; any other text as it is."""
        return next((one for one, number in self._numbers.items() if mark(number) == text), text)

    def _mark(self, source: str) -> str:
        number = self._numbers.get(source)
        if number is None:
            self._check_room(source)
            self._texts.append(_bounded(compiled(source)))
            self._check_parts()
            number = self._numbers[source] = len(self._texts) - 1
        return mark(number)

    def _check_room(self, source: str) -> None:
        characters = len(source) + sum(map(len, self._numbers))
        if len(self._texts) >= TEXTS_LIMIT or characters > TEXTS_CHARACTERS:
            message = (
                f"A push has at most {TEXTS_LIMIT} texts with variables, "
                f"and {TEXTS_CHARACTERS} characters in them."
            )
            raise VariableError(message)

    def _check_parts(self) -> None:
        if sum(text.parts for text in self._texts) > TEXTS_PARTS:
            message = (
                f"A push has at most {TEXTS_PARTS} variables, values and filters in its texts."
            )
            raise VariableError(message)

    def render(self, fields: Json | None, needs: Sequence[int]) -> list[str] | Refused:
        """Return the texts of one device, in their places; those that it does not need are empty.

        Refused where a variable is missing, and has no default: with its name.
        """
        values = {**fields, **self.constants} if fields else self.constants
        context = Context(ENVIRONMENT, dict(values), None, {})
        texts, room, work = self.of_one(""), FILLED_CHARACTERS, WORK_CHARACTERS
        for number in needs:
            text = self._texts[number]
            longest = _longest(values.get(name) for name in text.names)
            work -= text.weight * max(longest, text.longest_constant)
            if work < 0:
                return VARIABLE_TOO_LONG
            filled = _filled(text, context)
            if isinstance(filled, Refused):
                return filled
            room -= len(filled)
            if room < 0:
                return TOO_LARGE
            texts[number] = filled
        return texts


def _bounded(text: Text) -> Text:
    """Return a text; raises VariableError where what it says itself is too much for any device."""
    if text.weight * text.longest_constant > WORK_CHARACTERS:
        message = (
            f"A text goes over a constant of {text.longest_constant} characters "
            f"{text.weight} times; {WORK_CHARACTERS} characters in all are allowed."
        )
        raise VariableError(message)
    return text


def _longest(values: Iterable[Any]) -> int:
    """Return the characters of the longest value."""
    longest = 0
    for value in values:
        if isinstance(value, str):
            longest = max(longest, len(value))
        elif isinstance(value, dict | list):
            longest = max(longest, _length(value))
    return longest


def _length(value: Any) -> int:
    try:
        return len(orjson.dumps(value))
    except orjson.JSONEncodeError:
        # Not from a database; it fails where it is used.
        return 0


def _filled(text: Text, context: Context) -> str | Refused:
    try:
        filled = "".join(text.render(context))
        if not filled.isascii():
            filled.encode()
    except UndefinedError as error:
        return _missing(str(error))
    except UnicodeEncodeError:
        # Half of a surrogate pair, which a constant in the text can be.
        return BAD_TEXT
    except Exception:  # noqa: BLE001 - whatever a filter raises at a value is the value's fault
        # A filter may not say that its value is missing.
        missing = sorted(name for name in text.names if name not in context.parent)
        return _missing(missing[0]) if missing else TEMPLATE_FAILED
    return filled


def _missing(name: str) -> Refused:
    if not is_storable(name):
        return TEMPLATE_FAILED
    return Refused(reason=f"{MISSING_VARIABLE}:{name[:NAME_CHARACTERS]}")
