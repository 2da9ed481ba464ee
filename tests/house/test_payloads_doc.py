"""docs/payloads.md tells of everything that is done otherwise than in Parse's push adapter."""

from pathlib import Path

from tests.integration.builders.intended import TABLE

PAGE = Path(__file__).parents[2] / "docs" / "payloads.md"


def test_every_difference_is_told() -> None:
    """By its name and its reason, in the table's own words; what is told twice is told the same."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [f"| {row.name} | {row.why} |" for row in TABLE]
    # Missing rows can be pasted as they are.
    assert [row for row in rows if row not in lines] == []


def test_no_other_difference_is_told() -> None:
    """The section has a row for each of the table, and none besides."""
    _, _, section = PAGE.read_text(encoding="utf-8").partition("\n### What differs")
    section = section.partition("\n## ")[0]
    told = [line for line in section.splitlines() if line.startswith("| ")]
    assert len(told) == len(TABLE) + 1
