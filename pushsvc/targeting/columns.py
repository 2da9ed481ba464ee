"""Fields with a column or a table of their own: Parse's special ones, and relations."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeGuard

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Integer,
    exists,
    false,
    func,
    literal,
    null,
    select,
    true,
)
from sqlalchemy.sql.elements import KeyedColumnElement

from pushsvc.storage.tables import badges, relations
from pushsvc.targeting import jsonb
from pushsvc.targeting.conditions import Atom, FromNow, Order, Ordered
from pushsvc.targeting.fields import NOTHING, Found, Related, Values, as_jsonb, is_any
from pushsvc.targeting.jsonb import JSON, TEXT, TEXTS, Clause, Test, Value
from pushsvc.targeting.values import moment_of

#: Badges are 32-bit integers; a number that is none fits no badge.
_INT32: Final = 2**31


class ColumnField:
    """A special field with a column of its own: it is missing where the column is NULL.

    Of this kind itself are columns whose values no where-clause can name.
    """

    def __init__(self, column: KeyedColumnElement[Any]) -> None:
        self._column = column

    def is_one_of(self, values: Sequence[Atom]) -> Clause:  # noqa: ARG002 - none is ever equal
        return false()

    def is_null(self) -> Clause:
        return self._column.is_(null())

    def exists(self) -> Clause:
        return self._column.is_not(null())

    def compares(self, order: Order, value: Ordered) -> Clause:
        return self.has(jsonb.compares(order, value))

    def matches(self, pattern: str) -> Clause:
        return self.has(jsonb.matches(pattern))

    def has(self, test: Test) -> Clause:
        return test(self.value())

    def has_item(self, test: Test) -> Clause:  # noqa: ARG002 - it is no list
        return false()

    def is_in(self, values: Values) -> Clause:
        return self.has(jsonb.is_found(values))

    def points_to(self, found: Found) -> Clause:
        return self.is_in(found.pointers())

    def value(self) -> Value:
        return as_jsonb(self._column)


class TextField(ColumnField):
    """A text."""

    def __init__(self, column: KeyedColumnElement[Any], *, collation: str | None = "C") -> None:
        super().__init__(column)
        self._collation = collation

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        return is_any(self._column, _texts(values), TEXT)

    def compares(self, order: Order, value: Ordered) -> Clause:
        if not isinstance(value, str):
            return false()
        column = self._column.collate(self._collation) if self._collation else self._column
        return jsonb.in_order(column, order, literal(value, TEXT))

    def matches(self, pattern: str) -> Clause:
        return self._column.regexp_match(pattern)

    def is_in(self, values: Values) -> Clause:
        value = values.subquery().c[0]
        texts = select(jsonb.text_of(value)).where(jsonb.is_type(value, "string"))
        # DISTINCT has Postgres find them once, and leaves it the column's index.
        return self._column.in_(texts.distinct())


class TextsField(ColumnField):
    """A list of texts; it is asked for an overlap, which its index can answer."""

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        texts = _texts(values)
        return self._column.overlap(literal(texts, TEXTS)) if texts else false()

    def has(self, test: Test) -> Clause:
        return self.has_item(test)

    def has_item(self, test: Test) -> Clause:
        return jsonb.item_of_list(test)(self.value())


class MomentField(ColumnField):
    """A moment; also asked for as ISO 8601 text. People see milliseconds, the column keeps more."""

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        found = (_moment(value) for value in values)
        moments = [moment for moment in found if moment is not None]
        return is_any(self._to_the_millisecond(), moments, DateTime(timezone=True))

    def compares(self, order: Order, value: Ordered) -> Clause:
        if isinstance(value, FromNow):
            return jsonb.in_order(self._to_the_millisecond(), order, jsonb.since_now(value))
        moment = _moment(value)
        if moment is None:
            return false()
        bound = literal(moment, DateTime(timezone=True))
        return jsonb.in_order(self._to_the_millisecond(), order, bound)

    def value(self) -> Value:
        iso = jsonb.iso_of(self._column)
        return func.jsonb_build_object(
            jsonb.word("__type"), jsonb.word("Date"), jsonb.word("iso"), iso, type_=JSON
        )

    def _to_the_millisecond(self) -> ColumnElement[datetime]:
        return func.date_trunc(jsonb.word("milliseconds"), self._column)


class BadgeField:
    """The badge, from its own table: it is missing where the installation has no row there."""

    def __init__(self, installation_id: KeyedColumnElement[int]) -> None:
        self._installation_id = installation_id
        # By a name of its own: a query within this one may ask for badges, too.
        self._badges = badges.alias()

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        numbers = [value for value in values if _is_number(value)]
        wanted = [int(n) for n in numbers if -_INT32 <= n < _INT32 and n == int(n)]
        return self._row(is_any(self._badges.c.badge, wanted, Integer()))

    def is_null(self) -> Clause:
        return ~self.exists()

    def exists(self) -> Clause:
        return self._row()

    def compares(self, order: Order, value: Ordered) -> Clause:
        return self.has(jsonb.compares(order, value))

    def matches(self, pattern: str) -> Clause:  # noqa: ARG002 - it is no text
        return false()

    def has(self, test: Test) -> Clause:
        return self._row(test(as_jsonb(self._badges.c.badge)))

    def has_item(self, test: Test) -> Clause:  # noqa: ARG002 - it is no list
        return false()

    def is_in(self, values: Values) -> Clause:
        return self.has(jsonb.is_found(values))

    def points_to(self, found: Found) -> Clause:  # noqa: ARG002 - it is no Pointer
        return false()

    def value(self) -> Value:
        own = self._badges.c.installation_id == self._installation_id
        return select(as_jsonb(self._badges.c.badge)).where(own).scalar_subquery()

    def _row(self, *conditions: Clause) -> Clause:
        own = self._badges.c.installation_id == self._installation_id
        return exists().where(own, *conditions)


class RelationField:
    """A relation: what it leads to is in a table of its own."""

    def __init__(self, related: Related, owner_id: KeyedColumnElement[str]) -> None:
        self._related = related
        self._owner_id = owner_id
        # By a name of its own: a query within this one may ask for relations, too.
        self._relations = relations.alias()

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        wanted = [
            value["objectId"]
            for value in values
            if isinstance(value, Mapping)
            and value["__type"] == "Pointer"
            and value["className"] == self._related.class_name
        ]
        return self._owns(is_any(self._relations.c.related_id, wanted, TEXT))

    def is_null(self) -> Clause:
        return ~self.exists()

    def exists(self) -> Clause:
        return self._owns()

    def compares(self, order: Order, value: Ordered) -> Clause:  # noqa: ARG002 - it has no order
        return false()

    def matches(self, pattern: str) -> Clause:  # noqa: ARG002 - it is no text
        return false()

    def has(self, test: Test) -> Clause:  # noqa: ARG002 - it is no value
        return false()

    def has_item(self, test: Test) -> Clause:  # noqa: ARG002 - it is no list
        # Nothing but an equality fits a relation, and `$containedBy` fits who has no such item.
        return true()

    def is_in(self, values: Values) -> Clause:
        value = values.subquery().c[0]
        ids = select(jsonb.text_at(value, "objectId")).where(
            jsonb.text_at(value, "className") == self._related.class_name
        )
        return self._owns(self._relations.c.related_id.in_(ids))

    def points_to(self, found: Found) -> Clause:
        if found.class_name != self._related.class_name:
            return false()
        return self._owns(self._relations.c.related_id.in_(found.object_ids()))

    def value(self) -> Value:
        return NOTHING

    def _owns(self, *conditions: Clause) -> Clause:
        owners = select(self._relations.c.owner_id).where(
            *self._related.own(self._relations), *conditions
        )
        return self._owner_id.in_(owners)


def _texts(values: Sequence[Atom]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _is_number(value: Atom) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _moment(value: Atom) -> datetime | None:
    if isinstance(value, str):
        return moment_of(value)
    return value if isinstance(value, datetime) else None
