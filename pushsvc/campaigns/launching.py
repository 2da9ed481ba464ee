"""A campaign whose time has come: its run is stored, or why there is none, exactly once.

A run is an ordinary push. It, its line in the record and the campaign's next time are one
transaction under the lock of the campaign's row.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from random import shuffle
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.campaigns import calendar, composing
from pushsvc.campaigns.calendar import Time
from pushsvc.campaigns.deciding import WAIT_SECONDS, Decision, Due, decide
from pushsvc.campaigns.definition import Times
from pushsvc.campaigns.prepare import Ready, as_read, ready, told
from pushsvc.errors import CallerError, IdempotencyMismatchError, TooManyPushesError
from pushsvc.model import Campaign, CampaignState, Late, Overlap, Push, SkipReason
from pushsvc.planning import localtime
from pushsvc.resources import Resources
from pushsvc.shaping.body import push_hash
from pushsvc.storage import apps, audiences, campaigns, pushes, under_way
from pushsvc.storage.campaigns import NOTHING, DueCampaign, Next
from pushsvc.storage.engine import DATABASE_ERRORS

log = structlog.get_logger(__name__)

#: What one look of the clock takes up; the next look takes more.
FIRE_LIMIT: Final = 50
#: Of the times that an outage has swallowed, so many are written down, the latest.
MISSED_LIMIT: Final = 100
OTHER_REQUEST: Final = (
    "The request's Idempotency-Key came before with another request. Use another key."
)


async def fire_due(resources: Resources) -> None:
    """Start what is due of campaigns, by the database's time. Any worker may, at any time."""
    async with resources.engine.connect() as connection:
        due = await campaigns.due_campaigns(connection, limit=FIRE_LIMIT)
    # Workers look at once: each begins elsewhere, and what fails is not always before the others.
    shuffle(due)
    for one in due:
        try:
            await _fire(resources, one)
        except DATABASE_ERRORS:
            raise
        except CallerError as error:
            await _pause(resources, one.campaign, told(error))
        except Exception:
            # It would fail again, four times a second and for ever.
            log.exception("campaign.failed", campaign=one.campaign.object_id)
            await _pause(resources, one.campaign, "It failed; the log of the worker says why.")


async def _fire(resources: Resources, due: DueCampaign) -> None:
    campaign = due.campaign
    async with resources.engine.connect() as connection:
        if not await campaigns.lock_due(connection, campaign):
            return  # before anything is prepared in vain
        app = await apps.get_app(connection, campaign.app_id)
    made = await ready(resources, app, as_read(campaign.definition), object_id=campaign.object_id)
    async with resources.engine.begin() as connection:
        if not await campaigns.lock_due(connection, campaign):
            return
        is_busy = await under_way.is_busy(
            connection, campaign.id, local_time=_awaited(campaign).local
        )
        decision = _decided(resources, due, made, is_busy=is_busy)
        if decision.start is not None and not await _has_room(resources, connection, due):
            return
        await _settle(connection, due, decision, schedule=made.definition.schedule)
        if decision.start is not None:
            due_at = due.now if _has_waited(due, decision.start) else decision.start.at
            await start(
                resources,
                connection,
                made,
                campaign=campaign,
                time=decision.start,
                due_at=due_at,
            )


def _decided(resources: Resources, due: DueCampaign, made: Ready, *, is_busy: bool) -> Decision:
    campaign, definition = due.campaign, made.definition
    assert campaign.next_run_at is not None
    times = calendar.due_times(
        definition.schedule,
        _awaited(campaign),
        now=due.now,
        anchor=campaign.created_at,
        most=MISSED_LIMIT,
    )
    found = Due(
        times=times,
        look_at=campaign.next_run_at,
        now=due.now,
        late_after_seconds=resources.settings.late_after_seconds,
        is_busy=is_busy,
    )
    return decide(found, late=Late(definition.late), overlap=Overlap(definition.overlap))


def _awaited(campaign: Campaign) -> Time:
    """Return the time that a campaign waits for."""
    assert campaign.next_push_time is not None
    return calendar.time_of(campaign.next_push_time)


