"""What a push says that names a stored template, and what a template's texts look at."""

from collections.abc import Mapping
from typing import Any, Final

from pushsvc.model import Json
from pushsvc.shaping.content import STEERING_ALIASES, Content

#: Merged key by key; the push's other keys replace the template's as they are.
_BY_KEY: Final = ("data", "variables")
#: Names of the same thing: a push that says one of them says it all.
_SAME: Final = (
    *((name, alias) for name, alias in STEERING_ALIASES.items()),
    ("priority",),
    ("expiration_time", "expiration_interval"),
)


def merged(template: Json, given: Json) -> dict[str, Any]:
    """Return a push's content laid over its template's; a key that is null is not given.

    What is no object is taken as it is, for `check_content` to refuse.
    """
    template = _without(template, _steered(given))
    whole = {**template, **{key: value for key, value in given.items() if value is not None}}
    for key in _BY_KEY:
        ours, theirs = template.get(key), whole.get(key)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            whole[key] = {**ours, **theirs}
    return whole


def _steered(given: Json) -> frozenset[str]:
    """Return what a push says of its own about its delivery, by every name of it.

    Its word holds wherever it says it; where the template does, it may be read first.
    """
    data = given.get("data")
    # A null within `data` takes away what the template says.
    said = set(data) if isinstance(data, Mapping) else set()
    said |= {key for key, value in given.items() if value is not None}
    return frozenset(name for names in _SAME if not said.isdisjoint(names) for name in names)


def _without(template: Json, keys: frozenset[str]) -> dict[str, Any]:
    """Return a template's content without these keys, in `data` and beside it."""
    rest = {key: value for key, value in template.items() if key not in keys}
    data = rest.get("data")
    if isinstance(data, Mapping):
        rest["data"] = {key: value for key, value in data.items() if key not in keys}
    return rest


def variables_used(content: Json) -> frozenset[str]:
    """Return the variables that a content's texts look at, those with a value among them.

    Raises:
        ContentError: a text with variables is not to be understood.
    """
    return Content.of({**content, "variables": {}}).variables.names
