"""What is wrong with content, found when it is submitted."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

import orjson

from pushsvc.model import Json, Refused
from pushsvc.shaping import apns, fcm_message, limits, wns_block
from pushsvc.shaping.content import (
    FILLED_IN,
    LOCALISED,
    STEERING,
    STEERING_ALIASES,
    Content,
    Envelope,
)
from pushsvc.shaping.drafts import BLOCKS, DRAFTERS
from pushsvc.shaping.fault import ContentError, dotted, within
from pushsvc.shaping.forms import Form
from pushsvc.shaping.splice import RESERVED, mark
from pushsvc.shaping.truncate import shortest
from pushsvc.shaping.values import as_integer
from pushsvc.storage.fields import VALUE_CHARACTERS

#: Name of a key -> what its value must be, null apart, and the sentence that says so.
_Rules = Mapping[str, tuple[Callable[[Any], bool], str]]

#: Choices of texts, the shortest ones, that are tried when a push is submitted.
TRIED: Final = 16
#: The bounds of the JSON encoder's integers.
_INT64: Final = -(2**63)
_UINT64: Final = 2**64 - 1
#: What APNs is sent of so much, in whatever texts, is less than twice as long, and so fits: nobody
#: has to weigh it.
_SURELY_FITS_BYTES: Final = limits.APNS_PAYLOAD_BYTES // 2
#: Of a push that is only weighed.
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_ENVELOPE: Final = Envelope(
    push_id=0, push_object_id="", created_at=_EPOCH, expires_at=None, now=_EPOCH
)
_TOO_LARGE: Final = (
    f"The payload is too large for every gateway: APNs takes {limits.APNS_PAYLOAD_BYTES} bytes "
    f"({limits.APNS_VOIP_PAYLOAD_BYTES} for voip), FCM {limits.FCM_PAYLOAD_BYTES}, WNS "
    f"{limits.WNS_PAYLOAD_BYTES}. Shorten it; truncate: true shortens the text of the alert, and "
    "nothing else."
)
_MISSING: Final = 'A push needs "data", an object with at least one key.'
_NO_OBJECT: Final = '"data" must be an object.'


def _is_priority(value: Any) -> bool:
    return str(as_integer(value)) in apns.PRIORITIES


_DATA_RULES: Final[_Rules] = {
    "alert": (lambda value: isinstance(value, str | dict), "The alert is a string or an object."),
    "title": (lambda value: isinstance(value, str), "The title is a string."),
    "aps": (lambda value: isinstance(value, dict), "aps is an object."),
}
#: These may stand in `data` or beside it.
_STEERING_RULES: Final[_Rules] = {
    "priority": (_is_priority, "The priority is 1, 5 or 10."),
    "push_type": (
        lambda value: isinstance(value, str) and value in apns.PUSH_TYPES,
        f"The push type is one of {', '.join(apns.PUSH_TYPES)}.",
    ),
    "collapse_id": (
        apns.is_collapse_id,
        f"The collapse id is {apns.COLLAPSE_ID}.",
    ),
}
_ALIAS_RULES: Final[_Rules] = {
    alias: _STEERING_RULES[name] for name, alias in STEERING_ALIASES.items()
}
_BESIDE_RULES: Final[_Rules] = {
    "wns": (lambda value: isinstance(value, dict), "wns is an object."),
    "variables": (lambda value: isinstance(value, dict), "variables is an object: name to value."),
    "truncate": (lambda value: isinstance(value, bool), "truncate is true or false."),
    "validate_only": (lambda value: isinstance(value, bool), "validate_only is true or false."),
}
_RULES_BESIDE: Final = {**_STEERING_RULES, **_BESIDE_RULES}
_RULES_WITHIN: Final = {**_STEERING_RULES, **_ALIAS_RULES, **_DATA_RULES}


def check_content(content: Json, *, data_required: bool = True) -> None:
    """Raise ContentError unless every device can be sent something that this content says.

    A block for one gateway says something, too; `data_required=False` lets content pass that says
    nothing. A payload that is too large for one gateway passes, and is refused
    there; one that is too large for all of them does not.
    """
    data = content.get("data")
    if not data and data_required and not any(map(content.get, FILLED_IN)):
        raise ContentError(field="/data", message=_MISSING)
    if not isinstance(data, dict):
        raise ContentError(field="/data", message=_NO_OBJECT)
    size = _size(content)
    if size > limits.CONTENT_BYTES:
        raise ContentError(field="/data", message="The push is larger than 128 KB.")
    _check_json(content)
    _check_rules("/", content, _RULES_BESIDE)
    _check_rules("/data/", data, _RULES_WITHIN)
    _check_variables(content.get("variables") or {})
    whole = Content.of(content)
    flaws = chain(
        apns.flaws(whole, data),
        fcm_message.flaws(content),
        wns_block.flaws(whole),
    )
    for place, sentence in flaws:
        raise ContentError(field=place, message=sentence)
    if size > _SURELY_FITS_BYTES or not whole.says(BLOCKS[Form.APNS]):
        _check_fits(whole)


def _size(content: Json) -> int:
    """Return its bytes; 0 where it cannot be written, for which there is a better word."""
    try:
        return len(orjson.dumps(content))
    except orjson.JSONEncodeError:
        return 0


def _check_json(content: Json) -> None:
    """Raise ContentError for what JSON, UTF-8 or Postgres cannot hold, with the key that has it."""
    for key, value in content.items():
        if flaw := _flaw_within(key):
            raise _held("", flaw)
        parts = value.items() if isinstance(value, dict) else ()
        for name, part in parts:
            if flaw := _flaw_within(name):
                raise _held(f"/{key}", flaw)
            if flaw := _flaw_within(part, depth=2):
                raise _held(within(f"/{key}", name), flaw)
        if not parts and (flaw := _flaw_within(value)):
            raise _held(f"/{key}", flaw)


def _held(field: str, flaw: str) -> ContentError:
    return ContentError(field=field, message=f"{dotted(field) or 'A key'} {flaw}.")


def _flaw_within(value: Any, *, depth: int = 1) -> str | None:
    """Return what is wrong anywhere in a value of this depth. A stack, not recursion."""
    stack = [(value, depth)]
    while stack:
        value, depth = stack.pop()
        if depth > limits.CONTENT_DEPTH:
            return f"is nested too deeply: {limits.CONTENT_DEPTH} levels are the most"
        if isinstance(value, dict):
            stack += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            stack += [(part, depth + 1) for part in value]
        elif flaw := _flaw(value):
            return flaw
    return None


def _flaw(value: Any) -> str | None:
    if isinstance(value, str):
        return _flaw_of_text(value)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if _INT64 <= value <= _UINT64 else "holds an integer of more than 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else "holds a number that is none, or infinite"
    return f"holds a {type(value).__name__}, which JSON has not"


def _flaw_of_text(text: str) -> str | None:
    if "\0" in text:
        return "holds the character U+0000, which cannot be stored"
    if text.isascii():
        return None
    if RESERVED.search(text):
        return "holds U+FDD0 or U+FDD1, which Unicode has for no character"
    # Half of a surrogate pair: valid in JSON's \u form, impossible in UTF-8.
    return None if _is_utf8(text) else "holds half a character"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_rules(place: str, values: Json, rules: _Rules) -> None:
    if rules.keys().isdisjoint(values):
        return
    for name, (is_right, message) in rules.items():
        value = values.get(name)
        # An empty text that steers is not given, as in Parse's adapter.
        is_given = value is not None and (value != "" or name not in STEERING)
        if is_given and not is_right(value):
            raise ContentError(field=place + name, message=message)


def _check_variables(variables: Json) -> None:
    for name, value in variables.items():
        if len(orjson.dumps(value)) > VALUE_CHARACTERS:
            message = f"A variable has at most {VALUE_CHARACTERS} bytes of JSON."
            raise ContentError(field=within("/variables", name), message=message)


def _check_fits(whole: Content) -> None:
    """Raise ContentError if no gateway would take even the shortest texts."""
    # What is too large without any text need not be tried with some. A text that weighs nothing is
    # another thing: with it, Windows is sent a toast, and without it raw data.
    others = {key: value for key, value in whole.data.items() if key not in LOCALISED}
    empty = dict.fromkeys(whole.data.keys() & set(LOCALISED), "")
    bare = [replace(whole, data=others | texts) for texts in (empty, {"alert": mark(0)})]
    forms = {form for content in bare for form in _taking(content, DRAFTERS)}
    contents = [whole.localised(choice) for choice in (whole.choices() if forms else ())]
    if whole.beside.get("truncate"):
        contents = [*contents, *map(shortest, contents)]
    # Of texts that differ in how they are escaped the shortest need not be the smallest.
    if not any(_taking(content, forms) for content in sorted(contents, key=_texts_bytes)[:TRIED]):
        raise ContentError(field="/data", message=_TOO_LARGE)


def _taking(content: Content, forms: Iterable[Form]) -> list[Form]:
    """Return the forms in which content is not too large, of those that it says something in."""
    told = (form for form in forms if content.says(BLOCKS[form]))
    return [form for form in told if not isinstance(DRAFTERS[form](content, _ENVELOPE), Refused)]


def _texts_bytes(content: Content) -> int:
    return sum(len(orjson.dumps(content.data.get(name))) for name in LOCALISED)
