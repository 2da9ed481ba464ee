"""Deliveries: the caller has found the audience, and wants to know what came of each device.

The devices are cut into batches where they come in, so that nobody has to plan; what is left of the
way is a push's. `pushsvc/storage/deliveries.py` has the statements.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import structlog

from pushsvc import admission
from pushsvc.delivery import evidence
from pushsvc.errors import CallerError
from pushsvc.model import (
    AGAINST_TOKENS,
    GONE_ON,
    OUTCOME_OF,
    App,
    Lane,
    OutcomeClass,
    Push,
    Recipient,
    Submission,
    Weight,
)
from pushsvc.planning import batches as cutting, schedule
from pushsvc.resources import Resources
from pushsvc.shaping import body
from pushsvc.storage import deliveries, partitions, pushes
from pushsvc.storage.batches import BatchRef
from pushsvc.storage.deliveries import Part
from pushsvc.storage.devices import named_at
from pushsvc.storage.due import SMALL_DELIVERY

log = structlog.get_logger(__name__)


class End(NamedTuple):
    """What came of a recipient."""

    #: OPEN while it has no outcome
    outcome: OutcomeClass
    #: the gateway's word, or ours; empty where there is nothing to say
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of a delivery so far."""

    recipients: Sequence[Recipient]
    #: of each recipient, in the order of the request
    ends: Sequence[End]
    #: gateways that called too many of its tokens dead to be believed
    held: Sequence[str]

    @property
    def pending(self) -> int:
        """Recipients without an outcome."""
        return sum(end.outcome not in OUTCOME_OF for end in self.ends)


# ---------------------------------------------------------------- stored


async def store(
    resources: Resources, app: App, submission: Submission, *, recipients: Sequence[Recipient]
) -> pushes.Stored:
    """Check a delivery and store it with its batches. When this returns, it is durable.

    Raises:
        CallerError: what is wrong with it, and in which field; nothing is stored.
    """
    try:
        submission, when = await admission.admitted(resources, app, submission)
        await resources.backlog.enter(app.id, due=True)
    except CallerError:
        # A repeat may come when the times of the first have passed, or nothing more gets in.
        replayed = await admission.replayed(resources, app, submission)
        if replayed is None:
            raise
        return replayed
    size = resources.settings.batch_size
    new = list(cutting.cut_recipients(recipients, taken=frozenset(), size=size))
    lane = schedule.lane_of(submission, limit=resources.settings.urgent_audience_limit)
    insert = partial(
        deliveries.insert_delivery,
        resources.engine,
        submission,
        new,
        app_id=app.id,
        schedule=when,
        lane=lane,
        push_hash=body.push_hash(submission.content),
    )
    try:
        stored = await insert()
    except partitions.MissingError:
        # Where nobody made one ahead.
        await partitions.make_ahead(resources.engine)
        stored = await insert()
    push = admission.matching(stored).push
    if not stored.replayed:
        log.info("delivery.stored", push=push.object_id, app=app.name, devices=push.devices)
        if len(new) == 1 and push.lane is Lane.URGENT and push.devices <= SMALL_DELIVERY:
            resources.queue.ring()
        else:
            refs = [
                BatchRef(push.id, seq, push.lane, push.app_id, batch.size)
                for seq, batch in enumerate(new)
            ]
            await resources.queue.wake_batches(refs)
    return stored


# ---------------------------------------------------------------- seen


async def find(resources: Resources, app: App, object_id: str) -> tuple[Push, Seen] | None:
    """Return a delivery of the app, and what came so far of it, recipient by recipient."""
    found = await deliveries.find_delivery(resources.engine, app_id=app.id, object_id=object_id)
    if found is None:
        return None
    push, parts = found
    limit = resources.settings.retire_share_limit
    return push, _seen(parts, devices=push.devices, share_limit=limit)


def _seen(parts: Sequence[Part], *, devices: int, share_limit: float) -> Seen:
    first, again = _apart(parts, devices=devices)
    recipients = [one for part in first for one in part.recipients]
    later = {
        recipient.token: end
        for part in again
        for recipient, end in zip(part.recipients, _ends(part), strict=True)
        if end.outcome not in GONE_ON
    }
    pending = End(OutcomeClass.OPEN, "")
    ends = [
        later.get(recipient.token, pending) if end.outcome in GONE_ON else end
        for part in first
        for recipient, end in zip(part.recipients, _ends(part), strict=True)
    ]
    held = held_of(recipients, ends, share_limit=share_limit)
    return Seen(recipients=recipients, ends=ends, held=held)


def _apart(parts: Sequence[Part], *, devices: int) -> tuple[Sequence[Part], Sequence[Part]]:
    """Return the batches that a delivery was stored with, and those that were tried again."""
    left, place = devices, 0
    while left > 0 and place < len(parts):
        left -= len(parts[place].recipients)
        place += 1
    return parts[:place], parts[place:]


def _ends(part: Part) -> Iterable[End]:
    reasons = part.reasons
    return [
        End(OutcomeClass(byte), reasons.get(place, "")) for place, byte in enumerate(part.outcomes)
    ]


def held_of(
    recipients: Sequence[Recipient], ends: Sequence[End], *, share_limit: float
) -> Sequence[str]:
    """Return the gateways that spoke against too many tokens: the rule is that of pushes.

    Who is pending may come to the same end, and counts as if: what is said now may be acted on.
    """
    against = sum(end.outcome in AGAINST_TOKENS for end in ends)
    pending = sum(end.outcome not in OUTCOME_OF for end in ends)
    if not against or against + pending < evidence.LEAST_BLAMED:
        return ()
    said: dict[str, Counter[OutcomeClass]] = {}
    for recipient, end in zip(recipients, ends, strict=True):
        gateway = body.gateway_of(named_at(0, recipient)) or ""
        said.setdefault(gateway, Counter())[end.outcome] += 1
    answered = {
        name: Weight(classes[OutcomeClass.OK], classes[OutcomeClass.OPEN] + blamed)
        for name, classes in said.items()
        if (blamed := sum(classes[one] for one in AGAINST_TOKENS))
    }
    return evidence.judge(answered, share_limit=share_limit).held
