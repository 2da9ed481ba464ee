"""When to try a message again: which answers allow it, and how long to wait (pure)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from pushsvc.model import Answer, GatewayName, OutcomeClass

#: The classes that a later attempt can turn. A credential cannot be mended by waiting; UNKNOWN is
#: not here because the push itself says whether it is sent again (`on_unknown`).
RETRYABLE: Final = frozenset(
    {
        OutcomeClass.THROTTLED_DEVICE,
        OutcomeClass.THROTTLED_SENDER,
        OutcomeClass.RETRY_SAFE,
        OutcomeClass.RETRY_BACKOFF,
    }
)

BASE_SECONDS: Final = 1.0
#: Apple wants 5xx retried "after 15 minutes", senders start sooner; nobody gains from longer.
#: https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
CAP_SECONDS: Final = 15 * 60.0
#: FCM alone names a least delay: 10 s before the first retry, growing from there.
#: https://firebase.google.com/docs/cloud-messaging/scale-fcm
LEAST_SECONDS: Final[Mapping[GatewayName, float]] = {GatewayName.FCM: 10.0}
#: 2 ** 10 seconds are past the cap; a larger exponent could only overflow.
MOST_DOUBLINGS: Final = 10

#: A Retry-After is kept within these: less hammers, more outlives what waits for it.
RETRY_AFTER_LEAST_SECONDS: Final = 1.0
RETRY_AFTER_MOST_SECONDS: Final = 3600.0
#: So many digits are past the cap already, and a number of a megabyte is never parsed.
RETRY_AFTER_DIGITS: Final = 6


def retryable(outcome: OutcomeClass) -> bool:
    """Tell whether waiting can help; of UNKNOWN the push's `on_unknown` decides, not we."""
    return outcome in RETRYABLE


def not_before(answer: Answer, attempt: int, *, gateway: GatewayName, jitter: float) -> float:
    """Return the seconds to wait after this answer.

    The gateway's Retry-After where it gave one; else exponential backoff with full jitter, so
    that devices which failed together do not come back together.

    Args:
        answer: what the attempt came to.
        attempt: the number of the attempt that was answered; the first is 1.
        gateway: who answered.
        jitter: drawn evenly from [0, 1).
    """
    if answer.retry_after is not None:
        return answer.retry_after
    least = LEAST_SECONDS.get(gateway, 0.0)
    base = max(BASE_SECONDS, least)
    window = min(base * 2.0 ** min(attempt - 1, MOST_DOUBLINGS), CAP_SECONDS - least)
    return least + jitter * window


def retry_after_seconds(value: str | None, *, now: datetime) -> float | None:
    """Read a Retry-After field (RFC 9110 10.2.3): seconds or an HTTP-date.

    Returns:
        Seconds from `now`, between 1 and 3600; None where there is no field or nobody can read it.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return _clamped(float(text[:RETRY_AFTER_DIGITS]))
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return _clamped((date - now).total_seconds())


def _clamped(seconds: float) -> float:
    return min(max(seconds, RETRY_AFTER_LEAST_SECONDS), RETRY_AFTER_MOST_SECONDS)
