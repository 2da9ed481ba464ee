"""Pointers in what was found, and objects in their places."""

from typing import Any

import pytest

from pushsvc.api.parse.pointers import pointers_at, replaced


def pointer(object_id: str) -> dict[str, str]:
    return {"__type": "Pointer", "className": "Team", "objectId": object_id}


MADE = {"objectId": "a", "name": "A"}
OBJECTS = {("Team", "a"): MADE}


@pytest.mark.parametrize(
    ("value", "path", "found"),
    [
        ({"team": pointer("a")}, ("team",), ["a"]),
        ([{"team": pointer("a")}, {"team": pointer("b")}], ("team",), ["a", "b"]),
        ({"teams": [pointer("a"), 1, pointer("b")]}, ("teams",), ["a", None, "b"]),
        ({"deep": {"teams": [[pointer("a")]]}}, ("deep", "teams"), ["a"]),
        ({"team": "a"}, ("team",), [None]),
        ({"team": None}, ("team",), [None]),
        ({"team": {"__type": "Date"}}, ("team",), [None]),
        ({}, ("team",), []),
        ({"team": pointer("a")}, ("team", "owner"), []),
    ],
)
def test_a_path_leads_to_pointers(value: Any, path: tuple[str, ...], found: list[Any]) -> None:
    """Through objects and all items of lists; whatever else is there is counted."""
    ids = [key and key[1] for key in pointers_at(value, path)]
    assert ids == found


@pytest.mark.parametrize(
    ("value", "path", "new"),
    [
        ({"team": pointer("a"), "x": 1}, ("team",), {"team": MADE, "x": 1}),
        ({"team": pointer("b"), "x": 1}, ("team",), {"x": 1}),
        (
            {"teams": [pointer("b"), pointer("a"), 1]},
            ("teams",),
            {"teams": [MADE, 1]},
        ),
        ({"team": {"name": "x"}}, ("team",), {"team": {"name": "x"}}),
        ({"team": "a"}, ("team", "owner"), {"team": "a"}),
        ({}, ("team",), {}),
    ],
)
def test_an_object_takes_the_place_of_its_pointer(
    value: Any, path: tuple[str, ...], new: Any
) -> None:
    """A pointer to nothing is left out, of a list too; the rest stays."""
    before = repr(value)

    assert replaced(value, path, OBJECTS) == new
    assert repr(value) == before
