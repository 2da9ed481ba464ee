"""An empty list, and a query that finds nothing, never widen an audience."""

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.targeting.compile import compile_condition
from pushsvc.targeting.where import channels_where
from tests.integration.picking import asked, keep, keep_world, picked_of, rows_of
from tests.integration.world_clauses import clause
from tests.integration.worlds import CLASSES, INSTALLATION, world

pytestmark = pytest.mark.integration

#: Clauses of each class; every list in them is emptied once.
CLAUSES = 200
CLAUSES_PER_STATEMENT = 50
#: Operators of whom a list rules out; it is no way to widen an audience that less is ruled out.
DENYING = {"$nor", "$nin", "$notInQuery", "$dontSelect"}
LISTS = {"$in", "$all", "$containedBy"}
NOTHING: dict[str, Any] = {"objectId": {"$in": []}}


def emptied(part: Any) -> Iterator[Any]:
    """Yield the clause once for each list that is empty in it, or each query that finds nothing."""
    if isinstance(part, list):
        for place, inner in enumerate(part):
            yield from ([*part[:place], other, *part[place + 1 :]] for other in emptied(inner))
    elif isinstance(part, dict):
        for key, inner in part.items():
            if key in LISTS:
                yield {**part, key: []}
            elif key not in DENYING:
                yield from ({**part, key: other} for other in emptied(inner))
        if "className" in part and "where" in part:
            yield {**part, "where": NOTHING}


def test_every_list_is_emptied() -> None:
    """Once each, wherever it is, but where it rules out."""
    where = {"a": {"$in": [1], "$nin": [2]}, "$or": [{"b": {"$all": [3]}}, {"$nor": [{"c": 4}]}]}
    assert list(emptied(where)) == [
        {**where, "a": {"$in": [], "$nin": [2]}},
        {**where, "$or": [{"b": {"$all": []}}, {"$nor": [{"c": 4}]}]},
    ]
    query = {"className": "C", "where": {"d": {"$in": [1]}}}
    assert list(emptied({"e": {"$inQuery": query}})) == [
        {"e": {"$inQuery": {**query, "where": {"d": {"$in": []}}}}},
        {"e": {"$inQuery": {**query, "where": NOTHING}}},
    ]


@pytest.mark.parametrize("class_name", CLASSES)
async def test_less_is_asked_for_less(database: AsyncEngine, class_name: str) -> None:
    """With a list emptied, only such are picked as were picked before."""
    dice = random.Random(class_name)
    async with database.connect() as connection:
        rows = rows_of(class_name, await keep_world(connection, world(dice)))
        pairs = [
            (where, less)
            for where in (clause(dice, class_name) for _ in range(CLAUSES))
            for less in emptied(copy.deepcopy(where))
        ]
        assert len(pairs) > CLAUSES / 5, "too few clauses have lists"
        for start in range(0, len(pairs), CLAUSES_PER_STATEMENT // 2):
            some = pairs[start : start + CLAUSES_PER_STATEMENT // 2]
            each = [asked(where, rows) for pair in some for where in pair]
            picked = await picked_of(connection, each, rows)
            for (where, less), before, after in zip(some, picked[::2], picked[1::2], strict=True):
                assert after <= before, f"{less} is for more than {where}"


async def test_no_channels_are_nobody(database: AsyncEngine) -> None:
    """Not even whoever has none."""
    async with database.connect() as connection:
        app_id = await keep_world(connection, world(random.Random(0)))
        rows = rows_of(INSTALLATION, app_id)
        none = compile_condition(channels_where([]), rows)
        assert [set()] == await picked_of(connection, [none], rows)


@pytest.mark.parametrize("term", ["the -dog", '"the" -dog', "! -dog", '" " -dog', "-dog"])
async def test_a_search_for_nothing_is_for_nobody(database: AsyncEngine, term: str) -> None:
    """Words that count for nothing leave no search that only excludes."""
    created = {"__type": "Date", "iso": "2026-11-22T10:00:00.000Z"}
    cat = {"objectId": "o1", "createdAt": created, "deviceType": "ios", "motto": "the cat"}
    async with database.connect() as connection:
        rows = rows_of(INSTALLATION, await keep(connection, [cat]))
        where = {"motto": {"$text": {"$search": {"$term": term}}}}
        assert [set()] == await picked_of(connection, [asked(where, rows)], rows)
