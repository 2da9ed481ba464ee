"""Opening one connection: fresh addresses, TCP, the proxy, TLS, and ALPN h2 or nothing."""

import asyncio
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from pushsvc.delivery.wire.link import Link
from pushsvc.delivery.wire.origin import Origin, host_and_port
from pushsvc.delivery.wire.proxy import MAX_ANSWER_BYTES, Proxy, ProxyError, tunnel_is_open
from pushsvc.delivery.wire.tls import ALPN

#: A peer that does not answer our close_notify must not keep the connection.
_SHUTDOWN_SECONDS = 2.0

#: Addresses tried for one connection, each with its share of the time.
_MAX_ADDRESSES = 3


class DialError(Exception):
    """No connection could be made; the argument says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialer:
    """Everything that is needed to reach an origin."""

    origin: Origin
    ssl_context: ssl.SSLContext
    #: Go here instead of where DNS says (host, port); TLS still verifies the origin's host.
    connect_to: tuple[str, int] | None
    timeout_seconds: float
    #: Asked for a tunnel to where we would go; it looks the name up, we do not.
    proxy: Proxy | None = None

    async def connect(self, make_link: Callable[[], Link]) -> Link:
        """A connected link on which TLS has agreed on h2.

        Raises:
            DialError: no address answered, the proxy gave no tunnel, TLS failed, or the peer
                does not speak h2.
        """
        failures: list[str] = []
        addresses = await self._addresses()
        for host, port in addresses:
            try:
                async with asyncio.timeout(self.timeout_seconds / len(addresses)):
                    return await self._try(make_link, host, port)
            except TimeoutError:
                why = "no answer in time"
            except (OSError, DialError, ProxyError) as error:
                # asyncio raises some without a word.
                why = str(error) or type(error).__name__
            failures.append(f"{self._at(host, port)}: {why}")
        raise DialError("; ".join(dict.fromkeys(failures)))

    @property
    def _target(self) -> tuple[str, int]:
        return self.connect_to or (self.origin.host, self.origin.port)

    def _at(self, host: str, port: int) -> str:
        return f"proxy {self.proxy}" if self.proxy else host_and_port(host, port)

    async def _addresses(self) -> list[tuple[str, int]]:
        """A few of the present addresses in random order, so that connections spread over them."""
        host, port = (self.proxy.host, self.proxy.port) if self.proxy else self._target
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.timeout_seconds):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError) as error:
            # A time-out has no words.
            why = str(error) or "no answer in time"
            message = f"{'proxy ' if self.proxy else ''}{host}: no address ({why})"
            raise DialError(message) from error
        addresses = list(dict.fromkeys((str(address[4][0]), port) for address in found))
        return random.sample(addresses, k=min(len(addresses), _MAX_ADDRESSES))

    async def _try(self, make_link: Callable[[], Link], host: str, port: int) -> Link:
        loop = asyncio.get_running_loop()
        transport, link = await loop.create_connection(
            make_link,
            # From here on it is the transport's, which closes it whatever becomes of TLS.
            sock=await self._reach(host, port),
            ssl=self.ssl_context,
            server_hostname=self.origin.host,
            ssl_handshake_timeout=self.timeout_seconds,
            ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        tls = transport.get_extra_info("ssl_object")
        if tls.selected_alpn_protocol() != ALPN:
            transport.abort()
            message = "the peer does not speak h2"
            raise DialError(message)
        return link

    async def _reach(self, host: str, port: int) -> socket.socket:
        """A socket on which the origin hears what is said next."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Without the protocol's number asyncio would leave Nagle's algorithm on.
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.settimeout(0)  # the loop waits, not the socket
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
            if self.proxy is not None:
                await _ask_for_tunnel(sock, self.proxy, host_and_port(*self._target))
        except BaseException:
            sock.close()
            raise
        return sock


async def _ask_for_tunnel(sock: socket.socket, proxy: Proxy, target: str) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, proxy.connect_request(target))
    received = b""
    while not tunnel_is_open(received):
        octets = await loop.sock_recv(sock, MAX_ANSWER_BYTES)
        if not octets:
            message = "closed the connection before it had answered CONNECT"
            raise ProxyError(message)
        received += octets
