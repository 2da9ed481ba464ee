"""The strict WNS: channels on any host of notify.windows.com, HTTP/1.1 only."""

from typing import Any
from xml.parsers import expat

from pushsvc.simulators.exchange import Answer, Exchange
from pushsvc.simulators.faults import Marker, named_marker
from pushsvc.simulators.gateway import Gateway
from pushsvc.simulators.ledger import Entry
from pushsvc.simulators.wns.answers import received, refused
from pushsvc.simulators.wns.checks import (
    AFTER_CREDENTIAL,
    BEFORE_CREDENTIAL,
    NOTED,
    channel_host,
    first_refusal,
)
from pushsvc.simulators.wns.faults import FAULTS
from pushsvc.simulators.wns.tokens import MicrosoftTokens


class Wns(Gateway):
    """https://learn.microsoft.com/windows/apps/develop/notifications/push-notifications/wns-overview."""

    name = "wns"
    faults = FAULTS

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self._token_endpoint = MicrosoftTokens(self, self.registry.wns_tokens)
        self._ids = 0

    def receive(self, exchange: Exchange) -> None:
        """Judge a notification, or leave it to the token endpoints."""
        if self._token_endpoint.owns(exchange.path):
            self._token_endpoint.receive(exchange)
        else:
            super().receive(exchange)

    def describe(self, exchange: Exchange) -> Entry:
        """The token is the channel URI, as the sender knows it."""
        self._ids += 1
        uri = f"https://{channel_host(exchange)}{exchange.path.decode('latin-1')}"
        entry = self.entry(exchange, token=uri, message_id=f"{self._ids:016X}")
        for name, field in NOTED.items():
            setattr(entry, name, exchange.fields.get(field, b"").decode("latin-1"))
        return entry

    def check(self, exchange: Exchange) -> Answer | None:
        """Method, framing, channel, credential, then the notification."""
        refusal = (
            first_refusal(BEFORE_CREDENTIAL, exchange)
            or self._check_credential(exchange)
            or first_refusal(AFTER_CREDENTIAL, exchange)
        )
        if refusal:
            return refused(exchange, *refusal)
        self._look_at_payload(exchange)
        return None

    def marker(self, token: str) -> Marker | None:
        """`~name-PP` in the channel URI."""
        return named_marker(token)

    def welcome(self, exchange: Exchange) -> Answer:
        """200, received."""
        return received(exchange)

    def _check_credential(self, exchange: Exchange) -> tuple[int, str] | None:
        token = self.registry.wns_tokens.find(exchange.fields.get(b"authorization", b""))
        if token is None or token.revoked:
            return 401, "The access token is missing or not valid"
        return (401, "The access token expired") if token.expires_at <= self.now() else None

    def _look_at_payload(self, exchange: Exchange) -> None:
        """WNS takes any bytes; Windows would drop malformed XML."""
        if exchange.fields[b"x-wns-type"] == b"wns/raw":
            return
        try:
            expat.ParserCreate().Parse(exchange.body, True)  # noqa: FBT003 - expat takes no keywords
        except expat.ExpatError:
            self.ledger.warn(exchange.entry, "the payload is not well-formed XML")
