"""docs/errors.md tells of every error a caller can see, and tells it right."""

import re
from collections.abc import Iterator
from pathlib import Path

from pushsvc import errors
from pushsvc.api.error_table import title
from pushsvc.errors import CallerError

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
#: | `code` | status | Parse code | meaning | remedy |
ROW = re.compile(r"\| `(\w+)` \| (\d+) \| ([\d, ]+|-) \| ([^|]+) \| ([^|]+) \|")


def kinds() -> Iterator[type[CallerError]]:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, CallerError):
            yield kind


def rows() -> dict[str, tuple[str, str, str, str]]:
    found = ROW.findall(PAGE.read_text())
    return {
        code: (status, parse, meaning, remedy) for code, status, parse, meaning, remedy in found
    }


def test_every_error_is_told_and_no_other() -> None:
    """A code is public, and stands on one page."""
    assert set(rows()) == {kind.code for kind in kinds()}


def test_codes_are_unique() -> None:
    """A program tells errors apart by them."""
    codes = [kind.code for kind in kinds()]
    assert len(codes) == len(set(codes))


def test_statuses_and_parse_codes_are_those_of_the_code() -> None:
    """The first Parse code is the class's own; others depend on the field."""
    for kind in kinds():
        status, parse, _, _ = rows()[kind.code]
        assert int(status) == kind.status, kind.code
        expected = "-" if kind.parse_code is None else str(kind.parse_code)
        assert parse.split(",")[0].strip() == expected, kind.code


def test_the_meaning_is_the_title() -> None:
    """Which is what a problem shows."""
    for kind in kinds():
        assert rows()[kind.code][2].strip() == title(kind), kind.code


def test_every_error_has_a_remedy() -> None:
    """A sentence that says what to do."""
    for code, (_, _, _, remedy) in rows().items():
        assert remedy.strip().endswith("."), code
