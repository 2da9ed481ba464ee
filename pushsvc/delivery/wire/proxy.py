"""An HTTP proxy on the way: what CONNECT says, and what it is answered (RFC 9110 section 9.3.6)."""

import re
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from pushsvc.delivery.wire.origin import host_and_port

_HTTP_PORT = 80
#: A proxy says a few hundred octets; what has no end in so many is no answer to CONNECT.
MAX_ANSWER_BYTES = 16 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: .*)?")
_BEGINNING = b"HTTP/1."
_UNAUTHORIZED = 407


class ProxyError(Exception):
    """The proxy gives no tunnel; the argument says what it does, and has no credentials in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy that is asked for tunnels; `str` is where it is, without credentials."""

    host: str
    port: int
    #: The value of Proxy-Authorization: as good as the password.
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def from_url(cls, url: str) -> "Proxy":
        """The proxy of http://user:password@host:port, user and password percent-encoded.

        Raises:
            ValueError: says what is wrong, without a piece of the URL: it has a password in it.
        """
        parts, port = _split(url)
        if parts.scheme != "http":
            message = (
                "it does not start with http://, and HTTPS and SOCKS proxies are not spoken to"
            )
            raise ValueError(message)
        if not parts.hostname:
            message = "it has no host"
            raise ValueError(message)
        if parts.path.strip("/") or parts.query or parts.fragment:
            message = "it has something behind the port"
            raise ValueError(message)
        _check_name(parts.hostname)
        return cls(host=parts.hostname, port=port, authorization=_authorization(parts))

    @property
    def headers(self) -> dict[str, str]:
        """The fields that a request to the proxy has and one to the origin must not have."""
        return {} if self.authorization is None else {"Proxy-Authorization": self.authorization}

    def connect_request(self, target: str) -> bytes:
        """Ask for a tunnel to host:port (RFC 9112 section 3.2.3)."""
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def __str__(self) -> str:
        return host_and_port(self.host, self.port)


def tunnel_is_open(received: bytes) -> bool:
    """Whether the answer is complete and the next octet is the origin's; False: read on.

    Raises:
        ProxyError: there will be no tunnel.
    """
    answer = _final_answer(received)
    if answer is None:
        if len(received) >= MAX_ANSWER_BYTES:
            message = f"answers CONNECT without an end in {MAX_ANSWER_BYTES} octets"
            raise ProxyError(message)
        return False
    status, rest = answer
    if not 200 <= status < 300:  # noqa: PLR2004 - RFC 9110 section 9.3.6
        why = ", credentials missing or wrong" if status == _UNAUTHORIZED else ""
        message = f"answers {status} to CONNECT{why}"
        raise ProxyError(message)
    if rest:
        # The origin speaks second in TLS: whoever said this is between us and it.
        message = "lets somebody speak in the tunnel before TLS"
        raise ProxyError(message)
    return True


def _final_answer(received: bytes) -> tuple[int, bytes] | None:
    """The status and what came behind its head, past interim answers; None while incomplete.

    The fields are not looked at: a tunnel has no Content-Length (RFC 9110 section 9.3.6).
    """
    while True:
        if not received.startswith(_BEGINNING[: len(received)]):
            message = "does not speak HTTP/1"
            raise ProxyError(message)
        head, end, received = received.partition(b"\r\n\r\n")
        if not end:
            return None
        found = _STATUS_LINE.fullmatch(head.partition(b"\r\n")[0])
        if found is None:
            message = "answers CONNECT without a status"
            raise ProxyError(message)
        status = int(found[1])
        if status // 100 != 1:
            return status, received


def _split(url: str) -> tuple[SplitResult, int]:
    if not url.isprintable() or " " in url:
        # urlsplit takes some of them out without a word.
        message = "it has a space or a control character in it"
        raise ValueError(message)
    # Its reason would show the password that a forgotten %2F has cut in two.
    with suppress(ValueError):
        parts = urlsplit(url)
        port = _HTTP_PORT if parts.port is None else parts.port
        if port:
            return parts, port
    message = "its host or port is none, or user and password are not percent-encoded"
    raise ValueError(message)


def _check_name(host: str) -> None:
    with suppress(UnicodeError):
        host.encode("idna")
        return
    message = "its host is no name that can be looked up"
    raise ValueError(message)


def _authorization(parts: SplitResult) -> str | None:
    """Basic, in UTF-8 where it is not ASCII (RFC 7617)."""
    user, password = (unquote_to_bytes(part or "") for part in (parts.username, parts.password))
    if not user and not password:
        return None
    if b":" in user:
        message = "its user has a colon in it, which Basic cannot tell from the password's"
        raise ValueError(message)
    return f"Basic {b64encode(user + b':' + password).decode()}"
