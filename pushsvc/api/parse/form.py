"""Values that come as text, in a query string or a form: read as JSON where they are. Pure."""

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from pushsvc.api.body import check_depth
from pushsvc.errors import MalformedJsonError, UnstorableError
from pushsvc.storage.encoded import holds_nul

FORM: Final = b"application/x-www-form-urlencoded"
#: More than any object or query has; each costs memory many times its bytes.
MOST_FIELDS: Final = 1_000
#: What JSON begins with: curl says of everything that it is given with -d that it is a form.
_JSON_BEGINS: Final = b'{["'


def read_form(raw: bytes, content_type: bytes, *, texts: Collection[str]) -> dict[str, Any] | None:
    """Return the fields of a form; None for a body that is none.

    Args:
        raw: the body.
        content_type: of the request.
        texts: names of fields that are text, whatever they look like.

    Raises:
        MalformedJsonError: a form with too many fields, or not in UTF-8.
        UnstorableError: it holds what cannot be stored.
    """
    if not content_type.startswith(FORM) or raw.lstrip()[:1] in _JSON_BEGINS:
        return None
    if raw.count(b"&") >= MOST_FIELDS:
        raise MalformedJsonError(f"The form has more than {MOST_FIELDS} fields.")
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, strict_parsing=True, errors="strict"
        )
    except UnicodeDecodeError as error:
        raise MalformedJsonError("The form is not UTF-8, percent-encoded.") from error
    except ValueError:
        # Not of names and values: the complaint that it is not JSON is the more helpful one.
        return None
    return {name: _storable(value) if name in texts else decoded(value) for name, value in pairs}


def decoded(value: Any) -> Any:
    """Read a value as Parse Server does: as JSON where it is JSON, else as it is.

    Raises:
        UnstorableError: it holds what cannot be stored.
    """
    if not isinstance(value, str):
        return value
    try:
        read = orjson.loads(_storable(value))
    except orjson.JSONDecodeError:
        return value
    raw = value.encode()
    if holds_nul(raw):
        raise UnstorableError(_NUL)
    check_depth(read, raw)
    return read


def _storable(value: str) -> str:
    if "\0" in value:
        raise UnstorableError(_NUL)
    return value


_NUL: Final = "A parameter holds the character U+0000, which cannot be stored."
