"""One request on its way through a gateway, and every way in which it can be answered."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pushsvc.simulators.ledger import Entry, Ledger

Header = tuple[bytes, bytes]

#: Bytes of a request body that are held; every gateway's limit is far below. The rest is counted.
MAX_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response; `reason` is the gateway's own string and empty when accepted."""

    status: int
    reason: str = ""
    headers: tuple[Header, ...] = ()
    body: bytes = b""


@dataclass(slots=True, kw_only=True)
class Session:
    """What a gateway remembers about one connection."""

    connection: int
    requests: int = 0
    #: The team of the first authorised request (APNs: one team per connection).
    team: str | None = None
    #: Set when every later request of the connection gets the same answer.
    wedged: "Callable[[Exchange], None] | None" = None


class Desk(Protocol):
    """What an exchange may ask of the gateway it belongs to."""

    ledger: Ledger
    now: Callable[[], float]

    def welcome(self, exchange: "Exchange") -> Answer:
        """The answer of an accepted request."""


class Exchange(ABC):
    """One request and its answer; the HTTP/2 and the HTTP/1.1 wire each have their own kind.

    `fields` has lower-case names, `:method` and `:path` among them. `document` is whatever the
    gateway parsed the body into. `parameter` is the PP of the fault that is being played.
    `preset` is a verdict that the wire has already given; a `dry_run` is checked, not sent.
    `entry` exists once it is judged: requests to a token endpoint never are.
    """

    __slots__ = (
        "body", "desk", "document", "dry_run", "entry", "fields", "indexed", "judged", "method",
        "parameter", "path", "preset", "repeated_fields", "session", "size", "stream_id",
    )  # fmt: skip

    def __init__(self, desk: Desk, session: Session, *, headers: list[Header]) -> None:
        self.desk = desk
        self.session = session
        self.fields = dict(headers)
        self.repeated_fields = len(self.fields) != len(headers)
        self.method = self.fields.get(b":method", b"")
        self.path = self.fields.get(b":path", b"")
        self.stream_id = 0
        self.body = b""
        self.size = 0
        self.parameter = 0
        self.document: Any = None
        self.preset: str | None = None
        self.indexed: tuple[bytes, ...] = ()
        self.dry_run = False
        self.judged = False
        self.entry: Entry

    def receive(self, piece: bytes) -> None:
        """One more piece of the body."""
        self.size += len(piece)
        if self.size <= MAX_BODY_BYTES:
            self.body += piece

    def accept(self) -> None:
        """The gateway takes the message and says so."""
        self.deliver()
        self.answer(self.desk.welcome(self))

    def deliver(self) -> None:
        """The gateway takes the message, unless the sender only wanted it checked."""
        if not self.dry_run:
            self.desk.ledger.deliver(self.entry)

    def judge(self, entry: Entry) -> None:
        """Take the request down in the ledger."""
        self.entry = entry
        self.judged = True
        self.desk.ledger.open(entry)

    def settle(self, answer: Answer) -> None:
        """Note in the ledger that this answer was written."""
        if self.judged:
            self.desk.ledger.settle(self.entry, status=answer.status, reason=answer.reason)

    def retract(self) -> None:
        """Note in the ledger that the sender was told that the message was not taken."""
        if self.judged:
            self.desk.ledger.retract(self.entry)

    @abstractmethod
    def answer(self, answer: Answer) -> None:
        """Write the whole answer; nothing happens if the sender has given up meanwhile."""

    @abstractmethod
    def answer_in_pieces(self, answer: Answer, pieces: list[bytes], *, pause: float = 0.0) -> None:
        """Write the head of the answer now and, after a pause, each piece of the body apart."""

    @abstractmethod
    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call later, unless the connection is gone by then."""

    @abstractmethod
    def hang_up(self) -> None:
        """Close the connection in good order: TLS close_notify, FIN."""

    @abstractmethod
    def reset_tcp(self) -> None:
        """Close the connection with a TCP RST."""

    @abstractmethod
    def go_dark(self) -> None:
        """Neither read nor write any more; the TCP connection stays."""

    def answer_raw(self, answer: Answer, written: bytes, *, hang_up: bool) -> None:
        """Write these very bytes as the answer (HTTP/1.1 only); HTTP/2 answers properly."""
        del written, hang_up
        self.answer(answer)

    # What only HTTP/2 has; on HTTP/1.1 the nearest thing is to hang up.

    def reset(self, code: int) -> None:
        """RST_STREAM with this error code."""
        del code
        self.hang_up()

    def answer_half(self, answer: Answer, code: int) -> None:
        """The head of the answer, then RST_STREAM."""
        del answer
        self.reset(code)

    def answer_then_reset(self, answer: Answer, code: int) -> None:
        """The whole answer, then RST_STREAM."""
        del code
        self.answer(answer)

    def goaway(self, last: int, *, code: int = 0, debug: bytes = b"") -> None:
        """GOAWAY: streams above `last` are disowned, the others finish, then comes the end."""
        del last, code, debug
        self.hang_up()

    def announce_goaway(self, code: int = 0) -> None:
        """GOAWAY with the highest id: a notice that disowns nothing."""
        del code

    def highest_taken(self) -> int:
        """The highest stream the gateway has taken so far."""
        return self.stream_id

    def grant_streams(self) -> None:  # noqa: B027 - HTTP/1.1 has no streams to grant
        """Raise MAX_CONCURRENT_STREAMS to what authorised senders get."""
