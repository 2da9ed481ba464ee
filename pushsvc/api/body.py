"""A request's body: JSON, whatever its content type says."""

from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect, Request

from pushsvc.errors import Fault, InvalidRequestError, MalformedJsonError, UnstorableError
from pushsvc.storage.encoded import holds_nul

#: orjson reads deeper than it writes. What it cannot write cannot be stored.
WRITABLE_DEPTH: Final = 254


async def read_object(request: Request) -> dict[str, Any]:
    """Return the body's JSON object; an empty body is an empty object.

    Raises:
        MalformedJsonError: the body is not JSON.
        UnstorableError: it holds what cannot be stored.
        InvalidRequestError: it is JSON, but no object.
        BodyTooLargeError: it is over the limit.
    """
    return as_object(parse(await read_body(request)))


async def read_body(request: Request) -> bytes:
    """Return the body, once: the request does not keep it.

    Raises:
        ClientDisconnect: it does not come any more.
        BodyTooLargeError: it is over the limit.
    """
    # Not by the request's own generators, which cost more than the body of a push.
    parts, is_whole = [], False
    while not is_whole:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        is_whole = not message.get("more_body", False)
    return b"".join(parts)


def as_object(value: Any) -> dict[str, Any]:
    """Return a body that is an object as it is.

    Raises:
        InvalidRequestError: it is JSON, but no object.
    """
    if not isinstance(value, dict):
        raise InvalidRequestError([Fault("", "invalid_value", "The body must be a JSON object.")])
    return value


def parse(raw: bytes) -> Any:
    """Return the value of JSON text; an empty object for no text.

    Raises:
        MalformedJsonError: it is not JSON.
        UnstorableError: it holds what cannot be stored.
    """
    if not raw.strip():
        return {}
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        message = f"The body is not JSON: {error}."
        raise MalformedJsonError(message) from error
    if holds_nul(raw):
        raise UnstorableError("The body holds the character U+0000, which cannot be stored.")
    check_depth(value, raw)
    return value


def check_depth(value: Any, raw: bytes) -> None:
    """Raise UnstorableError for a value that is nested too deeply to be written again."""
    if raw.count(b"[") + raw.count(b"{") <= WRITABLE_DEPTH:
        return
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise UnstorableError("The body is nested too deeply.") from error
