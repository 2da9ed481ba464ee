"""What holds for every answer of the Parse API, whatever was sent."""

import json
import re
from collections.abc import Callable
from typing import Any

from tests.integration.api.parse_fuzz.client import Answer
from tests.integration.api.parse_fuzz.wire import Request

#: On two busy cores; alone each takes a quarter of a second at most, and nearly all milliseconds.
MOST_SECONDS = 5.0
#: The same for up to a thousand requests in one, which take their time one after the other.
MOST_BATCH_SECONDS = 20.0
#: What Parse answers without a code (reference: keys, JSON, routes, methods).
WITHOUT_CODE = {
    400: re.compile("The body is not JSON|The form "),
    403: re.compile("unauthorized$|unauthorized: master key is required$"),
    404: re.compile("There is no such path"),
    405: re.compile("The path takes "),
}
STATUS_ID = re.compile("[A-Za-z0-9]{10}")
EXPOSED = "X-Parse-Job-Status-Id, X-Parse-Push-Status-Id"


def broken(request: Request, answer: Answer) -> str | None:
    """The law that the answer breaks, with what there is instead; None if it keeps them all."""
    if answer.error:
        return answer.error
    is_batch = request.target.partition(b"?")[0].endswith(b"/batch")
    if answer.seconds > (MOST_BATCH_SECONDS if is_batch else MOST_SECONDS):
        return f"took {answer.seconds:.1f} s"
    has_body = request.method not in {"HEAD", "OPTIONS"}
    flaw = _of_head(answer) or (_of_body(answer) if has_body else None)
    return flaw and f"{flaw}, status {answer.status}: {answer.body[:300]!r}"


def _of_head(answer: Answer) -> str | None:
    if not 200 <= answer.status < 500:
        return "a status of a server that failed"
    if answer.headers.get("access-control-expose-headers") != EXPOSED:
        return "no CORS headers"
    return None


def _of_body(answer: Answer) -> str | None:
    try:
        body = json.loads(answer.body, parse_constant=_refuse)
    except ValueError as error:
        return f"no JSON ({error})"
    return _of_error(answer.status, body) if answer.status >= 400 else _of_success(answer, body)


def _refuse(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _of_error(status: int, body: Any) -> str | None:
    if not isinstance(body, dict) or not body.keys() <= {"code", "error"}:
        return "no error object"
    text, code = body.get("error"), body.get("code")
    if not isinstance(text, str) or not text:
        return "no text"
    if "code" not in body:
        allowed = WITHOUT_CODE.get(status)
        return None if allowed and allowed.match(text) else "no code"
    return None if _is_code(code) else "a code that is none"


def _is_code(code: Any) -> bool:
    """Tell whether a client can act on it: 1 means that the server failed."""
    return isinstance(code, int) and not isinstance(code, bool) and code > 1


def _of_success(answer: Answer, body: Any) -> str | None:
    if isinstance(body, list):
        return next(filter(None, map(_of_item, body)), None)
    if not isinstance(body, dict):
        return "neither an object nor a list"
    for key, flaw in _SHAPES.items():
        if key in body:
            return flaw(answer, body)
    return None


def _of_item(item: Any) -> str | None:
    if not isinstance(item, dict) or len(item) != 1 or not item.keys() <= {"success", "error"}:
        return "a batch's answer that is neither success nor error"
    if "success" in item:
        return None if isinstance(item["success"], dict) else "a success that is no object"
    error = item["error"]
    is_told = isinstance(error, dict) and error.keys() == {"code", "error"}
    return (
        None if is_told and _is_code(error["code"]) and error["error"] else "an error without code"
    )


def _of_results(_answer: Answer, body: dict[str, Any]) -> str | None:
    if not isinstance(body["results"], list) or not body.keys() <= {"results", "count"}:
        return "no results"
    count = body.get("count", 0)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        return "a count that is none"
    if any(not isinstance(row, dict) or "objectId" not in row for row in body["results"]):
        return "a result without objectId"
    return None


def _of_push(answer: Answer, body: dict[str, Any]) -> str | None:
    if body != {"result": True}:
        return None
    status_id = answer.headers.get("x-parse-push-status-id", "")
    return None if STATUS_ID.fullmatch(status_id) else "a push without an id"


def _of_object(_answer: Answer, body: dict[str, Any]) -> str | None:
    return None if isinstance(body["objectId"], str) and body["objectId"] else "no objectId"


#: A key of the body -> what must be so then.
_SHAPES: dict[str, Callable[[Answer, dict[str, Any]], str | None]] = {
    "results": _of_results,
    "result": _of_push,
    "objectId": _of_object,
}
