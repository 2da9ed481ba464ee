"""Sending a push has a door of its own, which answers as the framework's route would."""

import asyncio
import gzip
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
from starlette.types import ASGIApp, Message

from pushsvc.app import create_app, with_doors
from pushsvc.config import Settings
from tests.integration.conftest import AppRow

pytestmark = pytest.mark.integration

PATH = "/v1/pushes"
BODY: dict[str, Any] = {
    "devices": [{"token": "ab" * 32, "device_type": "ios", "app_identifier": "com.example"}],
    "data": {"alert": "Hello", "badge": 1},
}
VALUES: Sequence[Any] = (
    *(None, True, 0, -1, 2**64, 1.5, "", "x", "urgent", "Increment", "\ud800", "{{", [], {}),
    *([1], ["a"], {"a": 1}, {"token": "t"}, "2026-01-01T00:00:00Z", "x" * 5_000),
    *([{"token": "t", "device_type": "ios"}], [{"object_id": "a", "token": "t"}], [{}] * 60),
)
KEYS: Sequence[str] = (
    *("devices", "data", "channels", "where", "template", "push_time", "expiration_time", "dat"),
    *("expiration_interval", "priority", "on_unknown", "late", "rate_per_minute", "validate_only"),
    *("notification", "android", "webpush", "wns", "collapse_id", "push_type", "variables"),
)
RAW: Sequence[bytes] = (
    *(b"", b" ", b"[]", b"null", b"{", b'{"data":', b'{"data":{"alert":"\\u0000"}}', b"\xff"),
    *(b'{"data":' + b"[" * 300 + b"]" * 300 + b"}", b'{"data":1e999}', b"x" * 200_001),
)
#: Of an answer, what differs from push to push.
OWN = ("id", "created_at", "due_at", "started_at", "expires_at")

Headers = list[tuple[bytes, bytes]]


async def ask(app: ASGIApp, headers: Headers, body: bytes) -> tuple[int, Headers, Any]:
    """Send a request in two parts; return status, headers and body but for what is each push's."""
    parts = [body[: len(body) // 2], body[len(body) // 2 :]]
    said: list[Message] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "server": ("h", 80),
        "client": ("c", 1),
    }

    async def receive() -> Message:
        if not parts:
            await asyncio.Event().wait()
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    answer = orjson.loads(b"".join(message.get("body", b"") for message in said[1:]))
    own = {name: answer.pop(name, None) for name in OWN}
    named = {b"location", b"content-length"} if own["id"] else set[bytes]()
    return (
        said[0]["status"],
        sorted((name, value) for name, value in said[0]["headers"] if name not in named),
        answer,
    )


def requests(key: str, chance: random.Random) -> Iterator[tuple[Headers, bytes]]:
    """Good requests, and what somebody may have done to them."""
    yield from ((sent(key), body) for body in (orjson.dumps(BODY), *RAW))
    for name in KEYS:
        for value in chance.sample(VALUES, 4):
            # Not orjson, which writes no half characters and no large numbers.
            yield sent(key), json.dumps(BODY | {name: value}).encode()
    body = orjson.dumps(BODY)
    for authorization in (None, "", "Bearer", "Bearer psk_nobody", f"Basic {key}", f"bearer {key}"):
        yield sent(key, Authorization=authorization), body
    for idempotency in ("", "k" * 256, "key", "key"):
        yield sent(key, **{"Idempotency-Key": idempotency}), body
    yield sent(key, **{"Idempotency-Key": "key"}), orjson.dumps(BODY | {"on_unknown": "drop"})
    for encoding, packed in (("gzip", gzip.compress(body)), ("gzip", b"no"), ("br", body)):
        yield sent(key, **{"Content-Encoding": encoding}), packed
    yield sent(key, **{"Content-Length": "10000000"}), body


def sent(key: str, **changes: str | None) -> Headers:
    given = {"Authorization": f"Bearer {key}", "X-Request-Id": "one", **changes}
    return [(n.lower().encode(), v.encode()) for n, v in given.items() if v is not None]


async def test_both_answer_alike(settings: Settings, app_row: AppRow) -> None:
    """Whatever is sent: status, headers and body are the same, and none is our fault."""
    limited = settings.model_copy(
        update={"body_limit_bytes": 200_000, "explicit_devices_limit": 50}
    )
    app = create_app(limited)
    doors = with_doors(app, limited)
    chance = random.Random(9)
    statuses: set[int] = set()
    async with app.router.lifespan_context(app):
        for headers, body in requests(app_row.api_key, chance):
            by_route = await ask(app, with_key(headers, "route"), body)
            by_door = await ask(doors, with_key(headers, "door"), body)

            assert by_door == by_route, (headers, body[:200])
            statuses.add(by_door[0])
    assert statuses == {202, 400, 401, 408, 413, 415, 422} - {408}


def with_key(headers: Headers, way: str) -> Headers:
    """Have each way its own idempotency keys, of which some come again."""
    return [(name, value + way.encode() if value == b"key" else value) for name, value in headers]
