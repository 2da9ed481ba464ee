"""The plan of a push: its audience becomes batches, piece by piece, each with a checkpoint."""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc import waves
from pushsvc.errors import QueryTimeoutError
from pushsvc.model import Lane, Late, NewBatch, OutcomeClass, Push
from pushsvc.planning import batches as cutting, legs
from pushsvc.resources import Resources
from pushsvc.storage import batches, partitions, plans, turns, waves as stored_waves
from pushsvc.storage.batches import BatchRef
from pushsvc.storage.engine import taking_at_most
from pushsvc.targeting import audience
from pushsvc.targeting.criterion import Criterion
from pushsvc.targeting.reading import AudienceTimeoutError, pages
from pushsvc.targeting.rows import Reader

log = structlog.get_logger(__name__)

#: A piece of the plan is so many batches: its size bounds memory, its end is a checkpoint.
BATCHES_PER_PIECE = 10
#: A plan whose app has enough batches under way looks again after so long: a limit's worth of them
#: takes many minutes.
POSTPONED_SECONDS = 60


async def renew(resources: Resources, push_id: int, *, lease: int) -> bool:
    """Renew the plan's lease; False where another has taken it over, or it was called off."""
    async with resources.engine.begin() as connection:
        return await plans.renew_plan(
            connection, push_id, lease=lease, lease_seconds=resources.settings.lease_seconds
        )


async def release(resources: Resources, push_id: int, *, lease: int) -> None:
    """Leave what is left of the plan to another worker, at once."""
    async with resources.engine.begin() as connection:
        await plans.release_plan(connection, push_id, lease=lease)


async def write(resources: Resources, push: Push, *, lease: int) -> Sequence[int]:
    """Write the whole audience down in batches, or as much of it as the lease lasts for.

    Returns the numbers of batches that nobody was woken for: whoever planned them has them at
    hand. A process that is to stop leaves the rest, from the checkpoint on.
    """
    try:
        if await _must_wait(resources, push, lease=lease):
            return []
        if push.by_zone:
            await _plan_leg(resources, push, lease=lease)
        elif "devices" in push.audience:
            return await _plan_devices(resources, push, lease=lease)
        else:
            await _plan_audience(resources, push, lease=lease)
    except plans.LeaseLostError:
        log.warning("plan.taken_over", push=push.object_id)
    except partitions.MissingError:
        # Where nobody made one ahead: the clock takes the plan up again when its lease has run out.
        log.warning("plan.no_partition", push=push.object_id)
        await partitions.make_ahead(resources.engine, push_id=push.id)
    except AudienceTimeoutError:
        await _give_up(resources, push, lease=lease)
    return []


async def _finish(resources: Resources, push: Push, *, lease: int) -> None:
    async with resources.engine.begin() as connection:
        await plans.finish_plan(connection, push.id, lease=lease)


async def _must_wait(resources: Resources, push: Push, *, lease: int) -> bool:
    """Postpone the plan of an app that has enough open batches; what has begun goes on."""
    if push.lane is Lane.URGENT or push.batches:
        return False
    if not await resources.backlog.is_full(push.app_id):
        return False
    async with resources.engine.begin() as connection:
        await plans.postpone_plan(connection, push.id, lease=lease, seconds=POSTPONED_SECONDS)
    log.info("plan.postponed", push=push.object_id)
    return True


async def _give_up(resources: Resources, push: Push, *, lease: int) -> None:
    seconds = resources.settings.plan_timeout_seconds
    log.error("plan.too_slow", push=push.object_id, seconds=seconds)
    message = (
        f"Finding the audience took longer than {seconds:g} seconds (plan_timeout_seconds). Ask in "
        "a way that an index can answer: by channels or by equality."
    )
    async with resources.engine.begin() as connection:
        await plans.give_up_plan(connection, push.id, lease=lease, error=message)


