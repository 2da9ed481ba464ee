"""How each key of a where-clause is asked of a row: Parse's special fields and custom ones."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, TypeGuard

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    DateTime,
    Integer,
    Text,
    any_,
    exists,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from pushsvc.storage.tables import badges, installations
from pushsvc.targeting import jsonb
from pushsvc.targeting.conditions import Atom, FromNow, Order, Ordered
from pushsvc.targeting.jsonb import Clause, Test, Value
from pushsvc.targeting.values import moment_of

#: Badges are 32-bit integers; a number that is none fits no badge.
_INT32: Final = 2**31
#: Up to this many forms of a custom field are looked up in the index, each by itself; beyond, one
#: hash table of the values is held against every row.
_MAX_LOOKUPS: Final = 32


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


class _ColumnField:
    """A special field with a column of its own: it is missing where the column is NULL.

    Of this kind itself are columns whose values no where-clause can name.
    """

    def __init__(self, column: Column[Any]) -> None:
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
        return test(_as_jsonb(self._column))

    def has_item(self, test: Test) -> Clause:  # noqa: ARG002 - it is no list
        return false()


class _TextField(_ColumnField):
    def __init__(self, column: Column[Any], *, collation: str | None = "C") -> None:
        super().__init__(column)
        self._collation = collation

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        return _is_any(self._column, _texts(values), Text())

    def compares(self, order: Order, value: Ordered) -> Clause:
        if not isinstance(value, str):
            return false()
        column = self._column.collate(self._collation) if self._collation else self._column
        return jsonb.in_order(column, order, literal(value, Text()))

    def matches(self, pattern: str) -> Clause:
        return self._column.regexp_match(pattern)


class _TextsField(_ColumnField):
    """A list of texts; it is asked for an overlap, which its index can answer."""

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        texts = _texts(values)
        return self._column.overlap(literal(texts, ARRAY(Text()))) if texts else false()

    def has(self, test: Test) -> Clause:
        return self.has_item(test)

    def has_item(self, test: Test) -> Clause:
        return jsonb.item_of_list(test)(_as_jsonb(self._column))


class _MomentField(_ColumnField):
    """A moment; also asked for as ISO 8601 text. People see milliseconds, the column keeps more."""

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        found = (_moment(value) for value in values)
        moments = [moment for moment in found if moment is not None]
        return _is_any(self._to_the_millisecond(), moments, DateTime(timezone=True))

    def compares(self, order: Order, value: Ordered) -> Clause:
        if isinstance(value, FromNow):
            return jsonb.in_order(self._to_the_millisecond(), order, jsonb.since_now(value))
        moment = _moment(value)
        if moment is None:
            return false()
        bound = literal(moment, DateTime(timezone=True))
        return jsonb.in_order(self._to_the_millisecond(), order, bound)

    def has(self, test: Test) -> Clause:
        iso = jsonb.iso_of(self._column)
        date = func.jsonb_build_object("__type", "Date", "iso", iso, type_=JSONB())
        return test(date)

    def _to_the_millisecond(self) -> ColumnElement[datetime]:
        return func.date_trunc("milliseconds", self._column)


class _BadgeField:
    """The badge, from its own table: it is missing where the installation has no row there."""

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        numbers = [value for value in values if _is_number(value)]
        wanted = [int(n) for n in numbers if -_INT32 <= n < _INT32 and n == int(n)]
        return self._row(_is_any(badges.c.badge, wanted, Integer()))

    def is_null(self) -> Clause:
        return ~self.exists()

    def exists(self) -> Clause:
        return self._row()

    def compares(self, order: Order, value: Ordered) -> Clause:
        return self.has(jsonb.compares(order, value))

    def matches(self, pattern: str) -> Clause:  # noqa: ARG002 - it is no text
        return false()

    def has(self, test: Test) -> Clause:
        return self._row(test(_as_jsonb(badges.c.badge)))

    def has_item(self, test: Test) -> Clause:  # noqa: ARG002 - it is no list
        return false()

    def _row(self, *conditions: Clause) -> Clause:
        own = badges.c.installation_id == installations.c.id
        return exists().where(own, *conditions)


class _JsonField:
    """A field of jsonb, or what a path within it leads to."""

    def __init__(self, value: Value, path: tuple[str, ...]) -> None:
        self._value = value
        self._path = path

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        return self.has(jsonb.equals_one_of(values)) if values else false()

    def is_null(self) -> Clause:
        null_item = jsonb.itself_or_item(jsonb.is_null_value)
        return self._reach(lambda value: or_(value.is_(null()), null_item(value)))

    def exists(self) -> Clause:
        return self._reach(lambda value: value.is_not(null()))

    def compares(self, order: Order, value: Ordered) -> Clause:
        return self.has(jsonb.compares(order, value))

    def matches(self, pattern: str) -> Clause:
        return self.has(jsonb.matches(pattern))

    def has(self, test: Test) -> Clause:
        return self._reach(jsonb.itself_or_item(test))

    def has_item(self, test: Test) -> Clause:
        return self._reach(jsonb.item_of_list(test))

    def _reach(self, test: Test) -> Clause:
        return jsonb.reach(self._value, self._path, test)


class _CustomField(_JsonField):
    """A custom field: its column has an index that knows containment."""

    def __init__(self, column: Column[Any], path: tuple[str, ...]) -> None:
        super().__init__(column[path[0]], path[1:])
        self._column = column
        self._whole = path

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        forms = len(values) * 2 ** len(self._whole)
        if forms > _MAX_LOOKUPS or any(jsonb.is_index(key) for key in self._path):
            return super().is_one_of(values)
        wanted = (form for value in values for form in jsonb.containing(self._whole, value))
        return or_(false(), *(self._column.contains(form) for form in wanted))


_COLUMNS: Final = installations.c
#: Parse's special fields; every other key is custom.
_SPECIAL: Final[Mapping[str, Field]] = {
    # Pages by objectId (`each` of the SDKs) go in the order of its index.
    "objectId": _TextField(_COLUMNS.object_id, collation=None),
    "installationId": _TextField(_COLUMNS.installation_id),
    "deviceToken": _TextField(_COLUMNS.device_token),
    "deviceType": _TextField(_COLUMNS.device_type),
    "pushType": _TextField(_COLUMNS.push_type),
    "GCMSenderId": _TextField(_COLUMNS.gcm_sender_id),
    "timeZone": _TextField(_COLUMNS.time_zone),
    "localeIdentifier": _TextField(_COLUMNS.locale_identifier),
    "appVersion": _TextField(_COLUMNS.app_version),
    "appName": _TextField(_COLUMNS.app_name),
    "appIdentifier": _TextField(_COLUMNS.app_identifier),
    "parseVersion": _TextField(_COLUMNS.parse_version),
    "channels": _TextsField(_COLUMNS.channels),
    "channelUris": _ColumnField(_COLUMNS.channel_uris),
    "createdAt": _MomentField(_COLUMNS.created_at),
    "updatedAt": _MomentField(_COLUMNS.updated_at),
    "badge": _BadgeField(),
}
#: Those that hold something a dotted key can lead to.
_WITHIN: Final[Mapping[str, Value]] = {
    "channels": func.to_jsonb(_COLUMNS.channels, type_=JSONB()),
    "channelUris": _COLUMNS.channel_uris,
}
_NOTHING: Final = literal_column("NULL::jsonb", JSONB())


def field(key: str) -> Field:
    """Return how the key, dotted or not, is asked of a row of `installations`."""
    name, *rest = key.split(".")
    if name not in _SPECIAL:
        return _CustomField(_COLUMNS.custom, (name, *rest))
    return _JsonField(_WITHIN.get(name, _NOTHING), tuple(rest)) if rest else _SPECIAL[name]


def single_value(key: str) -> Value:
    """Return what a custom key leads to through objects, without looking into lists."""
    return _COLUMNS.custom[tuple(key.split("."))]


def _as_jsonb(column: ColumnElement[Any]) -> Value:
    return func.to_jsonb(column, type_=JSONB())


def _is_any(expression: ColumnElement[Any], values: list[Any], of: TypeEngine[Any]) -> Clause:
    """Return "equals one of"; for a single value as an equality, which is planned better."""
    if len(values) == 1:
        return expression == literal(values[0], of)
    return expression == any_(literal(values, ARRAY(of)))


def _texts(values: Sequence[Atom]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _is_number(value: Atom) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _moment(value: Atom) -> datetime | None:
    if isinstance(value, str):
        return moment_of(value)
    return value if isinstance(value, datetime) else None
