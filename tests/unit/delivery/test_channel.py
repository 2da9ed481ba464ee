"""Whom WNS's bearer token may be shown."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.wns.channel import BAD_CHANNEL_URI, PROVIDER_RETIRED, refusal


@pytest.mark.parametrize(
    "uri",
    [
        "https://db3.notify.windows.com/?token=AwYAAABq%2bzJ%2f",
        "https://notify.windows.com/?token=x",
        "https://a.b.c.notify.windows.com:443/path?token=x",
        "https://DB3.Notify.Windows.COM?token=x",
    ],
)
def test_a_channel_of_wns_may_be_sent_to(uri: str) -> None:
    """https, the default port, notify.windows.com or a name under it."""
    assert refusal(uri) is None


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("http://db3.notify.windows.com/?t=x", id="no TLS"),
        pytest.param("https://notify.windows.com.evil.example/", id="suffix"),
        pytest.param("https://evilnotify.windows.com/", id="no dot before"),
        pytest.param("https://evil.example/?notify.windows.com", id="in the query"),
        pytest.param("https://evil.example/notify.windows.com", id="in the path"),
        pytest.param("https://evil.example#.notify.windows.com/", id="fragment"),
        pytest.param("https://db3.notify.windows.com/#x", id="fragment behind"),
        pytest.param("https://evil.example\\.notify.windows.com/", id="backslash"),
        pytest.param("https://user@db3.notify.windows.com/", id="user"),
        pytest.param("https://db3.notify.windows.com@evil.example/", id="host as user"),
        pytest.param("https://db3.notify.windows.com:8443/", id="port"),
        pytest.param("https://db3.notify.windows.com:/", id="empty port"),
        pytest.param("https://db3.notify.windows.com./", id="dot behind"),
        pytest.param("https://.notify.windows.com/", id="empty label"),
        pytest.param("https://-.notify.windows.com/", id="no name"),
        pytest.param("https://db3.notify.windows.com/ HTTP/1.1", id="space"),
        pytest.param("https://db3.notify.windows.com/\r\nHost: evil", id="line break"),
        pytest.param("https://db3.notify.windows.com/\n", id="line break at the end"),
        pytest.param("https://db3.notify.windows.com/é", id="not ASCII"),
        pytest.param("https://db3.notify.w\u0131ndows.com/", id="looks alike"),
        pytest.param("HTTPS://db3.notify.windows.com/", id="scheme in capitals"),
        pytest.param("https://127.0.0.1/", id="address"),
        pytest.param("https://db3.notify.windows.com/" + "x" * 4000, id="endless"),
        pytest.param("", id="empty"),
        pytest.param("some-fcm-token", id="no URI"),
    ],
)
def test_nothing_else_is_dialled(uri: str) -> None:
    """Anything else would show our access token to a stranger, or make a second request."""
    assert refusal(uri) == BAD_CHANNEL_URI


@pytest.mark.parametrize(
    "uri",
    [
        "http://sn1.notify.live.net/throttledthirdparty/01.00/x",
        "https://s.notify.live.net/unthrottled",
        "http://db3.notify.live.net:80/x",
    ],
)
def test_a_channel_of_mpns_is_retired(uri: str) -> None:
    """Windows Phone's own service is no more; its devices get a reason that says so."""
    assert refusal(uri) == PROVIDER_RETIRED


@given(
    st.text(alphabet="htps:/.@#?\\%notify.windows.com evil\r\n:443", max_size=60)
    | st.tuples(
        st.sampled_from(["https://", "http://", ""]),
        st.text(max_size=8),
        st.sampled_from([".notify.windows.com", "notify.windows.com", "@notify.windows.com"]),
        st.text(max_size=8),
    ).map("".join)
)
def test_what_passes_is_wns_by_another_reader_too(uri: str) -> None:
    """Whatever passes our grammar has that host, no user and no port for urllib as well."""
    if refusal(uri) is not None:
        return
    parts = urlsplit(uri)

    assert parts.scheme == "https"
    assert f".{parts.hostname}".endswith(".notify.windows.com")
    assert parts.username is None
    assert parts.port in {None, 443}
