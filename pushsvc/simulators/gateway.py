"""What the three gateways have in common: the order in which a request is judged."""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import ClassVar

from h2.errors import ErrorCodes

from pushsvc.simulators.behaviours import reset, silence
from pushsvc.simulators.exchange import Answer, Exchange
from pushsvc.simulators.faults import Delivered, Fault, FaultTable, Marker
from pushsvc.simulators.knobs import Knobs
from pushsvc.simulators.ledger import MAX_SHARED_WORDS, Entry, Ledger
from pushsvc.simulators.registry import Registry
from pushsvc.simulators.script import Script
from pushsvc.simulators.wire_counts import WireCounts

#: Verdicts of the wire itself: the stream came beyond the limit, or after a GOAWAY disowned it.
OVER_LIMIT = "over_limit"
DISOWNED = "disowned"
WIRE_FAULTS = FaultTable(
    Fault(None, OVER_LIMIT, reset(ErrorCodes.REFUSED_STREAM), Delivered.NO),
    Fault(None, DISOWNED, silence, Delivered.NO),
)
HASH_DIGITS = 16
#: Fields that are another in every request, so that there is nothing to share.
UNSHARED_FIELDS = frozenset({b":path", b"apns-id"})


class Gateway(ABC):
    """A push gateway: judges exchanges and writes the ledger.

    Precedence: the wire's own verdict, scripted fault, wedged connection, validation,
    fault of the token, accept.
    """

    name: ClassVar[str]
    faults: ClassVar[FaultTable]
    #: Streams a connection may have open at first, and after its first authorised request.
    streams: tuple[int, int] = (100, 100)
    #: PINGs allowed without a HEADERS or DATA frame between them; None: any number.
    idle_pings: int | None = None
    #: Debug octets of the GOAWAY that ends an idle connection.
    idle_debug: bytes = b""
    #: Whether a stream beyond the limit ends its connection.
    strict_streams = False

    def __init__(
        self,
        *,
        knobs: Knobs,
        ledger: Ledger,
        registry: Registry,
        script: Script,
        seed: int,
        now: Callable[[], float],
    ) -> None:
        self.knobs = knobs
        self.ledger = ledger
        self.registry = registry
        self.script = script
        self.now = now
        self.wire = WireCounts()
        #: New connections that still get a GOAWAY instead of answers.
        self.turning_away = 0
        self._chance = random.Random(seed)  # noqa: S311 - a repeatable latency, no secret

    @abstractmethod
    def describe(self, exchange: Exchange) -> Entry:
        """Read the request into a ledger entry; must cope with anything."""

    @abstractmethod
    def check(self, exchange: Exchange) -> Answer | None:
        """The rejection of a request that is not valid."""

    @abstractmethod
    def marker(self, token: str) -> Marker | None:
        """The fault a token asks for."""

    @abstractmethod
    def welcome(self, exchange: Exchange) -> Answer:
        """The answer of an accepted request."""

    def receive(self, exchange: Exchange) -> None:
        """Judge a complete request, now or after the latency that was asked for."""
        low, high = self.knobs.latency_seconds
        if high > 0:
            exchange.after(self._chance.uniform(low, high), lambda: self._judge(exchange))
        else:
            self._judge(exchange)

    def _judge(self, exchange: Exchange) -> None:
        exchange.session.requests += 1
        exchange.judge(self.describe(exchange))
        for name in exchange.indexed:
            self.ledger.warn(exchange.entry, f"{name.decode()} was put into the dynamic table")
        if exchange.preset:
            self._strike(exchange, WIRE_FAULTS, Marker(exchange.preset, 0))
            return
        scripted = self.script.strike(self.name, ordinal=exchange.session.requests)
        if scripted:
            self._strike(exchange, self.faults, scripted)
            return
        if exchange.session.wedged:
            exchange.session.wedged(exchange)
            return
        rejection = self.check(exchange)
        if rejection:
            exchange.answer(rejection)
            return
        marker = self.marker(exchange.entry.token)
        if marker:
            self._strike(exchange, self.faults, marker)
        else:
            exchange.accept()

    def _strike(self, exchange: Exchange, table: FaultTable, marker: Marker) -> None:
        fault = table.named(marker.name)
        if fault is None:
            self.ledger.warn(exchange.entry, "the marker names no fault")
            exchange.accept()
            return
        exchange.parameter = marker.parameter
        self.ledger.fault(exchange.entry, fault.name)
        if fault.takes_message(marker.parameter):
            exchange.deliver()
        fault.behaviour(exchange)

    def entry(self, exchange: Exchange, *, token: str, message_id: str) -> Entry:
        """An entry with what all gateways have; a message is known by its payload until told."""
        digest = sha256(exchange.body).digest()
        bearer = exchange.fields.get(b"authorization", b"")
        credential = _digest_of(bearer) if bearer else ""
        return Entry(
            time=self.now(),
            gateway=self.name,
            connection=exchange.session.connection,
            stream=exchange.stream_id,
            token=token,
            message_id=message_id,
            identity=digest,
            fields=tuple(as_text(exchange.fields, credential)),
            credential=credential,
            payload_bytes=exchange.size,
            payload_sha256=digest,
            payload=exchange.body[: self.knobs.ledger_payload_bytes],
        )


@lru_cache(maxsize=MAX_SHARED_WORDS)
def _digest_of(bearer: bytes) -> str:
    return sha256(bearer).hexdigest()[:HASH_DIGITS]


def as_text(fields: Mapping[bytes, bytes], credential: str) -> Iterator[tuple[str, str]]:
    """The fields for the ledger. A token may be good for the real gateway: it stays out."""
    for name, value in fields.items():
        if name == b"authorization":
            yield _shared_authorization(value, credential)
        elif name in UNSHARED_FIELDS:
            yield _field_as_text(name, value)
        else:
            yield _shared_field(name, value)


@lru_cache(maxsize=MAX_SHARED_WORDS)
def _shared_authorization(value: bytes, credential: str) -> tuple[str, str]:
    scheme, space, _token = value.decode("utf-8", "backslashreplace").partition(" ")
    return "authorization", f"{scheme} {credential}" if space else credential


def _field_as_text(name: bytes, value: bytes) -> tuple[str, str]:
    return name.decode("ascii", "backslashreplace"), value.decode("utf-8", "backslashreplace")


#: Most fields are the same in many requests; each is held once.
_shared_field = lru_cache(maxsize=MAX_SHARED_WORDS)(_field_as_text)
