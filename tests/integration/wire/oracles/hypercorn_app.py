"""An ASGI application with every kind of answer; importing it makes hypercorn's HTTP/2 talk.

hypercorn closes a connection on which h2 found something illegal, and tells nobody.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import h2.connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event, StreamReset
from h2.exceptions import ProtocolError

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_LARGE = b"0123456789" * 2_000
_SMALL = b'{"ok":true}'
#: Status, fields, body, by path.
_ANSWERS: dict[str, tuple[int, list[tuple[bytes, bytes]], bytes]] = {
    "/empty": (200, [], b""),
    "/small": (200, [(b"content-length", b"%d" % len(_SMALL))], _SMALL),
    "/large": (200, [], _LARGE),
    "/huge": (200, [], _LARGE * 5),
    "/gone": (410, [], b'{"reason":"Unregistered","timestamp":1700000000000}'),
    "/bad": (400, [], b'{"reason":"BadDeviceToken"}'),
    "/busy": (429, [(b"retry-after", b"7")], b'{"reason":"TooManyRequests"}'),
    "/silent": (500, [], b""),
    "/none": (204, [], b""),
    "/moved": (307, [(b"location", b"https://localhost/elsewhere")], b""),
    "/hints": (200, [], _SMALL),
    "/trailers": (200, [(b"trailer", b"x-end")], _SMALL),
}


_ENDS = (ConnectionTerminated, StreamReset)
#: A client leaves, or has seen enough of a long body.
_IN_PEACE = (ErrorCodes.NO_ERROR, ErrorCodes.CANCEL)


class Telling(h2.connection.H2Connection):
    """Says what is wrong with a client."""

    def receive_data(self, data: Any) -> list[Event]:
        """As it was, but not in silence."""
        try:
            events = super().receive_data(data)
        except ProtocolError as fault:
            _tell(repr(fault))
            raise
        for event in events:
            if isinstance(event, _ENDS) and event.error_code not in _IN_PEACE:
                _tell(repr(event))
        return events


def _tell(fault: str) -> None:
    sys.stderr.write(f"fault: {fault}\n")


h2.connection.H2Connection = Telling  # type: ignore[misc] # hypercorn looks it up here


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Answer by path."""
    if scope["type"] != "http":
        return
    sent = await _read(receive)
    path: str = scope["path"]
    if path == "/hints":
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    status, fields, body = _answer(path, sent)
    own = dict(scope["headers"])[b"apns-id"]
    trailers = path == "/trailers"
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"apns-id", own), *fields],
            "trailers": trailers,
        }
    )
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
    if trailers:
        await send({"type": "http.response.trailers", "headers": [(b"x-end", b"yes")]})


def _answer(path: str, sent: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    if path == "/echo":
        return 200, [], sent
    if path == "/counted":
        return 200, [], b"%d" % len(sent)
    return _ANSWERS[path]


async def _read(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)
