"""A Parse where-clause becomes a tree of conditions, checked and bounded; no SQL here.

The meaning is that of Parse on MongoDB: a value fits a field that equals it or, where the field is
a list, holds it; types are strict; null fits what is missing or null. An empty list fits nobody.
Codes and words of the errors are Parse's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pushsvc.model import Json
from pushsvc.targeting.asked import INSTALLATION, LIMITS, Limits
from pushsvc.targeting.bounds import check_bounds, check_nearest, check_size, leaves, near_of
from pushsvc.targeting.conditions import (
    And,
    Condition,
    InQuery,
    Matches,
    Near,
    Not,
    OneOf,
    Or,
    Searched,
    Selected,
)
from pushsvc.targeting.joins import is_key_name, related_to
from pushsvc.targeting.operators import constraints
from pushsvc.targeting.simplify import simplified
from pushsvc.targeting.values import (
    INVALID_CHANNEL_NAME,
    INVALID_CHANNELS_ARRAY,
    INVALID_JSON,
    INVALID_KEY_NAME,
    INVALID_QUERY,
    UNSTORABLE,
    WhereError,
    cut,
    text,
)


def parse_where(where: Json, *, limits: Limits = LIMITS, class_name: str = INSTALLATION) -> And:
    """Return the condition that a where-clause states of a class's objects.

    Raises WhereError: 102 a query that cannot be (`ACL`, a bad `$or`, over a bound), 105 a bad
    key, 107 an unknown operator or a value that cannot be compared with, 111 a bad encoded value.
    """
    check_size(where, limits)
    asked = _clause(where, at="/where", level=_Level(limits, class_name))
    check_nearest(asked)
    condition = simplified(asked)
    check_bounds(condition, limits)
    return condition


def patterns_of(condition: Condition) -> list[str]:
    """Return the patterns of a condition; whether Postgres understands them, it alone can tell."""
    return [one.pattern for one in leaves(condition) if isinstance(one, Matches)]


def classes_within(condition: Condition) -> frozenset[str]:
    """Return the classes that the queries within a condition ask."""
    within = (one for one in leaves(condition) if isinstance(one, InQuery | Selected))
    return frozenset(one.query.class_name for one in within)


def nearest_of(condition: Condition) -> Near | None:
    """Return what the result is sorted by where no order is given."""
    return next(iter(near_of(condition)), None)


def searched_of(condition: Condition) -> Searched | None:
    """Return the search for words by which a result may be sorted; one that all of it fits."""
    match condition:
        case Searched():
            return condition
        case And(conditions):
            return next((one for part in conditions if (one := searched_of(part))), None)
        case _:
            return None


def channels_where(channels: Sequence[str], *, limits: Limits = LIMITS) -> Condition:
    """Return the condition of a push to channels: subscribed to one of them; `[]` is nobody.

    Raises WhereError: 134 not a list, or too many; 112 a channel that is not text.
    """
    if not isinstance(channels, list | tuple):
        message = "channels must be an array of strings."
        raise WhereError(INVALID_CHANNELS_ARRAY, message, field="/channels")
    if len(channels) > limits.values:
        message = f"Too many channels: at most {limits.values}."
        raise WhereError(INVALID_CHANNELS_ARRAY, message, field="/channels")
    for name in channels:
        if not isinstance(name, str) or UNSTORABLE.search(name):
            message = f"Invalid channel name: {text(name)}"
            raise WhereError(INVALID_CHANNEL_NAME, message, field="/channels")
    return OneOf("channels", tuple(channels))


def audience_condition(audience: Json, *, limits: Limits = LIMITS) -> Condition:
    """Return the condition of a push's audience, `{"channels": [...]}` or `{"where": {...}}`.

    Raises WhereError as `channels_where` and `parse_where` do.
    """
    if "channels" in audience:
        return channels_where(audience["channels"], limits=limits)
    return parse_where(audience["where"], limits=limits)


def mentions_device_token(where: Json) -> bool:
    """Tell whether the clause has a `deviceToken` of its own, at the top.

    As in Parse Server, such a clause says itself which tokens it wants; every other one is only
    about devices with a token.
    """
    return "deviceToken" in where


@dataclass(frozen=True, slots=True)
class _Level:
    """Where a clause lies: of which class it is, and how deep in junctions and other queries."""

    limits: Limits
    class_name: str
    depth: int = 0
    query_depth: int = 0

    def deeper(self, at: str) -> "_Level":
        most = self.limits.depth
        if self.depth == most:
            message = f"Query condition nesting depth exceeds maximum allowed depth of {most}"
            raise WhereError(INVALID_QUERY, message, field=at)
        return replace(self, depth=self.depth + 1)

    def inner(self, where: Any, class_name: str, at: str) -> And:
        """Read the clause of a query within a clause of this level."""
        most = self.limits.query_depth
        if self.query_depth == most:
            message = f"Subquery nesting depth exceeds maximum allowed depth of {most}"
            raise WhereError(INVALID_QUERY, message, field=at)
        level = replace(self, class_name=class_name, query_depth=self.query_depth + 1)
        return _clause(where, at=at, level=level)


def _clause(where: Any, *, at: str, level: _Level) -> And:
    if not isinstance(where, Mapping):
        message = f"You cannot use {text(where)} as a query parameter."
        raise WhereError(INVALID_JSON, message, field=at)
    conditions: list[Condition] = []
    for key, value in where.items():
        pointer = f"{at}/{cut(key).replace('~', '~0').replace('/', '~1')}"
        if key in _JUNCTIONS:
            clauses = (
                _clause(clause, at=f"{pointer}/{place}", level=level.deeper(pointer))
                for place, clause in enumerate(_alternatives(key, value, at=pointer))
            )
            conditions.append(_JUNCTIONS[key](tuple(clauses)))
        elif key == "$relatedTo":
            conditions.append(related_to(value, at=pointer))
        else:
            _check_key(key, at=pointer)
            asked = constraints(
                key,
                value,
                at=pointer,
                class_name=level.class_name,
                limits=level.limits,
                inner=level.inner,
            )
            conditions.extend(asked)
    return And(tuple(conditions))


#: The operators that stand in place of a key.
_JUNCTIONS: Final[Mapping[str, Callable[[tuple[Condition, ...]], Condition]]] = {
    "$and": And,
    "$or": Or,
    "$nor": lambda conditions: Not(Or(conditions)),
}


def _alternatives(operator: str, value: Any, *, at: str) -> list[Any]:
    if not isinstance(value, list) and operator != "$nor":
        message = f"Bad {operator} format - use an array value."
        raise WhereError(INVALID_QUERY, message, field=at)
    if not isinstance(value, list) or not value:
        # MongoDB's rule. Otherwise an `$and` made of a list that came out empty is everybody.
        message = f"Bad {operator} format - use an array of at least 1 value."
        raise WhereError(INVALID_QUERY, message, field=at)
    return value


def _check_key(key: str, *, at: str) -> None:
    if key == "ACL":
        raise WhereError(INVALID_QUERY, "Cannot query on ACL.", field=at)
    if not is_key_name(key):
        raise WhereError(INVALID_KEY_NAME, f"Invalid key name: {cut(key)}", field=at)
