"""`POST /events/:name`: what apps tell of their use. Of it only the opens of pushes are kept."""

from datetime import UTC, datetime
from typing import Any, Final

from pushsvc.api.parse.call import Call, Reply
from pushsvc.errors import InvalidEventError
from pushsvc.model import Json
from pushsvc.storage.opens import Opened

APP_OPENED: Final = "AppOpened"
NAME_CHARACTERS: Final = 255
#: Ids of ours have ten, hashes 32.
ID_CHARACTERS: Final = 255
INCORRECT_TYPE: Final = 111


async def create(call: Call, name: str) -> Reply:
    """Take an event; one that tells that a push was opened is counted before the reply.

    Raises:
        InvalidEventError: 107 a bad name or id, 111 a bad time or bad dimensions.
    """
    if not 0 < len(name) <= NAME_CHARACTERS:
        raise InvalidEventError(f"The name of an event has 1 to {NAME_CHARACTERS} characters.")
    body = call.body
    at = _moment(body.get("at"))
    dimensions = body.get("dimensions")
    if dimensions is not None and not isinstance(dimensions, dict):
        message = "dimensions must be an object."
        raise InvalidEventError(message, field="/dimensions", parse_code=INCORRECT_TYPE)
    push_id, push_hash = _id(body, "push_id"), _id(body, "push_hash")
    if name == APP_OPENED and (push_id or push_hash):
        device = _installation(call.installation_id)
        opened = Opened(call.caller.app.id, push_id, push_hash, at, device)
        await call.resources.opens.count(opened)
    return Reply(body={})


def _id(body: Json, name: str) -> str | None:
    """Return an id; SDKs send null where an app was opened without a push."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > ID_CHARACTERS:
        message = f"{name} must be a text of at most {ID_CHARACTERS} characters."
        raise InvalidEventError(message, field=f"/{name}")
    return value or None


def _installation(told: str | None) -> str | None:
    """Return the id that an SDK sends with each request, as installations have it."""
    known = told is not None and len(told) <= ID_CHARACTERS and "\0" not in told
    return told.lower() if told and known else None


def _moment(at: Any) -> datetime | None:
    """Return when it happened: a Date of Parse's, or ISO 8601, in UTC where it has no zone."""
    if at is None:
        return None
    iso: Any = at.get("iso") if isinstance(at, dict) and at.get("__type") == "Date" else at
    try:
        moment = datetime.fromisoformat(iso)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        message = "at must be a Date, or a time in ISO 8601."
        raise InvalidEventError(message, field="/at", parse_code=INCORRECT_TYPE) from None
