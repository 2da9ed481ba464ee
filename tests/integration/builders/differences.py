"""What a difference from Parse's push adapter is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pushsvc.shaping.body import Form
from tests.integration.builders.cases import Body, Case

#: {"headers": {...}, "body": ...}; header values are strings
Request = dict[str, Any]


def _same(_case: Case, _form: Form, _changed: Body) -> None:
    """Leave it as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that we do otherwise, and how the adapter's request would come to be ours.

    It never sees our request. Either the adapter is given another input, one that asks for the
    same in words that it takes rightly; or its request is changed; or we refuse the push.
    """

    name: str
    forms: frozenset[Form]
    #: what the adapter does, what we do, and on whose word
    why: str
    when: Callable[[Case], bool]
    #: changes what the adapter is given
    given: Callable[[Case, Form, Body], None] = _same
    #: changes what the adapter made
    made: Callable[[Case, Form, Request], None] = _same
    #: where, or for what reason, we refuse instead
    refused: str | None = None
    #: holds for a rawPayload, too, which is a whole message of the caller's own
    raw: bool = False
