"""The strict APNs: HTTP/2 only, token authentication, one row of the ledger per request."""

import uuid
from typing import Any
from urllib.parse import quote

import orjson

from pushsvc.simulators.apns.checks import DEVICE_PATH, UUID, Checks
from pushsvc.simulators.apns.faults import FAULTS, wedge
from pushsvc.simulators.apns.provider_tokens import ProviderTokens
from pushsvc.simulators.apns.reasons import id_field, refusal
from pushsvc.simulators.exchange import Answer, Exchange
from pushsvc.simulators.faults import Marker, hex_marker
from pushsvc.simulators.gateway import Gateway
from pushsvc.simulators.ledger import Entry


class Apns(Gateway):
    """https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns."""

    name = "apns"
    faults = FAULTS
    idle_debug = b'{"reason":"IdleTimeout"}'

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.streams = (self.knobs.apns_streams_at_first, self.knobs.apns_streams)
        self.strict_streams = self.knobs.apns_strict_streams
        self.tokens = ProviderTokens(
            self.registry.apns,
            update_seconds=self.knobs.apns_token_update_seconds,
            age_seconds=self.knobs.apns_token_age_seconds,
        )
        self._checks = Checks(
            knobs=self.knobs, registry=self.registry, tokens=self.tokens, now=self.now
        )

    def describe(self, exchange: Exchange) -> Entry:
        """Token from the path, the rest from the header fields."""
        fields = exchange.fields
        given = fields.get(b"apns-id", b"")
        # APNs makes an id where none was given; then only the payload can tell a duplicate.
        known = bool(UUID.fullmatch(given))
        entry = self.entry(
            exchange,
            token=_text(exchange.path.removeprefix(DEVICE_PATH)).lower(),
            message_id=given.decode() if known else str(uuid.uuid4()),
        )
        if known:
            entry.identity = given
        entry.topic = _text(fields.get(b"apns-topic", b""))
        entry.push_type = _text(fields.get(b"apns-push-type", b""))
        entry.priority = _text(fields.get(b"apns-priority", b""))
        entry.expiration = _text(fields.get(b"apns-expiration", b""))
        entry.collapse_id = _text(fields.get(b"apns-collapse-id", b""))
        return entry

    def check(self, exchange: Exchange) -> Answer | None:
        """The reason of the first check that fails."""
        reason = self._checks.reason(exchange)
        if reason == "ExpiredProviderToken":
            wedge(exchange)
        if reason:
            return refusal(exchange, reason)
        self._look_at_payload(exchange)
        return None

    def marker(self, token: str) -> Marker | None:
        """The last eight hex digits."""
        return hex_marker(token)

    def welcome(self, exchange: Exchange) -> Answer:
        """200 and the `apns-id`; the sandbox adds an id of its own."""
        fields = id_field(exchange)
        if self.knobs.apns_sandbox:
            fields += ((b"apns-unique-id", str(uuid.uuid4()).encode()),)
        return Answer(200, headers=fields)

    def _look_at_payload(self, exchange: Exchange) -> None:
        """APNs takes any bytes; a device would show nothing."""
        try:
            payload = orjson.loads(exchange.body)
        except orjson.JSONDecodeError:
            self.ledger.warn(exchange.entry, "the payload is not JSON")
            return
        if not isinstance(payload, dict) or not isinstance(payload.get("aps"), dict):
            self.ledger.warn(exchange.entry, "the payload has no aps dictionary")


def _text(field: bytes) -> str:
    """A field as text; what is not ASCII is percent-encoded, for the ledger only."""
    return field.decode() if field.isascii() else quote(field)
