"""Errors below the middleware, as the caller sees them."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from asyncpg import exceptions as pg
from sqlalchemy import exc
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from pushsvc.api.error_table import caller_error, parse_response
from pushsvc.api.failures import FailuresMiddleware
from pushsvc.errors import (
    CallerError,
    ForbiddenError,
    IdempotencyMismatchError,
    InternalError,
    InvalidQueryError,
    NotFoundError,
    UnauthorizedError,
    UnavailableError,
)
from pushsvc.targeting.values import WhereError


async def answer(error: Exception, *, path: str, begun: bool = False) -> Sequence[Message]:
    """Run an app that raises; return what was sent."""
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "path": path, "state": {"request_id": "an-id"}}
    await FailuresMiddleware(app, parse_mounts=("/parse",))(scope, receive, send)
    return sent


@pytest.mark.parametrize("path", ["/v1/pushes", "/parse/push"])
async def test_a_mistake_of_ours_is_logged_once_and_tells_nothing(path: str) -> None:
    """The caller learns the request id; the log has the rest."""
    with capture_logs() as logged:
        start, body = await answer(ZeroDivisionError("secret"), path=path)

    content = orjson.loads(body["body"])
    assert start["status"] == 500
    assert "secret" not in str(content)
    if path.startswith("/parse"):
        assert content == {"code": 1, "error": "Internal server error."}
    else:
        assert (content["code"], content["request_id"]) == ("internal_error", "an-id")
    [line] = logged
    assert (line["event"], line["path"]) == ("request.failed", path)
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_a_caller_s_mistake_is_not_logged() -> None:
    """There may be many of them."""
    with capture_logs() as logged:
        start, _ = await answer(NotFoundError("There is no such push."), path="/v1/pushes/x")

    assert (start["status"], logged) == (404, [])


async def test_a_caller_who_left_gets_no_answer() -> None:
    """And no line in the log."""
    with capture_logs() as logged:
        assert await answer(ClientDisconnect(), path="/v1/pushes") == []
    assert logged == []


async def test_a_reply_that_has_begun_is_broken_off() -> None:
    """A second one cannot follow it: the server must close the connection."""
    with capture_logs(), pytest.raises(ZeroDivisionError):
        await answer(ZeroDivisionError(), path="/v1/pushes", begun=True)


async def test_what_is_not_http_passes() -> None:
    """A lifespan has no reply."""

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ZeroDivisionError

    async def nothing() -> Message:
        return {}

    async def drop(_message: Message) -> None:
        """Send it nowhere."""

    with pytest.raises(ZeroDivisionError):
        await FailuresMiddleware(app, parse_mounts=())({"type": "lifespan"}, nothing, drop)


def wrapped(error: Exception) -> exc.DBAPIError:
    return exc.DBAPIError("SELECT 1", {}, error)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        exc.TimeoutError(),
        pg.InterfaceError("closed"),
        pg.CannotConnectNowError("starting up"),
        pg.TooManyConnectionsError("full"),
        wrapped(pg.AdminShutdownError("shutting down")),
        wrapped(pg.DeadlockDetectedError("again")),
        wrapped(pg.DiskFullError("full")),
        wrapped(pg.UndefinedTableError("not migrated")),
        wrapped(pg.UndefinedColumnError("not migrated")),
    ],
)
def test_a_database_that_is_away_is_worth_another_try(error: Exception) -> None:
    """503 and a time to wait."""
    told = caller_error(error)

    assert isinstance(told, UnavailableError)
    assert told.retry_after_seconds


@pytest.mark.parametrize(
    "error", [wrapped(pg.NotNullViolationError("ours")), wrapped(pg.DataError("ours")), KeyError()]
)
def test_a_statement_that_is_wrong_is_our_mistake(error: Exception) -> None:
    """It would fail again."""
    assert isinstance(caller_error(error), InternalError)


def test_a_bad_where_clause_keeps_parses_code() -> None:
    """And where it is bad."""
    told = caller_error(WhereError(107, "bad $in value", field="/where/a"))

    assert isinstance(told, InvalidQueryError)
    assert (told.parse_number, told.field) == (107, "/where/a")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("x"), 404),
        (UnauthorizedError("x"), 403),
        (ForbiddenError("x"), 400),
        (IdempotencyMismatchError("x"), 400),
        (UnavailableError("x"), 503),
        (InternalError("x"), 500),
        (CallerError("x"), 400),
    ],
)
def test_parses_statuses(error: CallerError, status: int) -> None:
    """400 for every code but 101 and 1, and 403 for keys (Parse Server's PromiseRouter)."""
    assert parse_response(error).status_code == status
