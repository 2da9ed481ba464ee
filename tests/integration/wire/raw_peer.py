"""A TLS server that frames and unframes, and judges nothing: for what no library would write.

`RawPeer(*plays).listen(context)` is used as `peer.Peer` is: each connection is played by the
next coroutine `play(wire)`, the last again; `peer.wires` are all connections that ever were. A
play that raises, and octets of the client that are no frames, fail the test at the end of
`listen`. After its play a connection stays open until the client closes it; once its pools are
closed, a test awaits `peer.over()`, or plays may be cut off before their last words.

A play says: `greet(max_concurrent_streams=5)` is SETTINGS and the ACK of the client's (nothing
is acknowledged or sent unasked), `say(...)` any frames of hyperframe or octets in one write,
`answer(...)` a whole response, `close()` and `tear()` the end. `head(...)` and `data(...)` only
make frames; the blocks of `head` are made by `encoder`, whose table has no room unless the test
puts another encoder there.

A play hears: `frames`, everything the client sent, in its order; `log`, the same among what was
said, as (whether we said it, what); `of(kind)`, all frames of one type; `next(kind)`, the next
of one type that `next` has not given yet; `request()`, the next complete request; `until(fact)`;
`settled()` when the client has read all that was said and done what follows from it; `ended`,
set at the client's FIN or RST.

`Reads` makes pools and tells what their connections have read, to deliver octets in pieces of
the test's choice.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

from pushsvc.delivery.wire import Limits, Origin, Pool, client_context
from tests.integration.wire.certificates import Authority
from tests.integration.wire.peer import DEADLINE_SECONDS, Request

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES = 9

Fields = Sequence[tuple[str, str]]
F = TypeVar("F", bound=Frame)


def settings(**values: int) -> SettingsFrame:
    """SETTINGS, by the names of hyperframe in lower case."""
    return SettingsFrame(0, {getattr(SettingsFrame, key.upper()): v for key, v in values.items()})


def acknowledged() -> SettingsFrame:
    """The acknowledgement of the client's SETTINGS."""
    return SettingsFrame(0, flags=["ACK"])


def raw(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A frame as octets, whatever is in it."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big")
    return head + payload


class Reads:
    """Counts what the connections of its pools read: octets, and in how many pieces.

    A piece that TLS has read has been given to the client before anything else can run.
    """

    def __init__(self, authority: Authority) -> None:
        self.octets = 0
        self.pieces = 0
        self._more = asyncio.Event()
        self._context = client_context(authority.ca_file)
        count = self._count

        class Counting(ssl.SSLObject):
            def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002 - ssl's name
                got: Any = super().read(len, buffer)
                count(got if isinstance(got, int) else memoryview(got).nbytes)
                return got

        self._context.sslobject_class = Counting

    def pool(self, port: int, limits: Limits) -> Pool:
        """A pool that is counted; its test closes it."""
        return Pool(
            Origin("localhost"),
            ssl_context=self._context,
            connect_to=("127.0.0.1", port),
            limits=limits,
        )

    def _count(self, octets: int) -> None:
        self.octets += octets
        self.pieces += bool(octets)
        self._more.set()

    async def deliver(self, wire: "RawWire", *pieces: bytes) -> None:
        """Say each piece when the one before has been read."""
        for piece in pieces:
            due = self.octets + len(piece)
            wire.say(piece)
            async with asyncio.timeout(DEADLINE_SECONDS):
                while self.octets < due:
                    self._more.clear()
                    await self._more.wait()


