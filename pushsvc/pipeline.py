"""THE WHOLE WAY OF A PUSH: submitted, planned, delivered, closed.

    preview_push ─► the same checks ──► audience counted, messages shaped; nothing is stored
    submit_push ──► pushes row ──commit──► wake a planner (the job names the push)
    plan_push   ──► audience by key ──► batches rows, piece by piece ──► wake deliverers
    deliver_batch ─► lease and badges ► load ► shape ► send ► ledger and follow-ups
    close_push  ──► when no batch is open: final counts
    tick        ──► the clock: what is due, and whatever Redis or a dead worker forgot

The stages know nothing of each other; only this page knows their order. Postgres is the record
of all of it: each function may be called twice, late, or on another machine.
"""

import asyncio
import random

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc import admission
from pushsvc.delivery import dispatch
from pushsvc.delivery.conclusion import Rules, conclude, may_repeat
from pushsvc.errors import CallerError, IdempotencyMismatchError
from pushsvc.model import (
    App,
    Batch,
    Device,
    Lane,
    Ledger,
    NewBatch,
    Push,
    Submission,
)
from pushsvc.planning import batches as cutting, schedule
from pushsvc.preview.look import Preview, look
from pushsvc.resources import Resources
from pushsvc.shaping import body
from pushsvc.stats import tally
from pushsvc.storage import audiences, batches, plans, pushes
from pushsvc.storage.batches import BatchRef
from pushsvc.storage.devices import load_devices
from pushsvc.storage.engine import PASSING_ERRORS
from pushsvc.storage.leases import LEASE_LIMIT, held
from pushsvc.targeting import audience
from pushsvc.targeting.criterion import Criterion
from pushsvc.targeting.reading import pages
from pushsvc.targeting.rows import Reader

log = structlog.get_logger(__name__)

#: A piece of the plan is so many batches: its size bounds memory, its end is a checkpoint.
BATCHES_PER_PIECE = 20
#: What one look of the clock takes up; the next look takes more.
CLOCK_LIMIT = 200
#: A batch whose messages are out must be written down: the pause between two tries is shorter than
#: that of the clock, which hands out what nobody closed; and the end of trying.
FINISH_PAUSE_SECONDS = 0.1
FINISH_SECONDS = 600


# ---------------------------------------------------------------- submit


async def submit_push(resources: Resources, app: App, submission: Submission) -> pushes.Stored:
    """Check a push and store it. When this returns, it is durable.

    Raises:
        CallerError: what is wrong with it, and in which field; nothing is stored.
    """
    try:
        submission, when = await admission.admitted(resources, app, submission)
    except CallerError:
        # A repeat may come when the times of the first request have passed.
        replayed = await _replayed(resources, app, submission)
        if replayed is None:
            raise
        return replayed
    async with resources.engine.begin() as connection:
        stored = await pushes.insert_push(
            connection,
            submission,
            app_id=app.id,
            schedule=when,
            lane=schedule.lane_of(submission, limit=resources.settings.urgent_audience_limit),
            push_hash=body.push_hash(submission.content),
        )
        if submission.audience_id is not None and not stored.replayed:
            await _use_audience(connection, stored.push, submission.audience_id)
    push = _matching(stored).push
    if not stored.replayed:
        log.info("push.stored", push=push.object_id, app=app.name, due_at=push.due_at.isoformat())
        if when.due_at <= resources.clock.now():
            await resources.queue.wake_plans([pushes.DuePush(push.id, push.lane)])
    return stored


async def _use_audience(connection: AsyncConnection, push: Push, object_id: str) -> None:
    """Count the use of a saved audience in the transaction that stores the push.

    A push that is only looked at uses none; but there must be such an audience.
    """
    use = audiences.find_audience if push.validate_only else audiences.use_audience
    if not await use(connection, app_id=push.app_id, object_id=object_id):
        raise admission.unknown_audience(object_id)


async def _replayed(resources: Resources, app: App, submission: Submission) -> pushes.Stored | None:
    if submission.idempotency_key is None:
        return None
    async with resources.engine.connect() as connection:
        stored = await pushes.find_replay(connection, submission, app_id=app.id)
    return None if stored is None else _matching(stored)


def _matching(stored: pushes.Stored) -> pushes.Stored:
    if stored.mismatched:
        raise IdempotencyMismatchError(
            "The request's key (Idempotency-Key, X-Parse-Request-Id) came before with another "
            "body. Send another request under another key."
        )
    return stored


# ---------------------------------------------------------------- preview


async def preview_push(resources: Resources, app: App, submission: Submission) -> Preview:
    """Check a push as `submit_push` does, and return what would come of it. Nothing is stored.

    Raises:
        CallerError: what is wrong with it, or counting its audience takes too long.
    """
    submission, when = await admission.admitted(resources, app, submission)
    return await look(resources, app, submission, when=when)


