"""Header fields that must not be sent are refused by name."""

from functools import partial

import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.wire import HeaderError, Template
from pushsvc.delivery.wire.headers import check_path, check_value


@pytest.mark.parametrize("octet", [*range(0x20), 0x7F])
def test_control_octets_in_a_value(octet: int) -> None:
    """No control octet passes, wherever a field is given."""
    value = b"a" + bytes([octet]) + b"b"
    for build in (
        lambda: Template([(b"apns-topic", value)]),
        lambda: Template([], literal=[(b"apns-topic", value)]),
        lambda: check_value(b"apns-topic", value),
    ):
        with pytest.raises(HeaderError, match="header apns-topic: ") as error:
            build()
        assert error.value.field == b"apns-topic"


@pytest.mark.parametrize("value", [b" a", b"a ", b" ", b"\ta"])
def test_space_at_the_ends_of_a_value(value: bytes) -> None:
    """A value neither starts nor ends with space (RFC 9113 8.2.1)."""
    with pytest.raises(HeaderError):
        check_value(b"x-a", value)


@given(value=st.binary(max_size=60))
def test_values(value: bytes) -> None:
    """A value passes exactly when it has no control octet and no space at its ends."""
    legal = not any(octet < 0x20 or octet == 0x7F for octet in value) and value.strip() == value
    try:
        check_value(b"x-a", value)
    except HeaderError:
        assert not legal
    else:
        assert legal


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"Apns-Topic", id="upper case"),
        pytest.param(b"", id="empty"),
        pytest.param(b":path", id="pseudo"),
        pytest.param(b"apns topic", id="space"),
        pytest.param(b"x:y", id="colon"),
        pytest.param(b"x\r\ny", id="line break"),
        pytest.param("naïve".encode(), id="not ASCII"),
        *[
            pytest.param(name, id=name.decode())
            for name in (b"connection", b"host", b"transfer-encoding", b"upgrade", b"keep-alive")
        ],
        pytest.param(b"proxy-connection", id="proxy-connection"),
        pytest.param(b"content-length", id="content-length"),
    ],
)
def test_names(name: bytes) -> None:
    """Only lower-case tokens that are a request's own to send (RFC 9113 8.2)."""
    for build in (
        partial(Template, [(name, b"v")]),
        partial(Template, [], varying=[name]),
        partial(Template, [], literal=[(name, b"v")]),
    ):
        with pytest.raises(HeaderError) as error:
            build()
        assert error.value.field == name


def test_te_may_only_be_trailers() -> None:
    """RFC 9113 8.2.2."""
    assert Template([(b"te", b"trailers")]).fields == ((b"te", b"trailers"),)
    for build in (
        partial(Template, [(b"te", b"gzip")]),
        partial(Template, [(b"te", b"gzip, deflate")]),
        partial(Template, [], varying=[b"te"]),
    ):
        with pytest.raises(HeaderError, match="te"):
            build()


def test_method() -> None:
    """A method is a token."""
    with pytest.raises(HeaderError, match=":method"):
        Template([], method=b"POST /")


@pytest.mark.parametrize(
    "path", [b"", b"3/device", b"/a b", b"/a\r\nx: y", b"/\x00", "/ä".encode()]
)
def test_paths(path: bytes) -> None:
    """A path is visible ASCII that starts with a slash."""
    check_path(b"/3/device/00fc?x=%20")
    with pytest.raises(HeaderError, match=":path"):
        check_path(path)
