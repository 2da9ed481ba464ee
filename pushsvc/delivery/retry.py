"""When to try a message again: which answers allow it, for how long, after which wait (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from pushsvc.model import Answer, Deferral, GatewayName, OutcomeClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How the answers of one class are tried again, within the limits of time that hold for all."""

    #: the longest pause of our own; a Retry-After goes before it
    cap_seconds: float
    #: whether attempts are limited, too
    few_attempts: bool = False


#: The classes that a later attempt can turn. An outage passes, however often it is asked about, so
#: only time limits it; a device that is throttled, and a gateway that takes messages and never
#: answers (each try may be a copy), are left alone after a few attempts. Of UNKNOWN the push says
#: whether it is sent again at all (`on_unknown`). A credential cannot be mended by waiting.
RULES: Final[Mapping[OutcomeClass, Rule]] = {
    # Apple wants 5xx retried "after 15 minutes", senders start sooner; nobody gains from longer.
    # https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
    OutcomeClass.RETRY_BACKOFF: Rule(cap_seconds=15 * 60.0),
    OutcomeClass.THROTTLED_SENDER: Rule(cap_seconds=15 * 60.0),
    # Nothing was processed, so nothing is burdened by the next try.
    OutcomeClass.RETRY_SAFE: Rule(cap_seconds=60.0),
    OutcomeClass.THROTTLED_DEVICE: Rule(cap_seconds=15 * 60.0, few_attempts=True),
    OutcomeClass.UNKNOWN: Rule(cap_seconds=15 * 60.0, few_attempts=True),
}

BASE_SECONDS: Final = 1.0
#: FCM alone names a least delay: 10 s before the first retry, growing from there.
#: https://firebase.google.com/docs/cloud-messaging/scale-fcm
LEAST_SECONDS: Final[Mapping[GatewayName, float]] = {GatewayName.FCM: 10.0}
#: 2 ** 10 seconds are past the cap; a larger exponent could only overflow.
MOST_DOUBLINGS: Final = 10

#: What is held waits as long again as it has waited, within these: the first time not at all. Those
#: that wait for a credential to be mended wait for people.
HELD_MOST_SECONDS: Final = 60.0
#: Behind a pause that all know of it waits for at least this share of what it has waited: each time
#: is a row, and a look at every device. So much later at most it hears that the trouble is over.
HELD_SHARE: Final = 0.25
HELD_SHARE_MOST_SECONDS: Final = 300.0
REFUSED_LEAST_SECONDS: Final = 30.0
REFUSED_MOST_SECONDS: Final = 600.0

#: A Retry-After is kept within these: less hammers, more outlives what waits for it.
RETRY_AFTER_LEAST_SECONDS: Final = 1.0
RETRY_AFTER_MOST_SECONDS: Final = 3600.0
#: So many digits are past the cap already, and a number of a megabyte is never parsed.
RETRY_AFTER_DIGITS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a device is tried."""

    #: of those classes that have few attempts, the first one included
    attempts: int
    #: since its first attempt
    seconds: float
    #: the same, where the gateway refuses the credential and it was not asked about the device
    hold_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a device has behind it."""

    #: the number of the attempt that was answered; the first is 1
    attempt: int
    #: seconds since the first one; 0 where this was it
    age: float


def wait_seconds(
    answer: Answer, tried: Tried, limits: Limits, *, gateway: GatewayName, jitter: float
) -> float | None:
    """Return the seconds until the next attempt; None where there is none.

    A wait of our own ends with the limit, so that the last try comes when the time is up; a
    Retry-After that is longer than what is left is the end.

    Args:
        answer: what the attempt came to.
        tried: the attempts so far.
        limits: until when it is tried.
        gateway: who answered.
        jitter: drawn evenly from [0, 1).
    """
    if answer.deferral is Deferral.PACED:
        return answer.retry_after or 0.0
    if answer.deferral is not None:
        return _held(answer, tried, limits)
    rule = RULES.get(answer.outcome)
    left = limits.seconds - tried.age
    if rule is None or left <= 0 or (rule.few_attempts and tried.attempt >= limits.attempts):
        return None
    if answer.retry_after is not None:
        return answer.retry_after if answer.retry_after <= left else None
    least = LEAST_SECONDS.get(gateway, 0.0)
    wait = min(backoff(rule, tried.attempt, least=least, jitter=jitter), left)
    return wait if wait >= least else None


def backoff(rule: Rule, attempt: int, *, least: float, jitter: float) -> float:
    """Return a pause that doubles with the attempts, up to the cap, with full jitter.

    With jitter, so that devices which failed together do not come back together.
    """
    base = max(BASE_SECONDS, least)
    window = min(base * 2.0 ** min(attempt - 1, MOST_DOUBLINGS), rule.cap_seconds - least)
    return least + jitter * window


def _held(answer: Answer, tried: Tried, limits: Limits) -> float | None:
    """Return how long a device waits that no gateway was asked about."""
    refused = answer.outcome is OutcomeClass.CREDENTIAL
    left = (limits.hold_seconds if refused else limits.seconds) - tried.age
    if left <= 0:
        return None
    if answer.retry_after is not None:
        late = min(tried.age * HELD_SHARE, HELD_SHARE_MOST_SECONDS)
        return min(max(answer.retry_after, late), left)
    if refused:
        return min(max(tried.age, REFUSED_LEAST_SECONDS), REFUSED_MOST_SECONDS, left)
    return min(tried.age, HELD_MOST_SECONDS, left)


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