# ---------------------------------------------------------------- plan


async def plan_push(resources: Resources, push_id: int) -> None:
    """Write the audience down in batches, and wake deliverers from the first piece on."""
    lease_seconds = resources.settings.lease_seconds
    async with resources.engine.begin() as connection:
        leased = await plans.lease_plan(connection, push_id, lease_seconds=lease_seconds)
    if leased is None:
        return
    push, lease = leased
    try:
        async with held(
            lambda: _renew_plan(resources, push_id, lease=lease),
            lease_seconds=lease_seconds,
            name=f"plan of {push.object_id}",
        ):
            await _write_plan(resources, push, lease=lease)
    except Exception as error:
        if lease < LEASE_LIMIT:
            raise
        log.exception("plan.given_up", push=push.object_id)
        async with resources.engine.begin() as connection:
            await plans.give_up_plan(connection, push.id, lease=lease, error=str(error))
    await close_push(resources, push.id)


async def _renew_plan(resources: Resources, push_id: int, *, lease: int) -> bool:
    async with resources.engine.begin() as connection:
        return await plans.renew_plan(
            connection, push_id, lease=lease, lease_seconds=resources.settings.lease_seconds
        )


async def _write_plan(resources: Resources, push: Push, *, lease: int) -> None:
    try:
        if "devices" in push.audience:
            await _plan_devices(resources, push, lease=lease)
        else:
            # Not as remembered: whoever is not in a relation that we do not know is everybody.
            schema = await resources.schemas.now(push.app_id)
            reader = Reader(app_id=push.app_id, schema=schema)
            wanted = audience.criterion(push.audience, reader, limits=resources.limits.of_stored())
            await _plan_audience(resources, push, wanted, lease=lease)
    except plans.LeaseLostError:
        log.warning("plan.taken_over", push=push.object_id)
        return
    async with resources.engine.begin() as connection:
        await plans.finish_plan(connection, push.id, lease=lease)


async def _plan_audience(
    resources: Resources, push: Push, wanted: Criterion, *, lease: int
) -> None:
    batch, piece = resources.settings.batch_size, resources.settings.batch_size * BATCHES_PER_PIECE
    after = push.planned_through
    async with (
        resources.planning,
        resources.engine.connect() as connection,
        pages(connection, wanted, after=after, size=piece) as members,
    ):
        async for page in members:
            new = list(cutting.cut(page.ids, duplicates=page.duplicates, size=batch))
            through = page.ids[-1]
            await _write_piece(
                resources, push, new, connection=connection, lease=lease, through=through
            )


async def _plan_devices(resources: Resources, push: Push, *, lease: int) -> None:
    if push.batches:
        return  # all devices of such a push are one piece, and it is there
    size = resources.settings.batch_size
    async with resources.engine.connect() as connection:
        async with connection.begin():
            named = await audience.named(connection, push.audience["devices"], app_id=push.app_id)
        new = [
            *cutting.cut(named.ids, duplicates=named.duplicates, size=size),
            *cutting.cut_recipients(named.recipients, taken=named.tokens, size=size),
        ]
        await _write_piece(resources, push, new, connection=connection, lease=lease, through=0)


async def _write_piece(
    resources: Resources,
    push: Push,
    new: list[NewBatch],
    *,
    connection: AsyncConnection,
    lease: int,
    through: int,
) -> None:
    """Write batches and checkpoint in one transaction, then wake deliverers."""
    async with connection.begin():
        first = await plans.record_piece(
            connection,
            push.id,
            lease=lease,
            planned_through=through,
            batch_count=len(new),
            devices=sum(len(b.installation_ids) or len(b.recipients) for b in new),
            lease_seconds=resources.settings.lease_seconds,
        )
        await batches.write_batches(
            connection, new, push_id=push.id, lane=push.lane, first_seq=first
        )
    refs = [BatchRef(push.id, first + place, push.lane) for place in range(len(new))]
    await resources.queue.wake_batches(refs)


# ---------------------------------------------------------------- deliver


