"""A client of single sends: prepared bytes over kept-alive HTTP/1.1, at some 30 us each.

In an open loop sends come evenly, whether or not those before them are answered; in a closed loop
each connection sends as soon as it has its answer.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import orjson

from bench.audience import TOPIC
from bench.http1 import Connection
from bench.sink import TIMED

#: Under way at once in a closed loop.
CONNECTIONS: Final = 64
#: An API that takes longer than this has failed.
ANSWER_SECONDS: Final = 60
_ACCEPTED: Final = {200, 201, 202}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was sent in one go: token -> when, by the system's clock."""

    posted: dict[str, float]
    #: of those that were accepted, when their answer came
    accepted: dict[str, float]

    @property
    def accepted_per_second(self) -> float:
        """Answers a second, from the first POST to the last answer."""
        return len(self.accepted) / (max(self.accepted.values()) - min(self.posted.values()))


@dataclass(slots=True)
class _Round:
    """One go: what was sent, and how it goes on."""

    sent: Sent
    #: when the closed loop ends, by the monotonic clock; None where sends have their moments
    until: float | None
    finished: asyncio.Future[None]
    under_way: int = 0
    all_out: bool = False


@dataclass(slots=True)
class Client:
    """Connections to the API, each with one request under way at most."""

    url: str
    key: str
    #: tokens that no connection is free for
    _waiting: deque[str] = field(default_factory=deque)
    _idle: list["_Caller"] = field(default_factory=list)
    _all: list["_Caller"] = field(default_factory=list)
    _round: _Round | None = None
    _number: int = 0
    _head: bytes = b""
    _tail: bytes = b""

    def __post_init__(self) -> None:
        """Make ready what all requests have in common."""
        device = {"device_type": "ios", "token": f"{TIMED}{0:056x}", "app_identifier": TOPIC}
        body = orjson.dumps({"devices": [device], "data": {"alert": "Your code is 123456."}})
        before, self._tail = body.split(f"{0:056x}".encode())
        head = (
            f"POST /v1/pushes HTTP/1.1\r\nHost: {urlsplit(self.url).netloc}\r\n"
            f"Authorization: Bearer {self.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._head = head.encode() + before

    async def connect(self, connections: int = CONNECTIONS) -> None:
        """Open the connections."""
        host, _, port = urlsplit(self.url).netloc.partition(":")
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, made = await loop.create_connection(lambda: _Caller(self), host, int(port))
            self._idle.append(made)
            self._all.append(made)

    def close(self) -> None:
        """Close them."""
        for connection in self._all:
            connection.close()

    async def evenly(self, per_second: float, goes_on: Callable[[int], bool]) -> Sent:
        """Send so many a second; wait for all answers.

        `goes_on` is asked with the number of sends so far.

        Raises:
            OSError: a connection was lost.
            TimeoutError: an answer did not come.
        """
        now = self._begin(until=None)
        due = time.monotonic()
        while goes_on(len(now.sent.posted)):
            self._post(self._next_token())
            due += 1 / per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        now.all_out = True
        return await self._end(now)

    async def at_most(self, seconds: float) -> Sent:
        """Send as fast as all connections have their answers.

        Raises:
            OSError: a connection was lost.
            TimeoutError: an answer did not come.
        """
        now = self._begin(until=time.monotonic() + seconds)
        now.all_out = True
        for _ in range(len(self._idle)):
            self._post(self._next_token())
        return await self._end(now)

    def answered(self, connection: "_Caller", *, accepted: bool) -> None:
        """Take the answer to one request, and give the connection its next."""
        now = self._round
        assert now is not None
        now.under_way -= 1
        if accepted:
            now.sent.accepted[connection.token] = time.time()
        self._idle.append(connection)
        if self._waiting:
            self._write(self._waiting.popleft())
        elif now.until is not None and time.monotonic() < now.until:
            self._post(self._next_token())
        elif now.all_out and not now.under_way and not now.finished.done():
            now.finished.set_result(None)

    def lost(self, error: Exception) -> None:
        """End the round where a connection was lost over a request."""
        if self._round and not self._round.finished.done():
            self._round.finished.set_exception(error)

    def _begin(self, *, until: float | None) -> _Round:
        finished = asyncio.get_running_loop().create_future()
        self._round = _Round(Sent(posted={}, accepted={}), until, finished)
        return self._round

    async def _end(self, now: _Round) -> Sent:
        if now.under_way or self._waiting:
            left = 0.0 if now.until is None else max(0.0, now.until - time.monotonic())
            await asyncio.wait_for(now.finished, left + ANSWER_SECONDS)
        return now.sent

    def _next_token(self) -> str:
        self._number += 1
        return f"{TIMED}{self._number:056x}"

    def _post(self, token: str) -> None:
        assert self._round is not None
        self._round.sent.posted[token] = time.time()
        if self._idle:
            self._write(token)
        else:
            self._waiting.append(token)

    def _write(self, token: str) -> None:
        assert self._round is not None
        self._round.under_way += 1
        request = self._head + token.removeprefix(TIMED).encode() + self._tail
        caller = self._idle.pop()
        caller.token = token
        caller.write(request)


class _Caller(Connection):
    """Knows whose token its request has."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self.token = ""

    def answered(self, status: int, body: bytes) -> None:  # noqa: ARG002 - what it is does not matter
        self._client.answered(self, accepted=status in _ACCEPTED)

    def lost(self, error: Exception) -> None:
        self._client.lost(error)
