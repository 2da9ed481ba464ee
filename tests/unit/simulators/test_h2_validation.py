"""The short way lets nothing pass that h2 would refuse."""

from h2.utilities import HeaderValidationFlags, validate_headers
from hypothesis import given, strategies as st

from pushsvc.simulators.h2_validation import Field, is_plain, validate

REQUEST = HeaderValidationFlags(
    is_client=False, is_trailer=False, is_response_header=False, is_push_promise=False
)
USUAL: list[Field] = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":path", b"/3/device/aa"),
    (b":authority", b"api.push.apple.com"),
    (b"apns-topic", b"com.example.app"),
    (b"authorization", b"bearer eyJ0"),
]
NAMES = st.one_of(
    st.sampled_from(
        [b":path", b":protocol", b":status", b"te", b"host", b"connection", b"Upper", b"", b"a:b"]
    ),
    st.binary(max_size=3),
)
VALUES = st.one_of(st.sampled_from([b"", b" a", b"a\t", b"a b", b"CONNECT"]), st.binary(max_size=4))
#: Where a field is put in, or which one it replaces.
CHANGES = st.lists(st.tuples(st.integers(0, 6), st.booleans(), NAMES, VALUES), max_size=3)


@given(CHANGES)
def test_plain_is_what_h2_takes(changes: list[tuple[int, bool, bytes, bytes]]) -> None:
    """A request that is plain passes all of h2's checks, whatever was changed about it."""
    fields = list(USUAL)
    for at, replaces, name, value in changes:
        fields[at : at + replaces] = [(name, value)]
    if is_plain(fields):
        assert list(validate_headers(fields, REQUEST)) == fields


def test_the_usual_request_is_plain() -> None:
    """What senders send takes the short way, and comes out as it was."""
    assert is_plain(USUAL)
    assert list(validate(iter(USUAL), REQUEST)) == USUAL