async def deliver_batch(resources: Resources, push_id: int, seq: int) -> None:
    """Send to the devices of one batch, and write down what came of each."""
    settings = resources.settings
    try:
        async with resources.engine.connect() as connection:
            push = await pushes.get_push(connection, push_id)
    except pushes.PushGoneError:
        return
    gateways = await resources.gateways.of(push.app_id)
    batch = await batches.lease_batch(
        resources.engine,
        push_id,
        seq,
        lease_seconds=settings.lease_seconds,
        expires_at=push.expires_at,
        badge=body.badge_change(push.content),
        validate_only=push.validate_only,
    )
    if batch is None:
        return
    sheet, devices = dispatch.Sheet(batch.outcomes), list[Device]()
    try:
        shaper = body.Shaper.of(push, now=resources.clock.now())
        async with held(
            lambda: batches.renew_lease(
                resources.engine, batch, lease_seconds=settings.lease_seconds
            ),
            lease_seconds=settings.lease_seconds,
            name=f"batch {seq} of {push.object_id}",
        ):
            devices += await load_devices(resources.engine, batch, fields=shaper.fields)
            _settle_early(push, batch, devices=devices, sheet=sheet)
            await dispatch.send(
                devices,
                sheet,
                shape_of=shaper.shape,
                gateway_of=gateways.choose,
                key_of=dispatch.keys_of(batch),
                in_time=dispatch.in_time(batch, resources.clock),
                validate_only=push.validate_only,
            )
    finally:
        sheet.settle_rest(dispatch.NOT_SENT)
        # Also when the worker is told to stop: what is out must be in the ledger.
        await asyncio.shield(_finish(resources, push, batch, devices=devices, sheet=sheet))
    await close_push(resources, push_id)


def _settle_early(
    push: Push, batch: Batch, *, devices: list[Device], sheet: dispatch.Sheet
) -> None:
    """Settle the devices that no message goes to."""
    present = {device.index for device in devices}
    for index in range(batch.size):
        if index not in present and sheet.is_open(index):
            sheet.settle(index, dispatch.NO_INSTALLATION)
    if batch.seconds_left is not None and batch.seconds_left <= 0:
        sheet.settle_rest(dispatch.EXPIRED)
    elif batch.leases > LEASE_LIMIT or (batch.leases > 1 and not may_repeat(push)):
        sheet.settle_rest(dispatch.WORKER_LOST)


async def _finish(
    resources: Resources,
    push: Push,
    batch: Batch,
    *,
    devices: list[Device],
    sheet: dispatch.Sheet,
) -> None:
    # Work that workers die over is not carried on: somebody must look at it.
    attempts = resources.settings.attempt_limit if batch.leases <= LEASE_LIMIT else 0
    rules = Rules(
        attempt_limit=attempts,
        now=resources.clock.now(),
        jitter=random.random(),  # noqa: S311 - spreads retries; guards nothing
        gateway_of=body.gateway_of,
    )
    end = conclude(
        push, batch, devices, outcomes=sheet.outcomes, answers=sheet.answers, rules=rules
    )
    types = [tally.NO_TYPE] * batch.size
    for device in devices:
        types[device.index] = device.device_type
    ledger = Ledger(
        outcomes=end.outcomes,
        counts=tally.count(types, end.outcomes),
        exceptions=end.exceptions,
        follow_ups=end.follow_ups,
        retirements=end.retirements,
    )
    if not await _write_down(resources, batch, ledger):
        log.warning("batch.taken_over", push=push.object_id, seq=batch.seq)


async def _write_down(resources: Resources, batch: Batch, ledger: Ledger) -> bool:
    """Close the batch; its messages are out, so a database that is away is waited for.

    The lease may run out meanwhile: until another worker claims the batch, it is ours to close.
    """
    end = resources.clock.monotonic() + FINISH_SECONDS
    while resources.clock.monotonic() < end:
        try:
            return await batches.finish_batch(resources.engine, batch, ledger)
        except PASSING_ERRORS as error:
            log.warning("ledger.unreachable", batch=batch.seq, error=type(error).__name__)
            await asyncio.sleep(FINISH_PAUSE_SECONDS)
    return False


# ---------------------------------------------------------------- close


async def close_push(resources: Resources, push_id: int) -> None:
    """Close the push if all of its batches are done; else somebody later will."""
    async with resources.engine.begin() as connection:
        if not await pushes.close_push(connection, push_id):
            return
        push = await pushes.get_push(connection, push_id)
        counts = await pushes.counts_of(connection, push)
    classes = {c.name.lower(): n for c, n in sorted(tally.total(counts).items())}
    log.info("push.done", push=push.object_id, devices=push.devices, **classes)


# ---------------------------------------------------------------- the clock


async def tick(resources: Resources) -> None:
    """Find what is due by the database's time, and what Redis or a dead worker forgot."""
    lease_seconds = resources.settings.lease_seconds
    async with resources.engine.connect() as connection:
        due = await pushes.due_pushes(connection, lease_seconds=lease_seconds, limit=CLOCK_LIMIT)
        complete = await pushes.complete_pushes(connection, limit=CLOCK_LIMIT)
    await resources.queue.wake_plans(due)
    released = await batches.expire_leases(resources.engine, limit=CLOCK_LIMIT)
    if released:
        log.warning("leases.expired", batches=released)
    for lane in Lane:
        waiting = await batches.open_batches(
            resources.engine, lane, lease_seconds=lease_seconds, limit=CLOCK_LIMIT
        )
        await resources.queue.wake_batches(waiting)
    for push_id in complete:
        await close_push(resources, push_id)
