"""Opening one connection: fresh addresses, TCP, TLS, and ALPN h2 or nothing."""

import asyncio
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from pushsvc.delivery.wire.link import Link
from pushsvc.delivery.wire.origin import Origin
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

    async def connect(self, make_link: Callable[[], Link]) -> Link:
        """A connected link on which TLS has agreed on h2.

        Raises:
            DialError: no address answered, TLS failed, or the peer does not speak h2.
        """
        failures: list[str] = []
        addresses = await self._addresses()
        for host, port in addresses:
            try:
                async with asyncio.timeout(self.timeout_seconds / len(addresses)):
                    return await self._try(make_link, host, port)
            except TimeoutError:
                failures.append(f"{host}:{port}: no answer in time")
            except (OSError, DialError) as error:
                # asyncio raises some without a word.
                failures.append(f"{host}:{port}: {str(error) or type(error).__name__}")
        raise DialError("; ".join(failures))

    async def _addresses(self) -> list[tuple[str, int]]:
        """A few of the present addresses in random order, so that connections spread over them."""
        host, port = self.connect_to or (self.origin.host, self.origin.port)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.timeout_seconds):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError) as error:
            message = f"{host}: no address ({error})"
            raise DialError(message) from error
        addresses = list(dict.fromkeys((str(address[4][0]), port) for address in found))
        return random.sample(addresses, k=min(len(addresses), _MAX_ADDRESSES))

    async def _try(self, make_link: Callable[[], Link], host: str, port: int) -> Link:
        loop = asyncio.get_running_loop()
        transport, link = await loop.create_connection(
            make_link,
            host,
            port,
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
