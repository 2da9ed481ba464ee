"""Check 19: header blocks that break HPACK end the connection with COMPRESSION_ERROR (RFC 7541)."""

import hpack
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import ContinuationFrame, Frame, HeadersFrame, RstStreamFrame

from pushsvc.delivery.wire import Answered, Limits, Unknown
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import carries_on, is_replaced, nothing_leaks
from tests.integration.wire.raw_peer import (
    RawPeer,
    RawWire,
    acknowledged,
    answer_all,
    answer_on,
    settings,
)
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1, await_settings=True, backoff_first_seconds=0.01)

OK = b"\x88"
#: x: y, into the table; and the first entry of the table.
INSERTED, FIRST = b"\x40\x01x\x01y", b"\xbe"
EMPTIED = b"\x20"
#: A literal field named x whose value follows, Huffman coded.
CODED = b"\x00\x01x"

#: What is an error whatever our table may hold.
ALWAYS = {
    "index 0": b"\x80",
    "index 62 of an empty table": FIRST,
    "index far beyond": b"\xff\xff\x7f",
    "name index beyond, inserted": b"\x7e\x01y",
    "name index beyond": b"\x0f\x2f\x01y",
    "name index beyond, never indexed": b"\x1f\x2f\x01y",
    "integer of six octets": b"\xff\x80\x80\x80\x80\x80\x01",
    "small integer of six octets": b"\x00\x7f\x80\x80\x80\x80\x80\x00" + b"n" * 127 + b"\x01y",
    "integer of many octets": b"\xff" + b"\x80" * 1_000 + b"\x01",
    "integer above 2^35": b"\xff\xff\xff\xff\xff\xff\x7f",
    "integer cut off": b"\xff",
    "integer cut off later": b"\xff\x80\x80",
    "name length of many octets": b"\x00\x7f\x80\x80\x80\x80\x80\x01",
    "name cut off": b"\x00\x05ab",
    "no value": b"\x00\x01x",
    "value cut off": b"\x00\x01x\x05ab",
    "value of 4 GiB": b"\x00\x01x\x7f\xff\xff\xff\xff\x0f",
    "no name": b"\x40",
    "Huffman padded with zeros": CODED + b"\x81\x18",
    "Huffman padded with eight bits": CODED + b"\x82\x1f\xff",
    "Huffman of padding alone": CODED + b"\x81\xff",
    "Huffman with EOS": CODED + b"\x84\xff\xff\xff\xff",
    "Huffman with EOS amid": CODED + b"\x85\x1f\xff\xff\xff\xf8",
    "Huffman symbol cut off": CODED + b"\x81\xfe",
    "Huffman in a name": b"\x00\x81\x18\x01y",
    "size update within a block": EMPTIED,
}
#: What is one before the server has acknowledged HEADER_TABLE_SIZE 0.
BEFORE = {
    "size update above the default": b"\x3f\xe2\x1f" + OK,
    "size update of many octets": b"\x3f\x80\x80\x80\x80\x80\x01" + OK,
    "size update cut off": b"\x3f\xe2",
    "size update after a field": OK + INSERTED + b"\x3f\xe1\x1f",
    "what a size update evicted": OK + INSERTED + INSERTED + b"\xbf\xc0",
}
#: And what is one after that.
AFTER = {
    "size update above 0": b"\x21" + OK,
    "size update to the old size": b"\x3f\xe1\x1f" + OK,
    "reference to what was not kept": OK + INSERTED + FIRST,
}
#: Of the first, what could depend on the table.
EARLY = ("index 0", "index 62 of an empty table", "name index beyond", "size update within a block")
CASES = {
    **{name: (OK + block, True) for name, block in ALWAYS.items()},
    **{f"{name}, early": (OK + ALWAYS[name], False) for name in EARLY},
    **{name: (block, False) for name, block in BEFORE.items()},
    **{name: (block, True) for name, block in AFTER.items()},
}


def whole(stream_id: int, block: bytes) -> Frame:
    """A head that is the whole answer."""
    return HeadersFrame(stream_id, block, flags=["END_HEADERS", "END_STREAM"])


async def greeted(wire: RawWire, *, acked: bool) -> None:
    """SETTINGS, and perhaps the acknowledgement; three requests, of which one is answered."""
    wire.say(settings(), *[acknowledged()] * acked)
    await wire.requests(3)
    wire.say(whole(1, OK + b"\x00\x07apns-id\x010"))


async def compression_error(pool_port: int, open_pool: OpenPool, wires: list[RawWire]) -> None:
    """Three requests, one answered: the others are unknown, and we leave with the right code."""
    pool, told = open_pool(pool_port, ONE), Told()
    async with nothing_leaks(pool):
        await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
        assert told.own() == [0]
        assert told.keys(Unknown) == [1, 2]
        assert str(told.verdicts[1]) == str(told.verdicts[2])
        assert "'COMPRESSION_ERROR: " in str(told.verdicts[1])
        await wires[0].until(wires[0].ended.is_set)
        assert wires[0].goaways == [ErrorCodes.COMPRESSION_ERROR]
        assert wires[0].resets == []
        await is_replaced(pool)


@pytest.mark.parametrize(("block", "acked"), CASES.values(), ids=CASES)
async def test_a_bad_block(
    authority: Authority, open_pool: OpenPool, block: bytes, *, acked: bool
) -> None:
    """The shared state is lost, so the connection is; what is under way is unknown."""

    async def play(wire: RawWire) -> None:
        await greeted(wire, acked=acked)
        wire.say(whole(3, block))

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        await compression_error(peer.port, open_pool, peer.wires)


