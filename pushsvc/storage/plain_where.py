"""Parse finds over tables that have a column for each field: no lists, no objects, no custom keys.

Installations and objects are asked by `pushsvc.targeting`; this is for the few fields of pushes
and audiences that a dashboard asks for.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Double, UnaryExpression, and_, cast, false, not_, or_, true

from pushsvc.errors import InvalidQueryError
from pushsvc.model import Json
from pushsvc.storage.encoded import is_number

INVALID_JSON: Final = 107
#: Values in one list: a page has no more rows.
MOST_VALUES: Final = 1_000
#: Of an integer, as Postgres has them: nothing beyond is in any row.
LARGEST: Final = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of Parse's and the column that holds it."""

    column: ColumnElement[Any]
    #: what the field holds, as the error says it
    holds: str
    #: a caller's value -> the column's; None where it is no such value
    read: Callable[[Any], Any]
    #: what rows are ordered by where that is another column with the same order
    sorts_by: ColumnElement[Any] | None = None


Fields = Mapping[str, Field]


def text(column: ColumnElement[Any]) -> Field:
    """Return a field of text, which sorts by code point."""
    return Field(
        column=column.collate("C"),
        holds="text",
        read=lambda value: value if isinstance(value, str) else None,
    )


def number(column: ColumnElement[Any]) -> Field:
    """Return a field of numbers."""
    return Field(
        # JSON's numbers are doubles; ours are counts and milliseconds, which fit exactly.
        column=cast(column, Double),
        holds="a number",
        read=lambda value: float(value) if is_number(value) and abs(value) < LARGEST else None,
    )


def moment(column: ColumnElement[Any], *, sorts_by: ColumnElement[Any] | None = None) -> Field:
    """Return a field of moments, which are asked for as Dates of Parse's or as ISO 8601."""
    return Field(column=column, holds="a Date", read=_moment, sorts_by=sorts_by)


def _moment(value: Any) -> datetime | None:
    if isinstance(value, Mapping) and value.get("__type") == "Date":
        value = value.get("iso")
    try:
        read = datetime.fromisoformat(value)
        return read.replace(tzinfo=read.tzinfo or UTC).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def condition(where: Json, fields: Fields, *, class_name: str) -> ColumnElement[bool]:
    """Return the condition of a where-clause: equality, `$in`, order, `$exists` of single fields.

    Raises:
        InvalidQueryError: 102 what cannot be asked of these fields, 107 an unknown operator.
    """
    conditions: list[ColumnElement[bool]] = [true()]
    for name, asked in where.items():
        if name not in fields:
            shown = f"{class_name} can only be queried by {', '.join(fields)}; not by {name[:100]}."
            raise InvalidQueryError(shown)
        one = _Asked(name=name, field=fields[name])
        is_operators = isinstance(asked, Mapping) and "__type" not in asked
        for sign, operand in asked.items() if is_operators else [("$eq", asked)]:
            if sign not in _OPERATORS:
                message = f"bad constraint: {sign[:100]}"
                raise InvalidQueryError(message, parse_code=INVALID_JSON)
            conditions.append(_OPERATORS[sign](one, operand))
    return and_(*conditions)


def ordering(
    order: Sequence[Any], fields: Fields, *, class_name: str, key: ColumnElement[int]
) -> list[UnaryExpression[Any]]:
    """Return what rows are sorted by: as asked, and at last by the key, in Parse's natural order.

    Raises:
        InvalidQueryError: 102 a field that rows cannot be sorted by.
    """
    sorted_by = []
    for one in order:
        if one.field not in fields:
            shown = f"{class_name} can only be ordered by {', '.join(fields)}."
            raise InvalidQueryError(f"{shown} Not by {one.field[:100]}.")
        field = fields[one.field]
        column = field.column if field.sorts_by is None else field.sorts_by
        sorted_by.append(column.desc() if one.descending else column.asc())
    descending = bool(order) and all(one.descending for one in order)
    return [*sorted_by, key.desc() if descending else key.asc()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A field that something is asked of."""

    name: str
    field: Field

    def value(self, operand: Any) -> Any:
        """Return an operand as the column's value."""
        read = self.field.read(operand)
        if read is None:
            raise InvalidQueryError(f"{self.name} is compared with {self.field.holds} only.")
        return read

    def equals(self, operand: Any) -> ColumnElement[bool]:
        """Null is what is missing."""
        if operand is None:
            return self.field.column.is_(None)
        equal: ColumnElement[bool] = self.field.column == self.value(operand)
        return equal

    def among(self, operand: Any) -> ColumnElement[bool]:
        """Return the condition of `$in`; nobody is in an empty list."""
        if not isinstance(operand, list):
            raise InvalidQueryError("bad $in value", parse_code=INVALID_JSON)
        if len(operand) > MOST_VALUES:
            raise InvalidQueryError(f"A list has at most {MOST_VALUES} values.")
        return or_(false(), *(self.equals(one) for one in operand))


def _negated(
    positive: Callable[[_Asked, Any], ColumnElement[bool]],
) -> Callable[[_Asked, Any], ColumnElement[bool]]:
    """What is missing is unlike everything, but null."""
    return lambda one, operand: not_(positive(one, operand)).is_not(false())


def _compared(
    compare: Callable[[Any, Any], ColumnElement[bool]],
) -> Callable[[_Asked, Any], ColumnElement[bool]]:
    return lambda one, operand: compare(one.field.column, one.value(operand))


_OPERATORS: Final[Mapping[str, Callable[[_Asked, Any], ColumnElement[bool]]]] = {
    "$eq": _Asked.equals,
    "$ne": _negated(_Asked.equals),
    "$in": _Asked.among,
    "$nin": _negated(_Asked.among),
    "$lt": _compared(operator.lt),
    "$lte": _compared(operator.le),
    "$gt": _compared(operator.gt),
    "$gte": _compared(operator.ge),
    "$exists": lambda one, operand: (
        one.field.column.is_not(None) if operand else one.field.column.is_(None)
    ),
}
