"""The Parse API's table of routes. One endpoint takes all: the method may stand in the body."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pushsvc.api.health import OK, database_state, unready
from pushsvc.api.parse import batch, installations, push, push_status, reset, server_info
from pushsvc.api.parse.call import METHODS, Call, Reply, open_call
from pushsvc.api.parse.refusals import refuse_what_is_not_ours
from pushsvc.api.replies import json_response
from pushsvc.errors import MethodNotAllowedError, NotFoundError, UnknownRouteError

Endpoint = Callable[[Call], Awaitable[Reply]]
EndpointOfOne = Callable[[Call, str], Awaitable[Reply]]


async def _batch(call: Call) -> Reply:
    return await batch.run(call, dispatch)


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
    batch.PATH: {"POST": _batch},
    "serverInfo": {"GET": server_info.get},
    "installations": _INSTALLATIONS,
    "classes/_Installation": _INSTALLATIONS,
    "classes/_PushStatus": {"GET": push_status.find},
}
#: The same, where the setting `allow_reset` is on.
ROUTES_OF_TESTS: Final[Mapping[str, Mapping[str, Endpoint]]] = {"_reset": {"POST": reset.create}}
#: path, then the id of one object -> method -> endpoint
ROUTES_OF_ONE: Final[Mapping[str, Mapping[str, EndpointOfOne]]] = {
    "installations": _INSTALLATION,
    "classes/_Installation": _INSTALLATION,
    "classes/_PushStatus": {"GET": push_status.get},
}

#: What reaches the table: what is not in it is told by it, too.
TAKEN: Final = (*METHODS, "PATCH")
_OBJECT_ID: Final = re.compile(r"[A-Za-z0-9]+")


def routes(mount: str) -> list[Route]:
    """Return the routes of one mount of the Parse API."""

    async def health(request: Request) -> Response:
        state = await database_state(request.app.state.resources)
        return json_response({"status": OK}) if state == OK else unready({"status": "error"})

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
        Route(f"{mount}/health", health, methods=list(TAKEN)),
        Route(f"{mount}/{{path:path}}", parse_request, methods=list(TAKEN)),
    ]


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
