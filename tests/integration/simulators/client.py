"""A sender for tests: h2 and asyncio, nothing of ours; and what the tests sign with PyJWT."""

import asyncio
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from h2.config import H2Configuration
from h2.connection import (
    ConnectionInputs,
    ConnectionState,
    H2Connection,
    H2ConnectionStateMachine,
)
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    PingAckReceived,
    PingReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from pushsvc.simulators import Endpoints

#: Nothing here takes longer; a test that waits this long has failed.
DEADLINE_SECONDS = 5.0
DEVICE = "ab" * 28
TOKEN = DEVICE + "00000001"

Fields = dict[str, str]

# h2 would read nothing after a GOAWAY; answers may follow it.
_OPEN, _GOAWAY = ConnectionState.CLIENT_OPEN, ConnectionInputs.RECV_GOAWAY
TRANSITIONS = H2ConnectionStateMachine._transitions | {(_OPEN, _GOAWAY): (None, _OPEN)}


@dataclass
class Reply:
    """What came back on a stream so far."""

    status: int = 0
    fields: Fields = field(default_factory=dict)
    body: bytes = b""
    pieces: list[bytes] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None
    interim: Fields = field(default_factory=dict)
    trailers: Fields = field(default_factory=dict)


@dataclass
class Goaway:
    """A GOAWAY that was received."""

    last: int
    code: int
    debug: bytes


