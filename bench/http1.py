"""Requests over kept-alive HTTP/1.1 connections, at next to no cost: bytes out, answers counted."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
STATUS: Final = slice(9, 12)


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one request."""

    status: int
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What came of all, in the order of the requests."""

    answers: Sequence[Answered]
    seconds: float


@dataclass(slots=True, kw_only=True)
class _Work:
    """Requests that the connections share; each takes the next when it is free."""

    requests: Sequence[bytes]
    numbers: Iterator[int]
    answers: list[Answered | None]
    done: asyncio.Future[None]
    open: int = field(default=0)


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._received = b""
        #: whether a request has no answer yet
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write to."""
        self._transport = cast("asyncio.Transport", transport)

    def write(self, request: bytes) -> None:
        """Send a request; the one before it has its answer."""
        self._open = True
        self._transport.write(request)

    def close(self) -> None:
        """Close it."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Read on; a whole answer is told."""
        self._received += data
        head, end, body = self._received.partition(_END_OF_HEAD)
        if not end:
            return
        length = int(head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._received, self._open = b"", False
        self.answered(int(head[STATUS]), body)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell it where a request is open."""
        if self._open:
            self.lost(error or ConnectionError("closed without an answer"))
        else:
            self.ended()

    def answered(self, status: int, body: bytes) -> None:
        """Take an answer."""
        raise NotImplementedError

    def lost(self, error: Exception) -> None:
        """Take the end of a connection that owes an answer."""
        raise NotImplementedError

    def ended(self) -> None:
        """Take the end of a connection that owes none."""


class _Worker(Connection):
    """The next goes out when the answer is in."""

    def __init__(self, work: _Work) -> None:
        super().__init__()
        self._work = work
        self._number = -1
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._work.open += 1
        self._next()

    def answered(self, status: int, body: bytes) -> None:
        seconds = time.perf_counter() - self._sent_at
        self._work.answers[self._number] = Answered(status, body, seconds)
        self._next()

    def lost(self, error: Exception) -> None:
        if not self._work.done.done():
            self._work.done.set_exception(error)

    def ended(self) -> None:
        self._work.open -= 1
        if self._work.open == 0 and not self._work.done.done():
            self._work.done.set_result(None)

    def _next(self) -> None:
        self._number = next(self._work.numbers, -1)
        if self._number < 0:
            self.close()
            return
        self._sent_at = time.perf_counter()
        self.write(self._work.requests[self._number])


async def ask(host: str, port: int, requests: Sequence[bytes], *, connections: int) -> Answers:
    """Send all requests over so many connections, one at a time on each.

    Raises:
        OSError: a connection was lost.
    """
    loop = asyncio.get_running_loop()
    work = _Work(
        requests=requests,
        numbers=iter(range(len(requests))),
        answers=[None] * len(requests),
        done=loop.create_future(),
    )
    started = time.perf_counter()
    for _ in range(min(connections, len(requests))):
        await loop.create_connection(lambda: _Worker(work), host, port)
    await work.done
    seconds = time.perf_counter() - started
    return Answers(answers=[one for one in work.answers if one], seconds=seconds)
