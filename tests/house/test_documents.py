"""The documents are true to the tree: links and paths lead somewhere, decisions are numbered."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushsvc.cli.root import COMMANDS

ROOT = Path(__file__).parents[2]
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))
#: The parts of a decision, in their order.
PARTS = ["Context", "Decision", "Consequences", "Alternatives", "Enforced by"]

CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
#: A path of this repository in backticks; with a placeholder in it, it is a pattern.
PATH = re.compile(r"`((?:pushsvc|tests|docs|migrations|bench|adapters)/[\w./-]+)`")
#: What a reader would copy: a command in backticks, and one in a block of code.
COMMAND = re.compile(r"`pushsvc ([a-z]+)")
COMMAND_IN_BLOCK = re.compile(r"(?:^|[|;&] |exec api )pushsvc ([a-z]+)", re.MULTILINE)
#: Environments, caches, git's own, and what is built; the same that .gitignore names.
LEFT_BY_TOOLS = re.compile(r"\..*|__pycache__|node_modules|dist|.*\.egg-info")
#: Where checkouts lie on the machines that build this.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|farm)/")


def files() -> list[Path]:
    """What belongs to the repository: everything but what tools leave in it."""
    found: list[Path] = []
    for directory, below, names in os.walk(ROOT):
        below[:] = [name for name in below if name == ".ci" or not LEFT_BY_TOOLS.fullmatch(name)]
        found += [Path(directory, name) for name in names]
    return found


def documents() -> list[Path]:
    return [path for path in files() if path.suffix == ".md"]


def prose(path: Path) -> str:
    """The text without its blocks of code."""
    return CODE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """The fragments by which a page's headings are reached."""
    headings = (heading.replace("`", "") for heading in HEADING.findall(prose(path)))
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def commands(path: Path) -> list[str]:
    blocks = "\n".join(CODE.findall(path.read_text(encoding="utf-8")))
    return COMMAND.findall(prose(path)) + COMMAND_IN_BLOCK.findall(blocks)


def dead_links(path: Path) -> Iterator[str]:
    for target in LINK.findall(prose(path)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, fragment = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        if not there.exists() or (fragment and fragment not in anchors(there)):
            yield f"{path.relative_to(ROOT)}: {target}"


def test_relative_links_lead_somewhere() -> None:
    """Every link to a file of the repository, and to a heading in it, resolves."""
    assert [dead for path in documents() for dead in dead_links(path)] == []


def test_paths_in_documents_exist() -> None:
    """A module or a test that a document names is there."""
    named = {(path, name) for path in documents() for name in PATH.findall(prose(path))}
    assert sorted(f"{p.relative_to(ROOT)}: {n}" for p, n in named if not (ROOT / n).exists()) == []


def test_commands_in_documents_exist() -> None:
    """What a document tells the reader to run is a command of `pushsvc`."""
    named = {(path, name) for path in documents() for name in commands(path)}
    assert named
    assert sorted(f"{p.relative_to(ROOT)}: {n}" for p, n in named if n not in COMMANDS) == []


def test_no_path_of_somebody_s_machine() -> None:
    """Nothing in the repository depends on, or tells of, where a checkout lies."""
    found = []
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match}" for match in MACHINE_PATH.findall(text)]
    assert found == []


def test_the_readme_begins_with_two_commands() -> None:
    """Whoever arrives sees how to try it, and how to test it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^make demo\b", readme, re.MULTILINE)
    assert re.search(r"^make test\b", readme, re.MULTILINE)


def test_decisions_are_numbered_without_gaps() -> None:
    """docs/adr/0001-..., 0002-..., and each is headed by its own number."""
    expected = [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]
    assert expected == [path.name[:4] for path in DECISIONS]
    assert expected == [path.read_text(encoding="utf-8")[2:6] for path in DECISIONS]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in DECISIONS])
def test_a_decision_has_all_its_parts(path: Path) -> None:
    """Status, context, decision, consequences, alternatives, and what enforces it."""
    text = path.read_text(encoding="utf-8")
    assert re.search(r"^Status: (Accepted|Superseded by \[\d{4}\]\(.+\))$", text, re.MULTILINE)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS


def test_the_changelog_has_unreleased_on_top() -> None:
    """What comes next is noted where the next reader looks first."""
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"


def test_a_path_of_a_machine_is_seen() -> None:
    """The pattern finds what it looks for, and leaves a page of that name alone."""
    assert MACHINE_PATH.search("see /" + "work/notes")
    assert not MACHINE_PATH.search("https://example.com/" + "work/notes")
