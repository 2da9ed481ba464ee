"""THE WHOLE WAY OF A PUSH: submitted, planned, delivered, closed.

    submit_delivery ► its devices come with it: push and batches, committed ──► wake deliverers
    preview_push ─► the same checks ──► audience counted, messages shaped; nothing is stored
    submit_push ──► pushes row ──commit──► wake a planner (the job names the push); or, of a few
                     devices that come with it, its batch as well, and no plan: ring
    plan_push   ──► audience by key ──► batches rows, piece by piece ──► wake deliverers; what is
                     urgent and one batch is delivered by whoever planned it
    deliver_batch ─► lease and badges ► load ► shape ► send at each credential's pace ► ledger,
                     follow-ups, evidence against tokens; where a worker
                     died over it: what its journal settles ► ledger, and the rest is in doubt
    close_push  ──► when no batch is open: dead tokens, final counts
    halting     ──► cancelled or paused, in one transaction: workers see it, and stop
    fire        ──► small pushes that are due: planned, delivered and closed in volleys
    tick        ──► the clock: what else is due, and whatever Redis or a dead worker forgot
    upkeep      ──► the clock, too: a ledger for each day to come; old days are dropped

The stages know nothing of each other; only this page knows their order. Postgres is the record
of all of it: each function may be called twice, late, or on another machine.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from pushsvc import (
    admission,
    deliveries,
    ending,
    firing,
    forgotten,
    halting,
    hygiene,
    loading,
    planner,
    quiet,
    submitting,
)
from pushsvc.campaigns import launching
from pushsvc.delivery import dispatch
from pushsvc.model import (
    App,
    Batch,
    Device,
    Halt,
    Push,
    Recipient,
    Submission,
)
from pushsvc.planning import fair
from pushsvc.preview.look import Preview, look
from pushsvc.resources import Resources
from pushsvc.shaping import body
from pushsvc.stats import tally
from pushsvc.storage import (
    batches,
    caps,
    claims,
    due,
    partitions,
    plans,
    pushes,
    small_deliveries,
    turns,
)
from pushsvc.storage.devices import load_devices
from pushsvc.storage.engine import driver
from pushsvc.storage.leases import LEASE_LIMIT, held

log = structlog.get_logger(__name__)


# ---------------------------------------------------------------- submit


async def submit_push(resources: Resources, app: App, submission: Submission) -> pushes.Stored:
    """Check a push and store it. When this returns, it is durable.

    Raises:
        CallerError: what is wrong with it, and in which field; nothing is stored.
    """
    return await submitting.store(resources, app, submission)


async def submit_delivery(
    resources: Resources, app: App, submission: Submission, *, recipients: Sequence[Recipient]
) -> pushes.Stored:
    """Check a push to devices that come with it, and store it. When this returns, it is durable.

    Raises:
        CallerError: what is wrong with it, and in which field; nothing is stored.
    """
    return await deliveries.store(resources, app, submission, recipients=recipients)


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
    """Write the audience down in batches, and wake deliverers from the first piece on.

    A push in local time has many legs, of which more than one may be due.
    """
    if claimed := await claim(resources, [push_id]):
        await fire(resources, claimed)
        return
    while await _plan_leg(resources, push_id):
        pass


async def _plan_leg(resources: Resources, push_id: int) -> bool:
    """Plan what is due; return whether more may be."""
    lease_seconds = resources.settings.lease_seconds
    async with driver(resources.engine) as connection:
        leased = await plans.lease_plan(connection, push_id, lease_seconds=lease_seconds)
    if leased is None:
        return False
    push, lease = leased
    at_hand: Sequence[int] = ()
    try:
        async with held(
            lambda: planner.renew(resources, push_id, lease=lease),
            lease_seconds=lease_seconds,
            name=f"plan of {push.object_id}",
        ):
            at_hand = await planner.write(resources, push, lease=lease)
    except Exception as error:
        if plans.times_begun(lease) < LEASE_LIMIT:
            raise
        log.exception("plan.given_up", push=push.object_id)
        async with resources.engine.begin() as connection:
            await plans.give_up_plan(connection, push.id, lease=lease, error=str(error))
    finally:
        if resources.stopping.is_set():
            await asyncio.shield(planner.release(resources, push_id, lease=lease))
    for seq in at_hand:
        await deliver_batch(resources, push_id, seq)
    if not at_hand:
        await close_push(resources, push.id)
    return push.local_time is not None and not resources.stopping.is_set()


# ---------------------------------------------------------------- in volleys


async def claim_next(resources: Resources) -> tuple[Sequence[claims.Claimed], bool]:
    """Take the small pushes that are due the longest; and tell whether there may be more."""
    return await claims.claim_next(
        resources.by_index, lease_seconds=firing.lease_seconds(resources)
    )


async def find_due(resources: Resources) -> Sequence[int]:
    """Find small pushes that are due, apps in turns."""
    found = await claims.look(resources.by_index)
    return [push_id for _, push_id in fair.in_turns(found, lambda one: one[0])]


async def next_due(resources: Resources) -> float | None:
    """Return the seconds until the next push is due; None where none is scheduled."""
    return await claims.next_seconds(resources.by_index)


async def claim(resources: Resources, push_ids: Sequence[int]) -> Sequence[claims.Claimed]:
    """Take the first of these pushes that nobody else has: a volley at most."""
    return await claims.claim(
        resources.by_index, push_ids, lease_seconds=firing.lease_seconds(resources)
    )


async def fire(resources: Resources, claimed: Sequence[claims.Claimed]) -> None:
    """Plan, deliver and close claimed pushes together; where that cannot be, each by itself."""
    await _send(resources, await loading.begin_claimed(resources, claimed))


async def lease_next(resources: Resources) -> tuple[Sequence[small_deliveries.Leased], bool]:
    """Take the small deliveries that wait the longest; and tell whether there may be more."""
    return await small_deliveries.lease_next(
        resources.by_index,
        lease_seconds=firing.lease_seconds(resources),
        now=resources.clock.monotonic(),
    )


async def find_deliveries(resources: Resources) -> Sequence[int]:
    """Find small deliveries that nobody has taken up, apps in turns."""
    return await small_deliveries.look(resources.by_index)


async def lease_deliveries(
    resources: Resources, push_ids: Sequence[int]
) -> Sequence[small_deliveries.Leased]:
    """Take the first of these deliveries that nobody else has: a volley at most."""
    return await small_deliveries.lease(
        resources.by_index,
        push_ids,
        lease_seconds=firing.lease_seconds(resources),
        now=resources.clock.monotonic(),
    )


async def fire_deliveries(resources: Resources, leased: Sequence[small_deliveries.Leased]) -> None:
    """Deliver and close leased deliveries together; where that cannot be, each by itself."""
    await _send(resources, await loading.begin_leased(resources, leased))


async def _send(resources: Resources, volley: firing.Volley | None) -> None:
    for push_id in await volley.send() if volley else ():
        await close_push(resources, push_id)


# ---------------------------------------------------------------- deliver


async def deliver_batch(resources: Resources, push_id: int, seq: int) -> None:
    """Send to the devices of one batch, and write down what came of each."""
    async with halting.taken(resources, push_id) as push:
        if push is None:
            return
        if push.halt is Halt.CANCEL:
            await halting.write_left(resources, push)
        await _deliver(resources, push, seq)
    # Who of a push's batches under way here is the last to end looks whether they were all.
    if not resources.halts.is_under_way(push_id):
        await close_push(resources, push_id)


async def _deliver(resources: Resources, push: Push, seq: int) -> None:
    gateways = await resources.gateways.of(push.app_id)
    batch = await _leased(resources, push, seq)
    if batch is None:
        return
    push = push.seen_by(variant=batch.variant, expires_at=batch.expires_at)
    now = ending.time_of(batch, resources.clock)
    lease_seconds = resources.settings.lease_seconds
    sheet, devices = dispatch.Sheet(batch.outcomes), list[Device]()
    # Who is stopped here has decided nothing, and leaves the batch to the next.
    await ending.take_up(resources, push, batch, sheet=sheet)
    try:
        shaper = body.Shaper.of(push, now=resources.clock.now())
        async with held(
            lambda: batches.renew_lease(resources.engine, batch, lease_seconds=lease_seconds),
            lease_seconds=lease_seconds,
            name=f"batch {seq} of {push.object_id}",
        ) as overdue:
            devices += await load_devices(resources.engine, batch, fields=shaper.fields)
            ending.settle_early(batch, devices=devices, sheet=sheet)
            await dispatch.send(
                devices,
                sheet,
                shape_of=shaper.shape,
                kinds_of=shaper.kinds_of,
                route_of=gateways.choose,
                key_of=dispatch.keys_of(batch),
                in_time=dispatch.in_time(batch, resources.clock),
                asking=dispatch.asking_of(push, batch),
                stopped=lambda: (
                    resources.stopping.is_set() or overdue() or resources.halts.stops(push.id)
                ),
                validate_only=push.validate_only,
            )
    finally:
        push = resources.halts.on(push)
        sheet.settle_rest(dispatch.left_of(push))
        # Also when the worker is told to stop: what is out must be in the ledger.
        finish = ending.finish(resources, push, batch, devices=devices, sheet=sheet, now=now())
        await asyncio.shield(finish)


async def _leased(resources: Resources, push: Push, seq: int) -> Batch | None:
    """Lease a batch; None where another worker has it, its turn comes later, or we are to stop."""
    way = await quiet.way_of(resources, push, seq)
    if way is None:
        return None
    # What is not sent to needs no turn: so it is with all that may be leased of a halted push.
    rate = push.rate_per_minute if push.halt is None and way.left_out is None else None
    if rate and not await turns.take(resources.engine, push.id, seq, rate_per_minute=rate):
        return None
    if resources.stopping.is_set():
        return None
    return await batches.lease_batch(
        resources.engine,
        push.id,
        seq,
        lease_seconds=resources.settings.lease_seconds,
        expires_at=push.expires_at,
        halt=push.halt,
        badge=way.badge,
        validate_only=push.validate_only,
        left_out=way.left_out,
        cap=caps.cap_of(push),
    )


# ---------------------------------------------------------------- close


async def close_push(
    resources: Resources, push_id: int, *, pieces: int = hygiene.ALL_PIECES
) -> None:
    """Close the push if all of its batches are done; else somebody later will.

    Before, so many pieces of evidence against tokens are applied; else the clock goes on with it.
    """
    complete = await pushes.complete(resources.engine, push_id)
    if complete is None:
        return
    held: int | None = 0
    if complete.has_evidence:
        held = await hygiene.settle(resources, push_id, pieces=pieces)
    if held is None:
        return
    async with driver(resources.engine) as connection, connection.transaction():
        closed = await pushes.close_push(connection, push_id, tokens_held=held)
    if closed is None:
        return
    push, counts = closed
    classes = {c.name.lower(): n for c, n in sorted(tally.total(counts).items())}
    log.info("push.done", push=push.object_id, devices=push.devices, **classes)


# ---------------------------------------------------------------- the clock


async def tick(resources: Resources) -> None:
    """Find what is due by the database's time, and what Redis or a dead worker forgot."""
    work = await due.look(resources.engine, token_days=resources.settings.token_history_days)
    if work.campaigns:
        await launching.fire_due(resources)
        work = replace(work, plans=True)
    await forgotten.wake(resources, work)
    if work.complete:
        async with resources.engine.connect() as connection:
            complete = await due.complete_pushes(connection, limit=forgotten.CLOCK_LIMIT)
        for push_id in complete:
            await close_push(resources, push_id, pieces=hygiene.CLOCK_PIECES)
    if work.runs:
        await halting.guard(resources, limit=forgotten.CLOCK_LIMIT)
    if work.tokens:
        await hygiene.tend(resources)


async def upkeep(resources: Resources) -> bool:
    """Make room for the days to come and drop the days that are old; True while there are more."""
    keep_days = resources.settings.retention_days
    made = await partitions.make_ahead(resources.engine)
    dropped = await partitions.drop_oldest(resources.engine, keep_days=keep_days)
    forgotten = await partitions.forget_pushes(resources.engine, keep_days=keep_days)
    if made or dropped or forgotten:
        log.info("upkeep.done", made=made, dropped=dropped, pushes_deleted=forgotten)
    return dropped is not None or forgotten > 0
