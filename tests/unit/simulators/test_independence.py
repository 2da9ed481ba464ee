"""The simulators judge our sender, so they share nothing with it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pushsvc.simulators

SOURCES = sorted(Path(pushsvc.simulators.__path__[0]).rglob("*.py"))


def imported(source: Path) -> Iterator[str]:
    """Names of the modules that a file imports."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_simulators_import_nothing_else_of_ours(source: Path) -> None:
    """A mistake in `pushsvc.delivery` must not be mirrored in its judge."""
    ours = {name for name in imported(source) if name.split(".")[0] == "pushsvc"}

    assert all(name.startswith("pushsvc.simulators") for name in ours)
