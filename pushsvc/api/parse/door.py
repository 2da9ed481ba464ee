"""The door of the Parse API: an ASGI application for whatever is under its mounts.

One endpoint takes all, for the method may stand in the body. There is no framework in between:
most requests of a service are devices that register, and its layers were a fifth of their cost.
"""

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pushsvc.api.health import OK, database_state, unready
from pushsvc.api.parse.call import METHODS, open_call
from pushsvc.api.parse.routes import dispatch
from pushsvc.api.replies import json_response
from pushsvc.errors import MethodNotAllowedError, UnknownRouteError

#: What reaches the table: what is not in it is told by it, too.
TAKEN: Final = tuple(sorted((*METHODS, "HEAD", "PATCH")))
HEALTH: Final = "health"


class ParseDoor:
    """Answers requests of Parse SDKs and REST clients."""

    def __init__(self, *, mounts: Sequence[str], state: State) -> None:
        # The longest first: one mount may lie under another.
        self._mounts = sorted(mounts, key=len, reverse=True)
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            UnknownRouteError: it is of no mount.
            MethodNotAllowedError: its method is none of Parse's.
            CallerError: what the endpoint refuses.
        """
        mount, path = self._located(scope["path"])
        if scope["method"] not in TAKEN:
            raise MethodNotAllowedError(TAKEN)
        if path == HEALTH:
            response = await self._health()
        else:
            response = await self._answer(Request(scope, receive), mount=mount, path=path)
        await response(scope, receive, send)

    def _located(self, path: str) -> tuple[str, str]:
        """Return the mount, and what of the path is below it."""
        for mount in self._mounts:
            if path.startswith(f"{mount}/"):
                return mount, path[len(mount) + 1 :]
        raise UnknownRouteError("There is no such path.")

    async def _answer(self, request: Request, *, mount: str, path: str) -> Response:
        call = await open_call(
            request,
            path=path,
            mount=mount,
            resources=self._state.resources,
            doorkeeper=self._state.doorkeeper,
        )
        reply = await dispatch(call)
        return json_response(reply.body, status=reply.status, headers=reply.headers)

    async def _health(self) -> Response:
        is_usable, _ = await database_state(self._state.resources)
        return json_response({"status": OK}) if is_usable else unready({"status": "error"})
