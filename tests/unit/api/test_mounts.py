"""Where the Parse API is mounted, and what lies under it."""

import pytest

from pushsvc.api.mounts import below, parse_mounts
from pushsvc.config import Settings


@pytest.mark.parametrize(
    ("mount", "expected"), [("/parse", ("/parse", "/1")), ("/1", ("/1",)), ("/1/x", ("/1/x", "/1"))]
)
def test_the_alias_stands_once(mount: str, expected: tuple[str, ...]) -> None:
    """`/1` may be the mount itself."""
    assert parse_mounts(Settings(parse_mount=mount)) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/parse/push", "push"),
        ("/1/classes/Team/", "classes/Team"),
        ("/1/parse/push", "push"),
        ("/1/", ""),
        ("/1", None),
        ("/parsed/push", None),
        ("push", None),
        ("", None),
    ],
)
def test_what_is_below_a_mount(path: str, expected: str | None) -> None:
    """Of mounts within each other the longer one counts."""
    assert below(path, ["/1", "/parse", "/1/parse"]) == expected
