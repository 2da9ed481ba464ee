"""The door of the busiest request of `/v1`, as the Parse API has one: no framework in between.

The endpoint is the one that FastAPI has in its table, too, whose description is the document. What
its layers do to this request is nothing, and cost as much as storing it.
"""

from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from pushsvc.api.v1 import pushes

PATH: Final = "/v1/pushes"


def is_for(scope: Scope) -> bool:
    """Tell whether a request is one that this door takes."""
    return bool(scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == PATH)


class PushDoor:
    """Answers requests to send a push."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            CallerError: what the endpoint refuses.
        """
        response = await pushes.create(Request({**scope, "app": self._app}, receive))
        await response(scope, receive, send)
