"""Middleware: whatever is raised below becomes a reply, once; the unexpected is logged, once."""

from collections.abc import Sequence

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pushsvc.api.error_table import Texts, caller_error, parse_response, problem_response
from pushsvc.api.mounts import is_under
from pushsvc.api.request_id import request_id_of
from pushsvc.errors import CallerError, InternalError, UnavailableError

log = structlog.get_logger(__name__)


class FailuresMiddleware:
    """Answers errors in the form of the door they came in by."""

    def __init__(
        self, app: ASGIApp, *, parse_mounts: Sequence[str], parse_texts: Texts = "long"
    ) -> None:
        self._app = app
        self._parse_mounts = parse_mounts
        self._parse_texts = parse_texts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app below and answer for it where it fails."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnect:
            return
        except Exception as error:
            told = caller_error(error)
            note(told, error, path=scope["path"])
            if begun:
                raise
            await self._response(told, scope)(scope, receive, send)

    def _response(self, told: CallerError, scope: Scope) -> Response:
        path = scope["path"]
        if is_under(path, self._parse_mounts):
            return parse_response(told, self._parse_texts)
        return problem_response(told, path=path, request_id=request_id_of(scope))


def note(told: CallerError, error: Exception, *, path: str) -> None:
    """Log an error that is ours, or the database's."""
    if isinstance(told, InternalError):
        log.error("request.failed", path=path, exc_info=error)
    elif isinstance(told, UnavailableError):
        log.warning("database.unreachable", path=path, error=str(error))
