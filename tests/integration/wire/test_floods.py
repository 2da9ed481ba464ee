"""Floods: the flooded connection is closed, and nobody else notices (CVE classes of HTTP/2).

One pool has two connections. The server of the first holds ten requests and floods; the server
of the second answers. Whatever happens to the first, every request gets one verdict, memory
stays flat, and the second goes on.
"""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import PingFrame

from pushsvc.delivery.wire import Answered, Call, Limits, NotProcessed, Pool, Unknown, Verdict
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks
from tests.integration.wire.peer import Request
from tests.integration.wire.raw_peer import RawPeer, RawWire, acknowledged, raw, settings
from tests.integration.wire.sending import SECONDS, OpenPool, Told, call, until

pytestmark = pytest.mark.integration

DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 2, 3, 4, 6, 7, 8, 9
)  # fmt: skip
UNKNOWN = 0xEE
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
MAX_FRAME_BYTES = 16_384

#: HPACK: `:status: 200`, and `:status: 103` as a literal.
OK, EARLY = b"\x88", b"\x08\x03103"
#: A field of 4,000 octets into the table (index 62 from then on), and one octet that is all of it.
STORE, STORED = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4_000, b"\xbe"
#: An entry of the static table, one octet too.
STATIC = b"\xbd"

HELD = 10
TWO = Limits(
    max_connections=2,
    max_streams=HELD,
    streams_before_settings=HELD,
    growth_spacing_seconds=0.0,
)
#: What a server says at once, and what it would say altogether if nobody stopped it.
CHUNK_BYTES = 128 * 1024
FLOOD_BYTES = 100 * 1024 * 1024
#: What client and servers of a test may hold beyond what they held when the flood began.
FLAT_BYTES = 8 * 1024 * 1024


def no_octets(_stream_id: int) -> bytes:
    return b""


def head(stream_id: int) -> bytes:
    """The head of a 200 whose body is to come."""
    return raw(HEADERS, END_HEADERS, stream_id, OK)


@dataclass(frozen=True, kw_only=True)
class Flood:
    """Octets said once and octets said again and again; what the held requests come to."""

    again: Callable[[int], bytes]
    first: Callable[[int], bytes] = no_octets
    #: Of the request whose stream is flooded, and of the other nine.
    verdict: type[Verdict] = Unknown
    others: type[Verdict] = Unknown
    #: What the client may say when it leaves.
    codes: tuple[list[int], ...] = ([ErrorCodes.ENHANCE_YOUR_CALM],)


FLOODS = {
    "CONTINUATION": Flood(
        first=lambda stream_id: raw(HEADERS, END_STREAM, stream_id, OK),
        again=lambda stream_id: raw(CONTINUATION, 0, stream_id),
    ),
    "large CONTINUATION": Flood(
        first=lambda stream_id: raw(HEADERS, END_STREAM, stream_id, OK),
        again=lambda stream_id: raw(CONTINUATION, 0, stream_id, STATIC * MAX_FRAME_BYTES),
    ),
    "PING": Flood(again=lambda _: raw(PING, 0, 0, b"ping me!")),
    "PING ACK": Flood(again=lambda _: raw(PING, ACK, 0, b"pushsvc?")),
    "SETTINGS": Flood(again=lambda _: raw(SETTINGS, 0, 0)),
    "SETTINGS ACK": Flood(again=lambda _: raw(SETTINGS, ACK, 0)),
    "RST_STREAM": Flood(again=lambda stream_id: raw(RST, 0, stream_id, b"\0\0\0\x08")),
    "what asks for resets": Flood(again=lambda stream_id: raw(DATA, 0, stream_id, b"{}")),
    "empty DATA": Flood(first=head, again=lambda stream_id: raw(DATA, 0, stream_id)),
    "padding": Flood(
        first=head, again=lambda stream_id: raw(DATA, PADDED, stream_id, b"\xff" + bytes(255))
    ),
    "DATA of one octet": Flood(
        first=head, again=lambda stream_id: raw(DATA, 0, stream_id, b"x"), verdict=Answered
    ),
    "1xx": Flood(again=lambda stream_id: raw(HEADERS, END_HEADERS, stream_id, EARLY)),
    "empty HEADERS": Flood(again=lambda stream_id: raw(HEADERS, END_HEADERS, stream_id)),
    "answers to the same request": Flood(
        again=lambda stream_id: raw(HEADERS, END_HEADERS | END_STREAM, stream_id, OK),
        verdict=Answered,
    ),
    "references to a table that is none": Flood(
        again=lambda stream_id: raw(HEADERS, END_HEADERS, stream_id, EARLY + STORE + STORED),
        codes=([ErrorCodes.COMPRESSION_ERROR],),
    ),
    "PRIORITY": Flood(again=lambda stream_id: raw(PRIORITY, 0, stream_id, bytes(5))),
    "unknown frames": Flood(again=lambda _: raw(UNKNOWN, 0xFF, 0, b"who?")),
    "GOAWAY": Flood(again=lambda _: raw(GOAWAY, 0, 0, b"\x7f\xff\xff\xff\0\0\0\0")),
    "GOAWAY that disowns": Flood(
        again=lambda _: raw(GOAWAY, 0, 0, bytes(8)),
        verdict=NotProcessed,
        others=NotProcessed,
        # Nothing is left to wait for: it may leave before it has had enough.
        codes=([ErrorCodes.ENHANCE_YOUR_CALM], [ErrorCodes.NO_ERROR]),
    ),
    "credit for what is over": Flood(
        first=lambda stream_id: raw(HEADERS, END_HEADERS | END_STREAM, stream_id, OK),
        again=lambda stream_id: raw(WINDOW_UPDATE, 0, stream_id, b"\0\0\0\x01"),
        verdict=Answered,
    ),
}


