"""A TCP relay in front of a server, which holds back what is said until it is opened."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast


class _End(asyncio.Protocol):
    """One connection of a pair; what it says is written to the other, perhaps later."""

    def __init__(self, *, held: bool) -> None:
        self.held = held
        self.lost = False
        self.other: _End | None = None
        self._transport: asyncio.Transport | None = None
        self._said = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are asyncio's by their methods only.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep what was said, or pass it on."""
        self._said += data
        self.pass_on()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The other side ends with this one."""
        self.lost = True
        if self.other is not None:
            self.other.close()

    def pass_on(self) -> None:
        """Give to the other end what waits here, unless it is held."""
        if not self.held and self._said and self.other is not None:
            self.other.write(bytes(self._said))
            self._said.clear()

    def write(self, octets: bytes) -> None:
        """What the other side said."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(octets)

    def close(self) -> None:
        """FIN, after what was written."""
        if self._transport is not None:
            self._transport.close()


class Gate:
    """Connections to `port` go on to the server's; while it is closed, nothing gets through.

    `slow_answers` holds back only what the server says.
    """

    def __init__(self, to_port: int, *, slow_answers: bool = False) -> None:
        self.port = 0
        self._to_port = to_port
        self._slow_answers = slow_answers
        self._open = False
        self._clients: list[_End] = []
        self._ends: list[_End] = []
        self._joining: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator["Gate"]:
        """Listen on a free port; all connections end with it."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._arrive, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await asyncio.gather(*self._joining, return_exceptions=True)
            for end in self._ends:
                end.close()

    @property
    def arrived(self) -> int:
        """How many connections have come."""
        return len(self._clients)

    @property
    def left(self) -> int:
        """How many of them the client, or the server, has ended."""
        return sum(end.lost for end in self._clients)

    def open(self) -> None:
        """Let through what waits, and all that comes."""
        self._open = True
        for end in self._ends:
            end.held = False
            end.pass_on()

    def _arrive(self) -> _End:
        client = _End(held=not self._open and not self._slow_answers)
        self._clients.append(client)
        self._ends.append(client)
        self._joining.add(asyncio.get_running_loop().create_task(self._join(client)))
        return client

    async def _join(self, client: _End) -> None:
        server = _End(held=not self._open)
        self._ends.append(server)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: server, "127.0.0.1", self._to_port)
        server.other, client.other = client, server
        client.pass_on()
        if client.lost:
            server.close()
