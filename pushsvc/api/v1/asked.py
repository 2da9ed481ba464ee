"""What the requests of `/v1` have in common: whose they are, their parameters, their pages."""

import difflib
import re
from typing import Final

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.errors import Fault, InvalidRequestError, NotFoundError
from pushsvc.model import App, Push
from pushsvc.resources import Resources
from pushsvc.storage import pushes
from pushsvc.storage.apps import Scope

DEFAULT_PAGE: Final = 20
MAX_PAGE: Final = 100

OBJECT_ID: Final = re.compile(r"[A-Za-z0-9]{10}")


async def enter(request: Request, *scopes: Scope) -> tuple[Resources, App]:
    """Return what the process holds open, and the app whose key the caller has.

    Raises:
        UnauthorizedError: it is no key of ours.
        ForbiddenError: it may not do this.
    """
    state = request.app.state
    app = await state.doorkeeper.api_caller(request.headers.get("Authorization"), *scopes)
    return state.resources, app


def check_parameters(request: Request, known: tuple[str, ...]) -> None:
    """Raise InvalidRequestError for query parameters that nobody reads."""
    if not request.scope["query_string"]:
        return
    faults: list[Fault] = []
    for name in request.query_params:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f' Did you mean "{near[0]}"?' if near else ""
            text = f'Unknown parameter "{name[:100]}".{hint}'
            faults.append(Fault(f"?{name[:100]}", "unknown_parameter", text))
    if faults:
        raise InvalidRequestError(faults)


async def push_of(connection: AsyncConnection, app: App, object_id: str) -> Push:
    """Return the app's push with this id.

    Raises:
        NotFoundError: it has none.
    """
    push = None
    if OBJECT_ID.fullmatch(object_id):
        push = await pushes.find_push(connection, app_id=app.id, object_id=object_id)
    if push is None:
        raise NotFoundError("There is no such push.")
    return push