BAD = OK + b"\x80"
PLACES: dict[str, list[Frame]] = {
    "for a stream that is over": [whole(1, BAD)],
    "for a stream just refused": [RstStreamFrame(3, ErrorCodes.REFUSED_STREAM), whole(3, BAD)],
    "over two frames": [
        HeadersFrame(3, BAD[:1], flags=["END_STREAM"]),
        ContinuationFrame(3, BAD[1:], flags=["END_HEADERS"]),
    ],
    "cut by the end of its frames": [
        HeadersFrame(3, OK + b"\x00\x05ab", flags=["END_STREAM"]),
        ContinuationFrame(3, b"", flags=["END_HEADERS"]),
    ],
    "as trailers": [HeadersFrame(3, OK, flags=["END_HEADERS"]), whole(3, b"\x80")],
    "as a 1xx head": [HeadersFrame(3, b"\x08\x03103\x80", flags=["END_HEADERS"])],
}


@pytest.mark.parametrize("frames", PLACES.values(), ids=PLACES)
async def test_a_bad_block_anywhere(
    authority: Authority, open_pool: OpenPool, frames: list[Frame]
) -> None:
    """Every block is decoded, also one nobody waits for."""

    async def play(wire: RawWire) -> None:
        await greeted(wire, acked=True)
        wire.say(*frames)

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
            assert told.own() == [0]
            assert "COMPRESSION_ERROR" in str(told.verdicts[2])
            await peer.wires[0].until(peer.wires[0].ended.is_set)
            assert peer.wires[0].goaways == [ErrorCodes.COMPRESSION_ERROR]
            await is_replaced(pool)


async def test_a_table_that_is_gone(authority: Authority, open_pool: OpenPool) -> None:
    """The acknowledgement empties the table; a server that goes on using it has broken HPACK."""

    async def play(wire: RawWire) -> None:
        await greeted(wire, acked=False)
        wire.say(HeadersFrame(3, OK + INSERTED + FIRST, flags=["END_HEADERS"]))
        wire.say(acknowledged(), whole(5, OK + FIRST))

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        await compression_error(peer.port, open_pool, peer.wires)


ODD = {
    "the largest table": (b"\x3f\xe1\x1f" + OK + INSERTED + FIRST, False),
    "emptied and filled again": (EMPTIED + b"\x3f\xe1\x1f" + OK + INSERTED + FIRST, False),
    "the update we asked for": (EMPTIED + OK + INSERTED, True),
    "the update twice": (EMPTIED * 2 + OK, True),
    # RFC 9113 section 4.3.1 wants an update in both; servers that use no table forget it.
    "no update, and no use of the table": (OK + b"\x0f\x06\x01y", True),
    "no update, and what is not kept": (OK + INSERTED, True),
    "a field larger than the table": (OK + b"\x40\x01x\x7f\xff\x1f" + b"y" * 4_222, False),
    "empty values": (OK + b"\x00\x01x\x00" + b"\x00\x01x\x80", True),
    "Huffman to the last bit": (OK + CODED + b"\x85" + b"\x1f\x8c\x63\x18\xff", True),
}


@pytest.mark.parametrize(("block", "acked"), ODD.values(), ids=ODD)
async def test_an_odd_block(
    authority: Authority, open_pool: OpenPool, block: bytes, *, acked: bool
) -> None:
    """What is rare and legal, or what harms nobody, is read; the connection goes on."""

    async def play(wire: RawWire) -> None:
        await greeted(wire, acked=acked)
        wire.say(whole(3, block), whole(5, b"\x89"))
        wire.say(*[acknowledged()] * (not acked))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
            one, two = told.verdicts[1], told.verdicts[2]
            assert isinstance(one, Answered)
            assert one.status == 200
            assert {name for name, _ in one.headers} <= {b"x", b"age"}
            assert two == Answered(204, (), b"")
            await carries_on(pool)
        assert peer.wires[0].goaways == [ErrorCodes.NO_ERROR]


async def test_a_bomb(authority: Authority, open_pool: OpenPool) -> None:
    """Sixteen thousand references to one large field: the list is cut while it is decoded."""

    async def play(wire: RawWire) -> None:
        await greeted(wire, acked=False)
        large = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4_000
        wire.say(HeadersFrame(3, OK + large + FIRST * 12_000, flags=["END_HEADERS"]))
        wire.say(wire.data(3, b"still here", end=True), whole(5, OK + FIRST))
        wire.say(acknowledged())
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
            bombed, after = told.verdicts[1], told.verdicts[2]
            assert isinstance(bombed, Answered)
            assert (bombed.status, bombed.body) == (200, b"still here")
            octets = sum(len(name) + len(value) + 32 for name, value in bombed.headers)
            assert 4_000 < octets <= ONE.max_header_list_bytes
            assert after == Answered(200, ((b"x", b"y" * 4_000),), b"")
            await carries_on(pool)


def test_another_implementation_agrees() -> None:
    """python-hyper's decoder refuses what we refuse, and reads what we read."""
    for block in [*ALWAYS.values(), *BEFORE.values()]:
        with pytest.raises(hpack.HPACKError):
            hpack.Decoder().decode(OK + block if block in ALWAYS.values() else block)
    for block, acked in ODD.values():
        if not acked:
            assert hpack.Decoder().decode(block)