async def _criterion(resources: Resources, push: Push) -> Criterion:
    # Not as remembered: whoever is not in a relation that we do not know is everybody.
    schema = await resources.schemas.now(push.app_id)
    reader = Reader(app_id=push.app_id, schema=schema)
    return audience.criterion(push.audience, reader, limits=resources.limits.of_stored())


async def _plan_audience(resources: Resources, push: Push, *, lease: int) -> None:
    """Write the audience down; with what is known to be its last piece the plan is finished."""
    wanted = await _criterion(resources, push)
    piece = resources.settings.batch_size * BATCHES_PER_PIECE
    batch = cutting.size_at(push.rate_per_minute, size=resources.settings.batch_size)
    after, finished = push.planned_through, False
    async with (
        resources.planning,
        resources.engine.connect() as connection,
        pages(
            connection,
            wanted,
            after=after,
            size=piece,
            timeout_seconds=resources.settings.plan_timeout_seconds,
        ) as members,
    ):
        too_late = await _too_late(resources, push, connection=connection)
        async for page in members:
            if resources.stopping.is_set():
                return
            new = list(cutting.cut(page.ids, duplicates=page.duplicates, size=batch))
            if too_late is not None:
                new = list(cutting.left_out(new, too_late))
            finished = page.is_last
            refs = await _write_piece(
                resources,
                push,
                new,
                connection=connection,
                lease=lease,
                through=page.ids[-1],
                is_last=finished,
            )
            await resources.queue.wake_batches(refs)
    if not finished:
        await _finish(resources, push, lease=lease)


async def _too_late(
    resources: Resources, push: Push, *, connection: AsyncConnection
) -> OutcomeClass | None:
    """Return why nobody gets a push that is planned long after it was due, if it wants it so."""
    if push.late is not Late.SKIP:
        return None
    async with connection.begin():
        now = await plans.time_now(connection)
    late_after = timedelta(seconds=resources.settings.late_after_seconds)
    return legs.left_out_late(push, push.due_at, now=now, late_after=late_after)


async def _plan_leg(resources: Resources, push: Push, *, lease: int) -> None:
    """Write down the devices of the leg that is due; where it is the last, finish the plan."""
    next_at = legs.leg_of(push).next_at
    async with resources.planning, resources.engine.connect() as connection:
        if "devices" in push.audience:
            await _write_named_leg(resources, push, connection=connection, lease=lease)
        elif not await _write_leg(resources, push, connection=connection, lease=lease):
            return
    if next_at is None:
        await _finish(resources, push, lease=lease)
        return
    async with resources.engine.begin() as connection:
        await plans.next_leg(connection, push.id, lease=lease, due_at=next_at)


async def _write_leg(
    resources: Resources, push: Push, *, connection: AsyncConnection, lease: int
) -> bool:
    """Write the members of a leg down; return whether all of them."""
    wanted = await _criterion(resources, push)
    if await _is_held(resources, push, wanted, connection=connection, lease=lease):
        return False
    async with waves.pieces(resources, push, wanted, connection=connection) as pieces:
        async for piece in pieces:
            if resources.stopping.is_set():
                return False
            refs = await _write_piece(
                resources,
                push,
                piece.batches,
                connection=connection,
                lease=lease,
                through=piece.through,
            )
            await resources.queue.wake_batches(refs)
    return True


async def _write_named_leg(
    resources: Resources, push: Push, *, connection: AsyncConnection, lease: int
) -> None:
    if push.planned_through:
        return  # its devices of the leg are one piece, and it is there
    devices = push.audience["devices"]
    piece = await waves.named_piece(resources, push, devices, connection=connection)
    refs = await _write_piece(
        resources, push, piece.batches, connection=connection, lease=lease, through=piece.through
    )
    await resources.queue.wake_batches(refs)


