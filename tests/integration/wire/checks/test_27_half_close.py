"""Check 27: the server says that it will say no more, and still reads."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import hpack
import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Unknown
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import is_replaced, nothing_leaks
from tests.integration.wire.raw_peer import RawWire, answer_all
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1, await_settings=True, backoff_first_seconds=0.01)


class Tls:
    """TLS by hand, since asyncio's ends both directions at once; to a RawWire it is a writer."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext
    ) -> None:
        self.plain = asyncio.StreamReader()
        self._reader = reader
        self._writer = writer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self.agreed = asyncio.Event()

    async def read(self) -> None:
        """Read until the client's close_notify, FIN or RST."""
        with contextlib.suppress(OSError):
            while (octets := await self._reader.read(65_536)) and self._take(octets):
                self._flush()
        self.plain.feed_eof()

    def _take(self, octets: bytes) -> bool:
        """Feed what came; False after close_notify."""
        self._in.write(octets)
        try:
            if not self.agreed.is_set():
                self._tls.do_handshake()
                self.agreed.set()
            while plain := self._tls.read(65_536):
                self.plain.feed_data(plain)
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLZeroReturnError:
            pass
        return False

    def _flush(self) -> None:
        if octets := self._out.read():
            self._writer.write(octets)

    def write(self, octets: bytes) -> None:
        """As a StreamWriter does."""
        self._tls.write(octets)
        self._flush()

    def is_closing(self) -> bool:
        """As a StreamWriter does."""
        return self._writer.is_closing()

    def close_notify(self) -> None:
        """The end of what we say, to TLS."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()

    def fin(self) -> None:
        """The end of what we say, to TCP."""
        self._writer.write_eof()

    def both(self) -> None:
        """The end of what we say, properly."""
        self.close_notify()
        self.fin()


Ending = Callable[[Tls], None]
ENDINGS = pytest.mark.parametrize("end", [Tls.close_notify, Tls.fin, Tls.both])
Play = Callable[[RawWire, Tls], Awaitable[None]]


class HalfPeer:
    """The first connection is played; all later ones are answered."""

    def __init__(self, play: Play) -> None:
        self.port = 0
        self.wires: list[RawWire] = []
        self._play = play
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listen(self, context: ssl.SSLContext) -> AsyncIterator["HalfPeer"]:
        """Listen on a free port; every play must have gone well."""

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tls = Tls(reader, writer, context)
            self._tasks.add(asyncio.create_task(self._serve(tls, writer)))

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            async with asyncio.timeout(SECONDS):
                await asyncio.gather(*self._tasks)

    async def _serve(self, tls: Tls, writer: asyncio.StreamWriter) -> None:
        wire = RawWire(tls.plain, cast("asyncio.StreamWriter", tls))
        self.wires.append(wire)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(tls.read())
                await tls.agreed.wait()
                group.create_task(wire.read())
                play = self._play(wire, tls) if len(self.wires) == 1 else answer_all(wire)
                await play
                await wire.ended.wait()
        finally:
            writer.transport.abort()


async def acknowledged(wire: RawWire) -> None:
    """SETTINGS are agreed on, both ways."""
    wire.greet()
    await wire.until(lambda: any("ACK" in frame.flags for frame in wire.of(SettingsFrame)))


async def gone(wire: RawWire) -> None:
    """The client leaves by itself, soon, although we would read on."""
    async with asyncio.timeout(SECONDS / 2):
        await wire.ended.wait()


def keys_of(wire: RawWire) -> set[int]:
    """The requests that reached a server, whole or not."""
    decoder = hpack.Decoder()
    heads = [decoder.decode(head.data, raw=True) for head in wire.of(HeadersFrame)]
    return {int(value) for head in heads for name, value in head if name == b"apns-id"}


@ENDINGS
async def test_before_any_request(authority: Authority, open_pool: OpenPool, end: Ending) -> None:
    """Nobody answers here: what waits for a stream is carried by another connection."""

    async def play(wire: RawWire, tls: Tls) -> None:
        wire.greet(max_concurrent_streams=0)
        await wire.until(lambda: len(wire.of(SettingsFrame)) == 2)
        end(tls)
        await gone(wire)
        assert wire.of(HeadersFrame) == []

    async with HalfPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(5)), told, timeout_seconds=SECONDS)
            assert told.own() == [0, 1, 2, 3, 4]
            assert (pool.stats.opened, pool.stats.connect_failures) == (2, 1)


@ENDINGS
async def test_with_requests_under_way(
    authority: Authority, open_pool: OpenPool, end: Ending
) -> None:
    """What it may have read is unknown, at once; what was never written to it is sent elsewhere."""

    async def play(wire: RawWire, tls: Tls) -> None:
        await acknowledged(wire)
        requests = await wire.requests(10)
        for request in requests[:4]:
            wire.answer_own(request)
        wire.say(wire.head(requests[4].stream_id), wire.data(requests[4].stream_id, b"half"))
        end(tls)
        await gone(wire)

    few = Limits(max_connections=1, max_streams=10, await_settings=True, backoff_first_seconds=0.01)
    async with HalfPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, few), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(50)), told, timeout_seconds=SECONDS)
            first, second = (keys_of(wire) for wire in peer.wires)
            # Nothing is sent twice: what the first one read is not sent to the second.
            assert first | second == set(range(50))
            assert first & second == set()
            assert set(told.keys(Unknown)) == first - {0, 1, 2, 3}
            assert set(told.own()) == second | {0, 1, 2, 3}
            assert told.verdicts[4] == Unknown("end of connection")
            await is_replaced(pool)


@ENDINGS
async def test_with_half_a_request(authority: Authority, open_pool: OpenPool, end: Ending) -> None:
    """A request that was never sent in full has not been processed."""

    async def play(wire: RawWire, tls: Tls) -> None:
        wire.greet(initial_window_size=10)
        await wire.next(DataFrame)
        end(tls)
        await gone(wire)
        assert len(wire.of(DataFrame)) == 1

    async with HalfPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1], b"x" * 100), told, timeout_seconds=SECONDS)
            assert told.verdicts == {1: NotProcessed("end of connection, not sent in full")}
            await is_replaced(pool)


@ENDINGS
async def test_after_goaway(authority: Authority, open_pool: OpenPool, end: Ending) -> None:
    """GOAWAY says which it accepted; after the end these will not be answered any more."""

    async def play(wire: RawWire, tls: Tls) -> None:
        await acknowledged(wire)
        requests = await wire.requests(4)
        wire.answer_own(requests[0])
        wire.say(GoAwayFrame(0, requests[1].stream_id, 0))
        end(tls)
        await gone(wire)

    async with HalfPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(4)), told, timeout_seconds=SECONDS)
            assert [type(told.verdicts[key]) for key in range(4)] == [
                Answered,
                Unknown,
                NotProcessed,
                NotProcessed,
            ]
            await is_replaced(pool)


@ENDINGS
async def test_when_idle(authority: Authority, open_pool: OpenPool, end: Ending) -> None:
    """A connection at rest is given up; the next request finds another."""

    async def play(wire: RawWire, tls: Tls) -> None:
        await acknowledged(wire)
        wire.answer_own(await wire.request())
        await wire.settled()
        end(tls)
        await gone(wire)
        assert len(wire.of(HeadersFrame)) == 1
        assert all("ACK" in ping.flags for ping in wire.of(PingFrame))

    async with HalfPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            assert told.own() == [1]
            await until(lambda: not pool.stats.connections)
            await is_replaced(pool)
            assert pool.stats.connect_failures == 0
