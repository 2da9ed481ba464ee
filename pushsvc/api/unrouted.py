"""Requests that no route takes: a JSON error, whatever the door."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from pushsvc.errors import MethodNotAllowedError, UnknownRouteError


async def refuse(request: Request, error: Exception) -> Response:
    """Raise our error in place of the framework's 404 or 405.

    Raises:
        UnknownRouteError: no route has the path.
        MethodNotAllowedError: some have it, for other methods.
    """
    if isinstance(error, HTTPException) and error.status_code == 405:  # noqa: PLR2004 - RFC 9110
        raise MethodNotAllowedError(_allowed(request))
    raise UnknownRouteError("There is no such path.")


async def pass_on(_request: Request, error: Exception) -> Response:
    """Raise the framework's error again, for the error table."""
    raise error


def _allowed(request: Request) -> list[str]:
    """Return the methods of all routes that have the path."""
    routes: list[Any] = [
        route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE
    ]
    # `/v1/pushes/{id}:cancel` looks like an id to others, and is none.
    steps = [route for route in routes if route.path.rpartition("}")[2].startswith(":")]
    return sorted({method for route in steps or routes for method in route.methods or ()})
