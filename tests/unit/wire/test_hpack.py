"""The HPACK decoder against RFC 7541 appendix C and against another implementation."""

from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy

import hpack
import pytest
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given, strategies as st

from pushsvc.delivery.wire.errors import ErrorCode, PeerError
from pushsvc.delivery.wire.hpack import Decoder, integer, read_integer
from pushsvc.delivery.wire.huffman import decode
from pushsvc.delivery.wire.static import STATIC, Field

NO_LIMIT = 2**31
TABLE_256 = b"\x3f\xe1\x01"
FIRST_DYNAMIC = 62

DATE_21 = (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT")
DATE_22 = (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT")
PRIVATE = (b"cache-control", b"private")
LOCATION = (b"location", b"https://www.example.com")
GZIP = (b"content-encoding", b"gzip")
COOKIE = (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1")
REQUEST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]
EXAMPLE = (b":authority", b"www.example.com")
NO_CACHE = (b"cache-control", b"no-cache")
CUSTOM = (b"custom-key", b"custom-value")
REQUESTS = [
    [*REQUEST, EXAMPLE],
    [*REQUEST, EXAMPLE, NO_CACHE],
    [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/index.html"),
        EXAMPLE,
        CUSTOM,
    ],
]
#: The dynamic table after each request and its size, as the appendix prints both.
REQUEST_TABLES = [
    ([EXAMPLE], 57),
    ([NO_CACHE, EXAMPLE], 110),
    ([CUSTOM, NO_CACHE, EXAMPLE], 164),
]
RESPONSES = [
    [(b":status", b"302"), PRIVATE, DATE_21, LOCATION],
    [(b":status", b"307"), PRIVATE, DATE_21, LOCATION],
    [(b":status", b"200"), PRIVATE, DATE_22, LOCATION, GZIP, COOKIE],
]
RESPONSE_TABLES = [
    ([LOCATION, DATE_21, PRIVATE, (b":status", b"302")], 222),
    ([(b":status", b"307"), LOCATION, DATE_21, PRIVATE], 222),
    ([COOKIE, GZIP, DATE_22], 215),
]


def decoded(decoder: Decoder, block: bytes) -> list[Field]:
    """The fields of one block."""
    return list(decoder.decode(block).fields)


def table(decoder: Decoder, *, size: int | None = None) -> list[Field]:
    """The dynamic table, newest first, as asked for by index; `size`: once it is made so large."""
    asked, entries = deepcopy(decoder), list[Field]()
    if size is not None:
        asked.decode(integer(size, 5, 0x20))
    with suppress(PeerError):
        while True:
            entries += decoded(asked, integer(FIRST_DYNAMIC + len(entries), 7, 0x80))
    return entries


def follow(
    decoder: Decoder,
    blocks: Sequence[str],
    lists: list[list[Field]],
    tables: list[tuple[list[Field], int]],
) -> None:
    """Decode the blocks; after each, the table has its entries, and they measure what they should.

    They do if a table of just that size holds them all, and one octet less loses the oldest.
    """
    for block, fields, (entries, size) in zip(blocks, lists, tables, strict=True):
        assert decoded(decoder, bytes.fromhex(block)) == fields
        assert table(decoder) == table(decoder, size=size) == entries
        assert table(decoder, size=size - 1) == entries[:-1]


@pytest.mark.parametrize(
    ("value", "prefix", "coded"),
    [
        pytest.param(10, 5, "0a", id="C.1.1"),
        pytest.param(1337, 5, "1f9a0a", id="C.1.2"),
        pytest.param(42, 8, "2a", id="C.1.3"),
    ],
)
def test_integers_of_the_appendix(value: int, prefix: int, coded: str) -> None:
    """Integers are coded as RFC 7541 C.1 shows."""
    octets = bytes.fromhex(coded)
    assert integer(value, prefix) == octets
    assert read_integer(octets, 0, (1 << prefix) - 1) == (value, len(octets))


@pytest.mark.parametrize(
    ("block", "field"),
    [
        pytest.param(
            "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
            (b"custom-key", b"custom-header"),
            id="C.2.1 with indexing",
        ),
        pytest.param("040c2f73616d706c652f70617468", (b":path", b"/sample/path"), id="C.2.2"),
        pytest.param("100870617373776f726406736563726574", (b"password", b"secret"), id="C.2.3"),
        pytest.param("82", (b":method", b"GET"), id="C.2.4 indexed"),
    ],
)
def test_representations_of_the_appendix(block: str, field: tuple[bytes, bytes]) -> None:
    """Single fields are decoded as RFC 7541 C.2 shows, and only C.2.1 enters the table."""
    decoder = Decoder(NO_LIMIT)
    assert decoded(decoder, bytes.fromhex(block)) == [field]
    assert table(decoder) == ([field] if field[0] == b"custom-key" else [])


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param(
            [
                "828684410f7777772e6578616d706c652e636f6d",
                "828684be58086e6f2d6361636865",
                "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
            ],
            id="C.3 plain",
        ),
        pytest.param(
            [
                "828684418cf1e3c2e5f23a6ba0ab90f4ff",
                "828684be5886a8eb10649cbf",
                "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
            ],
            id="C.4 Huffman",
        ),
    ],
)
def test_requests_of_the_appendix(blocks: list[str]) -> None:
    """Three blocks on one connection share the table, as RFC 7541 C.3 and C.4 show."""
    follow(Decoder(NO_LIMIT), blocks, REQUESTS, REQUEST_TABLES)


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param(
            [
                (
                    "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a32"
                    "3120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d"
                ),
                "4803333037c1c0bf",
                (
                    "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a6970"
                    "7738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d61"
                    "67653d333630303b2076657273696f6e3d31"
                ),
            ],
            id="C.5 plain",
        ),
        pytest.param(
            [
                (
                    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad"
                    "171863c78f0b97c8e9ae82ae43d3"
                ),
                "4883640effc1c0bf",
                (
                    "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2"
                    "e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"
                ),
            ],
            id="C.6 Huffman",
        ),
    ],
)
def test_responses_of_the_appendix(blocks: list[str]) -> None:
    """A table of 256 bytes evicts between blocks, as RFC 7541 C.5 and C.6 show."""
    decoder = Decoder(NO_LIMIT)
    assert decoded(decoder, TABLE_256) == []
    follow(decoder, blocks, RESPONSES, RESPONSE_TABLES)