async def _is_held(
    resources: Resources, push: Push, wanted: Criterion, *, connection: AsyncConnection, lease: int
) -> bool:
    """Pause a run before its first batch whose audience is larger than it may be unasked."""
    most = None if push.rules is None else push.rules.max_recipients
    if most is None or push.batches:
        return False
    found = await _counted(resources, wanted, connection=connection)
    if found <= most:
        return False
    reason = (
        f"The audience has {found} devices, and max_recipients is {most}. To send to all of them, "
        f"resume the push with confirm_recipients of {found} or more."
    )
    async with connection.begin():
        await plans.hold_plan(connection, push, lease=lease, devices=found, reason=reason)
    log.warning("plan.held", push=push.object_id, devices=found, most=most)
    return True


async def _counted(resources: Resources, wanted: Criterion, *, connection: AsyncConnection) -> int:
    seconds = resources.settings.plan_timeout_seconds
    try:
        async with connection.begin(), taking_at_most(connection, seconds):
            return await audience.count(connection, wanted)
    except QueryTimeoutError as error:
        raise AudienceTimeoutError from error


async def _plan_devices(resources: Resources, push: Push, *, lease: int) -> list[int]:
    if push.batches:
        # All devices of such a push are one piece, and it is there: by an older version.
        await _finish(resources, push, lease=lease)
        return []
    size = cutting.size_at(push.rate_per_minute, size=resources.settings.batch_size)
    async with resources.engine.connect() as connection:
        async with connection.begin():
            named = await audience.named(connection, push.audience["devices"], app_id=push.app_id)
        new = [
            *cutting.cut(named.ids, duplicates=named.duplicates, size=size),
            *cutting.cut_recipients(named.recipients, taken=named.tokens, size=size),
        ]
        too_late = await _too_late(resources, push, connection=connection)
        if too_late is not None:
            new = list(cutting.left_out(new, too_late))
        # A job for it would cost as much again as the plan did.
        at_hand = push.lane is Lane.URGENT and len(new) == 1
        refs = await _write_piece(
            resources, push, new, connection=connection, lease=lease, through=0, is_last=True
        )
    if at_hand:
        return [ref.seq for ref in refs]
    await resources.queue.wake_batches(refs)
    return []


async def _write_piece(
    resources: Resources,
    push: Push,
    new: list[NewBatch],
    *,
    connection: AsyncConnection,
    lease: int,
    through: int,
    is_last: bool = False,
) -> list[BatchRef]:
    """Write batches and checkpoint in one transaction; return them for their deliverers.

    `is_last`: the plan is finished with it.
    """
    async with connection.begin():
        first = await plans.record_piece(
            connection,
            push.id,
            lease=lease,
            planned_through=through,
            batch_count=len(new),
            devices=cutting.devices_of(new),
            lease_seconds=resources.settings.lease_seconds,
            is_last=is_last,
        )
        timed = await _timed(connection, push, new)
        await batches.write_batches(
            connection, timed, push_id=push.id, lane=push.lane, first_seq=first
        )
        if push.by_zone:
            await stored_waves.add(
                connection,
                push.id,
                cutting.devices_by_zone(new),
                moments=waves.moments_of(push, new),
            )
    return [
        BatchRef(push.id, first + place, push.lane, push.app_id, batch.size)
        for place, batch in enumerate(timed)
        if batch.delay_seconds <= 0
    ]


async def _timed(
    connection: AsyncConnection, push: Push, new: Sequence[NewBatch]
) -> Sequence[NewBatch]:
    """Give the batches of a push that has a rate of its own their turns."""
    rate = push.rate_per_minute
    if rate is None:
        return new
    devices = cutting.devices_of([batch for batch in new if not cutting.is_settled(batch)])
    turn = await turns.reserve(connection, push.id, devices=devices, rate_per_minute=rate)
    timed = cutting.in_turn(
        new, wait_seconds=turn.wait_seconds, end_seconds=turn.end_seconds, rate_per_minute=rate
    )
    return list(timed)
