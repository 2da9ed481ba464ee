"""Request header blocks, heard by another implementation."""

import hpack
import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.wire import HeaderError, Template
from pushsvc.delivery.wire.encoder import Encoder

AUTHORITY = b"push.example"
TOPIC = (b"apns-topic", b"com.example.app")
SECRET = (b"authorization", b"bearer " + b"x" * 200)
PSEUDO = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", AUTHORITY)]


def heard(decoder: hpack.Decoder, block: bytes) -> list[tuple[bytes, bytes]]:
    """The fields another decoder reads."""
    return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]


def test_what_a_block_says() -> None:
    """Pseudo fields first, then the constant, the literal and the varying ones."""
    template = Template([TOPIC], varying=[b"apns-id"], literal=[SECRET])
    encoder, decoder = Encoder(AUTHORITY), hpack.Decoder()
    for key in (b"1", b"2", b"3"):
        block = encoder.block(template, b"/3/device/" + key, (key,))
        path = (b":path", b"/3/device/" + key)
        assert heard(decoder, block) == [*PSEUDO, path, TOPIC, SECRET, (b"apns-id", key)]


def test_only_what_differs_costs_octets() -> None:
    """From the second request on, constant fields cost one octet each, varying names two."""
    template = Template([TOPIC, (b"apns-push-type", b"alert")], varying=[b"apns-id"])
    encoder = Encoder(AUTHORITY)
    encoder.block(template, b"/a", (b"1",))
    assert len(encoder.block(template, b"/a", (b"1",))) == 3 + 4 + 2 + 4


def test_paths_and_secrets_never_enter_the_table() -> None:
    """:path and the literal fields are never indexed, so no table remembers them."""
    template = Template([TOPIC], varying=[b"apns-expiration"], literal=[SECRET])
    encoder, decoder = Encoder(AUTHORITY), hpack.Decoder()
    for key in (b"1", b"2"):
        heard(decoder, encoder.block(template, b"/3/device/" + key, (key,)))
    names = {bytes(name) for name, _ in decoder.header_table.dynamic_entries}
    assert names == {b":authority", b"apns-topic", b"apns-expiration"}


def test_wrong_number_of_varying_values() -> None:
    """A call must bring a value for each varying name, on the first request and later."""
    template = Template([TOPIC], varying=[b"apns-id"])
    encoder = Encoder(AUTHORITY)
    for _ in range(2):
        with pytest.raises(HeaderError, match="0 varying values"):
            encoder.block(template, b"/a", ())
        encoder.block(template, b"/a", (b"1",))


def test_a_bad_value_leaves_no_trace() -> None:
    """What is refused has not touched the table, on the first request and later."""
    template = Template([TOPIC], varying=[b"apns-id"])
    encoder, decoder = Encoder(AUTHORITY), hpack.Decoder()
    for key in (b"1", b"2"):
        with pytest.raises(HeaderError, match="apns-id"):
            encoder.block(template, b"/a", (b"a\r\nb",))
        with pytest.raises(HeaderError, match=":path"):
            encoder.block(template, b"a", (b"a",))
        assert (b"apns-id", key) in heard(decoder, encoder.block(template, b"/a", (key,)))


def test_long_values() -> None:
    """Lengths beyond one octet are coded right."""
    template = Template([(b"x-fixed", b"f" * 5_000)], varying=[b"x-long"])
    encoder, decoder = Encoder(AUTHORITY), hpack.Decoder(max_header_list_size=10**6)
    for size in (126, 127, 128, 511, 512, 20_000):
        fields = heard(decoder, encoder.block(template, b"/" + b"p" * size, (b"v" * size,)))
        assert (b"x-long", b"v" * size) in fields
        assert (b":path", b"/" + b"p" * size) in fields


def test_a_method_of_ones_own() -> None:
    """Methods outside the static table are literals."""
    encoder, decoder = Encoder(AUTHORITY), hpack.Decoder()
    template = Template([], method=b"DELETE")
    for _ in range(2):
        assert heard(decoder, encoder.block(template, b"/", ()))[0] == (b":method", b"DELETE")


TEMPLATES = [
    Template([TOPIC, (b"x-number", b"%d" % n * n)], varying=[b"apns-id", b"x-%d" % n])
    for n in range(40)
]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("block"), st.integers(0, len(TEMPLATES) - 1)),
        st.tuples(st.just("table"), st.sampled_from([0, 33, 100, 300, 4096, 65536])),
    ),
    max_size=60,
)


@given(steps=STEPS)
def test_any_templates_under_any_table_sizes(steps: list[tuple[str, int]]) -> None:
    """Whatever the peer does to its table, another decoder hears what we say."""
    encoder, decoder = Encoder(AUTHORITY), hpack.Decoder()
    for at, (what, number) in enumerate(steps):
        if what == "table":
            encoder.resize(number)
            decoder.max_allowed_table_size = number
            continue
        template = TEMPLATES[number]
        values = (b"%d" % at, b"v" * number)
        block = encoder.block(template, b"/%d" % at, values)
        expected = [*PSEUDO, (b":path", b"/%d" % at), *template.fields]
        expected += zip(template.varying, values, strict=True)
        assert heard(decoder, block) == expected


def test_a_full_table_settles() -> None:
    """More templates than the table holds do not evict each other for ever."""
    encoder, decoder = Encoder(AUTHORITY), hpack.Decoder()
    for _ in range(3):
        for template in TEMPLATES:
            heard(decoder, encoder.block(template, b"/", (b"1", b"2")))
    epoch = encoder._epoch
    for template in TEMPLATES:
        heard(decoder, encoder.block(template, b"/", (b"1", b"2")))
    assert encoder._epoch == epoch


def test_a_full_table_takes_new_fields_in_the_end() -> None:
    """Entries of long gone templates make room, though rarely."""
    encoder, decoder = Encoder(AUTHORITY), hpack.Decoder()
    for number in range(2_200):
        template = Template([(b"x-push", b"%032d" % number)])
        assert template.fields[0] in heard(decoder, encoder.block(template, b"/", ()))
    numbers = [value for name, value in decoder.header_table.dynamic_entries if name == b"x-push"]
    assert int(numbers[0]) > 2_000
    assert (b":authority", AUTHORITY) in decoder.header_table.dynamic_entries
