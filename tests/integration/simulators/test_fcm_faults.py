"""Every fault row of FCM does what the table says, and the ledger knows whether it delivered."""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import pytest
from h2.errors import ErrorCodes

from pushsvc.simulators import Simulators
from pushsvc.simulators.fcm.faults import FAULTS
from pushsvc.simulators.h2_faults import ILLEGAL
from tests.integration.simulators.fcm_sender import fcm, message

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Fate:
    """What becomes of a message with this fault."""

    status: int = 0
    reason: str = ""
    code: str | None = None
    html: bool = False
    fcm_error: str | None = None
    reset: int | None = None
    end: str | None = None
    delivered: bool = False
    silent: bool = False
    marker: str = ""


FATES = {
    "ok": Fate(200, delivered=True),
    "unregistered": Fate(404, "UNREGISTERED", "NOT_FOUND", fcm_error="UNREGISTERED"),
    "bad_token": Fate(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", fcm_error="INVALID_ARGUMENT"),
    "invalid_arg": Fate(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", fcm_error="INVALID_ARGUMENT"),
    "invalid_bare": Fate(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    "sender_mismatch": Fate(
        403, "SENDER_ID_MISMATCH", "PERMISSION_DENIED", fcm_error="SENDER_ID_MISMATCH"
    ),
    "perm_denied": Fate(403, "PERMISSION_DENIED", "PERMISSION_DENIED"),
    "not_found": Fate(404, "NOT_FOUND", "NOT_FOUND"),
    "not_found_html": Fate(404, "Not Found", html=True),
    "unauth": Fate(401, "UNAUTHENTICATED", "UNAUTHENTICATED"),
    "third_party": Fate(
        401, "THIRD_PARTY_AUTH_ERROR", "UNAUTHENTICATED", fcm_error="THIRD_PARTY_AUTH_ERROR"
    ),
    "apns_auth": Fate(401, "APNS_AUTH_ERROR", "UNAUTHENTICATED", fcm_error="APNS_AUTH_ERROR"),
    "quota": Fate(429, "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", fcm_error="QUOTA_EXCEEDED"),
    "quota_date": Fate(429, "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", fcm_error="QUOTA_EXCEEDED"),
    "quota_bare": Fate(429, "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", fcm_error="QUOTA_EXCEEDED"),
    "quota_device": Fate(429, "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", fcm_error="QUOTA_EXCEEDED"),
    "quota_topic": Fate(429, "QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", fcm_error="QUOTA_EXCEEDED"),
    "internal": Fate(500, "INTERNAL", "INTERNAL", fcm_error="INTERNAL"),
    "html502": Fate(502, "Server Error", html=True),
    "timeout504": Fate(504, "Gateway Timeout", html=True),
    "unavailable": Fate(503, "UNAVAILABLE", "UNAVAILABLE", fcm_error="UNAVAILABLE"),
    "unavailable_first": Fate(503, "UNAVAILABLE", "UNAVAILABLE", fcm_error="UNAVAILABLE"),
    "slow": Fate(200, delivered=True, marker="~slow-01"),
    "never": Fate(delivered=True, silent=True),
    "never_n": Fate(silent=True),
    "slow_body": Fate(
        404, "UNREGISTERED", "NOT_FOUND", fcm_error="UNREGISTERED", marker="~slow_body-01"
    ),
    "rst_refused": Fate(reset=ErrorCodes.REFUSED_STREAM),
    "rst_internal": Fate(reset=ErrorCodes.INTERNAL_ERROR, delivered=True),
    "rst_cancel": Fate(reset=ErrorCodes.CANCEL),
    "rst_noerror_after": Fate(200, delivered=True),
    "rst_after_headers": Fate(400, reset=ErrorCodes.INTERNAL_ERROR),
    "rst_calm": Fate(reset=ErrorCodes.ENHANCE_YOUR_CALM),
    "goaway_graceful": Fate(200, delivered=True, end="eof"),
    "goaway_below": Fate(end="eof"),
    "goaway_zero_error": Fate(end="eof"),
    "goaway_idle": Fate(end="eof"),
    "goaway_maxstreams": Fate(end="eof"),
    "goaway_calm": Fate(end="eof"),
    "goaway_then_eof": Fate(end="eof", delivered=True),
    "goaway_on_connect": Fate(end="eof"),
    "tcp_rst": Fate(end="reset", marker="~40-01", delivered=True),
    "eof": Fate(end="eof"),
    "half_close": Fate(end="eof"),
    "stall_read": Fate(200, delivered=True, marker="~stall_read-01"),
    "blackhole": Fate(delivered=True, silent=True),
    "split_body": Fate(404, "UNREGISTERED", "NOT_FOUND", fcm_error="UNREGISTERED"),
    "padded": Fate(200, delivered=True),
    "continuation": Fate(200, delivered=True, marker="~continuation-05"),
    "no_body": Fate(500),
    "html_body": Fate(503, "Service Unavailable", html=True),
    "huge_body": Fate(503),
    "bad_json": Fate(400),
    "unknown_reason": Fate(400, "SOMETHING_NEW", "FAILED_PRECONDITION", fcm_error="SOMETHING_NEW"),
    "unknown_status": Fate(418, "UNKNOWN", "UNKNOWN"),
    "informational": Fate(200, delivered=True),
    "trailers": Fate(200, delivered=True),
    "dyn_headers": Fate(200, delivered=True),
    "huge_headers": Fate(503, "UNAVAILABLE", "UNAVAILABLE", fcm_error="UNAVAILABLE"),
    "settings_seq": Fate(200, delivered=True),
    "window_shrink": Fate(200, delivered=True, marker="~window_shrink-01"),
    "window_starved": Fate(200, delivered=True, marker="~window_starved-01"),
    "table_size": Fate(200, delivered=True, marker="~table_size-01"),
    "ping": Fate(200, delivered=True, marker="~ping-03"),
    "unknown_frames": Fate(200, delivered=True),
}


def test_table_is_covered() -> None:
    """Every row has its fate here; illegal octets are APNs' own rows, and tested there."""
    assert {fault.name for fault in FAULTS if fault not in ILLEGAL} == set(FATES)


@pytest.mark.parametrize("name", FATES)
async def test_fault(simulators: Simulators, name: str) -> None:
    """The row does what it says, on the wire and in the ledger."""
    fate = FATES[name]
    token = "device:1" + (fate.marker or f"~{name}")
    async with fcm(simulators.endpoints) as sender:
        stream_id = await sender.start(message(token))
        if fate.silent:
            async with fcm(simulators.endpoints) as other:
                await other.ask(message())
        elif fate.end:
            assert fate.end == await sender.sender.until_end()
        else:
            await sender.sender.reply(stream_id)
        reply = sender.sender.replies[stream_id]

    (entry,), _ = simulators.ledger.page(gateway="fcm", token=token, after=0, limit=10)
    assert (fate.status, fate.reset) == (reply.status, reply.reset)
    assert (name, fate.delivered, fate.reason) == (entry.fault, entry.delivered, entry.reason)
    if fate.status == 200:
        assert orjson.loads(reply.body)["name"] == entry.message_id
    assert fate.html is reply.fields.get("content-type", "").startswith("text/html")
    if fate.code:
        error = orjson.loads(reply.body)["error"]
        assert (fate.status, fate.code) == (error["code"], error["status"])
        assert fate.fcm_error == fcm_error_of(error)


def fcm_error_of(error: dict[str, Any]) -> str | None:
    """The code of the FcmError among the details."""
    codes = [
        detail["errorCode"]
        for detail in error.get("details", [])
        if detail["@type"] == "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    ]
    return codes[0] if codes else None


async def test_bad_token_names_its_field(simulators: Simulators) -> None:
    """Only the violation on `message.token` tells a malformed token from a malformed message."""
    async with fcm(simulators.endpoints) as sender:
        reply = await sender.ask(message("device:1~bad_token"))

    details = orjson.loads(reply.body)["error"]["details"]
    (violation,) = details[1]["fieldViolations"]
    assert violation["field"] == "message.token"


async def test_retry_after_comes_in_three_kinds(simulators: Simulators) -> None:
    """Seconds, a date, or nothing."""
    async with fcm(simulators.endpoints) as sender:
        seconds, date, nothing = [
            (await sender.ask(message(f"device:1~{name}"))).fields.get("retry-after")
            for name in ("quota-3c", "quota_date-3c", "quota_bare-3c")
        ]

    assert (seconds, nothing) == ("60", None)
    assert date is not None
    assert parsedate_to_datetime(date).utcoffset() is not None


async def test_quotas_say_whose_they_are(simulators: Simulators) -> None:
    """QuotaFailure names project, device or topic."""
    subjects = []
    async with fcm(simulators.endpoints) as sender:
        for name in ("quota", "quota_device", "quota_topic"):
            reply = await sender.ask(message(f"device:1~{name}"))
            details = orjson.loads(reply.body)["error"]["details"]
            subjects.append(details[1]["violations"][0]["subject"])

    assert subjects == ["project", "device", "topic"]


async def test_first_n_then_ok(simulators: Simulators) -> None:
    """`~name-PP` fails PP times for a token, then the message is taken."""
    async with fcm(simulators.endpoints) as sender:
        replies = [await sender.ask(message("device:1~unauth-02")) for _ in range(3)]

    assert [reply.status for reply in replies] == [401, 401, 200]
