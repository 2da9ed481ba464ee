"""The faults of FCM: one row each; a token asks for one with `~name` or `~name-PP`."""

from email.utils import formatdate

from h2.errors import ErrorCodes

from pushsvc.simulators import behaviours as do, h2_behaviours as h2, h2_faults
from pushsvc.simulators.behaviours import Behaviour
from pushsvc.simulators.exchange import Answer, Exchange
from pushsvc.simulators.faults import Delivered, Fault, FaultTable
from pushsvc.simulators.fcm.problems import (
    JSON_TYPE,
    bad_request,
    error_info,
    fcm_error,
    html,
    problem,
    quota_failure,
    retry_after,
)

MALFORMED = "The registration token is not a valid FCM registration token"
UNAUTHENTICATED = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, "
    "login cookie or other valid authentication credential."
)
DENIED = "Permission 'cloudmessaging.messages.create' denied on resource (or it may not exist)."
NOT_FOUND = "Requested entity was not found."
INVALID_ARGUMENT = "Request contains an invalid argument."
THIRD_PARTY_AUTH = "Auth error from APNS or Web Push Service"
MEGABYTE = 1 << 20
QUOTA = "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute'."


def _say(answer: Answer) -> Behaviour:
    return do.respond(lambda _: answer)


def _with_retry_after(answer: Answer) -> Behaviour:
    """`retry-after: PP` seconds when there is a PP."""
    return do.respond(
        lambda exchange: Answer(
            answer.status,
            answer.reason,
            answer.headers + retry_after(exchange.parameter),
            answer.body,
        )
    )


def _quota_date(exchange: Exchange) -> None:
    """`retry-after` as an HTTP date, PP seconds from now."""
    when = formatdate(exchange.desk.now() + exchange.parameter, usegmt=True)
    dated = (*OVER_QUOTA.headers, (b"retry-after", when.encode()))
    exchange.answer(Answer(429, OVER_QUOTA.reason, dated, OVER_QUOTA.body))


def over_quota(subject: str) -> Answer:
    """429 that names the quota."""
    details = [fcm_error("QUOTA_EXCEEDED"), quota_failure(subject, QUOTA)]
    return problem(429, "RESOURCE_EXHAUSTED", QUOTA, details=details)


def _own(status: int, code: str, message: str, *, error: str = "") -> Answer:
    """An error with an FcmError, by default of the same code."""
    return problem(status, code, message, details=[fcm_error(error or code)])


OVER_QUOTA = over_quota("project")
UNREGISTERED = _own(404, "NOT_FOUND", NOT_FOUND, error="UNREGISTERED")
INVALID_TOKEN = problem(
    400,
    "INVALID_ARGUMENT",
    MALFORMED,
    details=[fcm_error("INVALID_ARGUMENT"), bad_request([("message.token", MALFORMED)])],
)
INVALID = _own(400, "INVALID_ARGUMENT", INVALID_ARGUMENT)
INVALID_BARE = problem(400, "INVALID_ARGUMENT", INVALID_ARGUMENT)
EXPIRED = problem(
    401, "UNAUTHENTICATED", UNAUTHENTICATED, details=[error_info("ACCESS_TOKEN_EXPIRED")]
)
THIRD_PARTY = _own(401, "UNAUTHENTICATED", THIRD_PARTY_AUTH, error="THIRD_PARTY_AUTH_ERROR")
APNS_AUTH = _own(401, "UNAUTHENTICATED", THIRD_PARTY_AUTH, error="APNS_AUTH_ERROR")
MISMATCH = _own(403, "PERMISSION_DENIED", "SenderId mismatch", error="SENDER_ID_MISMATCH")
PERMISSION_DENIED = problem(403, "PERMISSION_DENIED", DENIED)
MISSING = problem(404, "NOT_FOUND", NOT_FOUND)
INTERNAL = _own(500, "INTERNAL", "Internal error encountered.")
UNAVAILABLE = _own(503, "UNAVAILABLE", "The service is currently unavailable.")
CUT_SHORT = Answer(400, "", (JSON_TYPE,), b'{"error":{"code":400,"mess')
TEAPOT = problem(418, "UNKNOWN", "I'm a teapot")
NEW_CODE = _own(400, "FAILED_PRECONDITION", "Something new.", error="SOMETHING_NEW")

