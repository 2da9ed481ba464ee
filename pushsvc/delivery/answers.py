"""What the reason tables of all gateways share: rows, words and bodies read with care (pure)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from pushsvc.model import OutcomeClass

#: The header fields of an answer, names in lower case.
Fields = Mapping[str, str]

#: The longest error body of any gateway is under 2 KB; what is larger is not theirs.
BODY_LIMIT_BYTES: Final = 64 * 1024

#: A reason is stored, counted and shown, so only a short printable text becomes one.
REASON_LIMIT_CHARACTERS: Final = 100
_WORD: Final = re.compile(rf"[\x20-\x7e]{{1,{REASON_LIMIT_CHARACTERS}}}")
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


class Row(NamedTuple):
    """One line of a reason table."""

    status: int
    #: the gateway's word
    reason: str
    outcome: OutcomeClass
    #: where the vendor says so
    page: str


def index(rows: Iterable[Row]) -> Mapping[tuple[int, str], OutcomeClass]:
    """Make a table of rows for look-up by status and reason."""
    return {(row.status, row.reason): row.outcome for row in rows}


def fields_of(headers: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Return the header fields of the wire for look-up; of a repeated one the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


def word(value: object) -> str | None:
    """Return the peer's word if it can be a reason, else None."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def wire_reason(why: str) -> str:
    """Return a reason from the wire's own words, which may quote a peer (GOAWAY's debug data)."""
    return _UNPRINTABLE.sub("?", why[:REASON_LIMIT_CHARACTERS])


def http_reason(status: int) -> str:
    """Return the reason of an answer that gave none."""
    return f"http_{status}"


def by_status(status: int, known: Mapping[int, OutcomeClass]) -> OutcomeClass:
    """Class an answer whose reason nobody knows by its status alone.

    4xx is permanent, 5xx passes. 2xx is taken at its word; 3xx is no gateway's and may pass, too.
    """
    if status in known:
        return known[status]
    if 200 <= status < 300:  # noqa: PLR2004 - RFC 9110 15: successful
        return OutcomeClass.OK
    if 400 <= status < 500:  # noqa: PLR2004 - RFC 9110 15: client error
        return OutcomeClass.REQUEST_BAD
    return OutcomeClass.RETRY_BACKOFF


def json_object(body: bytes) -> Mapping[str, Any]:
    """Return the body's JSON object; empty where it is HTML, cut off, huge or something else."""
    if not body or len(body) > BODY_LIMIT_BYTES:
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
