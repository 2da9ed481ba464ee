"""`/batch`: many requests in one, each answered for itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

from pushsvc.api.body import as_object
from pushsvc.api.error_table import FORBIDDEN, caller_error, parse_text
from pushsvc.api.failures import note
from pushsvc.api.mounts import below, parse_mounts
from pushsvc.api.parse.call import METHODS, Call, Reply, params_of
from pushsvc.errors import (
    CallerError,
    Fault,
    InvalidRequestError,
    MasterKeyRequiredError,
    NotOursError,
    UnavailableError,
)

PATH: Final = "batch"
#: Enough that saves share commits, few enough that one batch does not take the whole pool.
AT_ONCE: Final = 50
#: Of a batch's requests: each may answer with a thousand objects.
MOST_READS: Final = 50
#: Parse's code of what it cannot route, and of whatever else has none of its own.
INVALID_JSON: Final = 107
SHOWN_CHARACTERS: Final = 100

Dispatch = Callable[[Call], Awaitable[Reply]]


async def run(call: Call, dispatch: Dispatch) -> Reply:
    """Answer each request in its place, whatever becomes of the others.

    Nothing is begun unless all of them can be read. What then fails for want of the database is
    told in its place if anything else succeeded; else the whole is, for it can be sent again.

    Raises:
        InvalidRequestError: no array, too long, or an item that is no request.
        NotOursError: a transaction is wanted.
        UnavailableError: nothing succeeded, and the database is away.
    """
    inner = _requests(call)
    turns = asyncio.Semaphore(AT_ONCE)

    async def answered(one: Call | CallerError) -> Reply | CallerError:
        if isinstance(one, CallerError):
            return one
        async with turns:
            return await _answer(one, dispatch)

    answers = await asyncio.gather(*map(answered, inner))
    away = next((one for one in answers if isinstance(one, UnavailableError)), None)
    if away is not None and not any(isinstance(one, Reply) for one in answers):
        raise away
    return Reply(body=[_told(one, call) for one in answers])


async def _answer(one: Call, dispatch: Dispatch) -> Reply | CallerError:
    try:
        return await dispatch(one)
    except Exception as error:  # noqa: BLE001 - told in its place, and logged
        told = caller_error(error)
        note(told, error, path=f"{one.mount}/{one.path}")
        return told


def _told(answer: Reply | CallerError, call: Call) -> dict[str, Any]:
    """Return an answer as Parse has it; in a batch every error has a code."""
    if isinstance(answer, Reply):
        return {"success": answer.body}
    code = answer.parse_number
    if code is None:
        code = FORBIDDEN if isinstance(answer, MasterKeyRequiredError) else INVALID_JSON
    text = parse_text(answer, call.resources.settings.parse_error_texts)
    return {"error": {"code": code, "error": text}}


# ---------------------------------------------------------------- reading


def _requests(call: Call) -> Sequence[Call | CallerError]:
    """Return the requests as calls; an error in place of one whose body is no object."""
    items, most = call.body.get("requests"), call.resources.settings.parse_batch_limit
    if not isinstance(items, list):
        raise _refused("/requests", "requests must be an array")
    if len(items) > most:
        raise _refused("/requests", f"requests has {len(items)} items; at most {most} are taken.")
    if call.body.get("transaction"):
        text = "Transactions are Parse Server's: send the requests without `transaction`."
        raise NotOursError(text, field="/transaction")
    inner = [_request(call, item, place) for place, item in enumerate(items)]
    reads = sum(isinstance(one, Call) and one.method == "GET" for one in inner)
    if reads > MOST_READS:
        raise _refused("/requests", f"requests has {reads} reads; at most {MOST_READS} are taken.")
    return inner


def _request(call: Call, item: Any, place: int) -> Call | CallerError:
    pointer = f"/requests/{place}"
    if not isinstance(item, dict):
        raise _refused(pointer, f"requests[{place}] must be an object.")
    method, path, query = _target(call, item, pointer)
    if path == PATH:
        raise _refused(f"{pointer}/path", "nested batch requests are not allowed")
    try:
        body = as_object({} if item.get("body") is None else item["body"])
        params = params_of(method, body, dict(parse_qsl(query, keep_blank_values=True)))
    except CallerError as error:
        return error
    return replace(
        call,
        method=method,
        path=path,
        body=body,
        params=params,
        # As stable as the batch's own, and another one for each of its pushes.
        request_id=call.request_id and f"{call.request_id}:{place}",
    )


def _target(call: Call, item: dict[str, Any], pointer: str) -> tuple[str, str, str]:
    """Return a request's method, its path below the mount, and its query string."""
    method, path = item.get("method"), item.get("path")
    named = method.upper() if isinstance(method, str) else None
    if named not in METHODS:
        raise _refused(f"{pointer}/method", f"method must be one of {', '.join(METHODS)}.")
    if not isinstance(path, str):
        raise _refused(f"{pointer}/path", "path must be text.")
    path, _, query = path.partition("?")
    found = below(path, parse_mounts(call.resources.settings))
    if found is None:
        raise _refused(f"{pointer}/path", f"cannot route batch path {path[:SHOWN_CHARACTERS]}")
    return named, found, query


def _refused(pointer: str, text: str) -> InvalidRequestError:
    return InvalidRequestError([Fault(pointer, "invalid_value", text)])