A, N, PP = Delivered.YES, Delivered.NO, Delivered.BY_PARAMETER
E = ErrorCodes
FAULTS = FaultTable(
    Fault(0x00, "ok", do.accept, A),
    Fault(None, "unregistered", _say(UNREGISTERED), N),
    Fault(None, "bad_token", _say(INVALID_TOKEN), N),
    Fault(None, "invalid_arg", _say(INVALID), N),
    Fault(None, "invalid_bare", _say(INVALID_BARE), N),
    Fault(None, "sender_mismatch", _say(MISMATCH), N),
    Fault(None, "perm_denied", _say(PERMISSION_DENIED), N),
    Fault(None, "not_found", _say(MISSING), N),
    Fault(None, "not_found_html", _say(html(404, "Not Found")), N),
    Fault(None, "unauth", do.first(_say(EXPIRED)), N),
    Fault(None, "third_party", _say(THIRD_PARTY), N),
    Fault(None, "apns_auth", _say(APNS_AUTH), N),
    Fault(None, "quota", _with_retry_after(OVER_QUOTA), N),
    Fault(None, "quota_date", _quota_date, N),
    Fault(None, "quota_bare", _say(OVER_QUOTA), N),
    Fault(None, "quota_device", _with_retry_after(over_quota("device")), N),
    Fault(None, "quota_topic", _with_retry_after(over_quota("topic")), N),
    Fault(None, "internal", do.first(_say(INTERNAL)), N),
    Fault(None, "html502", do.first(_say(html(502, "Server Error"))), N),
    Fault(None, "timeout504", do.first(_say(html(504, "Gateway Timeout"))), N),
    Fault(None, "unavailable", _with_retry_after(UNAVAILABLE), N),
    Fault(None, "unavailable_first", do.first(_say(UNAVAILABLE)), N),
    Fault(0x12, "slow", do.slowly(do.welcome), A),
    Fault(0x13, "never", do.silence, A),
    Fault(0x14, "never_n", do.silence, N),
    Fault(0x15, "slow_body", do.slow_body(lambda _: UNREGISTERED), N),
    Fault(0x20, "rst_refused", do.first(do.reset(E.REFUSED_STREAM)), N),
    Fault(0x21, "rst_internal", do.reset(E.INTERNAL_ERROR), A),
    Fault(0x22, "rst_cancel", do.reset(E.CANCEL), N),
    Fault(0x23, "rst_noerror_after", do.accept_then_reset, A),
    Fault(0x24, "rst_after_headers", do.half_then_reset(lambda _: INVALID), N),
    Fault(0x25, "rst_calm", do.reset(E.ENHANCE_YOUR_CALM), N),
    Fault(0x30, "goaway_graceful", do.in_turn(do.goaway_graceful, do.welcome), A),
    Fault(0x31, "goaway_below", do.goaway_below, N),
    Fault(0x32, "goaway_zero_error", do.goaway_zero(b"session_timed_out"), N),
    Fault(0x33, "goaway_idle", do.goaway(E.NO_ERROR, b"session_timed_out"), N),
    Fault(0x34, "goaway_maxstreams", do.goaway(E.REFUSED_STREAM, do.MAX_STREAMS), N),
    Fault(0x35, "goaway_calm", do.goaway(E.ENHANCE_YOUR_CALM, b"too_many_pings"), N),
    Fault(0x36, "goaway_then_eof", do.goaway_then_end, A),
    Fault(0x37, "goaway_on_connect", h2.goaway_on_connect, N),
    Fault(0x40, "tcp_rst", do.reset_tcp, PP),
    Fault(0x41, "eof", do.hang_up, PP),
    Fault(0x42, "half_close", h2.half_close, N),
    Fault(0x43, "stall_read", h2.stall, A),
    Fault(0x44, "blackhole", do.go_dark, A),
    Fault(0x50, "split_body", do.split_body(lambda _: UNREGISTERED), N),
    *h2_faults.FRAMED,
    Fault(0x53, "no_body", _say(Answer(500)), N),
    Fault(0x54, "html_body", _say(html(503, "Service Unavailable")), N),
    Fault(0x55, "huge_body", _say(Answer(503, "", (JSON_TYPE,), b" " * MEGABYTE)), N),
    Fault(0x56, "bad_json", _say(CUT_SHORT), N),
    Fault(0x57, "unknown_reason", _say(NEW_CODE), N),
    Fault(0x58, "unknown_status", _say(TEAPOT), N),
    *h2_faults.AROUND,
    Fault(0x5F, "huge_headers", do.bulky(lambda _: UNAVAILABLE), N),
    *h2_faults.SETTINGS,
    *h2_faults.ILLEGAL,
)  # fmt: skip
