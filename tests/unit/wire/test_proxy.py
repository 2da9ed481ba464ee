"""Proxies by their URLs, what they are asked, and what of their answers is a tunnel."""

from base64 import b64decode
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.wire import Proxy
from pushsvc.delivery.wire.proxy import ProxyError, tunnel_is_open

WORDS = st.text(st.characters(codec="utf-8"))


def credentials(proxy: Proxy) -> str | None:
    """What the proxy is told, decoded."""
    if proxy.authorization is None:
        return None
    scheme, told = proxy.authorization.split(" ")
    assert scheme == "Basic"
    return b64decode(told).decode()


@pytest.mark.parametrize(
    ("url", "host", "port", "told"),
    [
        pytest.param("http://proxy.corp:3128", "proxy.corp", 3128, None, id="no credentials"),
        pytest.param("http://proxy.corp:3128/", "proxy.corp", 3128, None, id="a slash"),
        pytest.param("HTTP://Proxy.corp", "proxy.corp", 80, None, id="http's own port"),
        pytest.param("http://u:p@proxy.corp:3128", "proxy.corp", 3128, "u:p", id="credentials"),
        pytest.param("http://u@proxy.corp:3128", "proxy.corp", 3128, "u:", id="no password"),
        pytest.param("http://:p@proxy.corp:3128", "proxy.corp", 3128, ":p", id="no user"),
        pytest.param("http://@proxy.corp:3128", "proxy.corp", 3128, None, id="neither"),
        pytest.param("http://a%40b:c%3A%2F@h:1", "h", 1, "a@b:c:/", id="percent-encoded"),
        pytest.param("http://u:%C3%BC@h:1", "h", 1, "u:ü", id="UTF-8"),
        pytest.param("http://u:p@[::1]:3128", "::1", 3128, "u:p", id="IPv6"),
    ],
)
def test_from_url(url: str, host: str, port: int, told: str | None) -> None:
    """Host, port and credentials of the URL."""
    proxy = Proxy.from_url(url)

    assert (proxy.host, proxy.port, credentials(proxy)) == (host, port, told)


@given(user=WORDS.filter(lambda user: ":" not in user), password=WORDS.filter(bool))
def test_credentials_arrive_as_they_are(user: str, password: str) -> None:
    """Whatever is in them, once it is percent-encoded; and `repr` and `str` are without them."""
    url = f"http://{quote(user, safe='')}:{quote(password, safe='')}@proxy.corp:3128"
    proxy = Proxy.from_url(url)

    assert credentials(proxy) == f"{user}:{password}"
    assert str(proxy) == "proxy.corp:3128"
    assert repr(proxy) == "Proxy(host='proxy.corp', port=3128)"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("https://u:hunter2@h:1", "does not start with http://", id="https"),
        pytest.param("socks5://u:hunter2@h:1", "does not start with http://", id="socks"),
        pytest.param("hunter2@h:1", "does not start with http://", id="no scheme"),
        pytest.param("u:hunter2@h:1", "does not start with http://", id="a user for a scheme"),
        pytest.param("", "does not start with http://", id="empty"),
        pytest.param("http://", "no host", id="nothing"),
        pytest.param("http://u:hunter2@", "no host", id="no host"),
        pytest.param("http://u:hunter2@:3128", "no host", id="a port alone"),
        pytest.param("http://u:hunter2@h..x:1", "looked up", id="an empty label"),
        pytest.param(f"http://u:hunter2@{'h' * 64}:1", "looked up", id="a long label"),
        pytest.param("http://u:hunter2@h:0", "host or port", id="port 0"),
        pytest.param("http://u:hunter2@h:65536", "host or port", id="port too large"),
        pytest.param("http://u:hunter2@h:port", "host or port", id="port no number"),
        pytest.param("http://u:hunter2@[::1", "host or port", id="half a bracket"),
        pytest.param("http://u:hunter2/x@h:1", "percent-encoded", id="a slash in the password"),
        pytest.param("http://u:hunter2#x@h:1", "percent-encoded", id="a hash in the password"),
        pytest.param("http://u:12/hunter2@h:1", "behind the port", id="digits and a slash"),
        pytest.param("http://u:hunter2@h:1/path", "behind the port", id="a path"),
        pytest.param("http://u:hunter2@h:1?a=b", "behind the port", id="a query"),
        pytest.param("http://u:hunter2@h:1#a", "behind the port", id="a fragment"),
        pytest.param("http://u:hunter2@h:1\n", "control character", id="a line break"),
        pytest.param("http://u:hunter2@h :1", "a space", id="a space"),
        pytest.param("http://a%3Ab:hunter2@h:1", "colon", id="a colon in the user"),
    ],
)
def test_bad_urls(url: str, reason: str) -> None:
    """Each is refused for what it is, and no piece of it is shown."""
    with pytest.raises(ValueError, match=reason) as caught:
        Proxy.from_url(url)

    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_what_a_proxy_is_asked() -> None:
    """Host and port, both times, and credentials where there are some (RFC 9112 section 3.2.3)."""
    with_, without = Proxy.from_url("http://u:p@h:1"), Proxy.from_url("http://h:1")

    assert with_.connect_request("[::1]:443") == (
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
    )
    assert b"Authorization" not in without.connect_request("h:443")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.1 102 \r\n\r\nHTTP/1.0 299 \xfc\r\nContent-Length: 3\r\n\r\n",
    ],
)
def test_a_tunnel_is_open_with_the_last_octet(answer: bytes) -> None:
    """However the octets are cut, and not before."""
    opened = [tunnel_is_open(answer[:end]) for end in range(len(answer) + 1)]

    assert opened == [False] * len(answer) + [True]


@given(st.binary(max_size=64))
def test_whatever_a_proxy_says_has_one_of_three_meanings(said: bytes) -> None:
    """A tunnel, none, or not yet: nothing else is raised, and only 2xx is a tunnel."""
    for octets in (said, b"HTTP/1.1 " + said, b"HTTP/1.1 200 OK\r\n\r\n" + said):
        try:
            opened = tunnel_is_open(octets)
        except ProxyError:
            continue
        assert not opened or octets.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(b"HTTP/1.1 407 No\r\n\r\n", "407.*credentials", id="wrong credentials"),
        pytest.param(b"HTTP/1.1 502 Bad\r\n\r\n", "answers 502", id="refused"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n\x15", "before TLS", id="somebody speaks"),
        pytest.param(b"SSH-2.0", "does not speak HTTP/1", id="another protocol"),
        pytest.param(b"HTTP/1.1 OK\r\n\r\n", "without a status", id="no status"),
        pytest.param(b"HTTP/1.1 200 " + b"x" * 16_384, "without an end", id="no end"),
    ],
)
def test_what_is_no_tunnel(answer: bytes, why: str) -> None:
    """The proxy's word is told, or what is wrong with it."""
    with pytest.raises(ProxyError, match=why):
        tunnel_is_open(answer)


def test_where_a_request_to_the_proxy_shows_credentials() -> None:
    """In one field, and only if there are any."""
    assert Proxy.from_url("http://u:p@h:1").headers == {"Proxy-Authorization": "Basic dTpw"}
    assert Proxy.from_url("http://h:1").headers == {}
