"""`redirectClassNameForKey`: a find that means what a field leads to, as SDKs ask of relations."""

from typing import Final

from pushsvc.api.parse import classes, installations
from pushsvc.api.parse.call import Call, Reply
from pushsvc.errors import InvalidQueryError
from pushsvc.storage.fields import CLASS_NAME as INSTALLATION

PARAMETER: Final = "redirectClassNameForKey"


async def find(call: Call, class_name: str) -> Reply:
    """Find objects of the class, or of that which its field leads to; the reply says which.

    Raises:
        InvalidQueryError: 102, the parameter is no name of a field.
    """
    key = call.params.get(PARAMETER)
    if key is None:
        return await _find(call, class_name)
    if not isinstance(key, str):
        raise InvalidQueryError(f"{PARAMETER} must be the name of a field.")
    schema = await call.resources.schemas.now(call.caller.app.id)
    kind = schema.of(class_name).get(key)
    target = kind.target_class if kind else None
    if target is None:
        return await _find(call, class_name)
    reply = await _find(call, target)
    return Reply(body={**reply.body, "className": target})


async def _find(call: Call, class_name: str) -> Reply:
    if class_name == INSTALLATION:
        return await installations.find(call)
    return await classes.find(call, class_name)
