"""Every exception to the error that the caller sees, and that to a reply in the door's own form."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

import asyncpg
from fastapi.exceptions import RequestValidationError
from sqlalchemy import exc
from starlette.responses import Response

from pushsvc.api.replies import PROBLEM, json_response
from pushsvc.errors import (
    CallerError,
    Fault,
    InternalError,
    InvalidQueryError,
    InvalidRequestError,
    MasterKeyRequiredError,
    MethodNotAllowedError,
    UnavailableError,
)
from pushsvc.storage.engine import DATABASE_ERRORS
from pushsvc.targeting.values import WhereError

#: A URN: it names the error and promises no page.
PROBLEM_TYPE: Final = "urn:pushsvc:error:{code}"
#: A database that restarts is back in seconds.
RETRY_AFTER_SECONDS: Final = 2
#: A reply has a bound, whatever was sent.
MAX_FAULTS: Final = 20

#: Parse answers every coded error with 400 but these (PromiseRouter of Parse Server).
_PARSE_STATUS_OF_CODE: Final[Mapping[int, int]] = {101: 404}
#: Statuses that Parse's door keeps; its SDKs ask again from 500 on.
_KEPT_STATUSES: Final = frozenset({404, 405, 413, 429, 500, 503})

#: Of SQLSTATE (PostgreSQL manual, appendix A): connection, rollback, resources, operator
#: intervention, system error.
_AWAY_CLASSES: Final = frozenset({"08", "40", "53", "57", "58"})
#: undefined column, undefined table
_LEVEL_STATES: Final = frozenset({"42703", "42P01"})

#: Parse Server's code of what a caller may not do, and what its version 9 says of all of it.
FORBIDDEN: Final = 119
PERMISSION_DENIED: Final = "Permission denied"

#: How much Parse's door says of a refusal: the setting `parse_error_texts`
Texts = Literal["long", "short"]

ErrorT = TypeVar("ErrorT", bound=Exception)


# ---------------------------------------------------------------- what went wrong


def caller_error(error: Exception) -> CallerError:
    """Return what the caller is told of an exception; `InternalError` of one we did not expect."""
    if isinstance(error, CallerError):
        return error
    if isinstance(error, DATABASE_ERRORS):
        return _database_error(error)
    for kind, told in _TOLD.items():
        if isinstance(error, kind):
            return told(error)
    return InternalError("Internal server error.")


def _database_error(error: Exception) -> CallerError:
    state = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
    if state in _LEVEL_STATES:
        message = "The database is not at this version's level. Run `pushsvc migrate`."
        return UnavailableError(message, retry_after_seconds=RETRY_AFTER_SECONDS)
    if isinstance(error, _AWAY) or state[:2] in _AWAY_CLASSES:
        message = "The database cannot be reached. Try again."
        return UnavailableError(message, retry_after_seconds=RETRY_AFTER_SECONDS)
    return InternalError("Internal server error.")


_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    exc.TimeoutError,
    exc.OperationalError,
    exc.InterfaceError,
)


def _of_validation(error: RequestValidationError) -> CallerError:
    return InvalidRequestError(
        [
            Fault(f"?{fault['loc'][-1]}", "invalid_value", f"{fault['loc'][-1]}: {fault['msg']}.")
            for fault in error.errors()
        ]
    )


def _of_where(error: WhereError) -> CallerError:
    return InvalidQueryError(error.message, field=error.field, parse_code=error.code)


_TOLD: Final[Mapping[type[Exception], Callable[[Any], CallerError]]] = {
    RequestValidationError: _of_validation,
    WhereError: _of_where,
}


# ---------------------------------------------------------------- how it is told


def parse_response(error: CallerError, texts: Texts = "long") -> Response:
    """Return Parse's error object: `code` only where Parse has one."""
    number, text = error.parse_number, parse_text(error, texts)
    content = {"error": text} if number is None else {"code": number, "error": text}
    return json_response(content, status=_parse_status(error), headers=_headers(error))


def parse_text(error: CallerError, texts: Texts) -> str:
    """Return what Parse's door says: of a refusal nothing more than that, if texts are short."""
    refused = error.parse_number == FORBIDDEN or isinstance(error, MasterKeyRequiredError)
    return PERMISSION_DENIED if refused and texts == "short" else error.detail


def _parse_status(error: CallerError) -> int:
    number = error.parse_number
    if number is None:
        # A wrong key is 403 to Parse.
        return 403 if error.status == 401 else error.status  # noqa: PLR2004 - RFC 9110
    if number in _PARSE_STATUS_OF_CODE:
        return _PARSE_STATUS_OF_CODE[number]
    return error.status if error.status in _KEPT_STATUSES else 400


def problem_response(error: CallerError, *, path: str, request_id: str) -> Response:
    """Return an RFC 9457 problem."""
    content = {
        "type": PROBLEM_TYPE.format(code=error.code),
        "title": title(type(error)),
        "status": error.status,
        "detail": error.detail,
        "instance": path,
        "code": error.code,
        "errors": [
            {"pointer": fault.pointer, "code": fault.code, "detail": fault.detail}
            for fault in faults(error)
        ],
        "request_id": request_id,
    }
    headers = _headers(error)
    if error.status == 401:  # noqa: PLR2004 - RFC 9110 11.6.1: must say how to authenticate
        headers["WWW-Authenticate"] = 'Bearer realm="pushsvc"'
    return json_response(content, status=error.status, headers=headers, media_type=PROBLEM)


def title(kind: type[CallerError]) -> str:
    """Return the error's title: its docstring's first line."""
    return (kind.__doc__ or "").splitlines()[0]


def faults(error: CallerError) -> Sequence[Fault]:
    """Return the fields at fault, as JSON pointers."""
    if isinstance(error, InvalidRequestError):
        return error.faults[:MAX_FAULTS]
    if error.field is None:
        return ()
    return (Fault(error.field, error.code, error.detail),)


def _headers(error: CallerError) -> dict[str, str]:
    if isinstance(error, MethodNotAllowedError):
        return {"Allow": ", ".join(error.allowed)}
    if error.retry_after_seconds is not None:
        return {"Retry-After": str(error.retry_after_seconds)}
    return {}
