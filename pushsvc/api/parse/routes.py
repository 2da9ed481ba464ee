"""The Parse API's table of routes, by the path below the mount and the method of the call."""

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from pushsvc.api.parse import (
    audiences,
    batch,
    classes,
    events,
    installations,
    push,
    push_status,
    redirect,
    reset,
    server_info,
)
from pushsvc.api.parse.call import Call, Reply
from pushsvc.api.parse.class_names import ROLE, USER
from pushsvc.api.parse.refusals import refuse_what_is_not_ours
from pushsvc.errors import MethodNotAllowedError, NotFoundError, UnknownRouteError
from pushsvc.storage.fields import CLASS_NAME as INSTALLATION

Endpoint = Callable[[Call], Awaitable[Reply]]
EndpointOfOne = Callable[[Call, str], Awaitable[Reply]]
#: takes `class_name`, too
EndpointOfClass = Callable[..., Awaitable[Reply]]


async def _batch(call: Call) -> Reply:
    return await batch.run(call, dispatch)


_INSTALLATIONS: Final[Mapping[str, Endpoint]] = {
    "GET": partial(redirect.find, class_name=INSTALLATION),
    "POST": installations.create,
}
_INSTALLATION: Final[Mapping[str, EndpointOfOne]] = {
    "GET": installations.get,
    "PUT": installations.update,
    "DELETE": installations.delete,
}
#: of a class, and of one object of it -> method -> endpoint
CLASS: Final[Mapping[str, EndpointOfClass]] = {"GET": redirect.find, "POST": classes.create}
OBJECT: Final[Mapping[str, EndpointOfClass]] = {
    "GET": classes.get,
    "PUT": classes.update,
    "DELETE": classes.delete,
}


def _class(class_name: str) -> Mapping[str, Endpoint]:
    return {method: partial(one, class_name=class_name) for method, one in CLASS.items()}


def _object(class_name: str) -> Mapping[str, EndpointOfOne]:
    return {method: partial(one, class_name=class_name) for method, one in OBJECT.items()}


CLASSES: Final = "classes/"
#: path -> method -> endpoint
ROUTES: Final[Mapping[str, Mapping[str, Endpoint]]] = {
    "push": {"POST": push.create},
    batch.PATH: {"POST": _batch},
    "serverInfo": {"GET": server_info.get},
    "installations": _INSTALLATIONS,
    "classes/_Installation": _INSTALLATIONS,
    "classes/_PushStatus": {"GET": push_status.find, "POST": push_status.create},
    "push_audiences": audiences.ROUTE,
    "classes/_Audience": audiences.CLASS,
    "users": _class(USER),
    "roles": _class(ROLE),
}
#: The same, where the setting `allow_reset` is on.
ROUTES_OF_TESTS: Final[Mapping[str, Mapping[str, Endpoint]]] = {"_reset": {"POST": reset.create}}
#: path, then the id of one object -> method -> endpoint
ROUTES_OF_ONE: Final[Mapping[str, Mapping[str, EndpointOfOne]]] = {
    "installations": _INSTALLATION,
    "classes/_Installation": _INSTALLATION,
    "classes/_PushStatus": {
        "GET": push_status.get,
        "PUT": push_status.update,
        "DELETE": push_status.delete,
    },
    "push_audiences": audiences.ROUTE_OF_ONE,
    "classes/_Audience": audiences.CLASS_OF_ONE,
    "users": _object(USER),
    "roles": _object(ROLE),
}
#: path, then a name that a caller chooses -> method -> endpoint
ROUTES_OF_NAME: Final[Mapping[str, Mapping[str, EndpointOfOne]]] = {
    "events": {"POST": events.create},
}

_OBJECT_ID: Final = re.compile(r"[A-Za-z0-9]+")


async def dispatch(call: Call) -> Reply:
    """Answer a call by the table.

    Raises:
        UnknownRouteError: the table has no such path.
        NotOursError: the path is one of Parse Server's.
        MethodNotAllowedError: it has the path, but not with this method.
        CallerError: what the endpoint refuses.
    """
    if call.path in ROUTES:
        return await _endpoint(ROUTES[call.path], call.method)(call)
    if call.path in ROUTES_OF_TESTS and call.resources.settings.allow_reset:
        return await _endpoint(ROUTES_OF_TESTS[call.path], call.method)(call)
    refuse_what_is_not_ours(call.path)
    first, _, name = call.path.partition("/")
    if first in ROUTES_OF_NAME:
        return await _endpoint(ROUTES_OF_NAME[first], call.method)(call, name)
    parent, _, object_id = call.path.rpartition("/")
    if parent not in ROUTES_OF_ONE:
        return await _dispatch_class(call)
    endpoint = _endpoint(ROUTES_OF_ONE[parent], call.method)
    _check_object_id(object_id)
    return await endpoint(call, object_id)


async def _dispatch_class(call: Call) -> Reply:
    class_name, slash, object_id = call.path.removeprefix(CLASSES).partition("/")
    if not call.path.startswith(CLASSES) or "/" in object_id:
        raise UnknownRouteError(f"There is no such path: {call.path[:100]}.")
    if not slash:
        return await _endpoint(CLASS, call.method)(call, class_name=class_name)
    endpoint = _endpoint(OBJECT, call.method)
    _check_object_id(object_id)
    return await endpoint(call, object_id, class_name=class_name)


def _check_object_id(object_id: str) -> None:
    if not _OBJECT_ID.fullmatch(object_id):
        raise NotFoundError("Object not found.")


def _endpoint(
    methods: Mapping[str, Callable[..., Awaitable[Reply]]], method: str
) -> Callable[..., Awaitable[Reply]]:
    if method not in methods:
        raise MethodNotAllowedError(tuple(methods))
    return methods[method]