class RawWire:
    """One connection, as the server sees it; see the module."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.encoder = hpack.Encoder()
        self.encoder.header_table_size = 0
        self.decoder = hpack.Decoder()
        self.log: list[tuple[bool, Frame | bytes]] = []
        self.frames: list[Frame] = []
        self.ended = asyncio.Event()
        self.fault: Exception | None = None
        self._reader = reader
        self._writer = writer
        self._given: dict[type[Frame], int] = {}
        self._requests: asyncio.Queue[Request] = asyncio.Queue()
        self._blocks: dict[int, bytes] = {}
        self._heads: dict[int, dict[bytes, bytes]] = {}
        self._bodies: dict[int, bytes] = {}
        self._ending: set[int] = set()
        self._moved = asyncio.Event()

    # -- Saying -------------------------------------------------------------------------------

    def say(self, *frames: Frame | bytes) -> None:
        """All of this in one write."""
        self.log += ((True, frame) for frame in frames)
        octets = [frame if isinstance(frame, bytes) else frame.serialize() for frame in frames]
        if not self._writer.is_closing():
            self._writer.write(b"".join(octets))

    def greet(self, **values: int) -> None:
        """Our SETTINGS, and the acknowledgement of the client's."""
        self.say(settings(**values), acknowledged())

    def head(
        self, stream_id: int, status: int = 200, fields: Fields = (), *, end: bool = False
    ) -> HeadersFrame:
        """A response head as one frame."""
        return self.block(stream_id, [(":status", str(status)), *fields], end=end)

    def block(self, stream_id: int, fields: Fields, *, end: bool = False) -> HeadersFrame:
        """Any fields as one HEADERS frame."""
        flags = ["END_HEADERS", "END_STREAM"] if end else ["END_HEADERS"]
        return HeadersFrame(stream_id, self.encoder.encode(fields), flags=flags)

    def data(self, stream_id: int, octets: bytes, *, end: bool = False) -> DataFrame:
        """A piece of a response body."""
        return DataFrame(stream_id, octets, flags=["END_STREAM"] if end else [])

    def answer(
        self, stream_id: int, status: int = 200, body: bytes = b"", fields: Fields = ()
    ) -> None:
        """A whole response."""
        head = self.head(stream_id, status, fields, end=not body)
        self.say(head, *[self.data(stream_id, body, end=True)] if body else [])

    def answer_own(self, request: Request) -> None:
        """200 with the request's own apns-id."""
        apns_id = request.fields[b"apns-id"].decode()
        self.answer(request.stream_id, fields=[("apns-id", apns_id)])

    def close(self) -> None:
        """TLS close_notify and FIN."""
        self._writer.close()

    def tear(self) -> None:
        """TCP RST."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    # -- Hearing ------------------------------------------------------------------------------

    async def until(self, fact: Callable[[], object]) -> None:
        """Wait until something the client did makes a fact true; once it is gone, it must be."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not fact():
                assert not self.ended.is_set(), "the client has gone"
                self._moved.clear()
                await self._moved.wait()

    def of(self, kind: type[F]) -> list[F]:
        """All frames of one type, in their order."""
        return [frame for frame in self.frames if isinstance(frame, kind)]

    async def next(self, kind: type[F]) -> F:
        """The next frame of one type."""
        given = self._given.get(kind, 0)
        self._given[kind] = given + 1
        await self.until(lambda: len(self.of(kind)) > given)
        return self.of(kind)[given]

    async def request(self) -> Request:
        """The next complete request."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._requests.get()

    async def requests(self, count: int) -> list[Request]:
        """The next complete requests."""
        return [await self.request() for _ in range(count)]

    async def request_or_end(self) -> Request | None:
        """The next complete request, or None when the client has gone."""
        await self.until(lambda: not self._requests.empty() or self.ended.is_set())
        return None if self._requests.empty() else self._requests.get_nowait()

    async def settled(self) -> None:
        """Wait until the client has read everything and written what it then had to write.

        It answers a PING at once, before it opens what there is room for; the second PING's
        answer stands behind that.
        """
        await self._echo(b"settled1")
        await self._echo(b"settled2")

    async def _echo(self, octets: bytes) -> None:
        def echoes() -> int:
            return sum(ping.opaque_data == octets for ping in self.of(PingFrame))

        before = echoes()
        self.say(PingFrame(0, octets))
        await self.until(lambda: echoes() > before)

    @property
    def goaways(self) -> list[int]:
        """The codes of the client's GOAWAYs."""
        return [int(frame.error_code) for frame in self.of(GoAwayFrame)]

    @property
    def resets(self) -> list[tuple[int, int]]:
        """Everything the client reset: stream id and code."""
        return [(frame.stream_id, int(frame.error_code)) for frame in self.of(RstStreamFrame)]

    async def read(self) -> None:
        """Read until the end."""
        try:
            assert await self._reader.readexactly(len(PREFACE)) == PREFACE
            while True:
                self._hear(await self._frame())
                self._moved.set()
        except (asyncio.IncompleteReadError, OSError):
            pass
        except Exception as fault:  # noqa: BLE001 - shown by `listen`
            self.fault = fault
        self.ended.set()
        self._moved.set()

    async def _frame(self) -> Frame:
        header = await self._reader.readexactly(HEADER_BYTES)
        frame, length = Frame.parse_frame_header(memoryview(header), strict=True)
        frame.parse_body(memoryview(await self._reader.readexactly(length)))
        return frame

    def _hear(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.log.append((False, frame))
        stream_id = frame.stream_id
        if isinstance(frame, HeadersFrame | ContinuationFrame):
            self._blocks[stream_id] = self._blocks.get(stream_id, b"") + frame.data
            if "END_HEADERS" in frame.flags:
                fields = self.decoder.decode(self._blocks.pop(stream_id), raw=True)
                self._heads[stream_id] = {bytes(name): bytes(value) for name, value in fields}
        elif isinstance(frame, DataFrame):
            self._bodies[stream_id] = self._bodies.get(stream_id, b"") + frame.data
        if "END_STREAM" in frame.flags:
            self._ending.add(stream_id)
        # END_STREAM stands on HEADERS, and CONTINUATION may follow.
        if stream_id in self._ending and stream_id not in self._blocks:
            self._ending.discard(stream_id)
            body = self._bodies.pop(stream_id, b"")
            self._requests.put_nowait(Request(stream_id, self._heads.pop(stream_id), body))


Play = Callable[[RawWire], Awaitable[None]]


async def answer_all(wire: RawWire) -> None:
    """Greet, and answer every request with 200 and its apns-id, for ever."""
    wire.greet()
    await answer_on(wire)


async def answer_on(wire: RawWire) -> None:
    """Answer every request from here on with 200 and its apns-id."""
    while request := await wire.request_or_end():
        wire.answer_own(request)


class RawPeer:
    """A listening server; see the module."""

    def __init__(self, *plays: Play) -> None:
        self._plays = plays or (answer_all,)
        self.wires: list[RawWire] = []
        self.port = 0
        self._faults: list[Exception] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    @contextlib.asynccontextmanager
    async def listen(self, context: ssl.SSLContext) -> AsyncIterator["RawPeer"]:
        """Listen on a free port; at the end every play must have gone well."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        except Exception as failure:
            # What went wrong here is mostly why the test failed.
            for fault in self._all_faults():
                failure.add_note("".join(traceback.format_exception(fault)))
            raise
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if faults := self._all_faults():
            raise ExceptionGroup("of the peer", faults)

    async def over(self) -> None:
        """Wait until the client has ended every connection, and every play has seen it."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _all_faults(self) -> list[Exception]:
        return [*self._faults, *[wire.fault for wire in self.wires if wire.fault is not None]]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        wire = RawWire(reader, writer)
        play = self._plays[min(len(self.wires), len(self._plays) - 1)]
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
