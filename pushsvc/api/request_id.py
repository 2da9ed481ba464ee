"""Middleware: every request has an id, the caller's or ours; reply and log carry it."""

import re
import secrets
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = "X-Request-Id"
_RAW: Final = HEADER.lower().encode()
#: As in a UUID.
ID_BYTES: Final = 16
#: Visible ASCII, as long as anybody's ids are: it goes into a header and into the log.
_USABLE: Final = re.compile(r"[!-~]{1,128}")


def request_id_of(scope: Scope) -> str:
    """Return the request's id."""
    return str(scope["state"]["request_id"])


class RequestIdMiddleware:
    """Echoes a usable `X-Request-Id`, or makes one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app below with the id in its state and in the log's context."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(_RAW, b"").decode("latin-1")
        request_id = given if _USABLE.fullmatch(given) else secrets.token_hex(ID_BYTES)
        scope.setdefault("state", {})["request_id"] = request_id

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (_RAW, request_id.encode())]
            await send(message)

        # Not bound_contextvars: it copies the context, for every request.
        before = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, stamped)
        finally:
            structlog.contextvars.reset_contextvars(**before)