def test_every_entry_of_the_static_table() -> None:
    """Each index of appendix A is the field that another implementation has there."""
    theirs = hpack.table.HeaderTable.STATIC_TABLE
    for index in range(1, FIRST_DYNAMIC):
        field = decoded(Decoder(NO_LIMIT), integer(index, 7, 0x80))
        assert field == [STATIC[index]] == [theirs[index - 1]]


def test_every_huffman_code() -> None:
    """Every octet's code of RFC 7541 appendix B decodes to that octet."""
    for symbol in range(256):
        bits = REQUEST_CODES_LENGTH[symbol]
        padding = -bits % 8
        code = REQUEST_CODES[symbol] << padding | (1 << padding) - 1
        assert decode(code.to_bytes((bits + padding) // 8, "big")) == bytes([symbol])


NAMES = st.sampled_from([b":status", b"date", b"server", b"apns-id", b"x-a", b"x-b", b"etag"])
FIELDS = st.tuples(NAMES, st.binary(max_size=40), st.booleans())
BLOCKS = st.lists(
    st.tuples(
        st.lists(FIELDS, max_size=8),
        st.booleans(),
        st.sampled_from([None, None, None, 0, 64, 200, 4096]),
    ),
    max_size=12,
)


@given(blocks=BLOCKS)
def test_what_another_encoder_says_is_what_we_hear(
    blocks: list[tuple[list[tuple[bytes, bytes, bool]], bool, int | None]],
) -> None:
    """Any sequence of blocks of the hpack package, table changes included, is decoded alike."""
    encoder, decoder = hpack.Encoder(), Decoder(NO_LIMIT)
    for fields, huffman, table_size in blocks:
        if table_size is not None:
            encoder.header_table_size = table_size
        block = encoder.encode(fields, huffman=huffman)
        assert decoded(decoder, block) == [(name, value) for name, value, _ in fields]


@given(block=st.binary(max_size=200))
def test_noise_is_decoded_as_another_decoder_does_or_refused(block: bytes) -> None:
    """On any octets we either agree with the hpack package or say COMPRESSION_ERROR."""
    code = ErrorCode.COMPRESSION_ERROR
    try:
        fields = decoded(Decoder(NO_LIMIT), block)
    except PeerError as error:
        code = error.code
    else:
        assert fields == [(bytes(n), bytes(v)) for n, v in hpack.Decoder().decode(block, raw=True)]
    assert code == ErrorCode.COMPRESSION_ERROR


@pytest.mark.parametrize(
    "block",
    [
        pytest.param("80", id="index 0"),
        pytest.param("be", id="index beyond the table"),
        pytest.param("ff80808080808001", id="integer without end"),
        pytest.param("ff", id="integer cut off"),
        pytest.param("4003", id="string cut off"),
        pytest.param("0005612d", id="name cut off"),
        pytest.param("820a20", id="literal cut off"),
        pytest.param("8220", id="size update after a field"),
        pytest.param("3fe21f", id="size update above the limit"),
        pytest.param("48821fff", id="Huffman padding longer than seven bits"),
        pytest.param("488100", id="Huffman padding of zeros"),
        pytest.param("4884ffffffff", id="EOS in a string"),
    ],
)
def test_bad_blocks(block: str) -> None:
    """What breaks RFC 7541 is a COMPRESSION_ERROR."""
    with pytest.raises(PeerError) as error:
        Decoder(NO_LIMIT).decode(bytes.fromhex(block))
    assert error.value.code == ErrorCode.COMPRESSION_ERROR


def test_a_list_beyond_the_limit_is_cut_and_the_table_still_follows() -> None:
    """Many references to one large entry cost nothing, and later blocks are still right."""
    encoder, decoder = hpack.Encoder(), Decoder(10_000)
    large = (b"x-large", b"v" * 3_000)
    bomb = encoder.encode([large] * 500 + [(b"x-last", b"1")])
    assert decoded(decoder, bomb) == [large] * 3
    assert decoded(decoder, encoder.encode([(b"x-last", b"1"), large])) == [
        (b"x-last", b"1"),
        large,
    ]


def test_after_our_table_is_gone_the_old_entries_are_too() -> None:
    """Once HEADER_TABLE_SIZE 0 is acknowledged, a reference to the table is the peer's error."""
    encoder, decoder = hpack.Encoder(), Decoder(NO_LIMIT)
    decoder.decode(encoder.encode([(b"x-a", b"1")]))
    again = encoder.encode([(b"x-a", b"1")])
    decoder.allow(0)
    with pytest.raises(PeerError, match="outside the table"):
        decoder.decode(again)


def test_an_entry_larger_than_the_table_empties_it() -> None:
    """Which is no error (RFC 7541 section 4.4)."""
    encoder, decoder = hpack.Encoder(), Decoder(NO_LIMIT)
    small, large = (b"x-small", b"1"), (b"x-large", b"v" * 5_000)
    assert decoded(decoder, encoder.encode([small, large])) == [small, large]
    with pytest.raises(PeerError, match="outside the table"):
        decoder.decode(bytes((0x80 | FIRST_DYNAMIC,)))
