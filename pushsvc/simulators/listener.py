"""The TLS listener of a gateway: accepts, and gives each connection the wire that ALPN chose."""

import asyncio
import socket
import ssl
from itertools import count
from typing import Any, cast

from pushsvc.simulators import http2_life, transports
from pushsvc.simulators.authority import Authority
from pushsvc.simulators.exchange import Session
from pushsvc.simulators.gateway import Gateway
from pushsvc.simulators.http1 import Http1Server
from pushsvc.simulators.http2 import Connection

#: A cold start opens many connections at once.
BACKLOG = 4096
#: A peer that never speaks TLS is let go after this long.
TLS_HANDSHAKE_SECONDS = 10.0
#: How long a connection that we close waits for the sender's close_notify.
TLS_SHUTDOWN_SECONDS = 2.0
H2, H1 = "h2", "http/1.1"


class Listener:
    """One gateway on one port.

    `protocols` are the ALPN names offered, best first. Senders that negotiate nothing are spoken to
    in the last one: APNs is known to speak HTTP/2 then, Google HTTP/1.1.
    """

    def __init__(self, gateway: Gateway, *, protocols: tuple[str, ...]) -> None:
        self._gateway = gateway
        self._protocols = protocols
        #: Whether connections are refused.
        self.is_shut = False
        self._numbers = count(1)
        self._connections: set[Connection] = set()
        self._all_lost = asyncio.Event()
        self._all_lost.set()
        self._address: tuple[str, int]
        self._tls: ssl.SSLContext
        self._http1: Http1Server
        self._server: asyncio.Server

    async def open(self, address: tuple[str, int], authority: Authority) -> None:
        """Listen on an address whose port is held for us."""
        self._address = address
        self._tls = authority.context(list(self._protocols))
        self._http1 = Http1Server(self._gateway, numbers=self._numbers, lost=self._lost)
        await self.listen()

    async def listen(self) -> None:
        """Listen, for the first time or again."""
        self.is_shut = False
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Chooser(self),
            sock=socket.create_server(self._address, backlog=BACKLOG),
            ssl=self._tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=TLS_SHUTDOWN_SECONDS,
        )

    def shut(self) -> int:
        """Refuse connections until `listen`; the open ones, whose number it is, end with RST."""
        struck = self.open_connections
        self.is_shut = True
        self._server.close()
        for connection in list(self._connections):
            connection.reset_tcp()
        for _, transport in self._http1.sessions():
            transports.reset(transport)
        return struck

    def stall(self, seconds: float, *, every: int) -> int:
        """Read nothing for so long on every n-th open connection; returns on how many."""
        struck = self._nth(every)
        for connection in struck:
            connection.stall(seconds)
        return len(struck) + self._http1.stall(seconds, every=every)

    def retire(self, *, every: int) -> int:
        """End every n-th open HTTP/2 connection with a graceful GOAWAY; returns how many."""
        struck = self._nth(every)
        for connection in struck:
            http2_life.retire(connection)
        return len(struck)

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return self._gateway.wire.connections_open

    def _nth(self, every: int) -> list[Connection]:
        return [one for one in self._connections if one.number % every == 0]

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        self._server.close()
        self._http1.abort()
        for connection in list(self._connections):
            connection.abort()
        await self._all_lost.wait()
        await self._server.wait_closed()

    def protocol(self, chosen: str | None) -> asyncio.Protocol:
        """The wire for a connection whose handshake chose this protocol."""
        wire = self._gateway.wire
        wire.connections_opened += 1
        wire.connections_open += 1
        self._all_lost.clear()
        if (chosen or self._protocols[-1]) != H2:
            return self._http1()
        session = Session(connection=next(self._numbers))
        connection = Connection(self._gateway, session, lost=self._lost_h2)
        self._connections.add(connection)
        return connection

    def _lost_h2(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._lost()

    def _lost(self) -> None:
        wire = self._gateway.wire
        wire.connections_open -= 1
        if not wire.connections_open:
            self._all_lost.set()


class _Chooser(asyncio.Protocol):
    """Stands in until the handshake is over, then hands the transport on."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._listener.is_shut:
            transports.reset(cast("asyncio.Transport", transport))
            return
        tls: Any = transport.get_extra_info("ssl_object")
        protocol = self._listener.protocol(tls.selected_alpn_protocol())
        cast("asyncio.Transport", transport).set_protocol(protocol)
        protocol.connection_made(transport)
