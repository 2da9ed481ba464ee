"""What FCM v1 answers, and what it means for the message and its device (pure).

An error is `{"error": {"status", "message", "details": [...]}}`. Only a detail of type FcmError
is FCM's own word; the status alone may come from Google's front end and speak of the project,
of the API or of the path. So what retires a token is looked up among FcmErrors only.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from pushsvc.delivery import answers, retry
from pushsvc.delivery.answers import Fields, Row
from pushsvc.model import ACCEPTED, Answer, OutcomeClass

_F: Final = "https://firebase.google.com/docs/"
ERROR_CODE: Final = f"{_F}reference/fcm/rest/v1/ErrorCode"
ERROR_MODEL: Final = "https://cloud.google.com/apis/design/errors"

#: By FcmError's errorCode.
FCM_ERRORS: Final = (
    Row(400, "INVALID_ARGUMENT", OutcomeClass.REQUEST_BAD, ERROR_CODE),
    # The APNs key or VAPID key inside the Firebase project: other devices are not concerned.
    Row(401, "THIRD_PARTY_AUTH_ERROR", OutcomeClass.CREDENTIAL, ERROR_CODE),
    Row(401, "APNS_AUTH_ERROR", OutcomeClass.CREDENTIAL, ERROR_CODE),
    Row(403, "SENDER_ID_MISMATCH", OutcomeClass.TOKEN_SUSPECT, ERROR_CODE),
    Row(404, "UNREGISTERED", OutcomeClass.TOKEN_DEAD, ERROR_CODE),
    Row(429, "QUOTA_EXCEEDED", OutcomeClass.THROTTLED_SENDER, ERROR_CODE),
    Row(500, "INTERNAL", OutcomeClass.RETRY_BACKOFF, ERROR_CODE),
    Row(503, "UNAVAILABLE", OutcomeClass.RETRY_BACKOFF, ERROR_CODE),
)

#: By google.rpc.Status, where there is no FcmError. None of these touches a token.
STATUSES: Final = (
    Row(400, "INVALID_ARGUMENT", OutcomeClass.REQUEST_BAD, ERROR_MODEL),
    Row(401, "UNAUTHENTICATED", OutcomeClass.CREDENTIAL, ERROR_MODEL),
    Row(403, "PERMISSION_DENIED", OutcomeClass.CREDENTIAL, ERROR_MODEL),
    Row(404, "NOT_FOUND", OutcomeClass.CREDENTIAL, ERROR_MODEL),
    Row(429, "RESOURCE_EXHAUSTED", OutcomeClass.THROTTLED_SENDER, ERROR_MODEL),
    Row(500, "INTERNAL", OutcomeClass.RETRY_BACKOFF, ERROR_MODEL),
    Row(503, "UNAVAILABLE", OutcomeClass.RETRY_BACKOFF, ERROR_MODEL),
    Row(504, "DEADLINE_EXCEEDED", OutcomeClass.RETRY_BACKOFF, ERROR_MODEL),
)

#: For reasons in neither table, and for none at all (HTML of a front end).
BY_STATUS: Final[Mapping[int, OutcomeClass]] = {
    401: OutcomeClass.CREDENTIAL,
    403: OutcomeClass.CREDENTIAL,
    404: OutcomeClass.CREDENTIAL,
    408: OutcomeClass.RETRY_BACKOFF,
    429: OutcomeClass.THROTTLED_SENDER,
}

#: What a new access token can mend.
RENEWABLE: Final = frozenset({"UNAUTHENTICATED", answers.http_reason(401)})
#: What concerns the devices of one platform within the project, and not the credential as a whole.
OF_ONE_PLATFORM: Final = frozenset({"THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR"})

#: Our word for INVALID_ARGUMENT where it is the token that is malformed.
MALFORMED_TARGET: Final = "INVALID_ARGUMENT message.token"
MALFORMED_MESSAGE: Final = "registration token is not a valid FCM registration token"
BLAMED_FIELD: Final = "message.token"

#: "A minimum initial delay of 1 minute" where a project or topic is over its quota (ERROR_CODE).
QUOTA_WAIT_SECONDS: Final = 60.0

_FCM_ERROR_OUTCOMES: Final = answers.index(FCM_ERRORS)
_STATUS_OUTCOMES: Final = answers.index(STATUSES)


def classify(status: int, fields: Fields, body: bytes, *, now: datetime) -> Answer:
    """Tell what an answer of FCM means; nothing in it can raise.

    Args:
        status: `:status`.
        fields: the header fields; only Retry-After is read.
        body: the JSON of an error; or HTML, or nothing.
        now: what a Retry-After with a date is counted from.
    """
    if status == 200:  # noqa: PLR2004 - the one status of success
        return ACCEPTED
    error = answers.json_object(body).get("error")
    if not isinstance(error, dict):
        error = {}
    outcome, reason = _meaning(status, error)
    retry_after = retry.retry_after_seconds(fields.get("retry-after"), now=now)
    if outcome is OutcomeClass.THROTTLED_SENDER:
        if _names_a_device(error):
            outcome = OutcomeClass.THROTTLED_DEVICE
        elif retry_after is None:
            retry_after = QUOTA_WAIT_SECONDS
    return Answer(outcome, reason, retry_after)


def scope(answer: Answer) -> str | None:
    """Tell how far the refusal of a credential reaches: to all messages (""), or to this (None)."""
    return None if answer.reason in OF_ONE_PLATFORM else ""


def _meaning(status: int, error: Mapping[str, Any]) -> tuple[OutcomeClass, str]:
    code = next((answers.word(d.get("errorCode")) for d in _details(error, "FcmError")), None)
    google_status = answers.word(error.get("status"))
    invalid = (400, "INVALID_ARGUMENT") in {(status, code), (status, google_status)}
    if invalid and _blames_the_token(error):
        return OutcomeClass.TOKEN_DEAD, MALFORMED_TARGET
    outcome = _FCM_ERROR_OUTCOMES.get((status, code)) if code else None
    if outcome is None and google_status:
        outcome = _STATUS_OUTCOMES.get((status, google_status))
    if outcome is None:
        outcome = answers.by_status(status, BY_STATUS)
    return outcome, code or google_status or answers.http_reason(status)


def _details(error: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    """The details of one protobuf type; `@type` is a URL that ends in the type's name."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type")).endswith(f".{kind}"):
            yield detail


def _blames_the_token(error: Mapping[str, Any]) -> bool:
    message = error.get("message")
    if isinstance(message, str) and MALFORMED_MESSAGE in message:
        return True
    return any(
        violation.get("field") == BLAMED_FIELD
        for violation in _violations(error, "BadRequest", "fieldViolations")
    )


def _names_a_device(error: Mapping[str, Any]) -> bool:
    """Tell whether the quota is a device's: "Device message rate exceeded" (ERROR_CODE)."""
    return any(
        "device" in f"{violation.get('subject')} {violation.get('description')}".lower()
        for violation in _violations(error, "QuotaFailure", "violations")
    )


def _violations(error: Mapping[str, Any], kind: str, name: str) -> Iterator[Mapping[str, Any]]:
    for detail in _details(error, kind):
        violations = detail.get(name)
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict):
                yield violation
