"""Parse's `__op`: changes that depend on what is stored, and what they come to. Pure."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pushsvc.model import Json
from pushsvc.storage.encoded import (
    check_nested_key,
    identity,
    is_number,
    mismatch,
    refuse,
    shown,
    stored_form,
    type_name,
)

INVALID_JSON: Final = 107
#: Parts of a dotted key, as in queries.
MOST_PARTS: Final = 16
#: In a Batch: each may go over the whole of a list. SDKs send two.
MOST_OPERATIONS: Final = 32


class Unset(Enum):
    """The mark of a field that is to be removed; a custom field may well hold null."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Operation:
    """A change that depends on the stored value."""

    #: a key of `OPERATIONS`; or Batch, or SetOnInsert
    name: str
    #: the amount, the objects, the operations of a Batch, or the value of SetOnInsert
    value: Any


@dataclass(frozen=True, slots=True)
class Relating:
    """A change of a relation; empty where a relation was only named."""

    target_class: str
    #: object id -> whether it is related afterwards
    related: Mapping[str, bool]


#: Changes nothing: a change of a relation that names no object, and so no class either.
NOTHING: Final = Operation("Batch", ())


@dataclass(frozen=True, slots=True)
class _Kind:
    """How an operation is applied."""

    #: of the fields that it can be applied to
    field_type: str
    #: (field, stored value or None, operand) -> new value
    apply: Callable[[str, Any, Any], Any]


# ---------------------------------------------------------------- read


def parse_operation(class_name: str, field: str, sent: Json) -> Any:
    """Return an `Operation`, a `Relating`, or `UNSET` for Delete.

    Raises:
        InvalidObjectError: 108 an unknown operator, 107 an operand it cannot take, 111 and 121 a
            bad value in it.
    """
    operator = sent["__op"]
    if not isinstance(operator, str):
        refuse(108, field, "__op must be the name of an operator, as text.")
    reader = _READERS.get(operator)
    if reader is None:
        refuse(108, field, f"The {shown(operator)} operator is not supported yet.")
    return reader(class_name, field, sent)


def _delete(_class_name: str, _field: str, _sent: Json) -> Any:
    return UNSET


def _increment(_class_name: str, field: str, sent: Json) -> Operation:
    if not is_number(sent.get("amount")):
        refuse(INVALID_JSON, field, "incrementing must provide a number")
    return Operation("Increment", sent["amount"])


def _change_of_list(_class_name: str, field: str, sent: Json) -> Operation:
    name, objects = sent["__op"], sent.get("objects")
    if not isinstance(objects, list):
        verb = "remove" if name == "Remove" else "add"
        refuse(INVALID_JSON, field, f"objects to {verb} must be an array")
    return Operation(name, stored_form(field, objects))


def _set_on_insert(_class_name: str, field: str, sent: Json) -> Operation:
    value = stored_form(field, sent.get("amount"))
    return as_change(value) if type_name(value) == "Relation" else Operation("SetOnInsert", value)


def as_change(value: Any) -> Any:
    """Return a value in its stored form as what it changes: a relation is not kept in the row."""
    return Relating(value["className"], {}) if type_name(value) == "Relation" else value


def _change_of_relation(class_name: str, field: str, sent: Json) -> Any:
    objects = sent.get("objects")
    if not isinstance(objects, list):
        refuse(INVALID_JSON, field, "objects of a relation must be an array of Pointers")
    pointers = stored_form(field, objects)
    if not all(type_name(pointer) == "Pointer" for pointer in pointers):
        refuse(111, field, "objects of a relation must be Pointers")
    if not pointers:
        return NOTHING
    classes = [pointer["className"] for pointer in pointers]
    for other in classes:
        if other != classes[0]:
            expected, got = f"Relation<{classes[0]}>", f"Relation<{shown(other)}>"
            mismatch(field, expected, got, class_name=class_name)
    there = sent["__op"] == "AddRelation"
    return Relating(classes[0], {pointer["objectId"]: there for pointer in pointers})


def _batch(class_name: str, field: str, sent: Json) -> Any:
    """Read several operations on one field; those on a relation come to one."""
    ops = sent.get("ops")
    if not isinstance(ops, list) or not all(isinstance(op, Mapping) and "__op" in op for op in ops):
        refuse(INVALID_JSON, field, "ops of a Batch must be an array of operations")
    if len(ops) > MOST_OPERATIONS:
        refuse(INVALID_JSON, field, f"a Batch has at most {MOST_OPERATIONS} operations")
    if any(op["__op"] == "Batch" for op in ops):
        refuse(INVALID_JSON, field, "a Batch cannot hold another one")
    parsed = [parse_operation(class_name, field, op) for op in ops]
    changes = [op for op in parsed if op != NOTHING]
    relating = [op for op in changes if isinstance(op, Relating)]
    if not relating:
        return Operation("Batch", tuple(changes))
    if len(relating) < len(changes):
        refuse(INVALID_JSON, field, "a Batch changes a relation, or something else")
    return _together(class_name, field, relating)


