"""Texts with variables, `Hello {{ name | default('you') }}`: compiled once, filled for each device.

The language is that of Jinja's expressions and `{% if %}`, in its sandbox, and less: no loops,
no calls, no arithmetic and no filter that makes much of little, so that what a text costs is
bounded by its own length and by that of the values.
https://jinja.palletsprojects.com/templates/
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson
from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from pushsvc.model import Json, Refused
from pushsvc.shaping.limits import TOO_LARGE
from pushsvc.shaping.splice import mark

#: A text with one of these is taken for one with variables.
_SIGNS: Final = ("{{", "{%")
#: Names, constants, filters and tests in one text. Each may stand for a value as large as the
#: installation's own limit allows.
PARTS_LIMIT: Final = 50
#: Different texts with variables of one push, and their characters together: to compile them takes
#: half a second at the most.
TEXTS_LIMIT: Final = 200
TEXTS_CHARACTERS: Final = 32_768
#: Texts kept compiled, those of a push together.
KEPT_TEXTS: Final = 1024
#: All texts of one device together, filled; no gateway takes as much.
FILLED_CHARACTERS: Final = 131_072

FILTERS: Final = frozenset(
    {
        *("abs", "capitalize", "count", "d", "default", "first", "float", "int", "last"),
        *("length", "lower", "round", "string", "title", "trim", "truncate", "upper"),
    }
)
_ALLOWED: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr),
    *(nodes.Name, nodes.Const, nodes.Filter, nodes.Getattr, nodes.Getitem, nodes.Test),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.Neg),
    nodes.Keyword,
)
_COUNTED: Final = (nodes.Name, nodes.Const, nodes.Filter, nodes.Test)

#: Rendered, and failed for another reason than a missing variable: text where a number should be.
#: Of a variable that a device lacks, so many characters are kept in the ledger.
NAME_CHARACTERS: Final = 100
MISSING_VARIABLE: Final = "MissingVariable"
TEMPLATE_FAILED: Final = Refused(reason="TemplateFailed")
#: What Jinja keeps for itself.
_RESERVED: Final = frozenset({"self", "super", "caller", "varargs", "kwargs", "loop"})


class VariableError(Exception):
    """A text with variables that cannot be compiled; the message says why and what to write."""


class _Missing(StrictUndefined):
    """What stands for a variable that a device has no value for; its error says only the name."""

    @property
    def _undefined_message(self) -> str:
        return str(self._undefined_name)


class _Environment(SandboxedEnvironment):
    """Jinja's sandbox, with the values of JSON in it and nothing of Python's."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return what a JSON object has under this name, and never what Python gives it."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return a member of a JSON object or array."""
        try:
            found = obj[argument]
        except (LookupError, TypeError):
            found = None
        return self.undefined(obj=obj, name=argument) if found is None else found


def _shown(value: Any) -> Any:
    """Return a value as people expect to read it: JSON's words, and a date's time."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping) and value.get("__type") == "Date":
        return value.get("iso", "")
    if isinstance(value, bool | Mapping | list):
        return orjson.dumps(value).decode()
    return value


_ENVIRONMENT: Final = _Environment(
    undefined=_Missing, finalize=_shown, keep_trailing_newline=True, cache_size=0
)

Render = Callable[[Context], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Text:
    """A compiled text, and the variables that it looks at."""

    render: Render
    names: frozenset[str]


def has_variables(text: str) -> bool:
    """Tell whether a text is one with variables."""
    return any(sign in text for sign in _SIGNS)


@lru_cache(KEPT_TEXTS)
def compiled(source: str) -> Text:
    """Compile a text.

    Raises:
        VariableError: it is not of this language, or too long.
    """
    try:
        tree = _ENVIRONMENT.parse(source)
        _check(tree)
        names = frozenset(meta.find_undeclared_variables(tree))
        template = _ENVIRONMENT.from_string(source)
    except TemplateSyntaxError as error:
        raise _unreadable((error.message or "it cannot be read").rstrip(".")) from error
    except (RecursionError, SyntaxError, MemoryError) as error:
        # Python's own compiler has limits, too.
        raise _unreadable("nested too deeply") from error
    except ValueError as error:
        raise _unreadable("a number in it is too long") from error
    return Text(render=template.root_render_func, names=names)


def _unreadable(why: str) -> VariableError:
    message = f"A text with variables: {why}. Write {{{{ '{{{{' }}}} where {{{{ is to be read."
    return VariableError(message)


def _check(tree: nodes.Template) -> None:
    parts = 0
    for node in tree.find_all(nodes.Node):
        parts += isinstance(node, _COUNTED)
        if not isinstance(node, _ALLOWED):
            word = type(node).__name__.lower()
            message = f"A text with variables cannot have: {word}. It has variables, filters, if."
            raise VariableError(message)
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            message = f"There is no filter {node.name}. There are {', '.join(sorted(FILTERS))}."
            raise VariableError(message)
        if isinstance(node, nodes.Name) and node.name in _RESERVED:
            raise VariableError(f"{node.name} is no variable; installations have no such field.")
    if parts > PARTS_LIMIT:
        message = f"A text has {parts} variables, values and filters; {PARTS_LIMIT} are allowed."
        raise VariableError(message)


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

    @property
    def blank(self) -> list[str]:
        """The texts as if all of them were empty."""
        return [""] * len(self._texts)

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
            self._texts.append(compiled(source))
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

    def render(self, fields: Json | None, needs: Sequence[int]) -> list[str] | Refused:
        """Return the texts of one device, in their places; those that it does not need are empty.

        Refused where a variable is missing, and has no default: with its name.
        """
        values = {**(fields or {}), **self.constants}
        context = Context(_ENVIRONMENT, values, None, {})
        texts, room = [""] * len(self._texts), FILLED_CHARACTERS
        for number in needs:
            text = self._texts[number]
            try:
                filled = texts[number] = "".join(text.render(context))
            except UndefinedError as error:
                return _missing(str(error))
            except Exception:  # noqa: BLE001 - whatever a filter raises at a value is the value's fault
                return _failed(text, values)
            room -= len(filled)
            if room < 0:
                return TOO_LARGE
        return texts


def _failed(text: Text, values: Json) -> Refused:
    """Return why a text could not be filled: a filter may not say that its value is missing."""
    missing = sorted(name for name in text.names if name not in values)
    return _missing(missing[0]) if missing else TEMPLATE_FAILED


def _missing(name: str) -> Refused:
    return Refused(reason=f"{MISSING_VARIABLE}:{name[:NAME_CHARACTERS]}")
