"""A tree of conditions becomes a SQL expression over `installations`.

Every value is a bind parameter. An expression is never true for a row that does not fit, but it may
be NULL instead of false: whoever negates one says IS NOT TRUE.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import and_, false, not_, or_, true

from pushsvc.targeting import earth, jsonb
from pushsvc.targeting.columns import field, single_value
from pushsvc.targeting.conditions import (
    And,
    Compared,
    Condition,
    ContainedBy,
    Equal,
    Exists,
    Matches,
    Near,
    Not,
    OneOf,
    Or,
    Surrounds,
    Within,
)
from pushsvc.targeting.jsonb import Clause, Value


def compile_condition(condition: Condition) -> Clause:
    """Return the condition as an expression over the columns of `installations`."""
    return _COMPILERS[type(condition)](condition)


def nearness(condition: Near) -> Value:
    """Return what sorts the nearest first."""
    return earth.apart(single_value(condition.field), condition.cap.center)


def _equal(condition: Equal) -> Clause:
    asked = field(condition.field)
    return asked.is_null() if condition.value is None else asked.is_one_of([condition.value])


def _one_of(condition: OneOf) -> Clause:
    asked = field(condition.field)
    values = [value for value in condition.values if value is not None]
    if len(values) == len(condition.values):
        return asked.is_one_of(values)
    return or_(asked.is_null(), asked.is_one_of(values))


def _exists(condition: Exists) -> Clause:
    there = field(condition.field).exists()
    return there if condition.wanted else not_(there)


def _compared(condition: Compared) -> Clause:
    return field(condition.field).compares(condition.order, condition.value)


def _matches(condition: Matches) -> Clause:
    return field(condition.field).matches(condition.pattern)


def _contained_by(condition: ContainedBy) -> Clause:
    values = [value for value in condition.values if value is not None]
    is_value = jsonb.equals_one_of(values)
    takes_null = len(values) < len(condition.values)

    def is_outside(item: Value) -> Clause:
        inside = or_(is_value(item), jsonb.is_null_value(item)) if takes_null else is_value(item)
        return inside.is_not(true())

    return field(condition.field).has_item(is_outside).is_not(true())


def _within(condition: Within) -> Clause:
    return field(condition.field).has(earth.within(condition.shape))


def _near(condition: Near) -> Clause:
    return field(condition.field).has(earth.within(condition.cap))


def _surrounds(condition: Surrounds) -> Clause:
    return field(condition.field).has(earth.surrounds(condition.point))


def _and(condition: And) -> Clause:
    return and_(true(), *map(compile_condition, condition.conditions))


def _or(condition: Or) -> Clause:
    return or_(false(), *map(compile_condition, condition.conditions))


def _not(condition: Not) -> Clause:
    return compile_condition(condition.condition).is_not(true())


_COMPILERS: Final[Mapping[type[Condition], Callable[[Any], Clause]]] = {
    Equal: _equal,
    OneOf: _one_of,
    Exists: _exists,
    Compared: _compared,
    ContainedBy: _contained_by,
    Matches: _matches,
    Within: _within,
    Near: _near,
    Surrounds: _surrounds,
    And: _and,
    Or: _or,
    Not: _not,
}
