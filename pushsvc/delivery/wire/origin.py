"""Where a pool sends to."""

from dataclasses import dataclass
from urllib.parse import urlsplit

_HTTPS_PORT = 443


def host_and_port(host: str, port: int) -> str:
    """Both in one word, as a URL and CONNECT have them: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Origin:
    """An https origin; the host is what TLS verifies and :authority says."""

    host: str
    port: int = _HTTPS_PORT

    @classmethod
    def from_url(cls, url: str) -> "Origin":
        """The origin of an https URL.

        Raises:
            ValueError: not https, or no host, or a port that is no number.
        """
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            message = f"not an https URL with a host: {url}"
            raise ValueError(message)
        return cls(parts.hostname, parts.port or _HTTPS_PORT)

    @property
    def authority(self) -> bytes:
        """:authority (RFC 9113 section 8.3.1); the usual port is left out."""
        name = host_and_port(self.host, self.port).removesuffix(f":{_HTTPS_PORT}")
        return name.encode("ascii")

    def __str__(self) -> str:
        return f"https://{self.authority.decode()}"
