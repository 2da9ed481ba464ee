"""A CONNECT proxy on this machine: it says what it was asked for, and misbehaves on demand.

Each connection is read up to the end of its request and then played by a coroutine; the usual
play is a tunnel. Names are looked up in `routes` alone, so a test may ask for hosts that do not
exist, and a client that goes around the proxy reaches nothing.
"""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from pushsvc.delivery.wire import Proxy

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
UNAUTHORIZED = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n'
)
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
#: What one read of a tunnel may bring.
_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: where to, and its fields by lower-case name."""

    target: str
    fields: dict[str, str]


class Visit:
    """One client's connection, whose request has been read."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        way: tuple[str, int] | None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._way = way

    async def say(self, octets: bytes) -> None:
        """Write to the client."""
        self._writer.write(octets)
        with contextlib.suppress(OSError):
            await self._writer.drain()

    async def until_gone(self) -> None:
        """Wait until the client leaves."""
        with contextlib.suppress(OSError):
            while await self._reader.read(_READ_BYTES):
                pass

    async def carry(self, answer: bytes = ESTABLISHED) -> None:
        """Connect, answer, and carry octets both ways until both sides have ended."""
        if self._way is None:
            await self.say(BAD_GATEWAY)
            return
        reader, writer = await asyncio.open_connection(*self._way)
        try:
            await self.say(answer)
            await asyncio.gather(_pump(self._reader, writer), _pump(reader, self._writer))
        finally:
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while octets := await reader.read(_READ_BYTES):
            writer.write(octets)
            await writer.drain()
    if not writer.is_closing():
        writer.write_eof()


Play = Callable[[Visit], Awaitable[None]]


async def tunnel(visit: Visit) -> None:
    """What a proxy is for."""
    await visit.carry()


def tunnel_after(answer: bytes) -> Play:
    """A tunnel behind another answer than the usual one."""

    async def play(visit: Visit) -> None:
        await visit.carry(answer)

    return play


def saying(octets: bytes) -> Play:
    """Say this, and wait for the client to leave."""

    async def play(visit: Visit) -> None:
        await visit.say(octets)
        await visit.until_gone()

    return play


def hanging_up_after(octets: bytes) -> Play:
    """Say this, and close."""

    async def play(visit: Visit) -> None:
        await visit.say(octets)

    return play


async def dribble(visit: Visit) -> None:
    """The usual answer, octet by octet."""
    for octet in ESTABLISHED[:-1]:
        await visit.say(bytes([octet]))
        # The client reads this one before the next is there.
        await asyncio.sleep(0)
    await visit.carry(ESTABLISHED[-1:])


class ConnectProxy:
    """A listening proxy; `asked` is every request it ever read, `open` who is connected now."""

    def __init__(
        self,
        play: Play = tunnel,
        *,
        routes: Mapping[str, tuple[str, int]] | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self._play = play
        self.routes = dict(routes or {})
        self._credentials = credentials
        self.asked: list[Asked] = []
        self.open = 0
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._faults: list[BaseException] = []

    @property
    def url(self) -> str:
        """Its URL, with the credentials it wants."""
        told = "" if self._credentials is None else ":".join(map(_quoted, self._credentials)) + "@"
        return f"http://{told}127.0.0.1:{self.port}"

    @property
    def proxy(self) -> Proxy:
        """What a pool is given."""
        return Proxy.from_url(self.url)

    @property
    def targets(self) -> list[str]:
        """Where it was asked to connect to, in order."""
        return [asked.target for asked in self.asked]

    def cut(self) -> None:
        """Drop every connection in the middle of what it does."""
        for writer in self._writers:
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator["ConnectProxy"]:
        """Listen on a free port; at the end every request must have been a CONNECT."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._faults == []

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.open += 1
        try:
            await self._receive(reader, writer)
        except asyncio.CancelledError:
            # asyncio's streams log a cancelled handler as an error; this one has simply ended.
            pass
        except Exception as fault:  # noqa: BLE001 - shown by `listen`
            self._faults.append(fault)
        finally:
            self.open -= 1
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = _read(await reader.readuntil(b"\r\n\r\n"))
        self.asked.append(asked)
        visit = Visit(reader, writer, self.routes.get(asked.target))
        if asked.fields.get("proxy-authorization") == self._wanted:
            await self._play(visit)
        else:
            await visit.say(UNAUTHORIZED)

    @property
    def _wanted(self) -> str | None:
        if self._credentials is None:
            return None
        return f"Basic {b64encode(':'.join(self._credentials).encode()).decode()}"


def _quoted(part: str) -> str:
    return quote(part, safe="")


def _read(head: bytes) -> Asked:
    line, *fields = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    method, target, version = line.split(" ")
    # urllib3, which is pyfcm's, says 1.0 before Python 3.12.
    assert (method, version) in {("CONNECT", "HTTP/1.1"), ("CONNECT", "HTTP/1.0")}
    named = dict(field.split(": ", 1) for field in fields)
    return Asked(target, {name.lower(): value for name, value in named.items()})
