"""Middleware: no request body is read beyond the limit, nor all of them together beyond another.

What comes compressed is inflated here, as it comes: the limits are of what the application holds.
"""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pushsvc.api.inflating import inflating_of
from pushsvc.errors import BodyTooLargeError, BodyTooSlowError, OverloadedError

#: Of all requests that are under way; a few of the largest, thousands of usual ones.
ALL_BODIES_BYTES: Final = 64_000_000
RETRY_SECONDS: Final = 1
#: What is no larger is never refused because of others: the server buffers as much anyway.
SMALL_BYTES: Final = 65_536
#: In the scope: to be called by who has read a body, keeps nothing of it, and answers much later.
LET_GO: Final = "pushsvc.let_go_of_body"
#: A body that does not come in would hold its room for ever.
BODY_SECONDS: Final = 60.0


class Held:
    """What the bodies of all requests under way in a process take, by whatever door they came."""

    def __init__(self) -> None:
        self.bytes = 0


class BodyLimitMiddleware:
    """Fails the read of a body that is too large, by its announced length or as it comes.

    Bodies are in memory until their request is answered, or LET_GO is called: the read of one that
    is not small fails, too, when those of all requests are as much as one process holds; and any
    that takes too long.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limit_bytes: int,
        held: Held | None = None,
        all_bytes: int = ALL_BODIES_BYTES,
        small_bytes: int = SMALL_BYTES,
        seconds: float = BODY_SECONDS,
    ) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._all_bytes = max(all_bytes, limit_bytes)
        self._small_bytes = small_bytes
        self._seconds = seconds
        self._held = held or Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app below with a bounded body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = _header(scope, b"content-length")
        inflating = inflating_of(_header(scope, b"content-encoding"))
        read, deadline = 0, asyncio.get_running_loop().time() + self._seconds
        is_whole = False

        async def bounded() -> Message:
            nonlocal read, is_whole
            if announced.isdecimal() and int(announced) > self._limit_bytes:
                raise self._too_large()
            # After the body it is asked whether the client is still there.
            message = await (receive() if is_whole else self._in_time(receive, deadline))
            is_whole = not message.get("more_body", False)
            if inflating and message["type"] == "http.request":
                most = self._limit_bytes - read + 1
                inflated = inflating.take(message.get("body", b""), most=most, is_last=is_whole)
                message = {**message, "body": inflated}
            size = len(message.get("body", b""))
            read += size
            self._held.bytes += size
            if read > self._limit_bytes:
                raise self._too_large()
            if self._held.bytes > self._all_bytes and read > self._small_bytes:
                text = "Too many large requests at once. Try again."
                raise OverloadedError(text, retry_after_seconds=RETRY_SECONDS)
            return message

        def let_go() -> None:
            nonlocal read
            self._held.bytes -= read
            read = 0

        try:
            await self._app({**scope, LET_GO: let_go}, bounded, send)
        finally:
            let_go()

    async def _in_time(self, receive: Receive, deadline: float) -> Message:
        try:
            async with asyncio.timeout_at(deadline):
                return await receive()
        except TimeoutError as error:
            text = f"The body did not come within {self._seconds:g} seconds."
            raise BodyTooSlowError(text) from error

    def _too_large(self) -> BodyTooLargeError:
        limit = f"{self._limit_bytes} bytes (body_limit_bytes)"
        return BodyTooLargeError(f"The body is larger than {limit}. Send it in parts.")


def _header(scope: Scope, name: bytes) -> str:
    """Return what a header says; nothing where it is not there."""
    return next((value for one, value in scope["headers"] if one == name), b"").decode("latin-1")
