"""`POST /push`: a push as Parse SDKs and REST clients ask for it."""

from typing import Any, Final

from pushsvc import pipeline
from pushsvc.api.audience import check_channels, fingerprint
from pushsvc.api.parse.call import Call, Reply
from pushsvc.errors import Fault, InvalidPushError, InvalidRequestError
from pushsvc.model import Json, Source, Submission

STATUS_ID: Final = "X-Parse-Push-Status-Id"
#: Keys that shape the message, beside `data`.
CONTENT_KEYS: Final = (
    *("data", "notification", "rawPayload", "collapse_id", "push_type", "priority"),
)
TIME_KEYS: Final = ("push_time", "expiration_time", "expiration_interval")
#: Before `where` there was this (Parse's push guide); with one it is a contradiction.
LEGACY_TYPE_KEYS: Final = ("type", "deviceType")
#: SDKs send a UUID.
REQUEST_ID_CHARACTERS: Final = 255


async def create(call: Call) -> Reply:
    """Store a push; a repeated `X-Parse-Request-Id` finds the one it stored before.

    Raises:
        CallerError: as Parse Server refuses it, in its order; then what the pipeline refuses.
    """
    call.caller.require_master()
    body = call.body
    _check_request_id(call.request_id)
    submission = Submission(
        source=Source.PARSE,
        audience=_audience(body),
        content={key: body[key] for key in CONTENT_KEYS if key in body},
        idempotency_key=call.request_id and f"parse:{call.request_id}",
        request_hash=fingerprint(body),
        **{key: _given(body, key) for key in TIME_KEYS},
    )
    stored = await pipeline.submit_push(call.resources, call.caller.app, submission)
    return Reply(body={"result": True}, headers={STATUS_ID: stored.push.object_id})


def _audience(body: Json) -> dict[str, Any]:
    """Parse Server counts a key as present when it is null, too."""
    if "where" in body and "channels" in body:
        raise InvalidPushError("Channels and query can not be set at the same time.")
    if "channels" in body:
        check_channels(body["channels"])
        return {"channels": body["channels"]}
    if "where" not in body:
        message = 'Sending a push requires either "channels" or a "where" query.'
        raise InvalidPushError(message)
    for key in LEGACY_TYPE_KEYS:
        if key in body:
            message = f'"{key}" and a "where" query can not be set at the same time.'
            raise InvalidPushError(message, field=f"/{key}")
    return {"where": body["where"]}


def _given(body: Json, key: str) -> Any:
    if key in body and body[key] is None:
        text = (
            "expiration_interval must be a number greater than 0"
            if key == "expiration_interval"
            else "null is not valid time."
        )
        raise InvalidPushError(text, field=f"/{key}")
    return body.get(key)


def _check_request_id(request_id: str | None) -> None:
    if request_id is not None and len(request_id) > REQUEST_ID_CHARACTERS:
        text = f"X-Parse-Request-Id has at most {REQUEST_ID_CHARACTERS} characters."
        raise InvalidRequestError([Fault("", "invalid_value", text)])
