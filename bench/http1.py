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


class _Connection(asyncio.Protocol):
    """One request at a time: the next goes out when the answer is in."""

    def __init__(self, work: _Work) -> None:
        self._work = work
        self._number = -1
        self._sent_at = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._work.open += 1
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(_END_OF_HEAD)
        if not end:
            return
        length = int(head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        seconds = time.perf_counter() - self._sent_at
        self._work.answers[self._number] = Answered(int(head[STATUS]), body, seconds)
        self._received = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self._work.open -= 1
        unanswered = self._number >= 0 and self._work.answers[self._number] is None
        if self._work.done.done():
            return
        if unanswered:
            self._work.done.set_exception(error or ConnectionError("closed without an answer"))
        elif self._work.open == 0:
            self._work.done.set_result(None)

    def _next(self) -> None:
        self._number = next(self._work.numbers, -1)
        if self._number < 0:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(self._work.requests[self._number])


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
        await loop.create_connection(lambda: _Connection(work), host, port)
    await work.done
    seconds = time.perf_counter() - started
    return Answers(answers=[one for one in work.answers if one], seconds=seconds)