def _together(class_name: str, field: str, changes: Sequence[Relating]) -> Relating:
    target = changes[0].target_class
    related: dict[str, bool] = {}
    for change in changes:
        if change.target_class != target:
            expected, got = f"Relation<{target}>", f"Relation<{change.target_class}>"
            mismatch(field, expected, got, class_name=class_name)
        related.update(change.related)
    return Relating(target, related)


_READERS: Final[Mapping[str, Callable[[str, str, Json], Any]]] = {
    "Delete": _delete,
    "Increment": _increment,
    **dict.fromkeys(("Add", "AddUnique", "Remove"), _change_of_list),
    **dict.fromkeys(("AddRelation", "RemoveRelation"), _change_of_relation),
    "SetOnInsert": _set_on_insert,
    "Batch": _batch,
}


# ---------------------------------------------------------------- apply


def applied(change: Any, stored: Any, *, class_name: str, field: str, creating: bool) -> Any:
    """Return what a change makes of the stored value (`UNSET` for none); new values are changes.

    Raises:
        InvalidObjectError: 111 the stored value is of another type.
    """
    if not isinstance(change, Operation):
        return change
    if change.name == "SetOnInsert":
        return change.value if creating else stored
    if change.name == "Batch":
        for one in change.value:
            stored = applied(one, stored, class_name=class_name, field=field, creating=creating)
        return stored
    kind = OPERATIONS[change.name]
    there = None if stored is UNSET else stored
    if there is not None and type_name(there) != kind.field_type:
        mismatch(field, type_name(there), kind.field_type, class_name=class_name)
    return kind.apply(field, there, change.value)


def _incremented(field: str, stored: Any, amount: Any) -> Any:
    total = (stored or 0) + amount
    if not math.isfinite(total):
        refuse(111, field, f"incrementing {field} by that much leaves the range of numbers")
    return total


def _added(_field: str, stored: Any, objects: Sequence[Any]) -> list[Any]:
    return [*(stored or ()), *objects]


def _added_once(_field: str, stored: Any, objects: Sequence[Any]) -> list[Any]:
    seen = {identity(value) for value in stored or ()}
    new = {identity(value): value for value in objects if identity(value) not in seen}
    return [*(stored or ()), *new.values()]


def _removed(_field: str, stored: Any, objects: Sequence[Any]) -> list[Any]:
    gone = {identity(value) for value in objects}
    return [value for value in stored or () if identity(value) not in gone]


#: Parse's name -> what it is applied to, and how.
OPERATIONS: Final[Mapping[str, _Kind]] = {
    "Increment": _Kind("Number", _incremented),
    "Add": _Kind("Array", _added),
    "AddUnique": _Kind("Array", _added_once),
    "Remove": _Kind("Array", _removed),
}


# ---------------------------------------------------------------- dotted keys


def check_path(field: str, path: Sequence[str]) -> None:
    """Raise InvalidObjectError where the rest of a dotted key can lead nowhere."""
    if len(path) >= MOST_PARTS or not all(path):
        refuse(105, None, f"Invalid field name: {shown('.'.join((field, *path)))}.")
    for part in path:
        check_nested_key(field, part)


def changed_within(
    whole: Any, path: Sequence[str], *, field: str, change: Callable[[Any], Any]
) -> Any:
    """Return the value of a field, changed where the path leads; objects on the way are made.

    Args:
        whole: the field's value; `UNSET` for none.
        path: the parts of the dotted key after the field's name.
        field: the name, for errors.
        change: from the value at the end, `UNSET` for none, to the new one.

    Raises:
        InvalidObjectError: 111 the path leads through what is neither an object nor a list.
    """
    if not path:
        return change(whole)
    if isinstance(whole, list):
        return _changed_item(whole, path, field=field, change=change)
    if whole is not UNSET and whole is not None and type_name(whole) != "Object":
        refuse(111, field, f"{field} holds no object where {shown('.'.join(path))} should be.")
    there: Json = whole if isinstance(whole, Mapping) else {}
    new = changed_within(there.get(path[0], UNSET), path[1:], field=field, change=change)
    if new is UNSET:
        return {n: v for n, v in there.items() if n != path[0]} if there else whole
    return {**there, path[0]: new}


#: One name for each item, so that a save has one change for it.
_PLACE: Final = re.compile(r"0|[1-9][0-9]*")


def _changed_item(
    items: Sequence[Any], path: Sequence[str], *, field: str, change: Callable[[Any], Any]
) -> Any:
    """Change an item of a list, or add the next; one that is deleted is null, as in MongoDB."""
    place = int(path[0]) if _PLACE.fullmatch(path[0]) else len(items) + 1
    if place > len(items):
        refuse(111, field, f"{field} has no item {shown(path[0])}, nor can it be the next.")
    there = items[place] if place < len(items) else UNSET
    new = changed_within(there, path[1:], field=field, change=change)
    if new is UNSET:
        return [*items[:place], None, *items[place + 1 :]] if place < len(items) else items or UNSET
    return [*items[:place], new, *items[place + 1 :]]


def echoed(path: Sequence[str], whole: Any) -> Any:
    """Return of a changed field what a dotted operation tells: objects down to the result."""
    if not path or not isinstance(whole, Mapping):
        return whole
    return {path[0]: echoed(path[1:], whole.get(path[0]))}
