"""How a field is asked of a row, whatever it is stored in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Select,
    any_,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.sql.elements import KeyedColumnElement
from sqlalchemy.types import TypeEngine

from pushsvc.targeting import jsonb
from pushsvc.targeting.conditions import Atom, Order, Ordered
from pushsvc.targeting.jsonb import JSON, Clause, Test, Value

#: What is not there.
NOTHING: Final = literal_column("NULL::jsonb", JSON)
#: A statement that finds one column of jsonb values.
Values = Select[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The objects that a query within a query finds."""

    app_id: int
    class_name: str
    object_id: KeyedColumnElement[str]
    wanted: Clause

    def pointer(self, object_id: ColumnElement[str]) -> Value:
        """Return a Pointer to one of them, as fields hold it."""
        return jsonb.pointer(self.class_name, object_id)

    def object_ids(self) -> Select[Any]:
        """Return their ids, which are found once, whatever Postgres joins them to.

        Else it may join all queries within one another, and go over each for every row of those
        around it: what it does while it takes the tables for small ones.
        """
        once = select(self.object_id.label("id")).where(self.wanted).cte(nesting=True)
        return select(once.prefix_with("MATERIALIZED").c.id)

    def pointers(self) -> Values:
        """Return Pointers to all of them."""
        return select(self.pointer(self.object_id)).where(self.wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """A relation field of a class."""

    app_id: int
    owner_class: str
    field: str
    #: of what it leads to
    class_name: str

    def own(self, table: FromClause) -> tuple[Clause, ...]:
        """Return what tells its rows from those of others, by the table's name in a statement."""
        return (
            table.c.app_id == self.app_id,
            table.c.class_name == self.owner_class,
            table.c.field == self.field,
        )


class Field(Protocol):
    """How one key of a where-clause is asked of a row."""

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        """Equal to one of the values, or a list that holds one; none of the values is None."""

    def is_null(self) -> Clause:
        """Missing, a stored null, or a list that holds one."""

    def exists(self) -> Clause:
        """There, a stored null included."""

    def compares(self, order: Order, value: Ordered) -> Clause:
        """Of the value's type and in that order to it, or a list with an item that is."""

    def matches(self, pattern: str) -> Clause:
        """A text that the pattern is found in, or a list that holds one."""

    def has(self, test: Test) -> Clause:
        """The value as jsonb passes the test, or a list's item does."""

    def has_item(self, test: Test) -> Clause:
        """The value is a list with an item that passes the test."""

    def is_in(self, values: Values) -> Clause:
        """Equal to one of the values that a query finds, or a list that holds one."""

    def points_to(self, found: Found) -> Clause:
        """A Pointer to one of the objects that a query finds, or a list that holds one."""

    def value(self) -> Value:
        """What it leads to through objects, without looking into lists, as jsonb."""


def as_jsonb(column: ColumnElement[Any]) -> Value:
    """Return a column's value as jsonb."""
    return func.to_jsonb(column, type_=JSON)


def is_any(expression: ColumnElement[Any], values: list[Any], of: TypeEngine[Any]) -> Clause:
    """Return "equals one of"; for a single value as an equality, which is planned better."""
    if len(values) == 1:
        return expression == literal(values[0], of)
    return expression == any_(literal(values, ARRAY(of)))
