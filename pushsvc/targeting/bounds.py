"""How much one where-clause asks for, and whether that is too much. Pure.

The weights are thousandths of what a statement may cost, measured: SQLAlchemy writes a condition of
weight one in about a fifth of a millisecond, in the process that answers requests.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pushsvc.targeting.asked import Limits
from pushsvc.targeting.conditions import (
    And,
    Compared,
    Condition,
    ContainedBy,
    Equal,
    Exists,
    InQuery,
    Leaf,
    Matches,
    Near,
    Not,
    OneOf,
    Or,
    Places,
    RelatedTo,
    Searched,
    Selected,
    Surrounds,
    Within,
)
from pushsvc.targeting.values import INVALID_QUERY, WhereError


def check_size(where: Any, limits: Limits) -> None:
    """Refuse (102) what has more values than are allowed, before it is read."""
    count, parts = 0, [where]
    while parts:
        part = parts.pop()
        inner: list[Any] = []
        if isinstance(part, list):
            inner = part
        elif isinstance(part, Mapping):
            inner = list(part.values())
            if "__type" in part:
                # One value, but for the places of a Polygon.
                inner = [value for value in inner if isinstance(value, list | Mapping)]
        count += len(inner)
        if count > limits.values:
            raise _too_many("values", limits.values)
        parts.extend(inner)


def check_bounds(condition: Condition, limits: Limits) -> None:
    """Refuse (102) what is over a bound."""
    asked = list(leaves(condition))
    if sum(map(weight, asked)) > limits.conditions:
        raise _too_many("conditions", limits.conditions, hint=_DEARER)
    if sum(isinstance(one, Matches) for one in asked) > limits.patterns:
        raise _too_many("$regex", limits.patterns)
    if sum(isinstance(one, Places) for one in asked) > limits.places:
        raise _too_many("places", limits.places)


def _too_many(what: str, most: int, *, hint: str = "") -> WhereError:
    return WhereError(INVALID_QUERY, f"Too many {what}: at most {most}.{hint}", field="/where")


def check_nearest(condition: Condition) -> None:
    """Refuse (102) a `$nearSphere` among alternatives: what sorts the whole result is none."""
    nearest = sum(len(near_of(clause)) for clause in [condition, *_inner_clauses(condition)])
    if sum(isinstance(one, Near) for one in leaves(condition)) > nearest:
        message = "$nearSphere cannot be used within $or or $nor."
        raise WhereError(INVALID_QUERY, message, field="/where")


def near_of(condition: Condition) -> list[Near]:
    """Return what all of a clause's results are near to."""
    match condition:
        case And(conditions):
            return [near for one in conditions for near in near_of(one)]
        case Near():
            return [condition]
        case _:
            return []


def leaves(condition: Condition) -> Iterator[Leaf]:
    """Yield the conditions that are made of no others, those of queries within included."""
    match condition:
        case And(conditions) | Or(conditions):
            for one in conditions:
                yield from leaves(one)
        case Not(one):
            yield from leaves(one)
        case InQuery() | Selected():
            yield condition
            yield from leaves(condition.query.where)
        case _:
            yield condition


def _inner_clauses(condition: Condition) -> list[And]:
    return [one.query.where for one in leaves(condition) if isinstance(one, InQuery | Selected)]


# ---------------------------------------------------------------- weights

_WEIGHTS: Final[Mapping[type, int]] = {
    Equal: 1,
    OneOf: 1,
    Exists: 1,
    RelatedTo: 2,
    Compared: 5,
    ContainedBy: 5,
    Matches: 5,
    Searched: 10,
    InQuery: 15,
    Selected: 15,
    Near: 20,
    Within: 20,
    Surrounds: 20,
}
#: Null is looked for in lists, too; and each further part of a dotted key is a look into lists.
_OF_NULL: Final = 5
_OF_PART: Final = 5
_OF_WORD: Final = 3
_DEARER: Final = (
    f" An equality counts as {_WEIGHTS[Equal]}, a comparison or $regex as {_WEIGHTS[Matches]}, "
    f"$inQuery as {_WEIGHTS[InQuery]}."
)


def weight(condition: Leaf) -> int:
    """Return what a condition costs, without that of a query within."""
    match condition:
        case RelatedTo():
            return _WEIGHTS[RelatedTo]
        case InQuery(field) | Selected(field):
            return _WEIGHTS[type(condition)] * len(field.split("."))
        case Searched():
            texts = len(condition.words) + len(condition.phrases) + len(condition.unwanted)
            extra = _OF_WORD * texts
        case Equal(_, None):
            extra = _OF_NULL
        case OneOf(_, values) if None in values:
            extra = _OF_NULL
        case _:
            extra = 0
    return _WEIGHTS[type(condition)] + extra + _OF_PART * condition.field.count(".")
