"""The simulators' HTTP/1.1 wire, on aiohttp's low-level server: WNS, and FCM for old senders."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_protocol import RequestHandler

from pushsvc.simulators import transports
from pushsvc.simulators.exchange import Answer, Exchange, Header, Session
from pushsvc.simulators.gateway import Gateway
from pushsvc.simulators.timers import Timers


class Http1Server(web.Server):
    """Makes a protocol for each connection; requests become exchanges of the gateway."""

    def __init__(
        self, gateway: Gateway, *, numbers: Iterator[int], lost: Callable[[], None]
    ) -> None:
        # A sender that has left needs no answer: its exchange is cancelled.
        super().__init__(
            self._serve, handler_cancellation=True, access_log=None, auto_decompress=False
        )
        self._gateway = gateway
        self._numbers = numbers
        self._lost = lost
        self._timers = Timers()
        self._sessions: dict[RequestHandler, tuple[Session, asyncio.Transport]] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """A connection was opened."""
        super().connection_made(handler, transport)
        self._sessions[handler] = (Session(connection=next(self._numbers)), transport)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """A connection is gone."""
        super().connection_lost(handler, exc)
        if self._sessions.pop(handler, None):
            self._lost()

    def sessions(self) -> list[tuple[Session, asyncio.Transport]]:
        """Those that are open."""
        return list(self._sessions.values())

    def abort(self) -> None:
        """Cut all connections; their exchanges are cancelled by that."""
        self._timers.cancel()
        for _, transport in self.sessions():
            transport.abort()

    def stall(self, seconds: float, *, every: int) -> int:
        """Read nothing for so long on every n-th open connection; returns on how many."""
        struck = [
            transport for session, transport in self.sessions() if session.connection % every == 0
        ]
        for transport in struck:
            transport.pause_reading()
            self._timers.after(seconds, partial(_read_on, transport))
        return len(struck)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        session, transport = self._sessions[request.protocol]
        exchange = H1Exchange(self._gateway, session, headers=_headers(request))
        exchange.take(transport)
        exchange.stream_id = session.requests + 1
        exchange.receive(await request.read())
        try:
            self._gateway.receive(exchange)
            response = await exchange.response
            self._gateway.ledger.make_durable()
            return response
        finally:
            exchange.drop()


def _read_on(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.resume_reading()


class H1Exchange(Exchange):
    """A request on an HTTP/1.1 connection; `response` is what aiohttp is to write."""

    __slots__ = ("_timers", "_transport", "response")

    def take(self, transport: asyncio.Transport) -> None:
        """The connection to answer on."""
        self._transport = transport
        self._timers = Timers()
        self.response: asyncio.Future[web.StreamResponse]
        self.response = asyncio.get_running_loop().create_future()

    def drop(self) -> None:
        """The exchange is over: answered, or its sender gone."""
        self._timers.cancel()

    def answer(self, answer: Answer) -> None:
        """A response with Content-Length."""
        if self.response.done():
            return
        response = web.Response(status=answer.status, body=answer.body)
        for name, value in answer.headers:
            response.headers[name.decode()] = value.decode()
        self.response.set_result(response)
        self.settle(answer)

    def answer_in_pieces(self, answer: Answer, pieces: list[bytes], *, pause: float = 0.0) -> None:
        """The pieces are an HTTP/2 matter: only the pause is kept."""
        del pieces
        self.after(pause, lambda: self.answer(answer))

    def answer_raw(self, answer: Answer, written: bytes, *, hang_up: bool) -> None:
        """Write these very bytes; aiohttp is told that the response is written."""
        self.desk.ledger.make_durable()
        self._transport.write(written)
        self.settle(answer)
        if hang_up:
            self._transport.close()
        elif not self.response.done():
            self.response.set_result(_Written())

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call later, unless the exchange is over by then."""
        self._timers.after(seconds, call)

    def hang_up(self) -> None:
        """Close in good order."""
        self._transport.close()

    def reset_tcp(self) -> None:
        """TCP RST."""
        transports.reset(self._transport)

    def go_dark(self) -> None:
        """Stop reading, never answer."""
        self._transport.pause_reading()
        self.after(transports.DARK_SECONDS, self._transport.abort)


class _Written(web.StreamResponse):
    """A response that is on the wire already."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        self._keep_alive = request.keep_alive
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        del data


def _headers(request: web.BaseRequest) -> list[Header]:
    """The fields as HTTP/2 has them: lower-case names, pseudo fields first."""
    version = f"HTTP/{request.version.major}.{request.version.minor}".encode()
    pseudo = [
        (b":method", request.method.encode()),
        (b":path", request.raw_path.encode()),
        (b":version", version),
    ]
    return pseudo + [(name.lower(), value) for name, value in request.raw_headers]
