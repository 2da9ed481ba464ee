"""The faults of APNs: one row each; a token asks for one with its last eight digits, fa17CCPP."""

from collections.abc import Callable
from typing import Any

from h2.errors import ErrorCodes

from pushsvc.simulators import behaviours as do, h2_behaviours as h2, h2_faults
from pushsvc.simulators.apns.reasons import id_field, refusal
from pushsvc.simulators.behaviours import Behaviour, Telling
from pushsvc.simulators.exchange import Answer, Exchange
from pushsvc.simulators.faults import Delivered, Fault, FaultTable

DAY_MS = 24 * 60 * 60 * 1000
#: Ten years: before any registration there is.
LONG_AGO_DAYS = 3650
JSON = b"application/json"
MEGABYTE = 1 << 20


def _says(reason: str, **more: Any) -> Telling:
    return lambda exchange: refusal(exchange, reason, **more)


def _refuse(reason: str) -> Behaviour:
    return do.respond(_says(reason))


def _gone(reason: str, *, days: int | None = None) -> Telling:
    """410 with the time it became so: the given days ago, or PP days."""

    def tell(exchange: Exchange) -> Answer:
        ago = exchange.parameter if days is None else days
        now_ms = int(exchange.desk.now() * 1000)
        return refusal(exchange, reason, timestamp=now_ms - ago * DAY_MS)

    return tell


def _retry_after(reason: str) -> Telling:
    """The refusal, with `retry-after: PP` when there is a PP."""

    def tell(exchange: Exchange) -> Answer:
        answer = refusal(exchange, reason)
        if not exchange.parameter:
            return answer
        after = (b"retry-after", b"%d" % exchange.parameter)
        return Answer(answer.status, reason, (*answer.headers, after), answer.body)

    return tell


def _odd(status: int, body: bytes, *, reason: str = "", kind: bytes = JSON) -> Behaviour:
    """An answer Apple does not document."""
    return do.respond(
        lambda exchange: Answer(
            status, reason, (*id_field(exchange), (b"content-type", kind)), body
        )
    )


def _accept_with_id(new_id: Callable[[str], str]) -> Behaviour:
    """200 with another `apns-id`, or with none."""

    def tell(exchange: Exchange) -> Answer:
        answer = new_id(exchange.entry.message_id)
        return Answer(200, "", ((b"apns-id", answer.encode()),) if answer else ())

    return do.respond(tell)


def wedge(exchange: Exchange) -> None:
    """An expired token: every later request of this connection is refused like this one."""
    exchange.session.wedged = _refuse("ExpiredProviderToken")


