"""`POST /push`: a push as Parse SDKs and REST clients ask for it."""

from typing import Any, Final

from pushsvc import pipeline
from pushsvc.admission import check_form
from pushsvc.api.audience import check_channels, fingerprint
from pushsvc.api.auth import Caller
from pushsvc.api.parse.call import Call, Reply
from pushsvc.errors import Fault, InvalidPushError, InvalidRequestError
from pushsvc.model import Json, Source, Submission
from pushsvc.planning.schedule import given_times
from pushsvc.shaping.content import shaping_of
from pushsvc.storage.apps import KeyKind

STATUS_ID: Final = "X-Parse-Push-Status-Id"
#: Before `where` there was this (Parse's push guide); with one it is a contradiction.
LEGACY_TYPE_KEYS: Final = ("type", "deviceType")
#: SDKs send a UUID.
REQUEST_ID_CHARACTERS: Final = 255


async def create(call: Call) -> Reply:
    """Store a push; a repeated `X-Parse-Request-Id` finds the one it stored before.

    Raises:
        CallerError: as Parse Server refuses it, in its order; then as Parse's guide does; then
            what the pipeline refuses.
    """
    caller, body = call.caller, call.body
    _check_allowed(caller)
    _check_request_id(call.request_id)
    submission = Submission(
        source=Source.PARSE,
        audience=_audience(body),
        audience_id=_audience_id(body),
        from_client=_is_let_in_as_client(caller),
        # Null is missing, and what is missing is refused by the content's own rule.
        content=shaping_of(body),
        idempotency_key=call.request_id and f"parse:{call.request_id}",
        request_hash=fingerprint(body),
        **given_times(body),
    )
    check_form(submission)
    _check_as_in_the_guide(body)
    stored = await pipeline.submit_push(call.resources, caller.app, submission)
    return Reply(body={"result": True}, headers={STATUS_ID: stored.push.object_id})


# ---------------------------------------------------------------- who may send


def _check_allowed(caller: Caller) -> None:
    """Let in the master, and whom the app's settings let in; of several keys the best one counts.

    Raises:
        MasterKeyRequiredError: where nothing was set, as Parse Server has it.
        InvalidPushError: where it was set that such keys may not send.
    """
    if caller.is_master:
        return
    settings = caller.app.settings
    said = {
        "rest_push": settings.rest_push if KeyKind.REST in caller.kinds else None,
        "client_push": settings.client_push if _is_client(caller) else None,
    }
    if True in said.values():
        return
    for setting, allowed in said.items():
        if allowed is False:
            message = (
                f"Pushes with this key are switched off: the app's setting {setting} is false. "
                "Send the push from a server, with the master key."
            )
            raise InvalidPushError(message)
    caller.require_master()


def _is_client(caller: Caller) -> bool:
    """Tell whether the caller is a client; so is everybody where the app has no client keys."""
    return caller.kinds != {KeyKind.REST}


def _is_let_in_as_client(caller: Caller) -> bool:
    by_rest = KeyKind.REST in caller.kinds and caller.app.settings.rest_push is True
    return not caller.is_master and not by_rest


# ---------------------------------------------------------------- what is sent


def _check_as_in_the_guide(body: Json) -> None:
    for key in LEGACY_TYPE_KEYS:
        if key in body and "where" in body:
            message = f'"{key}" and a "where" query can not be set at the same time.'
            raise InvalidPushError(message, field=f"/{key}")
        if key in body:
            # Read over, it would send to more devices than are meant.
            message = f'"{key}" is not supported. Ask for deviceType in a "where" query.'
            raise InvalidPushError(message, field=f"/{key}")
    if "channels" in body and not isinstance(body["channels"], dict):
        check_channels(body["channels"])


# ---------------------------------------------------------------- to whom, and when


def _audience(body: Json) -> dict[str, Any]:
    """Return channels or a where-clause; nothing where a saved audience says it.

    Parse Server counts a key as present when it is null, too; and it takes operators for channels.
    """
    if "where" in body and "channels" in body:
        raise InvalidPushError("Channels and query can not be set at the same time.")
    if "where" in body:
        return {"where": body["where"]}
    if isinstance(body.get("channels"), dict):
        return {"where": {"channels": body["channels"]}}
    if "channels" in body:
        return {"channels": body["channels"]}
    if not _audience_id(body):
        message = 'Sending a push requires either "channels" or a "where" query.'
        raise InvalidPushError(message)
    return {}


def _audience_id(body: Json) -> str | None:
    """Return the id of a saved audience; what JavaScript calls false is none."""
    given = body.get("audience_id")
    if given and not isinstance(given, str):
        message = "audience_id must be the objectId of an audience."
        raise InvalidPushError(message, field="/audience_id")
    return given or None


def _check_request_id(request_id: str | None) -> None:
    if request_id is not None and len(request_id) > REQUEST_ID_CHARACTERS:
        text = f"X-Parse-Request-Id has at most {REQUEST_ID_CHARACTERS} characters."
        raise InvalidRequestError([Fault("", "invalid_value", text)])
