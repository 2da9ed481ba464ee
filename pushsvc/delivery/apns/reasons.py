"""What APNs answers, and what it means for the message and its device (pure)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pushsvc.delivery import answers, retry
from pushsvc.delivery.answers import Fields, Row
from pushsvc.model import ACCEPTED, Answer, OutcomeClass

_D: Final = "https://developer.apple.com/documentation/usernotifications/"
RESPONSES: Final = f"{_D}handling-notification-responses-from-apns"
TOKEN_BASED: Final = f"{_D}establishing-a-token-based-connection-to-apns"
#: Seen in the field, not in the table of RESPONSES.
FORUM: Final = "https://developer.apple.com/forums/thread/675879"

TABLE: Final = (
    # Wrong environment is the common cause, so the token may well be alive elsewhere.
    Row(400, "BadDeviceToken", OutcomeClass.TOKEN_SUSPECT, RESPONSES),
    Row(400, "DeviceTokenNotForTopic", OutcomeClass.TOKEN_SUSPECT, RESPONSES),
    Row(400, "BadCollapseId", OutcomeClass.REQUEST_BAD, RESPONSES),
    Row(400, "BadExpirationDate", OutcomeClass.REQUEST_BAD, RESPONSES),
    Row(400, "BadMessageId", OutcomeClass.REQUEST_BAD, RESPONSES),
    Row(400, "BadPriority", OutcomeClass.REQUEST_BAD, RESPONSES),
    Row(400, "InvalidPushType", OutcomeClass.REQUEST_BAD, RESPONSES),
    Row(400, "PayloadEmpty", OutcomeClass.REQUEST_BAD, RESPONSES),
    Row(400, "DuplicateHeaders", OutcomeClass.REQUEST_BAD, RESPONSES),
    Row(400, "MissingDeviceToken", OutcomeClass.REQUEST_BAD, RESPONSES),
    # The app's set-up is wrong, not its devices.
    Row(400, "BadTopic", OutcomeClass.CREDENTIAL, RESPONSES),
    Row(400, "MissingTopic", OutcomeClass.CREDENTIAL, RESPONSES),
    Row(400, "TopicDisallowed", OutcomeClass.CREDENTIAL, RESPONSES),
    # The connection was idle too long; the message was not looked at.
    Row(400, "IdleTimeout", OutcomeClass.RETRY_SAFE, RESPONSES),
    Row(403, "BadCertificate", OutcomeClass.CREDENTIAL, RESPONSES),
    Row(403, "BadCertificateEnvironment", OutcomeClass.CREDENTIAL, RESPONSES),
    Row(403, "ExpiredProviderToken", OutcomeClass.CREDENTIAL, RESPONSES),
    Row(403, "InvalidProviderToken", OutcomeClass.CREDENTIAL, RESPONSES),
    Row(403, "MissingProviderToken", OutcomeClass.CREDENTIAL, RESPONSES),
    Row(403, "Forbidden", OutcomeClass.CREDENTIAL, RESPONSES),
    Row(403, "UnrelatedKeyIdInToken", OutcomeClass.CREDENTIAL, TOKEN_BASED),
    # Both spellings have been seen.
    Row(403, "BadEnvironmentKeyIdInToken", OutcomeClass.CREDENTIAL, TOKEN_BASED),
    Row(403, "BadEnvironmentKeyInToken", OutcomeClass.CREDENTIAL, TOKEN_BASED),
    Row(404, "BadPath", OutcomeClass.REQUEST_BAD, RESPONSES),
    Row(405, "MethodNotAllowed", OutcomeClass.REQUEST_BAD, RESPONSES),
    Row(410, "Unregistered", OutcomeClass.TOKEN_DEAD, RESPONSES),
    Row(410, "ExpiredToken", OutcomeClass.TOKEN_DEAD, RESPONSES),
    Row(413, "PayloadTooLarge", OutcomeClass.REQUEST_BAD, RESPONSES),
    Row(429, "TooManyRequests", OutcomeClass.THROTTLED_DEVICE, RESPONSES),
    # A team's tokens came too close together: the key is good, and will be taken again.
    Row(429, "TooManyProviderTokenUpdates", OutcomeClass.RETRY_BACKOFF, FORUM),
    Row(500, "InternalServerError", OutcomeClass.RETRY_BACKOFF, RESPONSES),
    Row(503, "ServiceUnavailable", OutcomeClass.RETRY_BACKOFF, RESPONSES),
    Row(503, "Shutdown", OutcomeClass.RETRY_BACKOFF, RESPONSES),
)

#: For reasons that are not in the table, and for none at all.
BY_STATUS: Final[Mapping[int, OutcomeClass]] = {
    403: OutcomeClass.CREDENTIAL,
    408: OutcomeClass.RETRY_BACKOFF,
    # Dead on Apple's word only: some other 410 retires nobody.
    410: OutcomeClass.TOKEN_SUSPECT,
    429: OutcomeClass.THROTTLED_DEVICE,
}

TOO_MANY_TOKENS: Final = "TooManyProviderTokenUpdates"
#: A third of the 20 minutes that Apple wants between two tokens.
TOO_MANY_TOKENS_WAIT_SECONDS: Final = 400.0
#: What another provider token on a new connection can mend.
RENEWABLE: Final = frozenset({"ExpiredProviderToken", TOO_MANY_TOKENS})
#: What is wrong with one topic, and says nothing of the credential's others.
OF_ONE_TOPIC: Final = frozenset({"BadTopic", "MissingTopic", "TopicDisallowed"})

_OUTCOMES: Final = answers.index(TABLE)
#: Milliseconds by the documentation, read tolerantly: below 1973 they can only be seconds.
_FIRST_MILLISECONDS: Final = 10**11
#: The end of the year 9999, which is that of `datetime`; microseconds are past it.
_LAST_MILLISECONDS: Final = 253_402_300_800_000


def classify(status: int, fields: Fields, body: bytes, *, now: datetime) -> Answer:
    """Tell what an answer of APNs means; nothing in it can raise.

    Args:
        status: `:status`.
        fields: the header fields; only Retry-After is read.
        body: a JSON object with `reason`, and with `timestamp` in a 410; or anything else.
        now: what a Retry-After with a date is counted from.
    """
    if status == 200:  # noqa: PLR2004 - the one status of success
        return ACCEPTED
    content = answers.json_object(body)
    reason = answers.word(content.get("reason")) or answers.http_reason(status)
    outcome = _OUTCOMES.get((status, reason))
    if outcome is None:
        outcome = answers.by_status(status, BY_STATUS)
    retry_after = retry.retry_after_seconds(fields.get("retry-after"), now=now)
    if retry_after is None and reason == TOO_MANY_TOKENS:
        retry_after = TOO_MANY_TOKENS_WAIT_SECONDS
    return Answer(
        outcome,
        reason,
        retry_after,
        _milliseconds(content.get("timestamp")) if outcome is OutcomeClass.TOKEN_DEAD else None,
    )


def scope(answer: Answer, topic: str) -> str:
    """Tell how far the refusal of a credential reaches: to one topic, or ("") to them all."""
    return topic if answer.reason in OF_ONE_TOPIC else ""


def _milliseconds(timestamp: object) -> int | None:
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        return None
    if not 0 < timestamp < _LAST_MILLISECONDS:
        return None
    return int(timestamp if timestamp >= _FIRST_MILLISECONDS else timestamp * 1000)
