"""A tree of conditions becomes a smaller one of the same meaning. Pure.

People write an `$or` of a thousand equalities where they mean one `$in`, and programs write more.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from pushsvc.targeting.conditions import (
    NOBODY,
    And,
    Atom,
    Condition,
    Equal,
    InQuery,
    Not,
    OneOf,
    Or,
    Query,
    Selected,
)

#: Fits everybody.
_EVERYBODY: Final = And(())


def simplified(clause: And) -> And:
    """Return the clause without junctions in junctions, the equalities of a key put together."""
    found = _simple(clause)
    return found if isinstance(found, And) else And((found,))


def _simple(condition: Condition) -> Condition:
    match condition:
        case And(conditions):
            return _all_of(conditions)
        case Or(conditions):
            return _one_of(conditions)
        case Not(one):
            return Not(_simple(one))
        case InQuery() | Selected():
            return replace(condition, query=_query(condition.query))
        case _:
            return condition


def _query(query: Query) -> Query:
    return replace(query, where=simplified(query.where))


def _all_of(conditions: Sequence[Condition]) -> Condition:
    flat = list(_dissolved(And, conditions))
    if NOBODY in flat:
        return NOBODY
    together = _together(flat, _denied, lambda field, values: Not(OneOf(field, values)))
    return together[0] if len(together) == 1 else And(tuple(together))


def _one_of(conditions: Sequence[Condition]) -> Condition:
    flat = list(_dissolved(Or, conditions))
    if _EVERYBODY in flat:
        return _EVERYBODY
    together = _together(flat, _equal, OneOf)
    return together[0] if len(together) == 1 else Or(tuple(together))


def _dissolved(junction: type[And | Or], conditions: Iterable[Condition]) -> Iterator[Condition]:
    for one in map(_simple, conditions):
        if isinstance(one, junction):
            yield from one.conditions
        else:
            yield one


#: A key and the values that it is compared with; None for what is no equality.
_Equality = tuple[str, tuple[Atom, ...]] | None


def _equal(condition: Condition) -> _Equality:
    match condition:
        case Equal(field, value):
            return field, (value,)
        case OneOf(field, values):
            return field, values
        case _:
            return None


def _denied(condition: Condition) -> _Equality:
    return _equal(condition.condition) if isinstance(condition, Not) else None


def _together(
    conditions: Sequence[Condition],
    equality: Callable[[Condition], _Equality],
    made: Callable[[str, tuple[Atom, ...]], Condition],
) -> list[Condition]:
    """Put the equalities of each key together, where the first of them stood."""
    values: dict[str, list[Atom]] = {}
    counts: dict[str, int] = {}
    for found in map(equality, conditions):
        if found is not None:
            values.setdefault(found[0], []).extend(found[1])
            counts[found[0]] = counts.get(found[0], 0) + 1
    together: list[Condition] = []
    for condition in conditions:
        found = equality(condition)
        if found is None or counts[found[0]] == 1:
            together.append(condition)
        elif found[0] in values:
            together.append(made(found[0], tuple(values.pop(found[0]))))
    return together
