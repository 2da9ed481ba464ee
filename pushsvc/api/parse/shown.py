"""Objects as Parse shows them, and in place of pointers the objects that these lead to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pushsvc.api.auth import Caller
from pushsvc.api.parse.class_names import has_objects
from pushsvc.api.parse.find import Include, Keys, Path, Shown
from pushsvc.api.parse.pointers import Key, pointers_at, replaced
from pushsvc.api.replies import moment
from pushsvc.errors import InvalidQueryError
from pushsvc.model import Json
from pushsvc.resources import Resources
from pushsvc.storage.acl import may, protected
from pushsvc.storage.fields import CLASS_NAME as INSTALLATION
from pushsvc.storage.installations import Installation, get_installations
from pushsvc.storage.objects import StoredObject, get_objects
from pushsvc.storage.schema import Schema

#: Objects that stand in one reply in place of pointers, each as often as it is there.
MOST_INCLUDED: Final = 10_000
#: Values looked at on the way to pointers: lists may be long, and in each of many objects.
MOST_LOOKED_AT: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """Shows what was found to somebody."""

    resources: Resources
    caller: Caller
    schema: Schema
    class_name: str

    async def show(
        self, found: Sequence[Installation | StoredObject], shown: Shown
    ) -> list[dict[str, Any]]:
        """Return the objects as they were asked for.

        Raises:
            InvalidQueryError: 102, more is to be included than fits into a reply.
        """
        whole = [self._whole(self.class_name, one) for one in found]
        results = [shown.keys.of(one) for one in whole]
        paths = self._paths(shown.include)
        room = MOST_INCLUDED
        for depth in range(1, max(map(len, paths), default=0) + 1):
            level = [path for path in paths if len(path) == depth]
            pointers = _pointers(results, level, room=room)
            room -= len(pointers)
            objects = await self._load(set(pointers))
            for path in level:
                results = replaced(results, path, _cut(objects, shown.keys.within(path)))
        return results

    def _whole(self, class_name: str, one: Installation | StoredObject) -> dict[str, Any]:
        """Return an object as Parse shows it; its relations are there by their class alone."""
        hidden = protected(class_name, is_master=self.caller.is_master)
        return {
            "objectId": one.object_id,
            "createdAt": moment(one.created_at),
            "updatedAt": moment(one.updated_at),
            **{name: value for name, value in one.fields.items() if name not in hidden},
            **self.schema.relations_of(class_name),
        }

    def _paths(self, include: Include) -> set[Path]:
        if not include.everything:
            return set(include.paths)
        fields = self.schema.of(self.class_name).items()
        own = {(name,) for name, kind in fields if kind.name in {"Pointer", "Array"}}
        return {*include.paths, *own}

    async def _load(self, pointers: Collection[Key]) -> dict[Key, Json]:
        """Return the objects that may be read; one statement for each class."""
        ids: dict[str, list[str]] = {}
        for class_name, object_id in pointers:
            ids.setdefault(class_name, []).append(object_id)
        objects: dict[Key, Json] = {}
        for class_name, object_ids in ids.items():
            for one in await self._objects(class_name, object_ids):
                if self.caller.is_master or may(one.fields, "read"):
                    objects[class_name, one.object_id] = self._whole(class_name, one)
        return objects

    async def _objects(
        self, class_name: str, object_ids: Sequence[str]
    ) -> Sequence[Installation | StoredObject]:
        app_id = self.caller.app.id
        async with self.resources.engine.connect() as connection:
            if has_objects(class_name):
                return await get_objects(
                    connection, app_id=app_id, class_name=class_name, object_ids=object_ids
                )
            if class_name == INSTALLATION and self.caller.is_master:
                return await get_installations(connection, app_id=app_id, object_ids=object_ids)
        return []


def _pointers(results: Any, paths: Sequence[Path], *, room: int) -> list[Key]:
    """Return every pointer that the paths lead to, as often as it is there."""
    found: list[Key] = []
    looked_at = 0
    for path in paths:
        for pointer in pointers_at(results, path):
            looked_at += 1
            if pointer is not None:
                found.append(pointer)
            if len(found) > room or looked_at > MOST_LOOKED_AT:
                message = (
                    f"include would put more than {MOST_INCLUDED:,} objects into the reply, or "
                    "look for them in too long lists. Ask for fewer objects with `limit`."
                )
                raise InvalidQueryError(message, field="/include")
    return found


def _cut(objects: Mapping[Key, Json], keys: Keys) -> dict[Key, Json]:
    return {
        (class_name, object_id): {
            "__type": "Object",
            "className": class_name,
            **keys.of(one),
        }
        for (class_name, object_id), one in objects.items()
    }
