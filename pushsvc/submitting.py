"""Pushes stored: those that arrive together with one commit, small ones to devices ready to send.

`pushsvc/storage/intake.py` has the statement of what goes together.
"""

from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc import admission, waves
from pushsvc.errors import CallerError
from pushsvc.model import App, Lane, Late, NewBatch, Push, Schedule, Submission
from pushsvc.planning import batches as cutting, schedule
from pushsvc.resources import Resources
from pushsvc.shaping import body
from pushsvc.storage import audiences, pushes
from pushsvc.storage.due import FEW_DEVICES, SMALL_DELIVERY, SOON_SECONDS, DuePush
from pushsvc.storage.intake import Incoming
from pushsvc.targeting.audience import recipient_of

log = structlog.get_logger(__name__)

_SOON: Final = timedelta(seconds=SOON_SECONDS)


async def store(resources: Resources, app: App, submission: Submission) -> pushes.Stored:
    """Check a push and store it. When this returns, it is durable.

    Raises:
        CallerError: what is wrong with it, and in which field; nothing is stored.
    """
    try:
        submission, when = await admission.admitted(resources, app, submission)
        is_due = when.due_at <= resources.clock.now()
        await resources.backlog.enter(app.id, due=is_due)
    except CallerError:
        # A repeat may come when the times of the first have passed, or nothing more gets in.
        replayed = await admission.replayed(resources, app, submission)
        if replayed is None:
            raise
        return replayed
    lane = schedule.lane_of(submission, limit=resources.settings.urgent_audience_limit)
    in_volleys = is_due and _may_go_in_volleys(resources, submission, when, lane=lane)
    incoming = Incoming(
        app_id=app.id,
        submission=submission,
        schedule=when,
        lane=lane,
        push_hash=body.push_hash(submission.content),
        batch=_batch_of(resources, submission) if in_volleys else None,
    )
    stored = await _stored(resources, incoming)
    push = admission.matching(stored).push
    if not stored.replayed:
        log.info("push.stored", push=push.object_id, app=app.name, due_at=push.due_at.isoformat())
        if push.batches or (in_volleys and len(submission.audience["devices"]) <= FEW_DEVICES):
            resources.queue.ring()
        elif is_due:
            await resources.queue.wake_plans([DuePush(push.id, push.lane, push.app_id)])
    return stored


def _may_go_in_volleys(
    resources: Resources, asked: Submission, when: Schedule, *, lane: Lane
) -> bool:
    """Tell what `storage/due.py` asks of what is stored, but for the number of devices."""
    if "devices" not in asked.audience or lane is not Lane.URGENT or asked.late is not Late.SEND:
        return False
    if not _is_plain(asked, when) or asked.content.get("validate_only", False) is not False:
        return False
    return when.expires_at is None or when.expires_at > resources.clock.now() + _SOON


def _is_plain(asked: Submission, when: Schedule) -> bool:
    """Tell whether nothing but its row, and its batch, says what is to be done with a push."""
    return (
        when.local_time is None
        and asked.rules is None
        and asked.rate_per_minute is None
        and asked.audience_id is None
    )


def _batch_of(resources: Resources, asked: Submission) -> NewBatch | None:
    """Return the one batch of a push for now, as its plan would cut it.

    None where there would be more than one, or somebody has to look devices up.
    """
    devices = asked.audience["devices"]
    is_small = 0 < len(devices) <= SMALL_DELIVERY
    if asked.push_time is not None or not is_small or not all("token" in one for one in devices):
        return None
    recipients = [recipient_of(one) for one in devices]
    size = resources.settings.batch_size
    new = list(cutting.cut_recipients(recipients, taken=frozenset(), size=size))
    return new[0] if len(new) == 1 else None


async def _stored(resources: Resources, incoming: Incoming) -> pushes.Stored:
    if _is_plain(incoming.submission, incoming.schedule):
        stored = await resources.intake.store(incoming)
        if stored is not None:
            return stored
    submission = incoming.submission
    async with resources.engine.begin() as connection:
        stored = await pushes.insert_push(
            connection,
            submission,
            app_id=incoming.app_id,
            schedule=incoming.schedule,
            lane=incoming.lane,
            push_hash=incoming.push_hash,
        )
        if stored.push.local_time is not None and not stored.replayed:
            await waves.foresee(connection, stored.push)
        if submission.audience_id is not None and not stored.replayed:
            await _use_audience(connection, stored.push, submission.audience_id)
    return stored


async def _use_audience(connection: AsyncConnection, push: Push, object_id: str) -> None:
    """Count the use of a saved audience in the transaction that stores the push.

    A push that is only looked at uses none; but there must be such an audience.
    """
    use = audiences.find_audience if push.validate_only else audiences.use_audience
    if not await use(connection, app_id=push.app_id, object_id=object_id):
        raise admission.unknown_audience(object_id)
