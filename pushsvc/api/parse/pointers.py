"""Pointers in what was found: where they are, and their places taken by objects. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pushsvc.api.parse.find import Path

#: (class, object id)
Key = tuple[str, str]

#: Stands for a pointer that leads to nothing.
MISSING: Final = object()


def pointers_at(value: Any, path: Path) -> Iterator[Key | None]:
    """Yield the pointers that the path leads to, through objects and all items of lists.

    None is yielded for each other value that was looked at, so that the caller can count.
    """
    if isinstance(value, list):
        for item in value:
            yield from pointers_at(item, path)
    elif not isinstance(value, Mapping):
        yield None
    elif path:
        if path[0] in value:
            yield from pointers_at(value[path[0]], path[1:])
    else:
        yield pointed_at(value)


def pointed_at(value: Mapping[str, Any]) -> Key | None:
    """Return what a pointer leads to; None of what is no pointer."""
    if value.get("__type") != "Pointer":
        return None
    return value["className"], value["objectId"]


def replaced(value: Any, path: Path, objects: Mapping[Key, Any]) -> Any:
    """Return the value with objects for the pointers that the path leads to.

    A pointer whose object is not among them is left out, as Parse does it.
    """
    if isinstance(value, list):
        items = (replaced(item, path, objects) for item in value)
        return [item for item in items if item is not MISSING]
    if not isinstance(value, Mapping):
        return value
    if not path:
        key = pointed_at(value)
        return value if key is None else objects.get(key, MISSING)
    if path[0] not in value:
        return value
    new = replaced(value[path[0]], path[1:], objects)
    if new is MISSING:
        return {name: one for name, one in value.items() if name != path[0]}
    return {**value, path[0]: new}