class Sender:
    """One HTTP/2 connection; `changed` is set whenever anything has come in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._changed = asyncio.Condition()
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.state_machine._transitions = TRANSITIONS
        self.replies: dict[int, Reply] = {}
        self.goaways: list[Goaway] = []
        self.limits: list[int] = []
        self.ping_acks = 0
        self.pings = 0
        #: None while open; then "eof", "reset", or "fault": h2 found something illegal.
        self.end: str | None = None

    async def send(self, fields: Fields, body: bytes = b"", *, end: bool = True) -> int:
        """Write a request; returns its stream id."""
        stream_id = self.h2.get_next_available_stream_id()
        self.expect(stream_id)
        self.h2.send_headers(stream_id, list(fields.items()), end_stream=end and not body)
        if body:
            await self.send_body(stream_id, body, end=end)
        self.flush()
        return stream_id

    async def send_body(self, stream_id: int, body: bytes, *, end: bool = True) -> None:
        """Write (more of) a body, as flow control lets us."""
        while body:
            await self.until(lambda: self.h2.local_flow_control_window(stream_id) > 0)
            room = min(self.h2.local_flow_control_window(stream_id), 16384)
            piece, body = body[:room], body[room:]
            self.h2.send_data(stream_id, piece, end_stream=end and not body)
            self.flush()

    def expect(self, stream_id: int) -> None:
        """Note a request that the test itself writes."""
        self.replies[stream_id] = Reply()

    async def ask(self, fields: Fields, body: bytes = b"") -> Reply:
        """Write a request and wait until its stream is over."""
        return await self.reply(await self.send(fields, body))

    async def reply(self, stream_id: int) -> Reply:
        """Wait until a stream is over."""
        reply = self.replies[stream_id]
        await self.until(lambda: reply.ended or reply.reset is not None)
        return reply

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait for a fact, or for the end of the connection to make it impossible."""
        async with asyncio.timeout(DEADLINE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: fact() or self.end is not None)
        assert fact(), f"connection ended ({self.end})"

    async def until_end(self) -> str:
        """Wait for the end of the connection; tells how it ended."""
        async with asyncio.timeout(DEADLINE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self.end is not None)
        assert self.end is not None
        return self.end

    def flush(self) -> None:
        """Write what h2 has ready."""
        self._writer.write(self.h2.data_to_send())

    def write(self, raw: bytes) -> None:
        """Write bytes of one's own."""
        self._writer.write(raw)

    def stop_reading(self) -> None:
        """Leave what comes in the socket."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume_reading(self) -> None:
        """Read again."""
        self._writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def read(self) -> None:
        """The reader: runs until the connection ends."""
        try:
            while received := await self._reader.read(65536):
                for event in self.h2.receive_data(received):
                    self._note(event)
                self.flush()
                await self._tell()
            self.end = "eof"
        except (ConnectionError, ssl.SSLError):
            self.end = "reset"
        except ProtocolError:
            self.end = "fault"
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _note(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                reply = self.replies[event.stream_id]
                reply.fields = _fields(event.headers)
                reply.status = int(reply.fields[":status"])
            case InformationalResponseReceived():
                self.replies[event.stream_id].interim = _fields(event.headers)
            case TrailersReceived():
                self.replies[event.stream_id].trailers = _fields(event.headers)
            case DataReceived():
                reply = self.replies[event.stream_id]
                reply.body += event.data or b""
                reply.pieces.append(event.data or b"")
                self.h2.acknowledge_received_data(
                    event.flow_controlled_length or 0, event.stream_id
                )
            case StreamEnded():
                self.replies[event.stream_id].ended = True
            case StreamReset():
                self.replies[event.stream_id].reset = int(event.error_code or 0)
            case ConnectionTerminated():
                debug = event.additional_data or b""
                last = event.last_stream_id or 0
                self.goaways.append(Goaway(last, int(event.error_code or 0), debug))
            case _:
                self._note_of_connection(event)

    def _note_of_connection(self, event: Event) -> None:
        match event:
            case RemoteSettingsChanged():
                self.limits.append(self.h2.remote_settings.max_concurrent_streams)
            case PingAckReceived():
                self.ping_acks += 1
            case PingReceived():
                self.pings += 1
            case WindowUpdated() | _:
                pass


def _fields(headers: Iterable[tuple[str | bytes, str | bytes]]) -> Fields:
    return {str(name): str(value) for name, value in headers}


@asynccontextmanager
async def connect(url: str, endpoints: Endpoints) -> AsyncIterator[Sender]:
    """An HTTP/2 connection whose SETTINGS have come."""
    context = ssl.create_default_context(cafile=str(endpoints.ca_file))
    context.set_alpn_protocols(["h2"])
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, ssl=context)
    sender = Sender(reader, writer)
    sender.h2.initiate_connection()
    sender.flush()
    reading = asyncio.create_task(sender.read())
    try:
        await sender.until(lambda: bool(sender.limits))
        yield sender
    finally:
        reading.cancel()
        writer.transport.abort()
        await asyncio.gather(reading, return_exceptions=True)


def provider_token(endpoints: Endpoints, **changes: Any) -> str:
    """An APNs provider token; `header_...` changes the JOSE header, `key` signs."""
    apns = endpoints.credentials.apns
    header = {"kid": apns.key_id}
    header |= {name[7:]: changes.pop(name) for name in list(changes) if name.startswith("header_")}
    key = changes.pop("key", apns.p8)
    algorithm = changes.pop("algorithm", "ES256")
    claims = {"iss": apns.team_id, "iat": int(time.time())} | changes
    return jwt.encode(claims, key, algorithm=algorithm, headers=header)


def apns_fields(endpoints: Endpoints, token: str = TOKEN, **changes: str | None) -> Fields:
    """A good request's fields; `None` leaves one out, underscores stand for hyphens."""
    fields = {
        ":method": "POST",
        ":scheme": "https",
        ":authority": "api.push.apple.com",
        ":path": f"/3/device/{token}",
        "authorization": f"bearer {provider_token(endpoints)}",
        "apns-topic": endpoints.credentials.apns.topic,
        "apns-push-type": "alert",
        "apns-id": str(uuid.uuid4()),
    }
    for name, value in changes.items():
        key = f":{name}" if name in {"method", "path"} else name.replace("_", "-")
        if value is None:
            fields.pop(key)
        else:
            fields[key] = value
    return fields


@cache
def rsa_key(pem: str) -> rsa.RSAPrivateKey:
    """Read a key once: checking an RSA key takes 30 ms."""
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def assertion(endpoints: Endpoints, **changes: Any) -> str:
    """A service account's assertion; `key` and `kid` change who signs."""
    account = endpoints.credentials.fcm.service_account
    now = int(time.time())
    key = changes.pop("key", None) or rsa_key(account["private_key"])
    kid = changes.pop("kid", account["private_key_id"])
    claims = {
        "iss": account["client_email"],
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": endpoints.fcm_token_url,
        "iat": now,
        "exp": now + 3600,
    } | changes
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid})