A, N, PP = Delivered.YES, Delivered.NO, Delivered.BY_PARAMETER
E = ErrorCodes
FAULTS = FaultTable(
    Fault(0x00, "ok", do.accept, A),
    Fault(0x01, "unregistered", do.respond(_gone("Unregistered")), N),
    Fault(0x02, "expired_token", do.respond(_gone("ExpiredToken")), N),
    Fault(0x03, "unregistered_old", do.respond(_gone("Unregistered", days=LONG_AGO_DAYS)), N),
    Fault(0x04, "bad_token", _refuse("BadDeviceToken"), N),
    Fault(0x05, "not_for_topic", _refuse("DeviceTokenNotForTopic"), N),
    Fault(0x06, "topic_disallowed", _refuse("TopicDisallowed"), N),
    Fault(0x07, "expired_jwt", do.in_turn(wedge, _refuse("ExpiredProviderToken")), N),
    Fault(0x08, "invalid_jwt", _refuse("InvalidProviderToken"), N),
    Fault(0x09, "forbidden", _refuse("Forbidden"), N),
    Fault(0x0A, "unrelated_key", _refuse("UnrelatedKeyIdInToken"), N),
    Fault(0x0B, "bad_environment_key", _refuse("BadEnvironmentKeyIdInToken"), N),
    Fault(0x0C, "too_many_updates", _refuse("TooManyProviderTokenUpdates"), N),
    Fault(0x0D, "throttled", do.first(_refuse("TooManyRequests")), N),
    Fault(0x0E, "e500", do.first(_refuse("InternalServerError")), N),
    Fault(0x0F, "unavailable", do.respond(_retry_after("ServiceUnavailable")), N),
    Fault(0x10, "shutdown", do.in_turn(_refuse("Shutdown"), do.goaway_graceful), N),
    Fault(0x11, "too_large", _refuse("PayloadTooLarge"), N),
    Fault(0x12, "slow", do.slowly(do.welcome), A),
    Fault(0x13, "never", do.silence, A),
    Fault(0x14, "never_n", do.silence, N),
    Fault(0x15, "slow_body", do.slow_body(_says("BadDeviceToken")), N),
    Fault(0x20, "rst_refused", do.first(do.reset(E.REFUSED_STREAM)), N),
    Fault(0x21, "rst_internal", do.reset(E.INTERNAL_ERROR), A),
    Fault(0x22, "rst_cancel", do.reset(E.CANCEL), N),
    Fault(0x23, "rst_noerror_after", do.accept_then_reset, A),
    Fault(0x24, "rst_after_headers", do.half_then_reset(_says("BadDeviceToken")), N),
    Fault(0x25, "rst_calm", do.reset(E.ENHANCE_YOUR_CALM), N),
    Fault(0x30, "goaway_graceful", do.in_turn(do.goaway_graceful, do.welcome), A),
    Fault(0x31, "goaway_below", do.goaway_below, N),
    Fault(0x32, "goaway_zero_error", do.goaway_zero(b'{"reason":"BadCertificateEnvironment"}'), N),
    Fault(0x33, "goaway_idle", do.goaway(E.NO_ERROR, b'{"reason":"IdleTimeout"}'), N),
    Fault(0x34, "goaway_maxstreams", do.goaway(E.REFUSED_STREAM, do.MAX_STREAMS), N),
    Fault(0x35, "goaway_calm", do.goaway(E.ENHANCE_YOUR_CALM, b"too_many_pings"), N),
    Fault(0x36, "goaway_then_eof", do.goaway_then_end, A),
    Fault(0x37, "goaway_on_connect", h2.goaway_on_connect, N),
    Fault(0x40, "tcp_rst", do.reset_tcp, PP),
    Fault(0x41, "eof", do.hang_up, PP),
    Fault(0x42, "half_close", h2.half_close, N),
    Fault(0x43, "stall_read", h2.stall, A),
    Fault(0x44, "blackhole", do.go_dark, A),
    Fault(0x50, "split_body", do.split_body(_says("BadDeviceToken")), N),
    *h2_faults.FRAMED,
    Fault(0x53, "no_body", _odd(500, b""), N),
    Fault(0x54, "html_body", _odd(503, b"<html>Service Unavailable</html>", kind=b"text/html"), N),
    Fault(0x55, "huge_body", _odd(503, b" " * MEGABYTE), N),
    Fault(0x56, "bad_json", _odd(400, b'{"reason":"BadDevice'), N),
    Fault(0x57, "unknown_reason", _odd(400, b'{"reason":"NewReason"}', reason="NewReason"), N),
    Fault(0x58, "unknown_status", _odd(418, b'{"reason":"ImATeapot"}', reason="ImATeapot"), N),
    Fault(0x59, "upper_apns_id", _accept_with_id(str.upper), A),
    Fault(0x5A, "no_apns_id", _accept_with_id(lambda _: ""), A),
    Fault(0x5B, "wrong_apns_id", _accept_with_id(lambda given: given[::-1]), A),
    *h2_faults.AROUND,
    Fault(0x5F, "huge_headers", do.bulky(_says("ServiceUnavailable")), N),
    *h2_faults.SETTINGS,
    *h2_faults.ILLEGAL,
    Fault(0x80, "bad_collapse_id", _refuse("BadCollapseId"), N),
    Fault(0x81, "bad_expiration_date", _refuse("BadExpirationDate"), N),
    Fault(0x82, "bad_message_id", _refuse("BadMessageId"), N),
    Fault(0x83, "bad_priority", _refuse("BadPriority"), N),
    Fault(0x84, "bad_topic", _refuse("BadTopic"), N),
    Fault(0x85, "duplicate_headers", _refuse("DuplicateHeaders"), N),
    Fault(0x86, "idle_timeout", _refuse("IdleTimeout"), N),
    Fault(0x87, "invalid_push_type", _refuse("InvalidPushType"), N),
    Fault(0x88, "missing_device_token", _refuse("MissingDeviceToken"), N),
    Fault(0x89, "missing_topic", _refuse("MissingTopic"), N),
    Fault(0x8A, "payload_empty", _refuse("PayloadEmpty"), N),
    Fault(0x8B, "bad_certificate", _refuse("BadCertificate"), N),
    Fault(0x8C, "bad_certificate_environment", _refuse("BadCertificateEnvironment"), N),
    Fault(0x8D, "missing_provider_token", _refuse("MissingProviderToken"), N),
    Fault(0x8E, "bad_path", _refuse("BadPath"), N),
    Fault(0x8F, "method_not_allowed", _refuse("MethodNotAllowed"), N),
)  # fmt: skip
