"""The HTTP server: uvicorn on a port of ours, drained when it stops."""

import asyncio
import contextlib
import errno
import math
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from pushsvc.api.one_write import OneWriteProtocol
from pushsvc.config import Settings

#: Connections that wait to be accepted; the kernel may allow fewer.
BACKLOG: Final = 2_048
#: A proxy's or client's idle connection is kept so long: longer than they keep it themselves.
KEEP_ALIVE_SECONDS: Final = 75


class ListenError(OSError):
    """The address cannot be listened on; the message names the setting."""


class PortTakenError(ListenError):
    """Another process listens on the port."""


async def serve(
    app: ASGIApp, settings: Settings, *, ready: Callable[[int], None], stop: asyncio.Event
) -> None:
    """Serve until `stop` is set, then let running requests finish within `shutdown_seconds`.

    Args:
        app: its lifespan is the caller's affair.
        settings: where to listen, and how long to drain.
        ready: is told the port once requests are taken.
        stop: ends it.

    Raises:
        PortTakenError: another process has the port.
        ListenError: the address is not this machine's, or not ours to take.
    """
    listener = _listen(settings)
    config = uvicorn.Config(
        app,
        http=OneWriteProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
    )
    server = _Server(config, ready=lambda: ready(listener.getsockname()[1]))
    stopping = asyncio.create_task(_stop_on(stop, server), name="stop the HTTP server")
    try:
        await server.serve(sockets=[listener])
    finally:
        stopping.cancel()
        listener.close()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: they are the caller's."""

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


async def _stop_on(stop: asyncio.Event, server: uvicorn.Server) -> None:
    await stop.wait()
    server.should_exit = True


def _listen(settings: Settings) -> socket.socket:
    place = f"{settings.host}:{settings.port} (PUSHSVC_HOST, PUSHSVC_PORT)"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = (
                f"Port {settings.port} of {settings.host} is taken by another process. "
                "Choose another with PUSHSVC_PORT or --port; 0 is any free one."
            )
            raise PortTakenError(message) from error
        message = f"Cannot listen on {place}: {error.strerror}."
        raise ListenError(message) from error
