"""h2's checks of received header fields, with a short way for requests that are plainly right.

h2 looks at every octet by itself and runs seven generators: a fifth of what a request costs us. A
request that is plain by the expressions below passes all of its checks; others go through them.
"""

import re
from collections.abc import Iterable
from typing import Any

from h2 import stream
from h2.utilities import CONNECTION_HEADERS, validate_headers as validate_slowly

Field = tuple[bytes, bytes]

PSEUDO = {b":method", b":scheme", b":authority", b":path"}
#: Names that h2 has rules about.
WITH_RULES = {*CONNECTION_HEADERS, b"te", b"host"}
#: RFC 9113, section 8.2.1: what is in a name, and in a value.
NAME = re.compile(rb"[^\x00-\x20A-Z:\x7f-\xff]+")
VALUE = re.compile(rb"[^\x00\n\r\t ](?:[^\x00\n\r]*[^\x00\n\r\t ])?")


def is_plain(fields: list[Field]) -> bool:
    """Whether a request begins with the usual pseudo-fields and has nothing h2 could object to."""
    first, others = fields[: len(PSEUDO)], fields[len(PSEUDO) :]
    if {name for name, _ in first} != PSEUDO or (b":method", b"CONNECT") in first:
        return False
    value_of = VALUE.fullmatch
    name_of = NAME.fullmatch
    return all(value_of(value) for _, value in first) and all(
        name_of(name) and name not in WITH_RULES and value_of(value) for name, value in others
    )


def validate(fields: Iterable[Field], flags: Any) -> Iterable[Field]:
    """In place of `h2.utilities.validate_headers`."""
    read = list(fields)
    is_request = not (flags.is_response_header or flags.is_trailer)
    return read if is_request and is_plain(read) else validate_slowly(read, flags)


def install() -> None:
    """Let h2 use it; it has no option for that."""
    stream.validate_headers = validate  # type: ignore[attr-defined,assignment]  # of lists
