"""HPACK both ways against the hpack package: 100,000 header lists each way, every Huffman code."""

from collections.abc import Callable
from itertools import product
from random import Random

import hpack
import pytest
from hpack.exceptions import HPACKDecodingError
from hpack.hpack import encode_integer
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman

from pushsvc.delivery.wire import Template
from pushsvc.delivery.wire.encoder import Encoder
from pushsvc.delivery.wire.errors import PeerError
from pushsvc.delivery.wire.hpack import Decoder, integer, read_integer
from pushsvc.delivery.wire.huffman import decode
from pushsvc.delivery.wire.static import STATIC, STATIC_NAMES, Field
from tests.unit.wire.test_hpack import NO_LIMIT, table

#: A few long-lived connections: what goes wrong in a table shows only after many lists.
CONNECTIONS = 8
LISTS = 12_500
DEFAULT_TABLE = 4_096
TABLE_SIZES = [0, 33, 64, 100, 300, 1_000, DEFAULT_TABLE, 65_536]

AUTHORITY = b"push.example"
SECRET = b"authorization"
UNSENDABLE = {b"host", b"content-length", b"transfer-encoding"}
STATIC_FIELD_NAMES = [name for name in STATIC_NAMES if not name.startswith(b":")]
NAMES = [*STATIC_FIELD_NAMES, *(b"x-%d" % n for n in range(12)), b"apns-id", b"x" * 130]
SENDABLE = [name for name in NAMES if name not in {*UNSENDABLE, SECRET}]
#: What a value of ours is made of: visible ASCII and what lies above it.
SOLID = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)])
VISIBLE = SOLID[:94]
#: Mostly short as in life; some lengths that need a second octet, and one beyond most tables.
SIZES = [*range(40), *range(20), *range(20), *range(20), 126, 127, 128, 300, 4_100]

each_connection = pytest.mark.parametrize("seed", range(CONNECTIONS))


def value(random: Random, alphabet: bytes = SOLID) -> bytes:
    """A value; the long ones repeat themselves, since they are about their length."""
    size = random.choice(SIZES)
    return bytes(random.choices(alphabet, k=min(size, 40))).ljust(size, b"~")


def any_value(random: Random) -> bytes:
    """A value, sometimes of octets that we never send and must still read."""
    return value(random, bytes(range(256)) if random.random() < 0.1 else SOLID)


class Fields:
    """Fields as connections have them: most come again, some are new."""

    def __init__(
        self, random: Random, names: list[bytes], new_value: Callable[[Random], bytes]
    ) -> None:
        self._random = random
        self._names = names
        self._new_value = new_value
        self._usual = [self._new() for _ in range(60)]

    def _new(self) -> Field:
        return self._random.choice(self._names), self._new_value(self._random)

    def some(self, most: int) -> list[Field]:
        """At most so many."""
        fields = self._random.choices(self._usual, k=self._random.randint(0, most))
        if fields and self._random.random() < 0.5:
            self._usual[self._random.randrange(60)] = fields[-1] = self._new()
        return fields


class TheirEnd:
    """An encoder of the hpack package, and what our SETTINGS allow it."""

    def __init__(self, random: Random) -> None:
        self.encoder = hpack.Encoder()
        self._random = random

    def resize(self, decoder: Decoder) -> None:
        """We announce a table size, it is acknowledged, and they change theirs within it."""
        limit = self._random.choice(TABLE_SIZES)
        decoder.allow(limit)
        for size in self._random.choices([size for size in TABLE_SIZES if size <= limit], k=2):
            # That package forgets to announce a change that is followed by no change.
            if size != self.encoder.header_table_size:
                self.encoder.header_table_size = size

    def block(self, fields: list[Field]) -> bytes:
        """One list, mostly with Huffman; one field in ten is never to be indexed."""
        chance = self._random.random
        said = [(name, text, chance() < 0.1) for name, text in fields]
        return self.encoder.encode(said, huffman=chance() < 0.7)


@each_connection
def test_what_they_encode_we_decode(seed: int) -> None:
    """100,000 lists of another encoder: we read each, and at the end the tables are the same."""
    random = Random(seed)
    fields, theirs, decoder = Fields(random, NAMES, any_value), TheirEnd(random), Decoder(NO_LIMIT)
    for _ in range(LISTS):
        if random.random() < 0.02:
            theirs.resize(decoder)
        said = (random.choice(STATIC[8:15]), *fields.some(7))
        assert decoder.decode(theirs.block(list(said))).fields == said
    decoder.decode(theirs.block([]))
    assert table(decoder) == list(theirs.encoder.header_table.dynamic_entries)


