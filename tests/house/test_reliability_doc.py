"""docs/reliability.md has the promises in the README's words, and every figure of a storm."""

import re
from pathlib import Path

from tests.chaos.judge import MUST_BE_ZERO, Verdict, figures_of
from tests.chaos.storm import TIMES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def promises(text: str) -> list[str]:
    """The six numbered sentences, on one line each."""
    found = re.findall(r"^\d\. (\*.+?)(?=^\d\. |^$)", text, re.MULTILINE | re.DOTALL)
    return [" ".join(promise.split()) for promise in found]


def test_promises_are_worded_the_same() -> None:
    """Whoever reads one of the pages has read the other."""
    assert promises(PAGE) == promises(README)[-6:]
    assert len(promises(PAGE)) == 6


def test_every_figure_is_explained() -> None:
    """A figure of the report has its meaning; those that must be 0 say so."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert [name for name in figures_of(Verdict()) if not any(f"`{name}`" in r for r in rows)] == []
    assert {row.split("`")[1] for row in rows if row.endswith("| 0 |")} == set(MUST_BE_ZERO)


def test_every_event_is_explained() -> None:
    """An event of the storm has its row, with how often it comes."""
    rows = {line.split(" | ")[0][2:]: line for line in PAGE.splitlines() if line.startswith("| ")}
    assert {kind.value: rows[kind.value].split("|")[3].strip() for kind in TIMES} == {
        kind.value: str(times) for kind, times in TIMES.items()
    }
