"""What Parse itself keeps of an object, sent by a caller: refused, or ignored. Pure."""

from pushsvc.errors import InvalidObjectError
from pushsvc.model import Json
from pushsvc.storage.encoded import mismatch

_INVALID_KEY_NAME = 105


def check_new(class_name: str, body: Json) -> None:
    """Raise InvalidObjectError for what a new object cannot say: ids are ours to give."""
    for name in ("objectId", "id"):
        if name in body:
            _refuse(name)
    _check_moments(class_name, body)


def check_known(class_name: str, body: Json, object_id: str) -> None:
    """Raise InvalidObjectError where an object that is there is to have another id."""
    if body.get("objectId", object_id) != object_id:
        _refuse("objectId")
    _check_moments(class_name, body)


def _refuse(name: str) -> None:
    raise InvalidObjectError(f"{name} is an invalid field name.", parse_code=_INVALID_KEY_NAME)


def _check_moments(class_name: str, body: Json) -> None:
    for name in ("createdAt", "updatedAt"):
        if isinstance(body.get(name), str):
            mismatch(name, "Date", "String", class_name=class_name)
