"""The budgets of CONTRIBUTING.md that no linter of ours measures."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MOST_FUNCTION_LINES = 50
MOST_MODULE_LINES = 400
#: Words that say nothing of what a thing is for.
EMPTY_WORDS = frozenset({"helper", "helpers", "manager", "managers", "util", "utils"})

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)

SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore|pragma:|ruff:)")
#: One or more codes, then a dash or another hash, then the reason.
REASONED = re.compile(r"(noqa: [A-Z]+\d+(, [A-Z]+\d+)*|type: ignore\[[a-z, -]+\])\s+[-#]\s*\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A module of the package, as text and as a tree."""

    name: str
    source: str

    @property
    def tree(self) -> ast.Module:
        """The source, parsed."""
        return ast.parse(self.source)


@cache
def package() -> tuple[Module, ...]:
    return tuple(
        Module(name=str(path.relative_to(ROOT)), source=path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "pushsvc").rglob("*.py"))
    )


def violations(rule: Callable[[Module], Iterator[str]]) -> list[str]:
    return [f"{module.name}: {what}" for module in package() for what in rule(module)]


def long_functions(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, FUNCTIONS) and body_lines(node) > MOST_FUNCTION_LINES:
            yield f"{node.name} has {body_lines(node)} lines"


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count from the first statement after the docstring to the last."""
    statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not statements:
        return 0
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1


def too_long(module: Module) -> Iterator[str]:
    lines = len(module.source.splitlines())
    if lines > MOST_MODULE_LINES:
        yield f"{lines} lines"


def unopened(module: Module) -> Iterator[str]:
    docstring = ast.get_docstring(module.tree) or ""
    if not docstring.partition("\n")[0].strip():
        yield "does not open with a line that says what it is for"


def empty_names(module: Module) -> Iterator[str]:
    names = [Path(module.name).stem]
    names += [node.name for node in ast.walk(module.tree) if isinstance(node, DEFINITIONS)]
    yield from (name for name in names if words(name) & EMPTY_WORDS)


def words(name: str) -> set[str]:
    """Take a name apart at underscores and capitals."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def unreasoned(module: Module) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(module.source).readline):
        switches_off = token.type is tokenize.COMMENT and SUPPRESSION.search(token.string)
        if switches_off and not REASONED.search(token.string):
            yield f"line {token.start[0]}: {token.string}"


def test_every_function_fits_on_one_screen() -> None:
    """A function's body, its docstring apart, has at most 50 lines."""
    assert violations(long_functions) == []


def test_every_module_is_read_in_one_sitting() -> None:
    """A module has at most 400 lines."""
    assert violations(too_long) == []


def test_every_module_opens_with_what_it_is_for() -> None:
    """A module begins with a docstring, and that with a line of words."""
    assert violations(unopened) == []


def test_names_say_what_a_thing_is_for() -> None:
    """No module, class or function is called a manager, a helper or utils."""
    assert violations(empty_names) == []


def test_no_check_is_switched_off_without_code_and_reason() -> None:
    """Every `noqa` and `type: ignore` names the rule, and says on its line why."""
    assert violations(unreasoned) == []


def test_the_whole_package_is_measured() -> None:
    """The tests above look at every package of the layout, the pipeline included."""
    assert "pushsvc/pipeline.py" in {module.name for module in package()}


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        pytest.param(long_functions, "def f():\n" + "    x = 1\n" * 51, id="function"),
        pytest.param(long_functions, "async def f():\n" + "    x = 1\n" * 51, id="coroutine"),
        pytest.param(too_long, "x = 1\n" * 401, id="module"),
        pytest.param(unopened, "x = 1\n", id="no docstring"),
        pytest.param(empty_names, "class PushManager: ...\n", id="manager"),
        pytest.param(empty_names, "def url_utils(): ...\n", id="utils"),
        pytest.param(empty_names, "class HTTPHelper: ...\n", id="helper"),
        pytest.param(unreasoned, "x = 1  # noqa\n", id="no code"),
        pytest.param(unreasoned, "x = 1  # noqa: S311\n", id="no reason"),
        pytest.param(unreasoned, "x = 1  # type: ignore - why\n", id="ignore without code"),
        pytest.param(unreasoned, "x = 1  # type: ignore[misc]\n", id="ignore without reason"),
        pytest.param(unreasoned, "x = 1  # pragma: no cover\n", id="coverage switched off"),
    ],
)
def test_the_measures_find_what_they_look_for(
    rule: Callable[[Module], Iterator[str]], source: str
) -> None:
    """Each rule finds its violation, so that silence above means that there is none."""
    assert list(rule(Module(name="pushsvc/x.py", source=source)))


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        pytest.param(
            long_functions,
            'def f():\n    """One.\n' + "\n" * 60 + '    Two.\n    """\n    return 1\n',
            id="docstring",
        ),
        pytest.param(too_long, "x = 1\n" * 400, id="400 lines"),
        pytest.param(unopened, '"""What it is for."""\n', id="docstring first"),
        pytest.param(empty_names, "from contextlib import asynccontextmanager\n", id="imported"),
        pytest.param(unreasoned, "x = 1  # noqa: S311, B008 - jitter\n", id="code and reason"),
        pytest.param(unreasoned, "x = 1  # type: ignore[misc] # stub is wrong\n", id="ignore"),
        pytest.param(unreasoned, 'x = "# noqa"\n', id="in a string"),
    ],
)
def test_the_measures_leave_alone_what_is_right(
    rule: Callable[[Module], Iterator[str]], source: str
) -> None:
    """What keeps the rule is not found."""
    assert list(rule(Module(name="pushsvc/x.py", source=source))) == []