def _has_waited(due: DueCampaign, time: Time) -> bool:
    """Tell whether this is the time that waited for the run before: it counts from now on.

    In local time it does not: each zone has its own moment, and those that are past follow `late`.
    """
    look_at = due.campaign.next_run_at
    return (
        look_at is not None
        and time.local is None
        and time.push_time == due.campaign.next_push_time
        and (look_at > time.at)
    )


async def _has_room(resources: Resources, connection: AsyncConnection, due: DueCampaign) -> bool:
    """Tell whether the app may have one more push under way; else the clock looks again later."""
    campaign = due.campaign
    try:
        await resources.backlog.enter(campaign.app_id, due=True)
    except TooManyPushesError as error:
        later = due.now + timedelta(seconds=error.retry_after_seconds or WAIT_SECONDS)
        following = Next(push_time=campaign.next_push_time, look_at=later)
        await campaigns.move(connection, campaign.id, following)
        log.warning("campaign.waits", campaign=campaign.object_id, why=error.detail)
        return False
    return True


async def _settle(
    connection: AsyncConnection, due: DueCampaign, decision: Decision, *, schedule: Times
) -> None:
    """Write down what is skipped, and move the campaign's time on."""
    campaign = due.campaign
    for time, reason in decision.skipped:
        await _skip(connection, campaign, time, reason=reason)
    if decision.waiting is not None:
        later = due.now + timedelta(seconds=WAIT_SECONDS)
        following = Next(push_time=decision.waiting.push_time, look_at=later)
        await campaigns.move(connection, campaign.id, following)
        return
    later_time = calendar.next_time(schedule, after=decision.through.at, anchor=campaign.created_at)
    if later_time is None:
        await campaigns.move(connection, campaign.id, NOTHING, state=CampaignState.ENDED)
    else:
        following = Next(push_time=later_time.push_time, look_at=later_time.at)
        await campaigns.move(connection, campaign.id, following)


async def _skip(
    connection: AsyncConnection, campaign: Campaign, time: Time, *, reason: SkipReason
) -> None:
    """Write down a time that comes to nothing."""
    push_time = time.push_time
    number = await campaigns.add_run(connection, campaign.id, push_time=push_time, reason=reason)
    if number is not None:
        told_of = {"campaign": campaign.object_id, "push_time": push_time, "reason": reason.value}
        log.info("campaign.skipped", **told_of)


async def start(
    resources: Resources,
    connection: AsyncConnection,
    made: Ready,
    *,
    campaign: Campaign,
    time: Time,
    due_at: datetime,
) -> Push:
    """Store the run of a time, as a push and on record. The campaign is locked."""
    app, submission = made.app, made.submission
    assert submission.rules is not None
    assert submission.lane is not None
    confirmed = composing.confirmed(submission.rules, campaign.confirmed_recipients)
    stored = await pushes.insert_push(
        connection,
        replace(submission, campaign_id=campaign.id, push_time=time.push_time, rules=confirmed),
        app_id=app.id,
        schedule=composing.schedule_of(
            time,
            due_at=due_at,
            expiration_interval=made.definition.expiration_interval,
            zoneless=localtime.zone_for_zoneless(
                resources.settings.zoneless_devices, app_zone=app.settings.time_zone
            ),
        ),
        lane=submission.lane,
        push_hash=push_hash(submission.content),
    )
    if stored.replayed:
        # Of another campaign, or a push that is no run, while this one was being prepared.
        raise IdempotencyMismatchError(OTHER_REQUEST)
    push = stored.push
    for object_id in made.audience_ids:
        await audiences.use_audience(connection, app_id=app.id, object_id=object_id)
    number = await campaigns.add_run(
        connection, campaign.id, push_time=time.push_time, push_id=push.id
    )
    # No time comes twice, and where one does nothing of this is stored.
    assert number is not None, f"{time.push_time} is on record"
    log.info("campaign.started", campaign=campaign.object_id, push=push.object_id)
    return push


async def _pause(resources: Resources, campaign: Campaign, reason: str) -> None:
    async with resources.engine.begin() as connection:
        if await campaigns.lock_due(connection, campaign):
            changes = {"state": CampaignState.PAUSED, "state_reason": reason}
            await campaigns.move(connection, campaign.id, NOTHING, **changes)
    log.warning("campaign.paused", campaign=campaign.object_id, reason=reason)
