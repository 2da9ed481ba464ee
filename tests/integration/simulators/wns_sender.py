"""A WNS sender for tests: h11 over asyncio, so that odd framing can be seen."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11

from pushsvc.simulators import Endpoints, Simulators
from pushsvc.simulators.registry import AccessToken
from tests.integration.simulators.client import DEADLINE_SECONDS

HOST = "db5.notify.windows.com"
PATH = "/?token=AwYAAAB%2f"
CHANNEL = f"https://{HOST}{PATH}"
TOAST = b"<toast><visual/></toast>"


@dataclass
class Answer:
    """What came back; `end` tells how the connection ended before the answer was whole."""

    status: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    end: str | None = None
    #: The server is ready for another request.
    reusable: bool = False


class Sender:
    """One connection to WNS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self._ended = False
        self.bearer = ""

    async def ask(
        self,
        path: str = PATH,
        body: bytes = TOAST,
        *,
        method: str = "POST",
        changes: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """A request with good fields but for the changes (`None` leaves one out)."""
        fields: dict[str, str | None] = {
            "Host": HOST,
            "Authorization": f"Bearer {self.bearer}",
            "Content-Type": "text/xml",
            "X-WNS-Type": "wns/toast",
            "Content-Length": str(len(body)),
        }
        fields |= changes or {}
        lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""])
        request = h11.Request(method=method, target=path, headers=[("host", HOST)])
        self._http.send(request)
        self._http.send(h11.EndOfMessage())
        self._writer.write(head.encode() + body)
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._answer()

    async def _answer(self) -> Answer:
        answer = Answer()
        try:
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    received = await self._reader.read(65536)
                    self._ended = not received
                    self._http.receive_data(received)
                elif isinstance(event, h11.Response):
                    answer.status = event.status_code
                    answer.fields = {name.decode(): value.decode() for name, value in event.headers}
                elif isinstance(event, h11.Data):
                    answer.body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    answer.end = "eof"
                    return answer
        except h11.RemoteProtocolError:
            answer.end = "eof"
        except ConnectionError:
            answer.end = "reset"
        done = self._http.our_state is self._http.their_state is h11.DONE
        answer.reusable = done and not self._ended
        if answer.reusable:
            self._http.start_next_cycle()
        return answer

    async def closed(self) -> bool:
        """Whether the server has closed the connection (and says nothing more)."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._reader.read() == b""


@asynccontextmanager
async def connect_wns(endpoints: Endpoints) -> AsyncIterator[Sender]:
    """A connection with the SNI of a channel's host."""
    context = ssl.create_default_context(cafile=str(endpoints.ca_file))
    host, _, port = endpoints.wns_address.rpartition(":")
    reader, writer = await asyncio.open_connection(
        host, int(port), ssl=context, server_hostname=HOST
    )
    try:
        yield Sender(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def wns(simulators: Simulators) -> AsyncIterator[Sender]:
    """A sender that is signed in."""
    app = simulators.endpoints.credentials.wns.package_sid
    token = simulators.registry.wns_tokens.issue(AccessToken(subject=app, expires_at=2**40))
    async with connect_wns(simulators.endpoints) as sender:
        sender.bearer = token
        yield sender
