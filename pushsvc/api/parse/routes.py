"""The Parse API's table of routes. One endpoint takes all: the method may stand in the body."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pushsvc.api.parse import audiences, events, installations, push, push_status
from pushsvc.api.parse.call import Call, Reply, open_call
from pushsvc.api.replies import json_response
from pushsvc.errors import MethodNotAllowedError, NotFoundError, UnknownRouteError

Endpoint = Callable[[Call], Awaitable[Reply]]
EndpointOfOne = Callable[[Call, str], Awaitable[Reply]]

_INSTALLATIONS: Final[Mapping[str, Endpoint]] = {
    "GET": installations.find,
    "POST": installations.create,
}
_INSTALLATION: Final[Mapping[str, EndpointOfOne]] = {
    "GET": installations.get,
    "PUT": installations.update,
    "DELETE": installations.delete,
}
#: path -> method -> endpoint
ROUTES: Final[Mapping[str, Mapping[str, Endpoint]]] = {
    "push": {"POST": push.create},
    "installations": _INSTALLATIONS,
    "classes/_Installation": _INSTALLATIONS,
    "classes/_PushStatus": {"GET": push_status.find, "POST": push_status.create},
    "push_audiences": audiences.ROUTE,
    "classes/_Audience": audiences.CLASS,
}
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
}
#: path, then a name that a caller chooses -> method -> endpoint
ROUTES_OF_NAME: Final[Mapping[str, Mapping[str, EndpointOfOne]]] = {
    "events": {"POST": events.create},
}

METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH")
_OBJECT_ID: Final = re.compile(r"[A-Za-z0-9]+")


def routes(mount: str) -> list[Route]:
    """Return the routes of one mount of the Parse API."""

    async def health(_request: Request) -> Response:
        return json_response({"status": "ok"})

    async def parse_request(request: Request) -> Response:
        call = await open_call(
            request,
            path=request.path_params["path"],
            mount=mount,
            resources=request.app.state.resources,
            doorkeeper=request.app.state.doorkeeper,
        )
        reply = await dispatch(call)
        return json_response(reply.body, status=reply.status, headers=reply.headers)

    return [
        Route(f"{mount}/health", health, methods=["GET"]),
        Route(f"{mount}/{{path:path}}", parse_request, methods=list(METHODS)),
    ]


async def dispatch(call: Call) -> Reply:
    """Answer a call by the table.

    Raises:
        UnknownRouteError: the table has no such path.
        MethodNotAllowedError: it has the path, but not with this method.
        CallerError: what the endpoint refuses.
    """
    if call.path in ROUTES:
        return await _endpoint(ROUTES[call.path], call.method)(call)
    first, _, name = call.path.partition("/")
    if first in ROUTES_OF_NAME:
        return await _endpoint(ROUTES_OF_NAME[first], call.method)(call, name)
    parent, _, object_id = call.path.rpartition("/")
    if parent not in ROUTES_OF_ONE:
        raise UnknownRouteError(f"There is no such path: {call.path[:100]}.")
    endpoint = _endpoint(ROUTES_OF_ONE[parent], call.method)
    if not _OBJECT_ID.fullmatch(object_id):
        raise NotFoundError("Object not found.")
    return await endpoint(call, object_id)


def _endpoint(
    methods: Mapping[str, Callable[..., Awaitable[Reply]]], method: str
) -> Callable[..., Awaitable[Reply]]:
    if method not in methods:
        raise MethodNotAllowedError(tuple(methods))
    return methods[method]
