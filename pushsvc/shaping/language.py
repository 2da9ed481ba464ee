"""The language of texts with variables: Jinja's expressions and `{% if %}`, and less.

In its sandbox, without loops, calls and arithmetic, and with little nesting: how long a text takes
to compile and to fill is bounded by its own length and by that of the values.
https://jinja.palletsprojects.com/templates/
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from jinja2 import Template, TemplateSyntaxError, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from pushsvc.shaping.filters import ARGUMENTS, ESCAPING, FILTERS, LIMITS, Missing, shown
from pushsvc.shaping.values import is_storable

#: Names, constants, filters and tests in one text, and how deeply it may be nested: the time that
#: Jinja takes to compile one grows with the cube of that.
PARTS_LIMIT: Final = 50
DEPTH_LIMIT: Final = 24
#: Texts kept compiled, those of a push together.
KEPT_TEXTS: Final = 2048

_ALLOWED: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr),
    *(nodes.Name, nodes.Const, nodes.Filter, nodes.Getattr, nodes.Getitem, nodes.Test),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Keyword),
    nodes.Concat,
)
_COUNTED: Final = (nodes.Name, nodes.Const, nodes.Filter, nodes.Test)
#: What it has not -> how that is called.
_WORDS: Final = (
    (nodes.Call, "calls"),
    (nodes.For, "loops"),
    ((nodes.Assign, nodes.AssignBlock), "assignments"),
    (
        (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow),
        "arithmetic",
    ),
    (nodes.Literal, "lists, tuples and objects of its own"),
    (nodes.Slice, "slices"),
    (nodes.Stmt, "statements but if"),
)
#: What Jinja keeps for itself.
_RESERVED: Final = frozenset({"self", "super", "caller", "varargs", "kwargs", "loop"})


class VariableError(Exception):
    """A text with variables that cannot be compiled; the message says why and what to write."""


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


@pass_context
def _finalize(_context: Context, value: Any) -> Any:
    return shown(value)


# Not optimised, and what finishes a value asks for a context: Jinja would work out what constants
# come to while it compiles. (So does its `meta.find_undeclared_variables`.)
ENVIRONMENT: Final = _Environment(
    undefined=Missing,
    finalize=_finalize,
    keep_trailing_newline=True,
    cache_size=0,
    optimized=False,
)
ENVIRONMENT.filters = dict(FILTERS)

Render = Callable[[Context], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Text:
    """A compiled text."""

    render: Render
    #: the variables that it looks at
    names: frozenset[str]
    #: names, constants, filters and tests
    parts: int
    #: how often it goes over the longest of its values and constants, at the most
    weight: int
    #: characters of its longest constant
    longest_constant: int


def has_variables(text: str) -> bool:
    """Tell whether a text is one with variables: it has what begins one."""
    return "{{" in text or "{%" in text


@lru_cache(KEPT_TEXTS)
def compiled(source: str) -> Text:
    """Compile a text.

    Raises:
        VariableError: it is not of this language, or too long.
    """
    try:
        tree = ENVIRONMENT.parse(source)
        parts = _checked(tree)
        template = Template.from_code(ENVIRONMENT, ENVIRONMENT.compile(tree), {})
    except TemplateSyntaxError as error:
        said = (error.message or "it cannot be read").rstrip(".")
        raise _unreadable(f"{said}. Write {{{{ '{{{{' }}}} where {{{{ is to be read") from error
    except (RecursionError, SyntaxError, MemoryError) as error:
        # Python's own compiler has limits, too.
        raise _unreadable("nested too deeply") from error
    except ValueError as error:
        raise _unreadable("a number in it is too long") from error
    constants = (node.value for node in tree.find_all(nodes.Const))
    return Text(
        render=template.root_render_func,
        # Nothing of the language gives a name a value.
        names=frozenset(node.name for node in tree.find_all(nodes.Name)),
        parts=parts,
        weight=_weighed(tree)[1],
        longest_constant=max((len(one) for one in constants if isinstance(one, str)), default=0),
    )


def _unreadable(why: str) -> VariableError:
    return VariableError(f"A text with variables: {why}.")


def _checked(tree: nodes.Template) -> int:
    """Return how many parts a text has.

    Raises:
        VariableError: there are too many, or others than the language has.
    """
    parts = 0
    stack: list[tuple[nodes.Node, int, bool]] = [(tree, 0, False)]
    while stack:
        node, depth, is_escaped = stack.pop()
        parts += isinstance(node, _COUNTED)
        if depth > DEPTH_LIMIT:
            raise _unreadable(f"nested too deeply: {DEPTH_LIMIT} levels are the most")
        _check(node)
        if isinstance(node, nodes.Filter) and node.name in ESCAPING:
            if is_escaped:
                # Each time a text doubles, or worse.
                raise _unreadable(f"{' or '.join(sorted(ESCAPING))} within another")
            is_escaped = True
        if isinstance(node, nodes.Concat):
            # Jinja joins what Python writes of a value, and not what is shown of it.
            node.nodes = [_as_text(part) for part in node.nodes]
        stack += ((child, depth + 1, is_escaped) for child in node.iter_child_nodes())
    if parts > PARTS_LIMIT:
        message = f"A text has {parts} variables, values and filters; {PARTS_LIMIT} are allowed."
        raise VariableError(message)
    return parts


def _weighed(node: nodes.Node) -> tuple[int, int]:
    """Return how long what comes of a part is, and how often values are gone over in it.

    Both as if all values were as long as the longest of them.
    """
    within = [_weighed(child) for child in node.iter_child_nodes()]
    sizes = [size for size, _ in within]
    longest = max(sizes, default=1)
    weight = sum(weight for _, weight in within) + longest * isinstance(node, _COUNTED)
    if isinstance(node, nodes.Concat):
        return sum(sizes), weight
    grows = ESCAPING.get(node.name, 1) if isinstance(node, nodes.Filter) else 1
    return longest * grows, weight


def _check_filter(node: nodes.Filter) -> None:
    if node.name not in FILTERS:
        message = f"There is no filter {node.name}. There are {', '.join(sorted(FILTERS))}."
        raise VariableError(message)
    known = ARGUMENTS.get(node.name, ())
    given = {pair.key for pair in node.kwargs}
    is_dynamic = node.dyn_args is not None or node.dyn_kwargs is not None
    if is_dynamic or len(node.args) > len(known) or not given <= set(known):
        said = f"takes {', '.join(known)}" if known else "takes nothing in brackets"
        raise VariableError(f"The filter {node.name} {said}.")
    _check_arguments(node)


def _check_arguments(node: nodes.Filter) -> None:
    """Raise VariableError for a constant that the filter refuses whatever it is given."""
    named = {pair.key: pair.value for pair in node.kwargs}
    given = dict(zip(ARGUMENTS.get(node.name, ()), node.args, strict=False)) | named
    for name, (is_right, said) in LIMITS.get(node.name, {}).items():
        value = given.get(name)
        if isinstance(value, nodes.Const) and not is_right(value.value):
            raise VariableError(f"The filter {node.name} takes as {name} {said}.")


def _check_constant(value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise _unreadable("a number in it is too large")
    if isinstance(value, str) and not is_storable(value):
        raise _unreadable("it holds U+0000, or half a character")


def _as_text(part: nodes.Expr) -> nodes.Filter:
    text = nodes.Filter(part, "string", [], [], None, None, lineno=part.lineno)
    text.set_environment(ENVIRONMENT)
    return text


def _check(node: nodes.Node) -> None:
    if not isinstance(node, _ALLOWED):
        word = next((word for kind, word in _WORDS if isinstance(node, kind)), "this")
        message = f"A text with variables cannot have {word}: it has variables, filters and if."
        raise VariableError(message)
    if isinstance(node, nodes.Const):
        _check_constant(node.value)
    if isinstance(node, nodes.Filter):
        _check_filter(node)
    if isinstance(node, nodes.Name) and node.name in _RESERVED:
        raise VariableError(f"{node.name} is no variable; installations have no such field.")
