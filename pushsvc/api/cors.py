"""Middleware: browsers on any site may call the Parse API, and read its two headers."""

from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Parse Server's, to the letter: its JavaScript SDK splits the last one at ", " and reads no
#: other header.
HEADERS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET,PUT,POST,DELETE,OPTIONS",
    "Access-Control-Allow-Headers": (
        "X-Parse-Master-Key, X-Parse-REST-API-Key, X-Parse-Javascript-Key, "
        "X-Parse-Application-Id, X-Parse-Client-Version, X-Parse-Session-Token, "
        "X-Requested-With, X-Parse-Revocable-Session, X-Parse-Request-Id, Content-Type, "
        "Pragma, Cache-Control"
    ),
    "Access-Control-Expose-Headers": "X-Parse-Job-Status-Id, X-Parse-Push-Status-Id",
}
#: As ASGI has them: they are on every reply.
_RAW: Final = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class CorsMiddleware:
    """Adds the headers to every reply of the Parse API, errors too, and answers OPTIONS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app below, or answer a preflight."""
        if scope["method"] == "OPTIONS":
            await Response(headers=HEADERS)(scope, receive, send)
            return

        async def opened(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_RAW]
            await send(message)

        await self._app(scope, receive, opened)
