"""What is asked of campaigns: made, changed, run at once, paused, resumed, called off."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.campaigns import calendar, halting, launching
from pushsvc.campaigns.calendar import Time
from pushsvc.campaigns.counting import check_confirmed
from pushsvc.campaigns.definition import Definition
from pushsvc.campaigns.prepare import as_read, ready
from pushsvc.errors import (
    CampaignExistsError,
    CampaignStateError,
    Fault,
    IdempotencyMismatchError,
    InvalidRequestError,
    NotFoundError,
)
from pushsvc.model import App, Campaign, CampaignState, Submission
from pushsvc.planning.schedule import PAST_TOLERANCE
from pushsvc.resources import Resources
from pushsvc.storage import campaigns
from pushsvc.storage.campaigns import NOTHING, Next, RunRow
from pushsvc.storage.ids import new_object_id
from pushsvc.storage.pushes import find_replay

log = structlog.get_logger(__name__)

PAUSED: Final = "Paused by request."
CANCELLED: Final = "Cancelled by request."
_NO_SUCH: Final = "There is no such campaign. GET /v1/campaigns lists those there are."


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What became of a request that makes a campaign."""

    campaign: Campaign
    #: the request was a repeat
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A run that is wanted now."""

    confirmed: int | None
    #: a repeated request with the same key starts no second run
    idempotency_key: str | None = None
    request_hash: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What became of a request that starts a run."""

    row: RunRow
    replayed: bool


# ---------------------------------------------------------------- made and changed


async def create(
    resources: Resources,
    app: App,
    definition: Definition,
    *,
    confirmed: int | None,
    may_repeat: bool,
) -> Made:
    """Store a campaign. When this returns, it is durable.

    Where the request may be a repeat, one that is there with the same definition is the answer.

    Raises:
        CallerError: what is wrong with it, and in which field; nothing is stored.
    """
    there = await _named(resources, app, definition.name)
    if there is None:
        stored = await _stored(resources, app, definition, confirmed=confirmed)
        if stored is not None:
            return Made(campaign=stored, replayed=False)
        there = await _named(resources, app, definition.name)
    if may_repeat and there is not None and there.definition == definition.as_stored():
        return Made(campaign=there, replayed=True)
    message = (
        f'There is a campaign "{definition.name}". Choose another name, or change that one: '
        f"PUT /v1/campaigns/{definition.name}."
    )
    raise CampaignExistsError(message, field="/name")


async def _named(resources: Resources, app: App, name: str) -> Campaign | None:
    async with resources.engine.connect() as connection:
        return await campaigns.named_campaign(connection, app_id=app.id, name=name)


async def _stored(
    resources: Resources, app: App, definition: Definition, *, confirmed: int | None
) -> Campaign | None:
    object_id, now = new_object_id(), resources.clock.now()
    following = _following(definition, now=now, anchor=now, is_new=True)
    await _check(resources, app, definition, object_id=object_id, confirmed=confirmed)
    async with resources.engine.begin() as connection:
        stored = await campaigns.insert_campaign(
            connection,
            app_id=app.id,
            object_id=object_id,
            definition=definition.as_stored(),
            following=following,
            confirmed=confirmed,
            created_at=now,
        )
    if stored is not None:
        log.info("campaign.stored", campaign=object_id, app=app.name, name=stored.name)
    return stored


async def change(
    resources: Resources,
    app: App,
    key: str,
    *,
    definition: Definition,
    confirmed: int | None,
) -> Campaign:
    """Give a campaign another definition, for runs to come; one that had ended goes on.

    Raises:
        CallerError: what is wrong with it, and in which field; nothing is changed.
    """
    there = await found(resources, app, key)
    if definition.name != there.name:
        text = f'/name: a campaign keeps its name, "{there.name}".'
        raise InvalidRequestError([Fault("/name", "invalid_value", text)])
    now = resources.clock.now()
    following = _following(definition, now=now, anchor=there.created_at, is_new=False)
    confirmed = confirmed or there.confirmed_recipients
    await _check(resources, app, definition, object_id=there.object_id, confirmed=confirmed)
    async with _locked(resources, app, key) as (connection, campaign):
        _refuse(campaign, CampaignState.CANCELLED, "It was cancelled. Create another one.")
        stays = campaign.state is CampaignState.PAUSED
        return await campaigns.move(
            connection,
            campaign.id,
            NOTHING if stays else following,
            definition=definition.as_stored(),
            confirmed_recipients=confirmed,
            state=CampaignState.PAUSED if stays else CampaignState.ACTIVE,
        )


