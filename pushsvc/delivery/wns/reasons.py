"""What WNS answers, and what it means for the message and its device (pure).

WNS speaks in status and headers; the body says nothing. A 200 has X-WNS-Status, and only
`received` is a hand-off.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pushsvc.delivery import answers, retry
from pushsvc.delivery.answers import Fields, Row
from pushsvc.model import ACCEPTED, Answer, OutcomeClass

HEADERS: Final = (
    "https://learn.microsoft.com/windows/apps/develop/notifications/push-notifications/"
    "push-request-response-headers"
)

#: By X-WNS-Status where WNS answers 200.
NOTIFICATION_STATUSES: Final = (
    Row(200, "received", OutcomeClass.OK, HEADERS),
    # The user or the system has switched notifications off: not sent, and never again for this
    # one, but the channel is alive.
    Row(200, "dropped", OutcomeClass.REQUEST_BAD, HEADERS),
    Row(200, "channelthrottled", OutcomeClass.THROTTLED_DEVICE, HEADERS),
)

#: By status; the reason is WNS's own description where it gives one.
STATUSES: Final = (
    Row(400, "http_400", OutcomeClass.REQUEST_BAD, HEADERS),
    Row(401, "http_401", OutcomeClass.CREDENTIAL, HEADERS),
    # The channel belongs to another app than the access token.
    Row(403, "http_403", OutcomeClass.TOKEN_SUSPECT, HEADERS),
    Row(404, "http_404", OutcomeClass.TOKEN_DEAD, HEADERS),
    Row(405, "http_405", OutcomeClass.REQUEST_BAD, HEADERS),
    Row(406, "http_406", OutcomeClass.THROTTLED_SENDER, HEADERS),
    # Not in the table, but HTTP's own word for "try again".
    Row(408, "http_408", OutcomeClass.RETRY_BACKOFF, "https://www.rfc-editor.org/rfc/rfc9110"),
    Row(410, "http_410", OutcomeClass.TOKEN_DEAD, HEADERS),
    Row(413, "http_413", OutcomeClass.REQUEST_BAD, HEADERS),
    Row(429, "http_429", OutcomeClass.THROTTLED_SENDER, HEADERS),
    Row(500, "http_500", OutcomeClass.RETRY_BACKOFF, HEADERS),
    Row(503, "http_503", OutcomeClass.RETRY_BACKOFF, HEADERS),
)

#: What a new access token can mend.
RENEWABLE: Final = frozenset({answers.http_reason(401)})

#: Older documents have the second name.
STATUS_FIELDS: Final = ("x-wns-status", "x-wns-notificationstatus")

_NOTIFICATION_OUTCOMES: Final = {row.reason: row.outcome for row in NOTIFICATION_STATUSES}
_STATUS_OUTCOMES: Final[Mapping[int, OutcomeClass]] = {row.status: row.outcome for row in STATUSES}


def classify(status: int, fields: Fields, *, now: datetime) -> Answer:
    """Tell what an answer of WNS means; nothing in it can raise.

    Args:
        status: the status code.
        fields: X-WNS-Status, X-WNS-Error-Description and Retry-After are read.
        now: what a Retry-After with a date is counted from.
    """
    if status == 200:  # noqa: PLR2004 - X-WNS-Status has the rest
        return _of_notification(fields)
    outcome = answers.by_status(status, _STATUS_OUTCOMES)
    described = answers.word(fields.get("x-wns-error-description"))
    # A 401 is known by its reason, so it keeps ours.
    reason = described if described and status != 401 else answers.http_reason(status)  # noqa: PLR2004 - it is the status of that name
    return Answer(outcome, reason, retry.retry_after_seconds(fields.get("retry-after"), now=now))


def _of_notification(fields: Fields) -> Answer:
    said = next((fields[name] for name in STATUS_FIELDS if name in fields), "").lower()
    outcome = _NOTIFICATION_OUTCOMES.get(said, OutcomeClass.OK)
    return ACCEPTED if outcome is OutcomeClass.OK else Answer(outcome, said)
