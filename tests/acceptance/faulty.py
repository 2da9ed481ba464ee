"""What lies between a Parse Server and the service, and does to its requests what networks do."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import aiohttp
from aiohttp import web

from tests.integration.pushing import until

#: Longer than a caller with a deadline of a few seconds waits for an answer.
SLOW_SECONDS: Final = 30
#: Of no meaning to the next one in the chain, or set anew.
HOP_BY_HOP: Final = {"host", "connection", "content-length", "transfer-encoding", "keep-alive"}


class Fault(StrEnum):
    """What becomes of a request."""

    #: the connection ends before the service has it
    LOST = "lost"
    #: the service takes it, and the connection ends without an answer
    RESET_AFTER = "reset_after"
    #: the service takes it, and the caller hears nothing for long
    SLOW = "slow"
    #: the service takes it, and half of its answer comes
    HALF_A_BODY = "half_a_body"
    #: 500, with somebody else's page
    ERROR = "error"
    #: 200, and not JSON
    GARBAGE = "garbage"
    #: 200, and JSON of another kind
    STRANGE = "strange"


#: Answers that do not come from the service: status, body
ANSWERS: Final = {
    Fault.ERROR: (500, b"<html>Internal Server Error</html>"),
    Fault.GARBAGE: (200, b'{"results": [\x00\xff'),
    Fault.STRANGE: (200, b'{"results": [null, 7, {"outcome": {}}], "state": []}'),
}


@dataclass(kw_only=True)
class FaultyRoad:
    """A proxy: what it is told to do to requests, until the context ends."""

    target: Callable[[], str]
    session: aiohttp.ClientSession
    port: int = 0
    #: how many requests met the fault
    struck: int = 0
    #: path -> how many answers of the service went back, whole
    carried: Counter[str] = field(default_factory=Counter)
    _fault: Fault | None = None
    _path: str = ""
    _left: int = 0
    _runner: web.ServerRunner = field(init=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def has_struck(self) -> None:
        """Wait until a request has met the fault."""

        async def struck() -> bool:
            return self.struck > 0

        await until(struck)

    async def has_carried(self, path: str, requests: int) -> None:
        """Wait until so many requests for a path were answered by the service."""

        async def carried() -> bool:
            return self.carried[path] >= requests

        await until(carried)

    @contextmanager
    def doing(self, fault: Fault, *, path: str = "/", times: int = 1_000_000) -> Iterator[None]:
        """Do this to requests whose path begins so, as often as is said."""
        self._fault, self._path, self._left, self.struck = fault, path, times, 0
        try:
            yield
        finally:
            self._fault = None

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Refuse connections, and end those there are."""
        await self.close()
        try:
            yield
        finally:
            await self.open()

    async def open(self) -> None:
        """Listen, on the same port as ever."""
        # Who has hung up is not kept waiting for.
        server = web.Server(self._meet, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Listen no longer, and end the connections."""
        await self._runner.cleanup()

    async def _meet(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        fault = self._strikes(request.path)
        if fault is Fault.LOST:
            return _cut(request)
        if fault in ANSWERS:
            status, text = ANSWERS[fault]
            return web.Response(status=status, body=text, content_type="application/json")
        try:
            reply = await self._forward(request, body)
        except aiohttp.ClientError:
            return _cut(request)
        if fault is Fault.RESET_AFTER:
            return _cut(request)
        if fault is Fault.SLOW:
            await asyncio.sleep(SLOW_SECONDS)
        if fault is Fault.HALF_A_BODY:
            return await _half(request, reply)
        self.carried[request.path] += 1
        return reply

    def _strikes(self, path: str) -> Fault | None:
        if self._fault is None or not self._left or not path.startswith(self._path):
            return None
        self._left -= 1
        self.struck += 1
        return self._fault

    async def _forward(self, request: web.BaseRequest, body: bytes) -> web.Response:
        async with self.session.request(
            request.method,
            self.target() + request.path_qs,
            data=body,
            headers=_end_to_end(request.headers.items()),
        ) as reply:
            told = _end_to_end(reply.headers.items())
            return web.Response(status=reply.status, body=await reply.read(), headers=told)


def _end_to_end(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in fields if name.lower() not in HOP_BY_HOP}


def _cut(request: web.BaseRequest) -> web.Response:
    """End the connection with a reset."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _half(request: web.BaseRequest, reply: web.Response) -> web.StreamResponse:
    whole = reply.body
    assert isinstance(whole, bytes)
    begun = web.StreamResponse(status=reply.status, headers=reply.headers)
    begun.content_length = len(whole)
    await begun.prepare(request)
    await begun.write(whole[: len(whole) // 2])
    if request.transport is not None:
        request.transport.close()
    return begun


@asynccontextmanager
async def faulty_road(target: Callable[[], str]) -> AsyncIterator[FaultyRoad]:
    """Open one to the service, which may move; it takes no notice of what it carries."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        road = FaultyRoad(target=target, session=session)
        await road.open()
        try:
            yield road
        finally:
            await road.close()
