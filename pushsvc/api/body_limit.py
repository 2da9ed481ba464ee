"""Middleware: no request body is read beyond the limit, nor all of them together beyond another."""

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pushsvc.errors import BodyTooLargeError, OverloadedError

#: Of all requests that are under way; a few of the largest, thousands of usual ones.
ALL_BODIES_BYTES: Final = 64_000_000
RETRY_SECONDS: Final = 1


class BodyLimitMiddleware:
    """Fails the read of a body that is too large, by its announced length or as it comes.

    Bodies are in memory until their request is answered: a read fails, too, when those of all
    requests are as much as one process holds.
    """

    def __init__(
        self, app: ASGIApp, *, limit_bytes: int, all_bytes: int = ALL_BODIES_BYTES
    ) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._all_bytes = max(all_bytes, limit_bytes)
        #: of the requests under way
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app below with a bounded body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        read = 0

        async def bounded() -> Message:
            nonlocal read
            if announced.isdecimal() and int(announced) > self._limit_bytes:
                raise self._too_large()
            message = await receive()
            size = len(message.get("body", b""))
            read += size
            self._held_bytes += size
            if read > self._limit_bytes:
                raise self._too_large()
            if self._held_bytes > self._all_bytes:
                text = "Too many large requests at once. Try again."
                raise OverloadedError(text, retry_after_seconds=RETRY_SECONDS)
            return message

        try:
            await self._app(scope, bounded, send)
        finally:
            self._held_bytes -= read

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"The body is larger than {self._limit_bytes} bytes.")
