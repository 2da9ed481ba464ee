"""The strict FCM v1: `messages:send` and the token endpoint, on HTTP/2 and HTTP/1.1."""

import re
from typing import Any

from pushsvc.simulators.exchange import Answer, Exchange
from pushsvc.simulators.faults import Marker, named_marker
from pushsvc.simulators.fcm import oauth
from pushsvc.simulators.fcm.checks import MAX_TOKEN_LENGTH, check_message, read_body
from pushsvc.simulators.fcm.faults import (
    EXPIRED,
    FAULTS,
    MISSING,
    OVER_QUOTA,
    PERMISSION_DENIED,
    UNAUTHENTICATED,
)
from pushsvc.simulators.fcm.problems import JSON_TYPE, error_info, html, problem, retry_after
from pushsvc.simulators.gateway import Gateway
from pushsvc.simulators.ledger import Entry

SEND_PATH = re.compile(rb"/v1/projects/([A-Za-z0-9_:.-]{1,100})/messages:send")
NO_CREDENTIAL = problem(
    401,
    "UNAUTHENTICATED",
    "Request is missing required authentication credential. Expected OAuth 2 access token.",
    details=[error_info("CREDENTIALS_MISSING")],
)
BAD_CREDENTIAL = problem(
    401, "UNAUTHENTICATED", UNAUTHENTICATED, details=[error_info("ACCESS_TOKEN_TYPE_UNSUPPORTED")]
)
DRY_RUN_ID = "fake_message_id"
SECONDS_A_MINUTE = 60.0


class Fcm(Gateway):
    """https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send."""

    name = "fcm"
    faults = FAULTS
    #: Google's front end calls more than two PINGs without a frame between them too many.
    idle_pings = 2
    idle_debug = b"session_timed_out"

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.streams = (self.knobs.fcm_streams, self.knobs.fcm_streams)
        self._token_endpoint = oauth.GoogleTokens(self, self.registry.fcm_tokens)
        self._ids = 0
        self._allowance = float(self.knobs.fcm_messages_per_minute)
        self._allowed_at = self.now()

    def receive(self, exchange: Exchange) -> None:
        """Judge a send request, or leave it to the token endpoint."""
        if exchange.path == oauth.PATH:
            self._token_endpoint.receive(exchange)
        else:
            super().receive(exchange)

    def describe(self, exchange: Exchange) -> Entry:
        """Everything from the body; `document` becomes (request, its rejection)."""
        exchange.document = request, _ = read_body(exchange.body)
        message = request.get("message", {})
        android = message.get("android", {})
        project = _project(exchange.path)
        self._ids += 1
        exchange.dry_run = request.get("validate_only") is True
        name = DRY_RUN_ID if exchange.dry_run else f"0:{self._ids:016x}"
        entry = self.entry(
            exchange, token=_target(message), message_id=f"projects/{project}/messages/{name}"
        )
        entry.topic = project
        entry.push_type = "notification" if "notification" in message else "data"
        entry.priority = str(android.get("priority", ""))
        entry.expiration = str(android.get("ttl", ""))
        entry.collapse_id = str(android.get("collapse_key", ""))
        return entry

    def check(self, exchange: Exchange) -> Answer | None:
        """Path, credential, quota, then the body."""
        found = SEND_PATH.fullmatch(exchange.path)
        if not found or exchange.method != b"POST":
            return html(404, "Not Found")
        rejection = self._check_credential(exchange, found[1].decode())
        if rejection:
            return rejection
        request, rejection = exchange.document
        rejection = rejection or check_message(request.get("message", {}))
        return rejection or self._check_quota()

    def marker(self, token: str) -> Marker | None:
        """`~name-PP` in the token."""
        return named_marker(token)

    def welcome(self, exchange: Exchange) -> Answer:
        """200 and the name of the message."""
        body = b'{"name": "%s"}' % exchange.entry.message_id.encode()
        return Answer(200, headers=(JSON_TYPE,), body=body)

    def _check_credential(self, exchange: Exchange, project: str) -> Answer | None:
        authorization = exchange.fields.get(b"authorization")
        if not authorization:
            return NO_CREDENTIAL
        token = self.registry.fcm_tokens.find(authorization)
        if token is None or token.revoked:
            return BAD_CREDENTIAL
        if token.expires_at <= self.now():
            return EXPIRED
        if all(account.project_id != project for account in self.registry.fcm.values()):
            return MISSING
        return None if token.subject == project else PERMISSION_DENIED

    def _check_quota(self) -> Answer | None:
        """A bucket of one minute's messages that fills evenly."""
        full = float(self.knobs.fcm_messages_per_minute)
        if not full:
            return None
        now = self.now()
        gained = (now - self._allowed_at) * full / SECONDS_A_MINUTE
        self._allowance, self._allowed_at = min(full, self._allowance + gained), now
        if self._allowance < 1:
            seconds = int((1 - self._allowance) * SECONDS_A_MINUTE / full) + 1
            fields = OVER_QUOTA.headers + retry_after(seconds)
            return Answer(429, OVER_QUOTA.reason, fields, OVER_QUOTA.body)
        self._allowance -= 1
        return None


def _project(path: bytes) -> str:
    found = SEND_PATH.fullmatch(path)
    return found[1].decode() if found else ""


def _target(message: dict[str, Any]) -> str:
    """The one target as a token of the ledger, cut if it is absurdly long."""
    topic = f"/topics/{message['topic']}" if "topic" in message else ""
    target = topic or message.get("token") or message.get("condition") or message.get("fid") or ""
    return str(target)[:MAX_TOKEN_LENGTH]
