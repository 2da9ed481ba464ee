"""What a push says that names a stored template, and what a template's texts look at."""

from collections.abc import Mapping
from typing import Any, Final

from pushsvc.model import Json
from pushsvc.shaping.content import Content

#: Merged key by key; the push's other keys replace the template's as they are.
_BY_KEY: Final = ("data", "variables")


def merged(template: Json, given: Json) -> dict[str, Any]:
    """Return a push's content laid over its template's; a key that is null is not given.

    What is no object is taken as it is, for `check_content` to refuse.
    """
    whole = {**template, **{key: value for key, value in given.items() if value is not None}}
    for key in _BY_KEY:
        ours, theirs = template.get(key), whole.get(key)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            whole[key] = {**ours, **theirs}
    return whole


def variables_used(content: Json) -> frozenset[str]:
    """Return the variables that a content's texts look at, those with a value among them.

    Raises:
        ContentError: a text with variables is not to be understood.
    """
    return Content.of({**content, "variables": {}}).variables.names
