"""A tree of conditions becomes a SQL expression over `installations`.

Every value is a bind parameter. An expression is never true for a row that does not fit, but it may
be NULL instead of false: whoever negates one says IS NOT TRUE.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeGuard

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    DateTime,
    Integer,
    Text,
    and_,
    any_,
    case,
    exists,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from pushsvc.storage.tables import badges, installations
from pushsvc.targeting.where import And, Atom, Condition, Equal, Exists, OneOf, Or, moment_of

Clause = ColumnElement[bool]

#: Badges are 32-bit integers; a number that is none fits no badge.
_INT32: Final = 2**31
#: Up to this many values of a custom field are looked up in the index, each by itself; beyond, one
#: hash table of them is held against every row.
_MAX_LOOKUPS: Final = 32


def compile_condition(condition: Condition) -> Clause:
    """Return the condition as an expression over the columns of `installations`."""
    return _COMPILERS[type(condition)](condition)


def _equal(condition: Equal) -> Clause:
    field = _field(condition.field)
    return field.is_null() if condition.value is None else field.is_one_of([condition.value])


def _one_of(condition: OneOf) -> Clause:
    field = _field(condition.field)
    values = [value for value in condition.values if value is not None]
    if len(values) == len(condition.values):
        return field.is_one_of(values)
    return or_(field.is_null(), field.is_one_of(values))


def _exists(condition: Exists) -> Clause:
    field = _field(condition.field)
    return field.exists() if condition.wanted else field.is_missing()


def _and(condition: And) -> Clause:
    return and_(true(), *map(compile_condition, condition.conditions))


def _or(condition: Or) -> Clause:
    return or_(false(), *map(compile_condition, condition.conditions))


_COMPILERS: Final[Mapping[type[Condition], Callable[[Any], Clause]]] = {
    Equal: _equal,
    OneOf: _one_of,
    Exists: _exists,
    And: _and,
    Or: _or,
}


class _Field(Protocol):
    """How one key of a where-clause is asked of a row."""

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        """Equal to one of the values, or a list that holds one; none of the values is None."""

    def is_null(self) -> Clause:
        """Missing, or a stored null."""

    def exists(self) -> Clause:
        """There, a stored null included."""

    def is_missing(self) -> Clause:
        """Not there."""


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

    def is_missing(self) -> Clause:
        return self.is_null()


class _TextField(_ColumnField):
    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        return _is_any(self._column, _texts(values), Text())


class _TextsField(_ColumnField):
    """A list of texts; it is asked for an overlap, which its index can answer."""

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        texts = _texts(values)
        return self._column.overlap(literal(texts, ARRAY(Text()))) if texts else false()


class _MomentField(_ColumnField):
    """A moment; also asked for as ISO 8601 text. People see milliseconds, the column keeps more."""

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        found = (moment_of(value) if isinstance(value, str) else value for value in values)
        moments = [moment for moment in found if isinstance(moment, datetime)]
        to_the_millisecond = func.date_trunc("milliseconds", self._column)
        return _is_any(to_the_millisecond, moments, DateTime(timezone=True))


class _BadgeField:
    """The badge, from its own table: it is missing where the installation has no row there."""

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        numbers = [value for value in values if _is_number(value)]
        wanted = [int(n) for n in numbers if -_INT32 <= n < _INT32 and n == int(n)]
        return self._row(_is_any(badges.c.badge, wanted, Integer()))

    def is_null(self) -> Clause:
        return ~self.exists()

    def exists(self) -> Clause:
        return self._row(true())

    def is_missing(self) -> Clause:
        return self.is_null()

    def _row(self, condition: Clause) -> Clause:
        own = badges.c.installation_id == installations.c.id
        return exists().where(own, condition)


class _JsonField:
    """A custom field, or a key within one: `path` leads through objects, by numbers into lists."""

    def __init__(self, column: Column[Any], path: tuple[str, ...]) -> None:
        self._column = column
        self._path = path
        self._found: ColumnElement[Any] = column[path]

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        stored = [_stored(value) for value in values]
        if len(stored) > _MAX_LOOKUPS or any(key.isdigit() for key in self._path):
            return self._is_in(stored)
        # The index knows containment: {"k": "v"} and {"k": ["v"]} are found by it.
        wanted = [form for value in stored for form in (value, [value])]
        return or_(false(), *(self._column.contains(self._within(form)) for form in wanted))

    def is_null(self) -> Clause:
        return or_(self.is_missing(), func.jsonb_typeof(self._found) == "null")

    def exists(self) -> Clause:
        return self._found.is_not(null())

    def is_missing(self) -> Clause:
        return self._found.is_(null())

    def _within(self, value: Any) -> Any:
        for key in reversed(self._path):
            value = {key: value}
        return value

    def _is_in(self, stored: list[Any]) -> Clause:
        """Ask through a sub-select, which Postgres hashes; of a plain array it tries each value."""
        values = select(func.unnest(literal(stored, ARRAY(JSONB()))))
        is_list = func.jsonb_typeof(self._found) == "array"
        # SQL promises no order of AND, and the function fails on what is no list.
        a_list = case((is_list, self._found))
        item = func.jsonb_array_elements(a_list).column_valued("item")
        has_one = exists().where(item.in_(values))
        return or_(self._found.in_(values), and_(is_list, has_one))


class _NoField:
    """A key within a text or a list of texts: there is nothing in there."""

    def is_one_of(self, values: Sequence[Atom]) -> Clause:  # noqa: ARG002 - none is ever equal
        return false()

    def is_null(self) -> Clause:
        return true()

    def exists(self) -> Clause:
        return false()

    def is_missing(self) -> Clause:
        return true()


_COLUMNS: Final = installations.c
#: Parse's special fields; every other key is custom.
_SPECIAL: Final[Mapping[str, _Field]] = {
    "objectId": _TextField(_COLUMNS.object_id),
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


def _field(key: str) -> _Field:
    name, *rest = key.split(".")
    if name not in _SPECIAL:
        return _JsonField(_COLUMNS.custom, (name, *rest))
    if not rest:
        return _SPECIAL[name]
    return _JsonField(_COLUMNS.channel_uris, tuple(rest)) if name == "channelUris" else _NoField()


def _is_any(expression: ColumnElement[Any], values: list[Any], of: TypeEngine[Any]) -> Clause:
    """Return "equals one of"; for a single value as an equality, which is planned better."""
    if len(values) == 1:
        return expression == literal(values[0], of)
    return expression == any_(literal(values, ARRAY(of)))


def _texts(values: Sequence[Atom]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _is_number(value: Atom) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _stored(value: Atom) -> Any:
    """Return the value as custom fields hold it, Parse-encoded."""
    if not isinstance(value, datetime):
        return value
    iso = value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return {"__type": "Date", "iso": f"{iso}Z"}
