"""OAuth token endpoints: what FCM's, Microsoft's legacy and Entra's have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from pushsvc.simulators.behaviours import respond, silence, slowly, welcome
from pushsvc.simulators.exchange import Answer, Exchange
from pushsvc.simulators.faults import Delivered, Fault, FaultTable
from pushsvc.simulators.gateway import Gateway
from pushsvc.simulators.ledger import Ledger
from pushsvc.simulators.registry import AccessToken, AccessTokens

JSON_FIELDS = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
FORM_TYPE = b"application/x-www-form-urlencoded"
#: A form with more fields than this is not a token request.
MAX_FORM_FIELDS = 20


def json_answer(status: int, document: Mapping[str, Any]) -> Answer:
    """A JSON body; the OAuth error is the reason."""
    return Answer(status, str(document.get("error", "")), JSON_FIELDS, orjson.dumps(document))


def oauth_error(status: int, error: str, description: str) -> Answer:
    """An error of RFC 6749, 5.2."""
    return json_answer(status, {"error": error, "error_description": description})


def _short(exchange: Exchange) -> Answer:
    exchange.document = {"lifetime": exchange.parameter}
    return exchange.desk.welcome(exchange)


def _revoked(exchange: Exchange) -> Answer:
    exchange.document = {"revoked": True}
    return exchange.desk.welcome(exchange)


INVALID_GRANT = oauth_error(400, "invalid_grant", "Asked for by script.")
N = Delivered.NO
TOKEN_FAULTS = FaultTable(
    Fault(None, "ok", welcome, N),
    Fault(None, "slow", slowly(welcome), N),
    Fault(None, "never", silence, N),
    Fault(None, "short", respond(_short), N),
    Fault(None, "revoked", respond(_revoked), N),
    Fault(None, "invalid_grant", respond(lambda _: INVALID_GRANT), N),
    Fault(None, "internal", respond(lambda _: Answer(500, "internal_failure")), N),
    Fault(None, "unavailable", respond(lambda _: Answer(503, "temporarily_unavailable")), N),
)  # fmt: skip


class TokenEndpoint(ABC):
    """Judges token requests; scripted faults come first, a welcome checks and issues."""

    def __init__(self, gateway: Gateway, tokens: AccessTokens) -> None:
        self.name = f"{gateway.name}-oauth"
        self.ledger: Ledger = gateway.ledger
        self.now: Callable[[], float] = gateway.now
        self.registry = gateway.registry
        self._script = gateway.script
        self._tokens = tokens
        self._lifetime = gateway.knobs.access_token_seconds

    def receive(self, exchange: Exchange) -> None:
        """Answer a token request."""
        exchange.desk = self
        self._tokens.fetches += 1
        exchange.session.requests += 1
        scripted = self._script.strike(self.name, ordinal=exchange.session.requests)
        fault = TOKEN_FAULTS.named(scripted.name) if scripted else None
        if scripted and fault:
            exchange.parameter = scripted.parameter
            fault.behaviour(exchange)
        else:
            welcome(exchange)

    @abstractmethod
    def welcome(self, exchange: Exchange) -> Answer:
        """Check the request and issue a token, or say what is wrong."""

    def issue(self, exchange: Exchange, subject: str, *, kind: str) -> Answer:
        """A token for this subject, short-lived or revoked if a fault asked for it."""
        wish = exchange.document or {}
        lifetime = wish.get("lifetime", self._lifetime)
        token = AccessToken(
            subject=subject,
            expires_at=self.now() + lifetime,
            revoked=wish.get("revoked", False),
        )
        secret = self._tokens.issue(token)
        return json_answer(
            200, {"access_token": secret, "expires_in": lifetime, "token_type": kind}
        )


def read_form(exchange: Exchange) -> dict[str, str] | None:
    """The fields of a form body, or None if it is not one."""
    if exchange.fields.get(b"content-type", b"").split(b";")[0].strip() != FORM_TYPE:
        return None
    try:
        pairs = parse_qsl(
            exchange.body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None
