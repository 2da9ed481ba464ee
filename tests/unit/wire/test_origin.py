"""Origins and their authority."""

import pytest

from pushsvc.delivery.wire import Origin


@pytest.mark.parametrize(
    ("url", "host", "port", "authority"),
    [
        ("https://api.push.apple.com", "api.push.apple.com", 443, b"api.push.apple.com"),
        ("https://api.push.apple.com:443/3/", "api.push.apple.com", 443, b"api.push.apple.com"),
        ("https://localhost:2197", "localhost", 2197, b"localhost:2197"),
        ("https://[::1]:8443", "::1", 8443, b"[::1]:8443"),
    ],
)
def test_from_url(url: str, host: str, port: int, authority: bytes) -> None:
    """Host and port of the URL; the usual port is left out of :authority."""
    origin = Origin.from_url(url)
    assert (origin.host, origin.port, origin.authority) == (host, port, authority)
    assert str(origin) == f"https://{authority.decode()}"


@pytest.mark.parametrize("url", ["http://host", "host", "https://", "https://host:port", ""])
def test_bad_urls(url: str) -> None:
    """Only https with a host."""
    with pytest.raises(ValueError):  # noqa: PT011 - urlsplit has words of its own
        Origin.from_url(url)
