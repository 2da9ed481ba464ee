"""The types of custom fields: each class's field keeps that of its first value, as in Parse."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.clock import Clock
from pushsvc.remembered import Remembered
from pushsvc.storage.engine import driver
from pushsvc.storage.field_types import (
    GEO_POINT,
    RELATION,
    ClassFields,
    FieldType,
    check_room,
    fresh,
    refuse_second_place,
)
from pushsvc.storage.object_fields import ClassRules, Fields
from pushsvc.storage.tables import class_fields

#: A type is for ever, so what is remembered is at worst incomplete.
REMEMBERED_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Schema:
    """The custom fields of all classes of an app."""

    classes: Mapping[str, ClassFields] = field(default_factory=dict)

    def of(self, class_name: str) -> ClassFields:
        """Return the class's fields; none of a class that nobody has written to."""
        return self.classes.get(class_name, {})

    def place_of(self, class_name: str) -> str | None:
        """Return the class's GeoPoint field, of which Parse allows one."""
        fields = self.of(class_name).items()
        return next((name for name, kind in fields if kind.name == GEO_POINT), None)

    def relations_of(self, class_name: str) -> Mapping[str, Mapping[str, str]]:
        """Return the class's relation fields, as every object of the class shows them."""
        return {
            name: {"__type": RELATION, "className": kind.target_class or ""}
            for name, kind in self.of(class_name).items()
            if kind.name == RELATION
        }

    def relation(self, class_name: str, name: str) -> str | None:
        """Return the class that a relation field leads to; None where it is no such field."""
        kind = self.of(class_name).get(name)
        return kind.target_class if kind and kind.name == RELATION else None


_LOAD: Final = "SELECT class_name, field, type, target_class FROM class_fields WHERE app_id = $1"


async def load_schema(engine: AsyncEngine, app_id: int) -> Schema:
    """Return the app's schema."""
    async with driver(engine) as connection:
        rows = await connection.fetch(_LOAD, app_id)
    classes: dict[str, dict[str, FieldType]] = {}
    for class_name, field_name, kind, target_class in rows:
        classes.setdefault(class_name, {})[field_name] = FieldType(kind, target_class)
    return Schema(classes)


async def add_fields(
    engine: AsyncEngine, *, app_id: int, class_name: str, new: ClassFields
) -> ClassFields:
    """Note the types of new fields, in a transaction of its own; return those that hold.

    They are others than the given ones where somebody else was first. Of two GeoPoint fields in
    one class the second is not among them.
    """
    # In one order, so that two writers never wait for each other: by name, and at last the places,
    # of which one waits for the other whatever their names are.
    ordered = sorted(new.items(), key=lambda one: (one[1].name == GEO_POINT, one[0]))
    rows: list[dict[str, Any]] = [
        {
            "app_id": app_id,
            "class_name": class_name,
            "field": name,
            "type": kind.name,
            "target_class": kind.target_class,
        }
        for name, kind in ordered
    ]
    columns = class_fields.c
    key = tuple_(columns.app_id, columns.class_name, columns.field)
    held = select(columns.field, columns.type, columns.target_class).where(
        key.in_([(app_id, class_name, name) for name in new])
    )
    async with engine.begin() as connection:
        await connection.execute(insert(class_fields).values(rows).on_conflict_do_nothing())
        found = await connection.execute(held)
    return {row.field: FieldType(row.type, row.target_class) for row in found}


class Schemas:
    """Knows the schemas of the apps."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._schemas: Remembered[Schema] = Remembered(clock, seconds=REMEMBERED_SECONDS)

    async def of(self, app_id: int) -> Schema:
        """Return the app's schema, as it was a few seconds ago at the earliest."""

        async def load() -> Schema:
            return await load_schema(self._engine, app_id)

        found = await self._schemas.get_or(app_id, load)
        assert found is not None
        return found

    async def now(self, app_id: int) -> Schema:
        """Return the app's schema as it is, and remember that."""
        return self._schemas.put(app_id, await load_schema(self._engine, app_id))

    async def settle(self, app_id: int, rules: ClassRules, fields: Fields) -> ClassFields:
        """Have the class's fields take these values; return the types of all of them.

        Where all are known, as nearly always, the database is not asked.

        Raises:
            InvalidObjectError: 111 a field has another type; 140 there are too many.
        """
        schema = await self.of(app_id)
        known = schema.of(rules.name)
        new = fresh(rules.name, fields, known, special=rules.types)
        if not new:
            return known
        check_room(rules.name, new, schema.classes)
        held = await add_fields(self._engine, app_id=app_id, class_name=rules.name, new=new)
        self.forget(app_id)
        for name in new.keys() - held.keys():
            refuse_second_place(name)
        # Somebody else may have been first, with another type.
        known = {**known, **held}
        fresh(rules.name, fields, known, special=rules.types)
        return known

    def forget(self, app_id: int) -> None:
        """Look the app's schema up anew when it is next asked for."""
        self._schemas.drop(app_id)
