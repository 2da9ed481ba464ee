"""Google's error bodies: google.rpc.Status with FcmError and friends among its details.

https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from pushsvc.simulators.exchange import Answer, Header

JSON_TYPE: Header = (b"content-type", b"application/json; charset=UTF-8")
HTML_TYPE: Header = (b"content-type", b"text/html; charset=UTF-8")
TYPES = "type.googleapis.com/"

Detail = Mapping[str, Any]


def problem(
    status: int,
    code: str,
    message: str,
    *,
    details: Sequence[Detail] = (),
    fields: tuple[Header, ...] = (),
) -> Answer:
    """An error; the reason is the FcmError code if there is one, else the canonical code."""
    error: dict[str, Any] = {"code": status, "message": message, "status": code}
    if details:
        error["details"] = list(details)
    codes = [detail["errorCode"] for detail in details if "errorCode" in detail]
    reason = codes[0] if codes else code
    return Answer(status, reason, (JSON_TYPE, *fields), orjson.dumps({"error": error}))


def html(status: int, title: str) -> Answer:
    """What Google's front end says when it does not reach FCM, or knows no such path."""
    page = f"<!DOCTYPE html><html lang=en><title>Error {status} ({title})!!1</title></html>"
    return Answer(status, title, (HTML_TYPE,), page.encode())


def fcm_error(code: str) -> Detail:
    """The detail that makes an error FCM's own."""
    return {"@type": TYPES + "google.firebase.fcm.v1.FcmError", "errorCode": code}


def bad_request(violations: Sequence[tuple[str, str]]) -> Detail:
    """Fields and what is wrong with them."""
    return {
        "@type": TYPES + "google.rpc.BadRequest",
        "fieldViolations": [
            {"field": field, "description": description} for field, description in violations
        ],
    }


def quota_failure(subject: str, description: str) -> Detail:
    """Which quota was exceeded."""
    return {
        "@type": TYPES + "google.rpc.QuotaFailure",
        "violations": [{"subject": subject, "description": description}],
    }


def error_info(reason: str) -> Detail:
    """Why the credentials were refused."""
    return {
        "@type": TYPES + "google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "fcm.googleapis.com"},
    }


def invalid(field: str, message: str) -> Answer:
    """400 INVALID_ARGUMENT about one field, as FCM itself says it."""
    details = [fcm_error("INVALID_ARGUMENT"), bad_request([(field, message)])]
    return problem(400, "INVALID_ARGUMENT", message, details=details)


def retry_after(seconds: int) -> tuple[Header, ...]:
    """`retry-after` in seconds, when there are any."""
    return ((b"retry-after", b"%d" % seconds),) if seconds else ()
