"""Response heads: judged by RFC 9113 section 8.3, and the same whether remembered or decoded."""

import hpack
import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.wire.errors import PeerError
from pushsvc.delivery.wire.events import Answered
from pushsvc.delivery.wire.response import Broken, Heads

NO_LIMIT = 1 << 30

NAMES = st.sampled_from([b"apns-id", b"content-length", b"date", b"X-Upper", b"connection"])
VALUES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"", b"0", b"123", b"a\r\nb", b"x" * 126, b"x" * 127, b"x" * 200]),
)
HEADS = st.lists(
    st.tuples(st.sampled_from([b"200", b"410", b"103", b"x"]), NAMES, VALUES, st.booleans()),
    max_size=8,
)


def stateless(heads: Heads) -> hpack.Encoder:
    """An encoder without a table, as every peer has once it has seen our SETTINGS."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    heads.allow(0)
    # The size update, which opens the first block.
    heads.read(encoder.encode([]))
    return encoder


@given(seen=HEADS, limit=st.sampled_from([80, 150, 300, NO_LIMIT]))
def test_a_head_like_one_before_is_what_it_is_alone(
    seen: list[tuple[bytes, bytes, bytes, bool]], limit: int
) -> None:
    """What was read before changes no later head, also where all but one value are the same."""
    heads = Heads(limit)
    encoder = stateless(heads)
    for status, name, value, huffman in seen:
        fields = [(b":status", status), (b"server", b"x"), (name, value)]
        block = encoder.encode(fields, huffman=huffman)
        alone = Heads(limit)
        alone.allow(0)
        assert heads.read(block) == alone.read(block)


def test_a_block_that_stops_before_the_end_is_cut_off() -> None:
    """All that the one before started with, and not all of it: refused as from a stranger."""
    heads = Heads(NO_LIMIT)
    encoder = stateless(heads)
    block = encoder.encode([(b":status", b"200"), (b"apns-id", b"12345")], huffman=False)
    assert isinstance(heads.read(block), Answered)
    for cut in range(1, 7):
        with pytest.raises(PeerError, match="cut off"):
            heads.read(block[:-cut])


@pytest.mark.parametrize(
    ("usual", "odd", "limit"),
    [
        pytest.param(b"1", b"a\r\nb", NO_LIMIT, id="a value that must not be"),
        pytest.param(b"1", b"x" * 50, 190, id="a value beyond the limit of the list"),
        pytest.param(b"1" * 10, b"x" * 43, 180, id="a value that is just beyond it"),
        pytest.param(b"1", b"x" * 127, NO_LIMIT, id="a length of two octets"),
    ],
)
@pytest.mark.parametrize("huffman", [False, True])
def test_the_odd_one_among_many_alike(
    usual: bytes,
    odd: bytes,
    limit: int,
    huffman: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    """Where only the last value is another one, that value is judged as anybody's."""
    heads = Heads(limit)
    encoder = stateless(heads)
    same = [(b":status", b"200"), (b"server", b"x"), (b"date", b"y")]
    for value in (usual, usual + b"2", odd, usual + b"3"):
        block = encoder.encode([*same, (b"apns-id", value)], huffman=huffman)
        assert heads.read(block) == Heads(limit).read(block)


def test_a_length_is_read_anew_in_every_head() -> None:
    """It is no value like others: one that is no number makes the head malformed."""
    heads = Heads(NO_LIMIT)
    encoder = stateless(heads)
    said = {b"1": Answered, b"22": Answered, b"many": Broken}
    for length, kind in said.items():
        block = encoder.encode([(b":status", b"200"), (b"content-length", length)])
        assert heads.read(block) == Heads(NO_LIMIT).read(block)
        assert isinstance(heads.read(block), kind)


def test_a_block_that_uses_the_table_is_decoded_each_time() -> None:
    """The same octets mean another thing when the table has changed in between."""
    heads, encoder = Heads(NO_LIMIT), hpack.Encoder()
    for value in (b"1", b"2"):
        heads.read(encoder.encode([(b":status", b"200"), (b"x-a", value)]))
        read = heads.read(bytes.fromhex("88be"))
        assert read == Answered(200, ((b"x-a", value),), b"")
