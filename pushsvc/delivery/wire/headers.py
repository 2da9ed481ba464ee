"""Outgoing header fields: what may be sent, and blocks known in advance (RFC 9113 section 8.2)."""

import re
from collections.abc import Sequence
from typing import Final

from pushsvc.delivery.wire.errors import HeaderError
from pushsvc.delivery.wire.hpack import integer, string
from pushsvc.delivery.wire.static import STATIC_NAMES, Field

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
#: No control octets, and no space at either end (section 8.2.1).
_VALUE: Final = re.compile(rb"(?:[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?)?")
#: The usual value, of visible ASCII alone; and a path, which may be nothing else.
is_solid: Final = re.compile(rb"[\x21-\x7e]*").fullmatch
is_path: Final = re.compile(rb"/[\x21-\x7e]*").fullmatch

_VISIBLE: Final = bytes(range(0x21, 0x7F))

#: Fields of the connection, not of a request (section 8.2.2); and those the connection states
#: itself, where a second opinion could only disagree.
_FORBIDDEN: Final = {
    b"connection": "belongs to HTTP/1.1",
    b"keep-alive": "belongs to HTTP/1.1",
    b"proxy-connection": "belongs to HTTP/1.1",
    b"transfer-encoding": "belongs to HTTP/1.1",
    b"upgrade": "belongs to HTTP/1.1",
    b"host": "the connection sends :authority",
    b"content-length": "the connection knows the body",
}

#: Literal, never to be indexed by anyone on the way (RFC 7541 section 6.2.3).
_NEVER_INDEXED: Final = 0x10


def are_alike(values: Sequence[bytes]) -> bool:
    """Whether all are solid and of one size: in one look, for a tenth of what each by itself costs.

    Raises:
        TypeError: one is no string at all.
    """
    return (
        set(map(type, values)) == {bytes}
        and len(set(map(len, values))) == 1
        and not b"".join(values).translate(None, _VISIBLE)
    )


def are_paths(values: Sequence[bytes]) -> bool:
    """Whether all are paths and of one size."""
    if not are_alike(values) or not values[0]:
        return False
    return b"".join(values)[:: len(values[0])].count(b"/") == len(values)


def check_name(name: bytes) -> None:
    """Refuse a name that is no lower-case token, or that is not a request's to send."""
    if not _NAME.fullmatch(name):
        raise HeaderError(name, "the name is not a lower-case token")
    if reason := _FORBIDDEN.get(name):
        raise HeaderError(name, reason)


def check_value(name: bytes, value: bytes) -> None:
    """Refuse control octets (CR, LF and NUL would let a value become a second field)."""
    if name == b"te" and value != b"trailers":
        raise HeaderError(name, "may only be trailers")
    if not _VALUE.fullmatch(value):
        raise HeaderError(name, "the value has a control octet, or a space at its end")


def check_path(path: bytes) -> None:
    """Refuse a :path that is not visible ASCII from its slash on."""
    if not is_path(path):
        raise HeaderError(b":path", "not visible ASCII that starts with a slash")


def _literal(name: bytes, value: bytes) -> bytes:
    index = STATIC_NAMES.get(name)
    if index is not None:
        return integer(index, 4, _NEVER_INDEXED) + string(value)
    return bytes((_NEVER_INDEXED,)) + string(name) + string(value)


class Template:
    """The header block of many requests, but for :path and a few values per call.

    `fields` are constant and live in the connection's dynamic table: one byte each from the
    second request on. `varying` are names whose values come with each call. `literal` are
    constant but kept out of every table (`authorization`), and encoded once, here.
    :method, :scheme, :authority and :path are the connection's to send.

    Raises:
        HeaderError: a name or value that must not be sent.
    """

    __slots__ = ("fields", "literal", "method", "varying")

    def __init__(
        self,
        fields: Sequence[Field],
        *,
        varying: Sequence[bytes] = (),
        literal: Sequence[Field] = (),
        method: bytes = b"POST",
    ) -> None:
        for name, value in (*fields, *literal):
            check_name(name)
            check_value(name, value)
        for name in varying:
            check_name(name)
            if name == b"te":
                raise HeaderError(name, "has one value only, and cannot vary")
        if not _NAME.fullmatch(method.lower()):
            raise HeaderError(b":method", "not a token")
        self.fields = tuple(fields)
        self.varying = tuple(varying)
        self.literal = b"".join(_literal(name, value) for name, value in literal)
        self.method = method


#: key, template, :path, the template's varying values in their order, body.
Call = tuple[int, Template, bytes, tuple[bytes, ...], bytes]
