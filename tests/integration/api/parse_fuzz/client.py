"""HTTP/1.1 as plain as it gets: what is to go out goes out, octet for octet."""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httptools

from tests.integration.api.parse_fuzz.wire import Request

READ_BYTES = 65_536


@dataclass(kw_only=True)
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    is_whole: bool = False
    #: None came; why
    error: str = ""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        """Called by the parser."""
        self.body += part

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.is_whole = True


class Client:
    """One connection, opened again where the server closed it."""

    def __init__(self, url: str) -> None:
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._streams:
            self._streams[1].close()
        self._streams = None

    async def ask(self, request: Request, *, seconds: float) -> Answer:
        """Send a request, and return its answer, or why there is none."""
        begun = asyncio.get_running_loop().time()
        answer = Answer()
        try:
            async with asyncio.timeout(seconds):
                await self._exchange(request, answer)
        except TimeoutError:
            answer.error = f"no answer within {seconds} s"
        except (OSError, EOFError, httptools.HttpParserError) as error:
            answer.error = f"{type(error).__name__}: {error}"
        answer.seconds = asyncio.get_running_loop().time() - begun
        if answer.error or answer.headers.get("connection") == "close":
            self.close()
        return answer

    async def _exchange(self, request: Request, answer: Answer) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(_head(request) + request.body)
        parser = httptools.HttpResponseParser(answer)
        while not answer.is_whole:
            part = await reader.read(READ_BYTES)
            if not part:
                raise EOFError("the server closed the connection")
            parser.feed_data(part)
            if request.method == "HEAD" and parser.get_status_code():
                self.close()
                break
        answer.status = parser.get_status_code()


def _head(request: Request) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.target), b"Host: 127.0.0.1"]
    lines += [b"%b: %b" % header for header in request.headers]
    if request.body or request.method in {"POST", "PUT", "PATCH"}:
        lines.append(b"Content-Length: %d" % len(request.body))
    return b"\r\n".join((*lines, b"", b""))