class OurEnd:
    """Our encoder with its templates, some of which are replaced as time goes by."""

    def __init__(self, random: Random) -> None:
        self.encoder = Encoder(AUTHORITY)
        self._random = random
        self._fields = Fields(random, SENDABLE, value)
        self._templates = [self._new_template() for _ in range(12)]

    def _new_template(self) -> tuple[Template, list[Field], list[Field]]:
        """A template, its constant fields, and its literal ones."""
        random, fields = self._random, self._fields.some(4)
        secrets = [(SECRET, value(random))] * (random.random() < 0.7)
        template = Template(
            fields,
            varying=random.sample(SENDABLE, random.randint(0, 3)),
            literal=secrets,
            method=random.choice([b"POST", b"POST", b"GET", b"DELETE"]),
        )
        return template, fields, secrets

    def block(self) -> tuple[bytes, list[Field]]:
        """A request's header block, and the fields that are to be heard."""
        random = self._random
        if random.random() < 0.005:
            self._templates[random.randrange(12)] = self._new_template()
        template, fields, secrets = random.choice(self._templates)
        path = b"/" + value(random, VISIBLE)
        values = tuple(value(random) for _ in template.varying)
        said = [(b":method", template.method), (b":scheme", b"https"), (b":authority", AUTHORITY)]
        said += [(b":path", path), *fields, *secrets]
        said += zip(template.varying, values, strict=True)
        return self.encoder.block(template, path, values), said


@each_connection
def test_what_we_encode_they_decode(seed: int) -> None:
    """100,000 requests of ours: another decoder hears each, and that secrets are not indexed."""
    random = Random(seed)
    ours, decoder = OurEnd(random), hpack.Decoder(NO_LIMIT)
    for _ in range(LISTS):
        while random.random() < 0.02:
            size = random.choice(TABLE_SIZES)
            ours.encoder.resize(size)
            decoder.max_allowed_table_size = size
        block, said = ours.block()
        heard = list(decoder.decode(block, raw=True))
        assert heard == said
        assert all(field.indexable == (field[0] != SECRET) for field in heard)
    assert not {b":path", SECRET} & {name for name, _ in decoder.header_table.dynamic_entries}


@pytest.mark.parametrize("prefix", range(4, 8))
def test_integers(prefix: int) -> None:
    """Every integer we may need is coded as the other implementation does, and read again."""
    most = (1 << prefix) - 1
    near_powers = [2**bits + step for bits in range(11, 32) for step in (-1, 0, 1, most)]
    for number in [*range(2_000), *near_powers]:
        coded = integer(number, prefix)
        assert coded == bytes(encode_integer(number, prefix))
        assert read_integer(coded, 0, most) == (number, len(coded))


# -- Huffman ----------------------------------------------------------------------------------


def theirs_or_none(coded: bytes) -> bytes | None:
    """What the hpack package decodes; None if it refuses."""
    try:
        return bytes(decode_huffman(coded))
    except HPACKDecodingError:
        return None


def ours_or_none(coded: bytes) -> bytes | None:
    """What we decode; None if we refuse."""
    try:
        return decode(coded)
    except PeerError:
        return None


def bits(text: bytes) -> str:
    """The codes of `text`, without padding."""
    codes = ((REQUEST_CODES[octet], REQUEST_CODES_LENGTH[octet]) for octet in text)
    return "".join(f"{code:0{length}b}" for code, length in codes)


def packed(ones_and_zeros: str) -> bytes:
    """Bits as octets; there must be whole ones."""
    return int(ones_and_zeros, 2).to_bytes(len(ones_and_zeros) // 8, "big")


def test_huffman_codes_of_all_pairs() -> None:
    """Each octet, and each pair of octets, is decoded from what another encoder makes of it."""
    encoder = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
    for octets in product(range(256), repeat=2):
        for text in (bytes(octets), bytes(octets[:1])):
            assert decode(encoder.encode(text)) == text


@pytest.mark.parametrize("octet", range(256))
def test_huffman_padding_of_every_code(octet: int) -> None:
    """A code may be padded to the octet with ones: no zero among them, no octet more, no EOS."""
    code = bits(bytes([octet]))
    padding = -len(code) % 8
    assert decode(packed(code + "1" * padding)) == bytes([octet])
    for too_long in (8, 16, 32):
        assert ours_or_none(packed(code + "1" * (padding + too_long))) is None
    for zero_at in range(padding):
        # Where the zero ends another code, this is two octets: the other decoder knows.
        coded = packed(code + "1" * zero_at + "0" + "1" * (padding - zero_at - 1))
        assert ours_or_none(coded) == theirs_or_none(coded)


def test_every_huffman_string_of_two_octets() -> None:
    """All strings of one and two octets are decoded, or refused, as the other decoder does."""
    for length in (1, 2):
        for octets in product(range(256), repeat=length):
            assert ours_or_none(bytes(octets)) == theirs_or_none(bytes(octets))


def test_noise_as_huffman_strings() -> None:
    """Longer strings of any octets too, most of which are bad."""
    random = Random(0)
    for _ in range(50_000):
        coded = random.randbytes(random.randint(3, 9))
        if random.random() < 0.5:
            coded += b"\xff" * random.randint(1, 4)
        assert ours_or_none(coded) == theirs_or_none(coded)
