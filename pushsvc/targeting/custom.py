"""Custom fields, which are jsonb, and the ways into them."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import (
    BigInteger,
    FromClause,
    Subquery,
    Text,
    any_,
    case,
    false,
    func,
    literal,
    null,
    or_,
    select,
)

from pushsvc.storage.tables import installation_pointers
from pushsvc.targeting import jsonb
from pushsvc.targeting.conditions import Atom, Order, Ordered
from pushsvc.targeting.fields import Found, Values
from pushsvc.targeting.jsonb import Clause, Test, Value

#: Up to this many forms of a custom field are looked up in the index, each by itself; beyond, one
#: hash table of the values is held against every row.
_MAX_LOOKUPS: Final = 32


class JsonField:
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

    def is_in(self, values: Values) -> Clause:
        return self._reach(jsonb.is_in(values))

    def points_to(self, found: Found) -> Clause:
        return self.is_in(found.pointers())

    def value(self) -> Value:
        return self._value[self._path] if self._path else self._value

    def _reach(self, test: Test) -> Clause:
        return jsonb.reach(self._value, self._path, test)


class CustomField(JsonField):
    """A custom field: its column has an index that knows containment."""

    def __init__(
        self, table: FromClause, column: str, path: tuple[str, ...], *, points_at: str | None
    ) -> None:
        super().__init__(table.c[column][path[0]], path[1:])
        self._table = table
        self._column = column
        self._whole = path
        #: the class that the field's Pointers lead to, where it has such
        self._points_at = points_at
        self._is_indexed = not any(jsonb.is_index(key) for key in path[1:])

    def is_one_of(self, values: Sequence[Atom]) -> Clause:
        values = [self._as_pointer(value) for value in values]
        forms = len(values) * 2 ** len(self._whole)
        # A Polygon contains another one that has the same corners in another order.
        polygon = any(jsonb.is_encoded(value, "Polygon") for value in values)
        if forms > _MAX_LOOKUPS or polygon or not self._is_indexed:
            return super().is_one_of(values)
        wanted = [form for value in values for form in jsonb.containing(self._whole, value)]
        # One parameter, not one of each: a clause of many of them is written ten times as fast.
        return self._table.c[self._column].bool_op("@>")(any_(literal(wanted, jsonb.JSONS)))

    def is_in(self, values: Values) -> Clause:
        if self._points_at is None:
            return super().is_in(values)
        value = values.subquery().c[0]
        named = jsonb.pointer(self._points_at, jsonb.text_of(value))
        pointers = select(case((jsonb.is_type(value, "string"), named), else_=value))
        return super().is_in(pointers)

    def points_to(self, found: Found) -> Clause:
        """Have each object looked up in the index, which leads to the rows that point to it."""
        if 2 ** len(self._whole) > _MAX_LOOKUPS or not self._is_indexed:
            return super().points_to(found)
        holder = self._table.alias()
        object_id = found.object_ids().subquery().c[0]
        forms = jsonb.built_around(self._whole, found.pointer(object_id))
        holds = or_(*(holder.c[self._column].contains(form) for form in forms))
        holders = select(holder.c.id).where(holder.c.app_id == found.app_id, holds)
        return self._table.c.id.in_(holders)

    def _as_pointer(self, value: Atom) -> Atom:
        """Read a bare id as the Pointer that it names: Parse's rule."""
        if self._points_at is None or not isinstance(value, str):
            return value
        return {"__type": "Pointer", "className": self._points_at, "objectId": value}


class InstallationField(CustomField):
    """A custom field of installations: what it points to is in a table of its own, too."""

    def points_to(self, found: Found) -> Clause:
        holders = self.holders(found)
        if holders is None:
            return super().points_to(found)
        an_id = holders.c.installation_id
        return self._table.c.id.in_(select(an_id).distinct().order_by(an_id))

    def holders(self, found: Found) -> Subquery | None:
        """Return rows of `installation_pointers`: those that point to the objects.

        None where that table does not know. The objects are looked up in the order of the index, so
        that each look is where the one before it was: that is twice as fast.
        """
        if len(self._whole) > 1:
            return None
        pointers = installation_pointers.alias()
        prefix = literal(f"{found.app_id}:{self._whole[0]}:{found.class_name}:", Text())
        object_ids = found.object_ids().subquery()
        target = prefix.op("||", return_type=Text())(object_ids.c[0])
        key = func.hashtextextended(target, literal(0, BigInteger()))
        objects = select(target.label("target"), key.label("key"))
        wanted = objects.order_by("key").subquery()
        # Two texts may have one key.
        same = pointers.c.key == wanted.c.key, pointers.c.target == wanted.c.target
        return select(pointers).where(*same).subquery()
