"""A batch before it is leased: what it does to badges, and whether its devices have quiet hours."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from pushsvc.model import HOLDOUT, BadgeChange, OutcomeClass, Push, QuietThen
from pushsvc.planning.localtime import quiet_until
from pushsvc.resources import Resources
from pushsvc.shaping import body
from pushsvc.storage import heads
from pushsvc.storage.heads import Head

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What a batch is leased for."""

    badge: BadgeChange | None
    #: why nothing of it is sent
    left_out: OutcomeClass | None = None


async def way_of(resources: Resources, push: Push, seq: int) -> Way | None:
    """Return what an open batch may be leased for; None where it is none, or has to wait."""
    if not push.by_zone:
        return Way(badge=body.badge_change(push.content))
    head = await heads.find(resources.engine, push.id, seq, expires_at=push.expires_at)
    if head is None:
        return None
    until = quiet_end(push, head)
    if until is None:
        return Way(badge=badge_of(push, head))
    assert push.rules is not None
    assert push.rules.quiet_hours is not None
    if push.rules.quiet_hours.then is QuietThen.DROP:
        return Way(badge=None, left_out=OutcomeClass.QUIET_HOURS)
    await heads.defer(resources.engine, push.id, seq, until=until, expires_at=push.expires_at)
    log.info("batch.deferred", push=push.object_id, seq=seq, until=until.isoformat())
    return None


def badge_of(push: Push, head: Head) -> BadgeChange | None:
    """Return what a batch does to badges: what its variant says."""
    if head.variant == HOLDOUT:
        return None
    seen = push.seen_by(variant=head.variant, expires_at=None)
    return body.badge_change(seen.content)


def quiet_end(push: Push, head: Head) -> datetime | None:
    """Return when the quiet hours of a batch's devices end; None where they have none now.

    What a worker may have sent is settled at any hour, and so is what has expired or was halted.
    """
    quiet = None if push.rules is None else push.rules.quiet_hours
    zone = head.zone or push.zoneless
    is_over = head.is_begun or head.is_settled or head.is_expired or push.halt is not None
    if quiet is None or zone is None or is_over:
        return None
    return quiet_until(quiet, zone, now=head.now)
