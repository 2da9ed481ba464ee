"""A scripted HTTP/2 server over TLS, on python-hyper/h2: strict about what it reads.

Each connection is played by a coroutine of the test. h2 raises on whatever is illegal in what
it reads, and the peer keeps that as `fault`, which every test ends by looking at.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame

DEADLINE_SECONDS = 10.0

Fields = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request."""

    stream_id: int
    fields: Fields
    body: bytes


class Wire:
    """One connection, as the server sees it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        initial: dict[int, int],
    ) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.local_settings = Settings(
            client=False, initial_values=cast("dict[SettingCodes, int]", initial)
        )
        self.h2.initiate_connection()
        self.fault: Exception | None = None
        #: Everything the client reset: stream id and code.
        self.resets: list[tuple[int, int]] = []
        self.goaways: list[int] = []
        self.pings = 0
        #: Frames may be answered or not; this says whether h2's own acknowledgements go out.
        self.mute = False
        self.ended = asyncio.Event()
        self._requests: asyncio.Queue[Request] = asyncio.Queue()
        self._reader = reader
        self._writer = writer
        self._heads: dict[int, Fields] = {}
        self._bodies: dict[int, bytearray] = {}
        self._read = asyncio.Event()
        self._read.set()
        self._moved = asyncio.Event()

    # -- The script's words -------------------------------------------------------------------

    async def request(self) -> Request:
        """The next complete request."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._requests.get()

    async def requests(self, count: int) -> list[Request]:
        """The next complete requests."""
        return [await self.request() for _ in range(count)]

    async def request_or_end(self) -> Request | None:
        """The next complete request, or None when the client has gone."""
        next_one = asyncio.ensure_future(self._requests.get())
        end = asyncio.ensure_future(self.ended.wait())
        try:
            await asyncio.wait({next_one, end}, return_when=asyncio.FIRST_COMPLETED)
            return next_one.result() if next_one.done() else None
        finally:
            next_one.cancel()
            end.cancel()

    def answer(
        self,
        stream_id: int,
        status: int = 200,
        body: bytes = b"",
        fields: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """A whole response."""
        head = [(b":status", b"%d" % status), *fields]
        self.h2.send_headers(stream_id, head, end_stream=not body)
        if body:
            self.h2.send_data(stream_id, body, end_stream=True)
        self.flush()

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """RST_STREAM."""
        self.h2.reset_stream(stream_id, code)
        self.flush()

    def settings(self, **values: int) -> None:
        """SETTINGS, by the names of h2 in lower case."""
        self.h2.update_settings({SettingCodes[key.upper()]: v for key, v in values.items()})
        self.flush()

    def say(self, *frames: Frame | bytes) -> None:
        """Frames that h2 would not write, or not like this."""
        self.flush()
        octets = [frame if isinstance(frame, bytes) else frame.serialize() for frame in frames]
        self._writer.write(b"".join(octets))

    def flush(self) -> None:
        """Write what h2 has to write."""
        octets = self.h2.data_to_send()
        if octets and not self.mute and not self._writer.is_closing():
            self._writer.write(octets)

    def stop_reading(self) -> None:
        """Leave the client's octets in the socket."""
        self._read.clear()

    def read_on(self) -> None:
        """Read again."""
        self._read.set()

    def close(self) -> None:
        """TLS close_notify and FIN."""
        self.flush()
        self._writer.close()

    def tear(self) -> None:
        """TCP RST."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def until(self, fact: Callable[[], object]) -> None:
        """Wait until something the client did makes a fact true."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not fact():
                self._moved.clear()
                await self._moved.wait()

    # -- Reading ------------------------------------------------------------------------------

    async def read(self) -> None:
        """Read until the end, keeping what h2 finds illegal."""
        self.flush()
        try:
            while octets := await self._reader.read(65_536):
                for event in self.h2.receive_data(octets):
                    self._hear(event)
                self.flush()
                self._moved.set()
                await self._read.wait()
        except OSError:
            pass
        except Exception as fault:  # noqa: BLE001 - shown by the test that this peer serves
            self.fault = fault
        self.ended.set()
        self._moved.set()

    def _hear(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(stream_id), headers=list(fields)):
                self._heads[stream_id] = {bytes(name): bytes(value) for name, value in fields}
                self._bodies[stream_id] = bytearray()
            case DataReceived(stream_id=int(stream_id), data=bytes(octets)):
                self._bodies[stream_id] += octets
                if event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream_id)
            case StreamEnded(stream_id=int(stream_id)):
                body = bytes(self._bodies.pop(stream_id))
                self._requests.put_nowait(Request(stream_id, self._heads.pop(stream_id), body))
            case StreamReset(stream_id=int(stream_id), error_code=code):
                self.resets.append((stream_id, int(code or 0)))
            case ConnectionTerminated(error_code=code):
                self.goaways.append(int(code or 0))
            case PingReceived():
                self.pings += 1


Play = Callable[[Wire], Awaitable[None]]


async def answer_all(wire: Wire) -> None:
    """Answer every request with 200 and its apns-id, for ever."""
    while True:
        request = await wire.request_or_end()
        if request is None:
            return
        wire.answer(request.stream_id, fields=[(b"apns-id", request.fields.get(b"apns-id", b""))])


class Peer:
    """A listening server; connection after connection is played by the next play, the last again.

    `wires` are all connections that ever were.
    """

    def __init__(self, *plays: Play, initial: dict[int, int] | None = None) -> None:
        self._plays = plays or (answer_all,)
        self._initial = initial or {}
        self.wires: list[Wire] = []
        self.port = 0
        #: Granted beyond the default for what the client sends, at the start.
        self.connection_window = 0
        self._faults: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listen(self, context: ssl.SSLContext) -> AsyncIterator["Peer"]:
        """Listen on a free port; at the end no connection may have seen anything illegal."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        faults = [wire.fault for wire in self.wires if wire.fault is not None]
        assert faults == []
        assert self._faults == []

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        wire = Wire(reader, writer, self._initial)
        play = self._plays[min(len(self.wires), len(self._plays) - 1)]
        if self.connection_window:
            wire.h2.increment_flow_control_window(self.connection_window)
        self.wires.append(wire)
        reading = asyncio.create_task(wire.read())
        try:
            await play(wire)
            await wire.ended.wait()
        except asyncio.CancelledError:
            # asyncio's streams log a cancelled handler as an error; this one has simply ended.
            pass
        except Exception as fault:  # noqa: BLE001 - shown by `listen`
            self._faults.append(fault)
        finally:
            reading.cancel()
            writer.transport.abort()
            await asyncio.gather(reading, return_exceptions=True)
            self._tasks.discard(task)