@dataclass
class Scene:
    """Two connections of one pool, and the verdicts of all that was sent."""

    pool: Pool
    told: Told = field(default_factory=Told)
    sent: int = 0
    #: What the flooding server has read.
    heard: list[Request] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    #: Octets held at most, beyond those before the flood.
    peak: int = 0

    def traffic(self) -> Iterator[Call]:
        """Calls until the flood is over."""
        while not self.over.is_set():
            yield call(self.sent)
            self.sent += 1

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure memory meanwhile; the flood is over afterwards."""
        tracemalloc.start()
        try:
            yield
            self.peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            self.over.set()

    @property
    def flooded(self) -> list[int]:
        """The keys of the requests that the flooding server has read."""
        return [int(request.fields[b"apns-id"]) for request in self.heard]

    def nobody_else_noticed(self) -> None:
        """One verdict for each request, 200 for each that the other server has read, flat memory.

        `Told` refuses a second verdict.
        """
        assert self.told.keys() == list(range(self.sent))
        assert sorted({*self.told.keys()} - {*self.told.own()}) == sorted(self.flooded)
        assert self.peak < FLAT_BYTES


Flooding = Callable[[RawWire, Scene], Awaitable[None]]


@asynccontextmanager
async def play_scene(
    authority: Authority, open_pool: OpenPool, flooding: Flooding, *, acknowledges: bool = True
) -> AsyncIterator[tuple[Scene, RawWire]]:
    """The scene and the flooded connection, when all is over."""

    async def hold_and_flood(wire: RawWire) -> None:
        wire.say(settings(), *[acknowledged()] if acknowledges else [])
        scene.heard += await wire.requests(HELD)
        await until(lambda: len(peer.wires) == 2)
        with scene.measured():
            await flooding(wire, scene)
        while request := await wire.request_or_end():
            scene.heard.append(request)
            wire.answer_own(request)

    async with RawPeer(hold_and_flood, answer_and_forget).listen(
        authority.server_context()
    ) as peer:
        scene = Scene(open_pool(peer.port, TWO))
        async with nothing_leaks(scene.pool):
            await scene.pool.send_many(scene.traffic(), scene.told, timeout_seconds=SECONDS)
            yield scene, peer.wires[0]


async def answer_and_forget(wire: RawWire) -> None:
    """Answer every request, and keep no frame of it."""
    wire.greet()
    while request := await wire.request_or_end():
        wire.answer_own(request)
        wire.log.clear()
        wire.frames.clear()


async def pour(wire: RawWire, octets: bytes, most_bytes: int = FLOOD_BYTES) -> bool:
    """Say the octets again and again, in chunks that the client has to take.

    The answer is whether it has gone before all was said.
    """
    chunk = octets * max(1, CHUNK_BYTES // len(octets))
    for nth in range(most_bytes // len(chunk)):
        mark = b"%08d" % nth
        wire.log.clear()
        wire.frames.clear()
        wire.say(chunk, raw(PING, 0, 0, mark))
        await wire.until(partial(taken, wire, mark))
        if wire.ended.is_set():
            return True
    return False


def taken(wire: RawWire, mark: bytes) -> bool:
    """Whether the client has read all that was said before the PING with this mark, or has gone."""
    return wire.ended.is_set() or any(ping.opaque_data == mark for ping in wire.of(PingFrame))


@pytest.mark.parametrize("name", FLOODS)
async def test_flood(authority: Authority, open_pool: OpenPool, name: str) -> None:
    """The connection is told to calm down and closed; its requests get the verdict they deserve."""
    flood = FLOODS[name]

    async def flooding(wire: RawWire, scene: Scene) -> None:
        stream_id = scene.heard[0].stream_id
        wire.say(flood.first(stream_id))
        assert await pour(wire, flood.again(stream_id))

    async with play_scene(authority, open_pool, flooding) as (scene, wire):
        scene.nobody_else_noticed()
        assert wire.goaways in flood.codes
        first, *others = (type(scene.told.verdicts[key]) for key in scene.flooded)
        assert (first, set(others)) == (flood.verdict, {flood.others})


@pytest.mark.parametrize(
    ("store", "refer"),
    [
        pytest.param(STORE, STORED, id="own table"),
        pytest.param(b"", STATIC, id="static table"),
    ],
)
async def test_a_header_list_beyond_the_limit_is_cut(
    authority: Authority, open_pool: OpenPool, store: bytes, refer: bytes
) -> None:
    """16 KiB that stand for up to 48 MB: the status counts, the list ends at the limit."""

    async def flooding(wire: RawWire, scene: Scene) -> None:
        first, *rest = scene.heard
        block = OK + store + refer * 12_000
        wire.say(raw(HEADERS, END_HEADERS | END_STREAM, first.stream_id, block))
        for request in rest:
            wire.answer_own(request)
        await until(lambda: len(scene.told.verdicts) >= HELD)

    # Until its ACK of our SETTINGS is in, the server may use a table.
    async with play_scene(authority, open_pool, flooding, acknowledges=not store) as (scene, _):
        assert scene.told.keys(Answered) == list(range(scene.sent))
        bombed = scene.told.verdicts[scene.flooded[0]]
        assert isinstance(bombed, Answered)
        listed = sum(len(name) + len(value) + 32 for name, value in bombed.headers)
        assert bombed.status == 200
        assert 8 * 1024 < listed <= TWO.max_header_list_bytes
        assert scene.peak < FLAT_BYTES


COSTLY: dict[str, Callable[[int], bytes]] = {
    "own table": lambda stream_id: raw(HEADERS, END_HEADERS, stream_id, EARLY + STORED * 16_000),
    "static table": lambda stream_id: raw(HEADERS, END_HEADERS, stream_id, EARLY + STATIC * 16_000),
    "SETTINGS": lambda _: raw(SETTINGS, 0, 0, b"\0\x04\0\0\x10\0" * 2_500),
}


@pytest.mark.parametrize("name", COSTLY)
async def test_frames_that_cost_much(authority: Authority, open_pool: OpenPool, name: str) -> None:
    """Few large frames that take long to read are a flood too."""

    async def flooding(wire: RawWire, scene: Scene) -> None:
        stream_id = scene.heard[0].stream_id
        wire.say(raw(HEADERS, END_HEADERS, stream_id, EARLY + STORE))
        assert await pour(wire, COSTLY[name](stream_id), 2 * CHUNK_BYTES)

    async with play_scene(authority, open_pool, flooding, acknowledges=False) as (scene, wire):
        scene.nobody_else_noticed()
        assert wire.goaways == [ErrorCodes.ENHANCE_YOUR_CALM]


async def test_credit_in_single_octets(authority: Authority, open_pool: OpenPool) -> None:
    """50,000 WINDOW_UPDATEs of one octet are credit, and do no harm: all requests are answered."""

    async def flooding(wire: RawWire, scene: Scene) -> None:
        stream_id = scene.heard[0].stream_id
        dribble = [raw(WINDOW_UPDATE, 0, one, b"\0\0\0\x01") for one in (0, stream_id)]
        assert not await pour(wire, b"".join(dribble), 13 * 50_000)
        for request in scene.heard:
            wire.answer_own(request)

    async with play_scene(authority, open_pool, flooding) as (scene, wire):
        assert scene.told.own() == list(range(scene.sent))
        assert scene.peak < FLAT_BYTES
        assert wire.goaways == []


async def test_a_body_that_does_not_end(authority: Authority, open_pool: OpenPool) -> None:
    """The answer is cut and given, its stream reset; what still comes costs no memory."""

    async def flooding(wire: RawWire, scene: Scene) -> None:
        first, *rest = scene.heard
        wire.say(head(first.stream_id))
        await pour(wire, raw(DATA, 0, first.stream_id, b"x" * MAX_FRAME_BYTES), FLOOD_BYTES // 10)
        for request in rest:
            wire.answer_own(request)

    async with play_scene(authority, open_pool, flooding) as (scene, _):
        cut = scene.told.verdicts[scene.flooded[0]]
        assert isinstance(cut, Answered)
        assert (cut.status, len(cut.body)) == (200, TWO.max_body_bytes)
        assert scene.told.keys() == list(range(scene.sent))
        assert scene.peak < FLAT_BYTES


async def test_a_flood_that_does_not_listen(authority: Authority, open_pool: OpenPool) -> None:
    """A server that goes on writing whatever we say gets rid of little of its 100 MB."""
    chunk = raw(PING, 0, 0, b"ping me!") * 4_000
    written = 0

    async def flooding(wire: RawWire, scene: Scene) -> None:  # noqa: ARG001 - all floods take it
        nonlocal written
        with suppress(OSError):
            while written < FLOOD_BYTES:
                wire.say(chunk)
                await wire._writer.drain()
                wire.log.clear()
                written += len(chunk)

    async with play_scene(authority, open_pool, flooding) as (scene, _):
        scene.nobody_else_noticed()
        assert written < FLOOD_BYTES // 10
