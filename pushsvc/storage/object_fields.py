"""What an object of any class may hold: checked, and applied to what is stored. Pure.

Texts and codes are Parse's: 105 a bad name, 107 and 108 a bad operation, 111 a wrong type, 116 too
large, 121 a bad nested key.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from pushsvc.model import Json
from pushsvc.storage.encoded import (
    NAME_CHARACTERS,
    check_storable,
    mismatch,
    refuse,
    shown,
    stored_form,
    type_name,
)
from pushsvc.storage.field_types import OWN_FIELDS, ClassFields, type_of
from pushsvc.storage.operations import (
    INVALID_JSON,
    NOTHING,
    UNSET,
    Operation,
    Relating,
    applied,
    as_change,
    changed_within,
    check_path,
    echoed,
    parse_operation,
)

#: Parse keeps these itself; a caller may send them back, as he got them.
OBJECT_ID, CREATED_AT, UPDATED_AT = "objectId", "createdAt", "updatedAt"
ACL: Final = "ACL"

#: Characters of a dotted key, as in queries.
KEY_CHARACTERS: Final = 256
#: Dotted keys in one save: each copies what its field holds.
MOST_DOTTED_KEYS: Final = 1_000
_NAME: Final = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{NAME_CHARACTERS - 1}}}")
_RESERVED_NAMES: Final = frozenset({"length", "className", "id"})
_OBJECT_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")

#: Parse's name, or a dotted key -> its new value, `UNSET`, an `Operation` or a `Relating`; checked.
Fields = Mapping[str, Any]
#: (field, value) -> the value as it is stored
Check = Callable[[str, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRules:
    """What a class asks of its special fields; the others may hold what their type allows."""

    name: str
    #: special field -> Parse's name of its type
    types: Mapping[str, str]
    checks: Mapping[str, Check]


def rules_of(class_name: str) -> ClassRules:
    """Return the rules of a class without special fields but those that all classes have."""
    return ClassRules(
        name=class_name, types={ACL: ACL}, checks={ACL: partial(check_acl, class_name)}
    )


def check_acl(class_name: str, name: str, value: Any) -> Any:
    """Return an ACL; raise InvalidObjectError (111) where it is none."""
    grants = value.values() if isinstance(value, Mapping) else None
    if grants is None or not all(isinstance(grant, Mapping) for grant in grants):
        mismatch(name, ACL, type_name(value), class_name=class_name)
    rights = [right for grant in grants for right in grant.items()]
    if not all(name in _RIGHTS and isinstance(allowed, bool) for name, allowed in rights):
        refuse(111, name, "An ACL says read or write, true or false, of each whom it names.")
    return value


_RIGHTS: Final = frozenset({"read", "write"})


# ---------------------------------------------------------------- read


def parse_fields(rules: ClassRules, body: Json, *, creating: bool = False) -> Fields:
    """Return the fields of an object as they were sent, checked and in their stored form.

    `objectId`, `createdAt` and `updatedAt` pass when they are strings: it is for the caller to
    refuse, ignore or keep them.

    Raises:
        InvalidObjectError: with Parse's code and text.
    """
    check_storable(body)
    if sum("." in key for key in body) > MOST_DOTTED_KEYS:
        refuse(INVALID_JSON, None, f"A save changes at most {MOST_DOTTED_KEYS:,} parts of fields.")
    return {key: _parse(rules, key, value, creating=creating) for key, value in body.items()}


def _parse(rules: ClassRules, key: str, value: Any, *, creating: bool) -> Any:
    if isinstance(value, str) and key in rules.checks:
        return rules.checks[key](key, value)
    if key in {OBJECT_ID, CREATED_AT, UPDATED_AT}:
        return _own_field(rules, key, value)
    name, dot, rest = key.partition(".")
    if dot:
        _check_dotted(rules, key, creating=creating)
    elif not _NAME.fullmatch(name) or name in _RESERVED_NAMES:
        refuse(105, None, f"Invalid field name: {shown(name)}.")
    if isinstance(value, Mapping) and "__op" in value:
        return _operation(rules, key, value)
    if name not in rules.checks:
        return _custom(key, value)
    if rest:
        return stored_form(name, value)
    return UNSET if value is None else rules.checks[name](name, value)


def _custom(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return value
    change = as_change(stored_form(key, value))
    if isinstance(change, Relating) and "." in key:
        refuse(111, key, "a relation cannot be within an object")
    return change


def _check_dotted(rules: ClassRules, key: str, *, creating: bool) -> None:
    """A dotted key changes a part of a field, so there must be something to change."""
    name, _, rest = key.partition(".")
    named = _NAME.fullmatch(name) and name not in _RESERVED_NAMES | OWN_FIELDS
    if creating or not named or len(key) > KEY_CHARACTERS:
        refuse(105, None, f"Invalid field name: {shown(key)}.")
    check_path(name, rest.split("."))
    has_parts = rules.types.get(name, "Object") in {"Object", "Array"}
    if not has_parts:
        mismatch(name, rules.types[name], "Object", class_name=rules.name)


def _own_field(rules: ClassRules, name: str, value: Any) -> Any:
    if isinstance(value, Mapping) and value.get("__type") == "Date":
        value = value.get("iso")
    if name == OBJECT_ID:
        if not isinstance(value, str) or not _OBJECT_ID.fullmatch(value):
            refuse(105, name, "objectId is an invalid field name.")
        return value
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        mismatch(name, "Date", type_name(value), class_name=rules.name)
    return moment.replace(tzinfo=moment.tzinfo or UTC).isoformat()


def _operation(rules: ClassRules, key: str, sent: Json) -> Any:
    name, dot, _ = key.partition(".")
    change = parse_operation(rules.name, key, sent)
    if isinstance(change, Relating) and dot:
        refuse(111, key, "a relation cannot be within an object")
    if name in rules.types and not dot:
        needed, expected = type_of(change), rules.types[name]
        if needed is not None and str(needed) != expected:
            mismatch(name, expected, str(needed), class_name=rules.name)
    return change


# ---------------------------------------------------------------- apply


def changed(
    rules: ClassRules, fields: Fields, stored: Json, *, types: ClassFields, creating: bool
) -> dict[str, Any]:
    """Return the new value of every field that was sent; `UNSET` for those to remove.

    Relations are not among them: they are kept beside the row.

    Args:
        rules: the class's.
        fields: what was sent.
        stored: all fields of the object; none of a new one.
        types: the types of the class's fields.
        creating: whether it is a new object.

    Raises:
        InvalidObjectError: 111 where an operation does not fit the stored value, 116 where the
            object would be too large.
    """
    values: dict[str, Any] = {}
    operated: set[str] = set()
    for key, change in fields.items():
        if isinstance(change, Relating):
            continue
        name, dot, rest = key.partition(".")
        if not dot and not isinstance(change, Operation):
            values[name] = change
            continue
        before = values[name] if name in values else stored.get(name, UNSET)
        path = rest.split(".") if dot else []
        whole = [] if dot and before in (UNSET, None) and _is_list(rules, types, name) else before
        apply = partial(applied, change, class_name=rules.name, field=name, creating=creating)
        values[name] = changed_within(whole, path, field=name, change=apply)
        operated.add(name)
    for name in operated:
        if values[name] is not UNSET:
            values[name] = rules.checks.get(name, _any)(name, values[name])
    if operated or stored:
        whole = {**stored, **values}
        check_storable({name: value for name, value in whole.items() if value is not UNSET})
    return values


def _is_list(rules: ClassRules, types: ClassFields, name: str) -> bool:
    return "Array" in {rules.types.get(name), types[name].name if name in types else None}


def _any(_name: str, value: Any) -> Any:
    return value


def results(fields: Fields, values: Json) -> dict[str, Any]:
    """Return what operations came to, which is all of an update that Parse echoes."""
    told: dict[str, Any] = {}
    for key, change in fields.items():
        name, dot, rest = key.partition(".")
        if not isinstance(change, Operation) or change == NOTHING or values[name] is UNSET:
            continue
        result = echoed(rest.split(".") if dot else [], values[name])
        told[name] = _merged(told.get(name), result)
    return told


def _merged(one: Any, other: Any) -> Any:
    """Put together what two operations within one field tell."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return other
    return {**one, **{name: _merged(one.get(name), value) for name, value in other.items()}}


def relating(fields: Fields) -> dict[str, Relating]:
    """Return the relations that are to be changed."""
    return {
        name: change
        for name, change in fields.items()
        if isinstance(change, Relating) and change.related
    }
