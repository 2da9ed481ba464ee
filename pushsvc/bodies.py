"""What callers write, read strictly: schemas, and their faults as JSON pointers."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pushsvc.errors import Fault, InvalidRequestError

#: As many faults as an answer has.
KEYS_SHOWN: Final = 20
#: Of a key that we do not know.
NAME_CHARACTERS: Final = 255

#: Far more than any gateway takes; a larger number is a mistake.
MOST_PER_MINUTE: Final = 10_000_000

#: What shapes a message is checked by the stage that does it, whose texts name what is wrong.
Shaping = Annotated[Any, Field(json_schema_extra={"description": "Shapes the message."})]
FcmBlock = Annotated[Any, Field(json_schema_extra={"type": ["object", "null"]})]


class Strict(BaseModel):
    """No key but ours, no text for a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


ModelT = TypeVar("ModelT", bound=Strict)


class BesideData(Strict):
    """The keys beside `data` that shape a message."""

    notification: FcmBlock = Field(
        None, description="FCM's AndroidNotification, for Android devices."
    )
    rawPayload: FcmBlock = Field(  # noqa: N815 - Parse's name
        None, description="FCM's Message, for all that FCM reaches, in place of everything."
    )
    android: FcmBlock = Field(None, description="FCM's AndroidConfig: it wins over the rest.")
    webpush: FcmBlock = Field(None, description="FCM's WebpushConfig, for browsers, likewise.")
    wns: Shaping = None
    collapse_id: Shaping = None
    push_type: Shaping = None
    truncate: Shaping = None
    variables: dict[str, Any] | None = Field(
        None, description="Values for the texts' variables; they win over an installation's fields."
    )


def read(
    model: type[ModelT],
    body: Mapping[str, Any],
    *,
    within: Mapping[str, type[Strict]] | None = None,
) -> ModelT:
    """Return the body as the model has it; `within` has the models below, by a part of the way.

    Raises:
        InvalidRequestError: with a pointer to each field at fault.
    """
    below = within or {}
    # To look for the name that each of a million may have meant takes seconds.
    unknown = [key for key in body if key not in model.model_fields]
    if len(unknown) > KEYS_SHOWN:
        raise InvalidRequestError(
            [_unknown_key((key,), model=model, within=below) for key in unknown[:KEYS_SHOWN]]
        )
    try:
        return model.model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)[:KEYS_SHOWN]
    raise InvalidRequestError(
        [
            _unknown_key(one["loc"], model=model, within=below)
            if one["type"] == "extra_forbidden"
            else _fault(one["loc"], one["type"], one["msg"])
            for one in found
        ]
    )


def pointer_to(place: Sequence[int | str]) -> str:
    """Return the JSON pointer of a place; a part that only tells a union's member is no key."""
    parts = [str(part) for part in place if not str(part).startswith("by ")]
    return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in parts)


#: pydantic's type of a fault -> what we say
_SAID: Final[Mapping[str, str]] = {
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "must be an object"),
    "list_type": "must be an array",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    **dict.fromkeys(("string_too_short", "too_short"), "must not be empty"),
}


def _fault(place: Sequence[int | str], kind: str, message: str) -> Fault:
    pointer = pointer_to(place)
    if kind == "missing":
        return Fault(pointer, "missing_key", f"{pointer} is missing.")
    said = _SAID.get(kind) or message.removeprefix("Value error, ")
    return Fault(pointer, "invalid_value", f"{pointer}: {said}.")


def _unknown_key(
    place: Sequence[int | str], *, model: type[Strict], within: Mapping[str, type[Strict]]
) -> Fault:
    here = next((within[str(part)] for part in reversed(place[:-1]) if str(part) in within), model)
    name = str(place[-1])[:NAME_CHARACTERS]
    near = difflib.get_close_matches(name, list(here.model_fields), n=1)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    return Fault(pointer_to(place), "unknown_key", f'Unknown key "{name}".{hint}')
