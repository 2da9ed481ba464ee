"""uvicorn's protocol, with a reply in one write, and no other protocol after it."""

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class OneWriteProtocol(HttpToolsProtocol):
    """Writes what a turn of the loop has to say at once: a system call costs more than the rest."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
        """Begin, on a transport that gathers."""
        super().connection_made(cast("asyncio.Transport", _Gathering(transport)))

    def data_received(self, data: bytes | memoryview) -> None:
        """Read on. A request that offers another protocol is one of HTTP/1.1 (RFC 9110, 7.8)."""
        self._unset_keepalive_if_required()
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as offer:
                    behind_head: int = offer.args[0]
                if not self._should_upgrade():
                    break
                self._begin_without_offer()
                data = memoryview(data)[behind_head:]
        except httptools.HttpParserError:
            text = "Invalid HTTP request received."
            self.logger.warning(text)
            self.send_400_response(text)

    def _should_upgrade(self) -> bool:
        """Have uvicorn make nothing of a head with an offer; to ask for a tunnel is none."""
        return bool(self.scope["method"] != "CONNECT")

    def _begin_without_offer(self) -> None:
        """Tell the head to another parser: the first takes the body for the other protocol's."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self.parser.feed_data(self._head_without_offer())

    def _head_without_offer(self) -> bytes:
        request_line = b"%b %b HTTP/%b" % (
            self.scope["method"].encode(),
            self.url,
            self.scope["http_version"].encode(),
        )
        fields = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join((request_line, *fields, b"", b""))


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
