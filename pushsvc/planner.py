"""The plan of a push: its audience becomes batches, piece by piece, each with a checkpoint."""

from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import Lane, NewBatch, Push
from pushsvc.planning import batches as cutting
from pushsvc.resources import Resources
from pushsvc.storage import batches, partitions, plans, turns
from pushsvc.storage.batches import BatchRef
from pushsvc.targeting import audience
from pushsvc.targeting.criterion import Criterion
from pushsvc.targeting.reading import AudienceTimeoutError, pages
from pushsvc.targeting.rows import Reader

log = structlog.get_logger(__name__)

#: A piece of the plan is so many batches: its size bounds memory, its end is a checkpoint.
BATCHES_PER_PIECE = 20
#: A plan whose app has enough batches under way looks again after so long: a limit's worth of them
#: takes many minutes.
POSTPONED_SECONDS = 60


async def renew(resources: Resources, push_id: int, *, lease: int) -> bool:
    """Renew the plan's lease; False where another worker has taken it over."""
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
    complete, at_hand = True, []
    try:
        if await _must_wait(resources, push, lease=lease):
            return []
        if "devices" in push.audience:
            at_hand = await _plan_devices(resources, push, lease=lease)
        else:
            # Not as remembered: whoever is not in a relation that we do not know is everybody.
            schema = await resources.schemas.now(push.app_id)
            reader = Reader(app_id=push.app_id, schema=schema)
            wanted = audience.criterion(push.audience, reader, limits=resources.limits.of_stored())
            complete = await _plan_audience(resources, push, wanted, lease=lease)
    except plans.LeaseLostError:
        log.warning("plan.taken_over", push=push.object_id)
        return []
    except partitions.MissingError:
        # Where nobody made one ahead: the clock takes the plan up again when its lease has run out.
        log.warning("plan.no_partition", push=push.object_id)
        await partitions.make_ahead(resources.engine, push_id=push.id)
        return []
    except AudienceTimeoutError:
        await _give_up(resources, push, lease=lease)
        return []
    if not complete:
        return []
    async with resources.engine.begin() as connection:
        await plans.finish_plan(connection, push.id, lease=lease)
    return at_hand


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


async def _plan_audience(
    resources: Resources, push: Push, wanted: Criterion, *, lease: int
) -> bool:
    """Write the audience down; return whether all of it."""
    piece = resources.settings.batch_size * BATCHES_PER_PIECE
    batch = cutting.size_at(push.rate_per_minute, size=resources.settings.batch_size)
    after = push.planned_through
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
        async for page in members:
            if resources.stopping.is_set():
                return False
            new = list(cutting.cut(page.ids, duplicates=page.duplicates, size=batch))
            through = page.ids[-1]
            refs = await _write_piece(
                resources, push, new, connection=connection, lease=lease, through=through
            )
            await resources.queue.wake_batches(refs)
    return True


async def _plan_devices(resources: Resources, push: Push, *, lease: int) -> list[int]:
    if push.batches:
        return []  # all devices of such a push are one piece, and it is there
    size = cutting.size_at(push.rate_per_minute, size=resources.settings.batch_size)
    async with resources.engine.connect() as connection:
        async with connection.begin():
            named = await audience.named(connection, push.audience["devices"], app_id=push.app_id)
        new = [
            *cutting.cut(named.ids, duplicates=named.duplicates, size=size),
            *cutting.cut_recipients(named.recipients, taken=named.tokens, size=size),
        ]
        # A job for it would cost as much again as the plan did.
        at_hand = push.lane is Lane.URGENT and len(new) == 1
        refs = await _write_piece(
            resources, push, new, connection=connection, lease=lease, through=0
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
) -> list[BatchRef]:
    """Write batches and checkpoint in one transaction; return them for their deliverers."""
    async with connection.begin():
        first = await plans.record_piece(
            connection,
            push.id,
            lease=lease,
            planned_through=through,
            batch_count=len(new),
            devices=cutting.devices_of(new),
            lease_seconds=resources.settings.lease_seconds,
        )
        timed = await _timed(connection, push, new)
        await batches.write_batches(
            connection, timed, push_id=push.id, lane=push.lane, first_seq=first
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
    devices = cutting.devices_of(new)
    turn = await turns.reserve(connection, push.id, devices=devices, rate_per_minute=rate)
    timed = cutting.in_turn(
        new, wait_seconds=turn.wait_seconds, end_seconds=turn.end_seconds, rate_per_minute=rate
    )
    return list(timed)
