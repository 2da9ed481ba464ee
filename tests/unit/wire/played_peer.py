"""A connection core whose peer is played frame by frame, with hyperframe and hpack."""

from collections.abc import Iterable
from math import inf
from typing import Any

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from pushsvc.delivery.wire.connection import Connection
from pushsvc.delivery.wire.errors import ErrorCode
from pushsvc.delivery.wire.events import Verdict
from pushsvc.delivery.wire.frames import PREFACE
from pushsvc.delivery.wire.headers import Template
from pushsvc.delivery.wire.limits import Limits
from pushsvc.delivery.wire.requests import Settled

AUTHORITY = b"push.example"
TEMPLATE = Template(
    [(b"apns-topic", b"com.example.app"), (b"apns-push-type", b"alert")],
    varying=(b"apns-id",),
    literal=[(b"authorization", b"bearer secret")],
)
PATH = b"/3/device/00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
OK = [(":status", "200")]


def parsed(octets: bytes) -> list[Any]:
    """Every frame in `octets`, which must end with one: attributes are those of its type."""
    frames: list[Any] = []
    while octets:
        frame, length = Frame.parse_frame_header(memoryview(octets[:9]))
        assert len(octets) >= 9 + length, "cut off"
        frame.parse_body(memoryview(octets[9 : 9 + length]))
        frames.append(frame)
        octets = octets[9 + length :]
    return frames


class PlayedPeer:
    """Owner of every request, reader of every byte, and the peer's own words by hand."""

    def __init__(self, limits: Limits | None = None, *, greet: bool = True) -> None:
        self.core = Connection(AUTHORITY, limits or Limits())
        self.verdicts: dict[int, list[Verdict]] = {}
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        greeting = self.core.take()
        assert greeting.startswith(PREFACE)
        self.greeting = parsed(greeting[len(PREFACE) :])
        if greet:
            self.hear(SettingsFrame(0, {}), SettingsFrame(0, flags=["ACK"]))
            self.encoder.header_table_size = 0
            self.sent()

    # -- as owner -----------------------------------------------------------------------------

    def settle(self, settled: Iterable[Settled]) -> None:
        """Keep verdicts."""
        for _, key, verdict in settled:
            self.verdicts.setdefault(key, []).append(verdict)

    def tell(self, settled: Iterable[Settled]) -> None:
        """Tell each owner, as the shell does."""
        for one in settled:
            one[0].settle([one])

    def verdict(self, key: int) -> Verdict:
        """The one verdict of a request."""
        (verdict,) = self.verdicts[key]
        return verdict

    # -- as shell -----------------------------------------------------------------------------

    def open(self, key: int, body: bytes = b"{}", *, deadline: float = inf) -> bool:
        """Open one request; its apns-id is its key."""
        first_id = self.core.next_id
        opened = self.core.open((key, TEMPLATE, PATH, (b"%d" % key,), body), self)
        if deadline != inf:
            self.core.set_deadline(first_id, deadline)
        return opened

    def hear(self, *frames: Frame | bytes) -> None:
        """The peer says all this in one read."""
        octets = [frame if isinstance(frame, bytes) else frame.serialize() for frame in frames]
        self.tell(self.core.receive(b"".join(octets)))

    def sent(self) -> list[Any]:
        """What the core has written since last asked."""
        return parsed(self.core.take())

    def told(self, frame_type: type[Frame]) -> list[Any]:
        """Of what was written since last asked, the frames of one type."""
        return [frame for frame in self.sent() if isinstance(frame, frame_type)]

    # -- as peer ------------------------------------------------------------------------------

    def headers(
        self, stream_id: int, fields: list[tuple[str, str]] | None = None, *, end: bool = True
    ) -> HeadersFrame:
        """A response head."""
        flags = ["END_HEADERS", "END_STREAM"] if end else ["END_HEADERS"]
        block = self.encoder.encode(OK if fields is None else fields)
        return HeadersFrame(stream_id, block, flags=flags)

    def data(self, stream_id: int, octets: bytes, *, end: bool = True) -> DataFrame:
        """A piece of a response body."""
        return DataFrame(stream_id, octets, flags=["END_STREAM"] if end else [])

    def goaway_code(self) -> ErrorCode | None:
        """The code of the GOAWAY that the core has written since last asked, if any."""
        goaways = [frame for frame in self.sent() if isinstance(frame, GoAwayFrame)]
        return ErrorCode(goaways[0].error_code) if goaways else None

    def fields(self, block: bytes) -> dict[str, str]:
        """The header fields of one block of ours."""
        return {str(name): str(value) for name, value in self.decoder.decode(block)}

    def requests(self) -> dict[int, tuple[dict[str, str], bytes]]:
        """Header fields and body of every stream written since last asked, in their order."""
        heads: dict[int, bytes] = {}
        bodies: dict[int, bytes] = {}
        for frame in self.sent():
            if isinstance(frame, HeadersFrame | ContinuationFrame):
                heads[frame.stream_id] = heads.get(frame.stream_id, b"") + frame.data
            elif isinstance(frame, DataFrame):
                bodies[frame.stream_id] = bodies.get(frame.stream_id, b"") + frame.data
        return {
            stream_id: (self.fields(block), bodies.get(stream_id, b""))
            for stream_id, block in heads.items()
        }


def reset(stream_id: int, code: int) -> RstStreamFrame:
    """RST_STREAM."""
    return RstStreamFrame(stream_id, code)


def window(stream_id: int, octets: int) -> WindowUpdateFrame:
    """WINDOW_UPDATE."""
    return WindowUpdateFrame(stream_id, octets)


def settings(**values: int) -> SettingsFrame:
    """SETTINGS, by the names of hyperframe in lower case."""
    return SettingsFrame(0, {getattr(SettingsFrame, key.upper()): v for key, v in values.items()})