async def _check(
    resources: Resources,
    app: App,
    definition: Definition,
    *,
    object_id: str,
    confirmed: int | None,
) -> None:
    made = await ready(resources, app, definition, object_id=object_id)
    audience, most = made.submission.audience, definition.max_recipients
    await check_confirmed(resources, app, audience, most=most, confirmed=confirmed)


def _following(definition: Definition, *, now: datetime, anchor: datetime, is_new: bool) -> Next:
    time = first_time(definition, now=now, anchor=anchor, is_new=is_new)
    return Next(push_time=time.push_time, look_at=time.at)


def first_time(
    definition: Definition, *, now: datetime, anchor: datetime, is_new: bool = True
) -> Time:
    """Return the first time of a schedule that is asked for now.

    Of a new campaign it may have begun in the east. One that is changed may have run for it.

    Raises:
        InvalidRequestError: it has none any more.
    """
    # Clocks differ: a time this little ago is now.
    after = now if definition.schedule.at is None else now - PAST_TOLERANCE
    time = calendar.next_time(definition.schedule, after=after, anchor=anchor)
    if time is None and is_new:
        time = calendar.begun_time(definition.schedule, now=now)
    if time is None:
        text = "/schedule: all of its times lie in the past. Choose times to come."
        raise InvalidRequestError([Fault("/schedule", "invalid_value", text)])
    return time


# ---------------------------------------------------------------- found


async def found(resources: Resources, app: App, key: str) -> Campaign:
    """Return the app's campaign with this id or name.

    Raises:
        NotFoundError: it has none.
    """
    async with resources.engine.connect() as connection:
        there = await campaigns.find_campaign(connection, app_id=app.id, key=key)
    if there is None:
        raise NotFoundError(_NO_SUCH)
    return there


@asynccontextmanager
async def _locked(
    resources: Resources, app: App, key: str
) -> AsyncIterator[tuple[AsyncConnection, Campaign]]:
    async with resources.engine.begin() as connection:
        there = await campaigns.find_campaign(connection, app_id=app.id, key=key, lock=True)
        if there is None:
            raise NotFoundError(_NO_SUCH)
        yield connection, there


def _refuse(campaign: Campaign, state: CampaignState, message: str) -> None:
    if campaign.state is state:
        raise CampaignStateError(message)


# ---------------------------------------------------------------- run at once


async def run(resources: Resources, app: App, key: str, *, asked: Asked) -> Started:
    """Start a run now, whatever the schedule says. When this returns, it is durable.

    Raises:
        CallerError: why not; nothing is stored.
    """
    there = await found(resources, app, key)
    definition = as_read(there.definition)
    made = await ready(resources, app, definition, object_id=there.object_id)
    made = replace(
        made,
        submission=replace(
            made.submission,
            idempotency_key=asked.idempotency_key,
            request_hash=asked.request_hash,
        ),
    )
    confirmed = asked.confirmed or there.confirmed_recipients
    audience, most = made.submission.audience, definition.max_recipients
    await check_confirmed(resources, app, audience, most=most, confirmed=confirmed)
    async with _locked(resources, app, key) as (connection, campaign):
        replayed = await _replayed(connection, app, made.submission)
        if replayed is not None:
            return replayed
        await _check_idle(connection, campaign)
        await resources.backlog.enter(app.id, due=True)
        changed = await campaigns.change_campaign(
            connection, campaign.id, confirmed_recipients=confirmed
        )
        time = calendar.time_of(resources.clock.now().isoformat())
        push = await launching.start(
            resources, connection, made, campaign=changed, time=time, due_at=time.at
        )
        row = await campaigns.run_of_push(connection, push.id)
    assert row is not None
    return Started(row=row, replayed=False)


