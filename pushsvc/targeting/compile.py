"""A tree of conditions becomes a SQL expression over the rows of a class.

Every value is a bind parameter. An expression is never true for a row that does not fit, but it may
be NULL instead of false: whoever negates one says IS NOT TRUE.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Subquery, and_, exists, false, literal, not_, or_, select, true

from pushsvc.storage.tables import relations
from pushsvc.targeting import earth, jsonb, words
from pushsvc.targeting.conditions import (
    And,
    Compared,
    Condition,
    ContainedBy,
    Equal,
    Exists,
    InQuery,
    Matches,
    Near,
    Not,
    OneOf,
    Or,
    RelatedTo,
    Searched,
    Selected,
    Surrounds,
    Within,
)
from pushsvc.targeting.custom import InstallationField
from pushsvc.targeting.fields import Found
from pushsvc.targeting.jsonb import TEXT, Clause, Value
from pushsvc.targeting.rows import Rows

#: Of what all must hold, so much may be looked up in indexes and the rest is asked of the rows that
#: these find: Postgres weighs each with each other (a thousand: two seconds, in planning alone).
_MAX_LOOKED_UP: Final = 32


def compile_condition(condition: Condition, rows: Rows) -> Clause:
    """Return the condition as an expression over the columns of the rows."""
    return _COMPILERS[type(condition)](condition, rows)


def nearness(condition: Near, rows: Rows) -> Value:
    """Return what sorts the nearest first."""
    place = rows.place(condition.field)
    if place is not None:
        return earth.haversine(place, condition.cap.center)
    return earth.apart(rows.field(condition.field).value(), condition.cap.center)


def pointing(condition: Condition, rows: Rows) -> Subquery | None:
    """Return the rows of `installation_pointers` that lead to those that fit, where they do."""
    if not isinstance(condition, InQuery):
        return None
    field = rows.field(condition.field)
    return field.holders(_found(condition, rows)) if isinstance(field, InstallationField) else None


def _equal(condition: Equal, rows: Rows) -> Clause:
    asked = rows.field(condition.field)
    return asked.is_null() if condition.value is None else asked.is_one_of([condition.value])


def _one_of(condition: OneOf, rows: Rows) -> Clause:
    asked = rows.field(condition.field)
    values = [value for value in condition.values if value is not None]
    if len(values) == len(condition.values):
        return asked.is_one_of(values)
    return or_(asked.is_null(), asked.is_one_of(values))


def _exists(condition: Exists, rows: Rows) -> Clause:
    there = rows.field(condition.field).exists()
    return there if condition.wanted else not_(there)


def _compared(condition: Compared, rows: Rows) -> Clause:
    return rows.field(condition.field).compares(condition.order, condition.value)


def _matches(condition: Matches, rows: Rows) -> Clause:
    return rows.field(condition.field).matches(condition.pattern)


def _contained_by(condition: ContainedBy, rows: Rows) -> Clause:
    values = [value for value in condition.values if value is not None]
    is_value = jsonb.equals_one_of(values)
    takes_null = len(values) < len(condition.values)

    def is_outside(item: Value) -> Clause:
        inside = or_(is_value(item), jsonb.is_null_value(item)) if takes_null else is_value(item)
        return inside.is_not(true())

    return rows.field(condition.field).has_item(is_outside).is_not(true())


def _within(condition: Within, rows: Rows) -> Clause:
    place = rows.place(condition.field)
    if place is not None:
        return earth.is_within(condition.shape, place)
    return rows.field(condition.field).has(earth.within(condition.shape))


def _near(condition: Near, rows: Rows) -> Clause:
    return _within(Within(condition.field, condition.cap), rows)


def _surrounds(condition: Surrounds, rows: Rows) -> Clause:
    return rows.field(condition.field).has(earth.surrounds(condition.point))


def _and(condition: And, rows: Rows) -> Clause:
    conditions: Sequence[Condition] = condition.conditions
    if len(conditions) > _MAX_LOOKED_UP:
        # What no index looks up is asked of the rows in any case: it takes nobody's place.
        conditions = sorted(conditions, key=lambda one: isinstance(one, Exists | Not))
    clauses = [compile_condition(one, rows) for one in conditions]
    asked = (clause.is_(true()) for clause in clauses[_MAX_LOOKED_UP:])
    return and_(true(), *clauses[:_MAX_LOOKED_UP], *asked)


def _or(condition: Or, rows: Rows) -> Clause:
    return or_(false(), *(compile_condition(one, rows) for one in condition.conditions))


def _not(condition: Not, rows: Rows) -> Clause:
    return compile_condition(condition.condition, rows).is_not(true())


def _in_query(condition: InQuery, rows: Rows) -> Clause:
    return rows.field(condition.field).points_to(_found(condition, rows))


def _found(condition: InQuery, rows: Rows) -> Found:
    inner = rows.others(condition.query.class_name)
    return inner.found(compile_condition(condition.query.where, inner))


def _selected(condition: Selected, rows: Rows) -> Clause:
    inner = rows.others(condition.query.class_name)
    wanted = compile_condition(condition.query.where, inner)
    return rows.field(condition.field).is_in(inner.values(condition.key, wanted))


def _related_to(condition: RelatedTo, rows: Rows) -> Clause:
    owner = rows.others(condition.class_name)
    related = owner.relation(condition.field)
    if related is None or related.class_name != rows.class_name:
        return false()
    table = relations.alias()
    owner_id = literal(condition.object_id, TEXT)
    ids = select(table.c.related_id).where(*related.own(table), table.c.owner_id == owner_id)
    if not rows.reader.is_master:
        # What nobody may read tells nobody what it is related to.
        ids = ids.where(exists().where(owner.are(owner.table.c.object_id == owner_id)))
    return rows.table.c.object_id.in_(ids)


def _searched(condition: Searched, rows: Rows) -> Clause:
    return rows.field(condition.field).has(words.has_words(condition))


_COMPILERS: Final[Mapping[type[Condition], Callable[[Any, Rows], Clause]]] = {
    Equal: _equal,
    OneOf: _one_of,
    Exists: _exists,
    Compared: _compared,
    ContainedBy: _contained_by,
    Matches: _matches,
    Within: _within,
    Near: _near,
    Surrounds: _surrounds,
    InQuery: _in_query,
    Selected: _selected,
    RelatedTo: _related_to,
    Searched: _searched,
    And: _and,
    Or: _or,
    Not: _not,
}
