"""Replies in JSON, and times as they are written there."""

import gzip
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson
from starlette.responses import Response

JSON: Final = "application/json"
#: one object on each line
NDJSON: Final = "application/x-ndjson"
#: Smaller replies fit into a few packets as they are.
LEAST_COMPRESSED_BYTES: Final = 16_384
PROBLEM: Final = "application/problem+json"
KEPT_MOMENTS: Final = 256


def json_response(
    content: Any,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = JSON,
) -> Response:
    """Return a response with this content as JSON."""
    return Response(
        orjson.dumps(content), status_code=status, headers=headers, media_type=media_type
    )


def compressed(reply: Response, accepted: str) -> Response:
    """Compress a reply that is worth it, where the request's Accept-Encoding has gzip."""
    if not _takes_gzip(accepted) or len(reply.body) < LEAST_COMPRESSED_BYTES:
        return reply
    # The fastest level: JSON has so much of the same that the others gain little.
    reply.body = gzip.compress(reply.body, 1)
    reply.headers["Content-Encoding"] = "gzip"
    reply.headers["Content-Length"] = str(len(reply.body))
    reply.headers["Vary"] = "Accept-Encoding"
    return reply


def _takes_gzip(accepted: str) -> bool:
    """Tell whether an Accept-Encoding has gzip, and not at the weight 0 (RFC 9110 12.5.3)."""
    for part in accepted.lower().split(","):
        coding, *parameters = (one.strip() for one in part.split(";"))
        if coding == "gzip":
            return not any(one.rstrip("0.") == "q=" for one in parameters)
    return False


def moment(value: datetime) -> str:
    """Return a time as RFC 3339 and Parse have it: UTC, milliseconds, Z."""
    return _written(value.astimezone(UTC))


#: The times of a push that is stored, and of all that are stored with it, are one.
@lru_cache(KEPT_MOMENTS)
def _written(in_utc: datetime) -> str:
    return in_utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_or_none(value: datetime | None) -> str | None:
    """Return a time as `moment` does; None where there is none."""
    return None if value is None else moment(value)