async def _replayed(
    connection: AsyncConnection, app: App, submission: Submission
) -> Started | None:
    if submission.idempotency_key is None:
        return None
    stored = await find_replay(connection, submission, app_id=app.id)
    if stored is None:
        return None
    row = await campaigns.run_of_push(connection, stored.push.id)
    if stored.mismatched or row is None:
        message = "The request's Idempotency-Key came before with another request. Use another key."
        raise IdempotencyMismatchError(message)
    return Started(row=row, replayed=True)


async def _check_idle(connection: AsyncConnection, campaign: Campaign) -> None:
    _refuse(campaign, CampaignState.CANCELLED, "It was cancelled. Create another one.")
    paused = f"It is paused: {campaign.state_reason or PAUSED} Resume it first."
    _refuse(campaign, CampaignState.PAUSED, paused)
    for push in await campaigns.runs_under_way(connection, campaign.id):
        message = f"A run is under way: push {push.object_id}. Wait until it is done, or cancel it."
        raise CampaignStateError(message)


# ---------------------------------------------------------------- paused, resumed, called off


async def pause(resources: Resources, app: App, key: str) -> Campaign:
    """Pause a campaign, and its run that is under way.

    Raises:
        CallerError: there is none, or nothing of it is to come.
    """
    async with _locked(resources, app, key) as (connection, campaign):
        _refuse(campaign, CampaignState.CANCELLED, "It was cancelled: nothing of it is to come.")
        under_way = await halting.pause_runs(connection, campaign, reason=PAUSED)
        if not under_way:
            _refuse(campaign, CampaignState.ENDED, "It has ended: nothing of it is to come.")
        if campaign.state is CampaignState.PAUSED:
            return campaign
        changes = {"state": CampaignState.PAUSED, "state_reason": PAUSED}
        return await campaigns.move(connection, campaign.id, NOTHING, **changes)


async def resume(resources: Resources, app: App, key: str, *, confirmed: int | None) -> Campaign:
    """Let a campaign go on, and its run that is paused. Times that have passed are not made up.

    Raises:
        CallerError: why it cannot go on.
    """
    there = await found(resources, app, key)
    definition = as_read(there.definition)
    confirmed = confirmed or there.confirmed_recipients
    if there.state is CampaignState.PAUSED:
        await _check(resources, app, definition, object_id=there.object_id, confirmed=confirmed)
    async with _locked(resources, app, key) as (connection, campaign):
        _refuse(campaign, CampaignState.CANCELLED, "It was cancelled. Create another one.")
        await halting.resume_runs(connection, campaign, confirmed=_limit(definition, confirmed))
        if campaign.state is not CampaignState.PAUSED:
            return await campaigns.change_campaign(
                connection, campaign.id, confirmed_recipients=confirmed
            )
        now, anchor = resources.clock.now(), campaign.created_at
        time = calendar.next_time(definition.schedule, after=now, anchor=anchor)
        return await campaigns.move(
            connection,
            campaign.id,
            Next(push_time=time.push_time, look_at=time.at) if time else NOTHING,
            state=CampaignState.ACTIVE if time else CampaignState.ENDED,
            state_reason=None,
            confirmed_recipients=confirmed,
        )


def _limit(definition: Definition, confirmed: int | None) -> int | None:
    """Return how many a run may go to after somebody said yes to so many."""
    most = definition.max_recipients
    return None if most is None or confirmed is None else max(most, confirmed)


async def cancel(resources: Resources, app: App, key: str) -> Campaign:
    """Call a campaign off, and its run that is under way.

    Raises:
        NotFoundError: there is none.
    """
    async with _locked(resources, app, key) as (connection, campaign):
        await halting.cancel_runs(connection, campaign, reason=CANCELLED)
        if campaign.state is CampaignState.CANCELLED:
            return campaign
        changes = {"state": CampaignState.CANCELLED, "state_reason": CANCELLED}
        return await campaigns.move(connection, campaign.id, NOTHING, **changes)
