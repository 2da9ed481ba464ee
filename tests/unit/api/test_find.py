"""The parameters of Parse's find and get."""

from typing import Any

import pytest

from pushsvc.api.parse.find import parse_find, parse_get
from pushsvc.config import Settings
from pushsvc.errors import InvalidQueryError
from pushsvc.storage.ordering import Order

SETTINGS = Settings()


def test_without_parameters_it_is_the_first_hundred() -> None:
    """Parse's defaults."""
    asked = parse_find({}, SETTINGS)

    assert (asked.where, asked.skip, asked.limit, asked.order) == ({}, 0, 100, ())
    assert not asked.count
    assert asked.keys.of({"a": 1}) == {"a": 1}


@pytest.mark.parametrize(("limit", "used"), [(0, 0), (1000, 1000), (5000, 1000)])
def test_a_limit_has_a_limit(limit: int, used: int) -> None:
    """Parse's REST guide: a thousand."""
    assert parse_find({"limit": limit}, SETTINGS).limit == used


def test_the_limits_are_settings() -> None:
    """So many results, and so many skipped."""
    few = Settings(query_result_limit=5, query_skip_limit=10)
    assert parse_find({"limit": 6, "skip": 10}, few).limit == 5
    with pytest.raises(InvalidQueryError, match="skip must be at most 10"):
        parse_find({"skip": 11}, few)


def test_an_order_is_a_list_with_signs() -> None:
    """Comma between, minus for descending; spaces and nothing do not count."""
    assert parse_find({"order": "a, -b,"}, SETTINGS).order == (
        Order(field="a", descending=False),
        Order(field="b", descending=True),
    )


@pytest.mark.parametrize(("count", "used"), [(1, True), (True, True), (0, False), ("", False)])
def test_a_count_is_asked_for_by_what_is_true(count: Any, *, used: bool) -> None:
    """SDKs send 1."""
    assert parse_find({"count": count}, SETTINGS).count == used


def test_what_has_no_effect_is_accepted() -> None:
    """SDKs send it along."""
    parse_find({"include": "owner", "readPreference": "SECONDARY", "comment": "mine"}, SETTINGS)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"explode": 1}, 102),
        ({"where": "x"}, 107),
        ({"where": []}, 107),
        ({"limit": True}, 117),
        ({"limit": 1.5}, 117),
        ({"limit": None}, 117),
        ({"skip": "x"}, 118),
        ({"skip": 10_001}, 118),
        ({"order": "a..b"}, 105),
        ({"order": "--a"}, 105),
        ({"order": ",".join(f"a{n}" for n in range(2_000))}, 105),
    ],
)
def test_what_cannot_be_asked_is_refused(params: dict[str, Any], code: int) -> None:
    """With Parse's code."""
    with pytest.raises(InvalidQueryError) as caught:
        parse_find(params, SETTINGS)
    assert caught.value.parse_number == code


def test_a_get_shows_the_keys_that_are_asked_for() -> None:
    """And always what makes it an object."""
    keys = parse_get({"keys": "a, b", "excludeKeys": "b"})

    shown = keys.of({"objectId": "x", "createdAt": "y", "a": 1, "b": 2, "c": 3})

    assert shown == {"objectId": "x", "createdAt": "y", "a": 1}


def test_a_dotted_key_shows_a_part_of_what_is_included() -> None:
    """The object on the way is included, with this field alone."""
    shown = parse_find(
        {"keys": "team.name,score", "excludeKeys": "score,team.logo"}, SETTINGS
    ).shown

    assert shown.include.paths == {("team",)}
    assert shown.keys.of({"team": {}, "score": 1, "x": 1}) == {"team": {}}
    within = shown.keys.within(("team",))
    assert within.of({"objectId": "a", "name": "A", "city": "B"}) == {"objectId": "a", "name": "A"}
    assert shown.keys.within(("team", "owner")).of({"name": "A"}) == {"name": "A"}


def test_an_include_includes_what_is_on_the_way() -> None:
    """And `*`, or `includeAll`, all that an object points to."""
    include = parse_get({"include": "a.b.c, d"}).include
    assert include.paths == {("a",), ("a", "b"), ("a", "b", "c"), ("d",)}
    assert not include.everything
    assert parse_get({"include": "*"}).include.everything
    assert parse_get({"includeAll": True}).include.everything


@pytest.mark.parametrize("include", [".".join("abcdefghi"), ",".join(f"a{n}" for n in range(33))])
def test_an_include_has_a_bound(include: str) -> None:
    """102: too deep, or too many."""
    with pytest.raises(InvalidQueryError, match="include has at most"):
        parse_get({"include": include})


def test_an_order_knows_parses_own_columns() -> None:
    """By the names that they have in Parse Server's database."""
    assert parse_find({"order": "-_created_at"}, SETTINGS).order == (
        Order(field="createdAt", descending=True),
    )
