"""Who comes in at `/v1`."""

from fastapi import Request

from pushsvc.model import App
from pushsvc.resources import Resources
from pushsvc.storage.apps import Scope


async def enter(request: Request, scope: Scope) -> tuple[Resources, App]:
    """Return what the process holds, and the app of the caller's key.

    Raises:
        CallerError: the key is none, or may not do this.
    """
    state = request.app.state
    app = await state.doorkeeper.api_caller(request.headers.get("Authorization"), scope)
    return state.resources, app
