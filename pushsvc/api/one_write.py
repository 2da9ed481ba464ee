"""uvicorn's protocol, with the head and the body of a reply in one write."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class OneWriteProtocol(HttpToolsProtocol):
    """Writes what a turn of the loop has to say at once: a system call costs more than the rest."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
        """Begin, on a transport that gathers."""
        super().connection_made(cast("asyncio.Transport", _Gathering(transport)))


class _Gathering:
    """A transport that holds what is written until the turn of the loop ends."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._parts: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Any:
        """Be the transport in all other respects."""
        return getattr(self._transport, name)

    def write(self, part: bytes) -> None:
        """Hold a part of a reply."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(part)

    def close(self) -> None:
        """Write what is held, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()
