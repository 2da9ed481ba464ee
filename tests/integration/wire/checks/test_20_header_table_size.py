"""Check 20: the server's HEADER_TABLE_SIZE, at any time (RFC 7541 section 4.2).

Our encoder must shrink its table and say so at the start of the next block. The server's decoder
is another implementation, which refuses a block that lacks this, and misreads every later one
if the tables differ.
"""

import asyncio
from collections.abc import Iterator

import hpack
import pytest
from h2.settings import SettingCodes
from hyperframe.frame import HeadersFrame

from pushsvc.delivery.wire import Call, Limits, Template
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import carries_on, nothing_leaks, windows_agree
from tests.integration.wire.peer import Peer, Request, Wire, answer_all
from tests.integration.wire.raw_peer import RawPeer, RawWire, acknowledged, answer_on, raw
from tests.integration.wire.sending import SECONDS, OpenPool, Told

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1, max_streams=20, await_settings=True)
EAGER = Limits(max_connections=1, max_streams=20, streams_before_settings=20)

#: Six senders with constant fields of 200 to 1,200 octets: together more than a table of 4,096.
TEMPLATES = [
    Template(
        [(b"apns-topic", b"%d" % number * 200 * (number + 1)), (b"apns-push-type", b"alert")],
        varying=(b"apns-id",),
        literal=[(b"authorization", b"bearer secret")],
    )
    for number in range(6)
]
SETTINGS = 0x4


def calls(keys: range) -> Iterator[Call]:
    """Calls whose templates take turns."""
    for key in keys:
        yield key, TEMPLATES[key % 6], b"/3/device/%08x" % key, (b"%d" % key,), b"{}"


def as_sent(request: Request) -> bool:
    """Whether every field arrived as it was meant."""
    key = int(request.fields[b"apns-id"])
    topic = TEMPLATES[key % 6].fields[0][1]
    return request.fields == {
        b":method": b"POST",
        b":scheme": b"https",
        b":authority": b"localhost",
        b":path": b"/3/device/%08x" % key,
        b"apns-topic": topic,
        b"apns-push-type": b"alert",
        b"authorization": b"bearer secret",
        b"apns-id": b"%d" % key,
    }


async def check_and_answer(wire: Wire, count: int) -> None:
    """Answer the next requests, once they are found to be as they were sent."""
    for _ in range(count):
        request = await wire.request()
        assert as_sent(request)
        wire.answer(request.stream_id, fields=[(b"apns-id", request.fields[b"apns-id"])])


SIZES = {
    "0": [0],
    "lower": [2_000, 1_000, 300, 100, 32, 31, 1],
    "one entry": [44],
    "the same": [4_096, 4_096],
    "raised": [65_536, 2**32 - 1],
    "0 and back": [0, 4_096],
    "up and down": [8_192, 0, 100, 4_096, 50, 4_096, 0, 2_000],
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
async def test_one_size_after_another(
    authority: Authority, open_pool: OpenPool, sizes: list[int]
) -> None:
    """Each comes while requests are under way, and all of these and the later ones are read."""

    async def play(wire: Wire) -> None:
        await check_and_answer(wire, 30)
        for size in sizes:
            wire.settings(header_table_size=size)
            await check_and_answer(wire, 60)
            assert wire.h2.local_settings.header_table_size == size
            assert wire.h2.decoder.header_table_size <= min(size, 4_096)
        await answer_all(wire)

    async with Peer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        keys = range(30 + 60 * len(sizes) + 40)
        async with nothing_leaks(pool):
            await pool.send_many(calls(keys), told, timeout_seconds=SECONDS)
            assert told.own() == list(keys)
            await carries_on(pool)
            assert windows_agree(pool, peer.wires[0])
        assert len(peer.wires) == 1


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
async def test_all_sizes_at_once(
    authority: Authority, open_pool: OpenPool, sizes: list[int]
) -> None:
    """Several SETTINGS between two blocks: the smallest size counts as well as the last."""

    async def play(wire: Wire) -> None:
        await check_and_answer(wire, 30)
        for size in sizes:
            wire.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: size})
        wire.flush()
        await check_and_answer(wire, 60)
        assert wire.h2.local_settings.header_table_size == sizes[-1]
        await answer_all(wire)

    async with Peer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(150)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(150))
            await carries_on(pool)
            assert windows_agree(pool, peer.wires[0])
        assert len(peer.wires) == 1


@pytest.mark.parametrize("limits", [ONE, EAGER], ids=["SETTINGS first", "requests first"])
@pytest.mark.parametrize("size", [0, 100, 65_536])
async def test_from_the_start(
    authority: Authority, open_pool: OpenPool, size: int, limits: Limits
) -> None:
    """The first SETTINGS hold for what is encoded after them, not for what was before."""

    async def play(wire: Wire) -> None:
        if limits is ONE:
            wire.h2.decoder.max_allowed_table_size = size
        await check_and_answer(wire, 100)
        assert wire.h2.decoder.header_table_size <= min(size, 4_096)
        await answer_all(wire)

    async with Peer(play, initial={1: size}).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(150)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(150))
            await carries_on(pool)
            assert windows_agree(pool, peer.wires[0])


async def test_two_sizes_in_one_frame(authority: Authority, open_pool: OpenPool) -> None:
    """0 and 4,096 in the same SETTINGS: the table is emptied, and the next block says both."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        wire.answer_own(await wire.request())
        entries = b"\x00\x01\x00\x00\x00\x00" + b"\x00\x01\x00\x00\x10\x00"
        wire.say(raw(SETTINGS, 0, 0, entries))
        await wire.settled()
        resized.set()
        request = await wire.request()
        assert wire.of(HeadersFrame)[1].data.startswith(b"\x20\x3f\xe1\x1f")
        wire.answer_own(request)
        await answer_on(wire)

    resized = asyncio.Event()
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(1)), told, timeout_seconds=SECONDS)
            await resized.wait()
            await pool.send_many(calls(range(1, 30)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(30))
            await carries_on(pool)


async def test_without_a_table(authority: Authority, open_pool: OpenPool) -> None:
    """After 0 only the static table and literals are used, as a decoder without any table sees."""

    async def play(wire: RawWire) -> None:
        wire.say(raw(SETTINGS, 0, 0, b"\x00\x01\x00\x00\x00\x00"), acknowledged())
        for _ in range(60):
            wire.answer_own(await wire.request())
        for turn, head in enumerate(wire.of(HeadersFrame)):
            tableless = hpack.Decoder()
            tableless.header_table_size = tableless.max_allowed_table_size = 0
            assert tableless.decode(head.data)
            assert head.data.startswith(b"\x20") == (turn == 0)
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(100)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(100))
            await carries_on(pool)
