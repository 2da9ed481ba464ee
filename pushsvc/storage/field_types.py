"""The types of fields: what a value says of its field, and whether the class agrees. Pure."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pushsvc.storage.encoded import mismatch, refuse, type_name
from pushsvc.storage.operations import OPERATIONS, UNSET, Operation, Relating

GEO_POINT: Final = "GeoPoint"
RELATION: Final = "Relation"
_POINTER: Final = "Pointer"

#: Parse's documents never come near. Each app's types are read every few seconds by each process.
FIELDS_OF_CLASS: Final = 1_000
FIELDS_OF_APP: Final = 10_000
CLASSES_OF_APP: Final = 500
#: Parse's error table: ExceededQuota
_EXCEEDED_QUOTA: Final = 140


@dataclass(frozen=True, slots=True)
class FieldType:
    """What a field holds, under Parse's name: String, Number, ... Pointer, Relation."""

    name: str
    #: the class that a Pointer or Relation leads to
    target_class: str | None = None

    def __str__(self) -> str:
        return self.name if self.target_class is None else f"{self.name}<{self.target_class}>"


#: field -> type
ClassFields = Mapping[str, FieldType]
NO_TYPES: Final[ClassFields] = {}

_STRING: Final = FieldType("String")
_OBJECT: Final = FieldType("Object")
_ARRAY: Final = FieldType("Array")
#: Of each plain type there is one, which most fields have.
_SIMPLE: Final[Mapping[str, FieldType]] = {
    name: FieldType(name)
    for name in (
        *("Array", "Boolean", "Bytes", "Date", "File", "GeoPoint", "Number", "Object"),
        *("Polygon", "String"),
    )
}
#: Fields that every object has: they are none of a class's own.
OWN_FIELDS: Final = frozenset({"objectId", "createdAt", "updatedAt", "ACL"})
#: What Parse itself says of its classes; the others have the type of their first value.
PREDEFINED: Final[Mapping[str, ClassFields]] = {
    "_User": {
        "username": _STRING,
        "email": _STRING,
        "emailVerified": FieldType("Boolean"),
    },
    "_Role": {
        "name": _STRING,
        "users": FieldType(RELATION, "_User"),
        "roles": FieldType(RELATION, "_Role"),
    },
}


def relations_in(types: ClassFields) -> list[str]:
    """Return the fields that are relations."""
    return [name for name, kind in types.items() if kind.name == RELATION]


def type_of(value: Any) -> FieldType | None:
    """Return the type that a value in its stored form, or an operation, needs; None for any."""
    if isinstance(value, str):
        return _STRING
    if value is None or value is UNSET:
        return None
    if isinstance(value, Relating):
        return FieldType(RELATION, value.target_class)
    if isinstance(value, Operation):
        return _type_of_operation(value)
    name = type_name(value)
    if name in {_POINTER, RELATION}:
        return FieldType(name, value["className"])
    return _SIMPLE[name]


def _type_of_operation(operation: Operation) -> FieldType | None:
    if operation.name == "Batch":
        return next(filter(None, map(type_of, operation.value)), None)
    if operation.name == "SetOnInsert":
        return type_of(operation.value)
    return _SIMPLE[OPERATIONS[operation.name].field_type]


def fresh(
    class_name: str, fields: Mapping[str, Any], known: ClassFields, *, special: Container[str]
) -> dict[str, FieldType]:
    """Return the types of those fields that the class does not know yet.

    Args:
        class_name: the class.
        fields: values in their stored form, and operations; dotted keys lead into objects.
        known: the types of the class's fields.
        special: fields that have their own rules, and no type here.

    Raises:
        InvalidObjectError: 111 where a field has another type, or a second place is to be added.
    """
    new: dict[str, FieldType] = {}
    for key, value in fields.items():
        if key in special or key in OWN_FIELDS:
            continue
        name, dot, rest = key.partition(".")
        if dot and name in special:
            continue
        needed = _OBJECT if dot else type_of(value)
        if needed is None:
            continue
        held = known.get(name) or new.get(name) or PREDEFINED.get(class_name, NO_TYPES).get(name)
        if held is None or name not in known:
            new[name] = held or needed
        if held is not None and held != needed and not (dot and _is_item(held, rest)):
            mismatch(name, str(held), str(needed), class_name=class_name)
    _check_places(new, known)
    return new


def _is_item(held: FieldType, rest: str) -> bool:
    """Tell whether a dotted key names an item of a list."""
    return held == _ARRAY and rest.partition(".")[0].isdigit()


def _check_places(new: ClassFields, known: ClassFields) -> None:
    places = [name for name, kind in new.items() if kind.name == GEO_POINT]
    if not places:
        return
    if len(places) > 1 or any(kind.name == GEO_POINT for kind in known.values()):
        refuse_second_place(places[-1])


def refuse_second_place(name: str) -> None:
    """Raise Parse's error for a second GeoPoint field."""
    refuse(111, name, "there can only be one geopoint field in a class")


def check_room(class_name: str, new: ClassFields, classes: Mapping[str, ClassFields]) -> None:
    """Raise InvalidObjectError (140) where the app would have too many fields or classes."""
    if len(classes.get(class_name, ())) + len(new) > FIELDS_OF_CLASS:
        text = f"{class_name} would have more than {FIELDS_OF_CLASS:,} fields."
        refuse(_EXCEEDED_QUOTA, None, text)
    if class_name not in classes and len(classes) >= CLASSES_OF_APP:
        refuse(_EXCEEDED_QUOTA, None, f"The app would have more than {CLASSES_OF_APP:,} classes.")
    if sum(map(len, classes.values())) + len(new) > FIELDS_OF_APP:
        text = f"The classes of the app would have more than {FIELDS_OF_APP:,} fields."
        refuse(_EXCEEDED_QUOTA, None, text)
