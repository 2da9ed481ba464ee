"""What the clock wakes workers for: what is due, and what Redis or a dead worker forgot."""

from itertools import islice
from typing import Final

import structlog

from pushsvc.model import Lane
from pushsvc.planning import fair
from pushsvc.resources import Resources
from pushsvc.storage import batches, claims, due, halts
from pushsvc.storage.due import Work

log = structlog.get_logger(__name__)

#: What one look of the clock takes up; the next look takes more.
CLOCK_LIMIT: Final = 200
#: Of the batches that have waited longest so many show whether the queue has lost any.
PROBE: Final = 20


async def wake(resources: Resources, work: Work) -> None:
    """Have workers take up what waits of this work."""
    engine, waker = resources.engine, resources.queue
    if work.plans:
        await claims.put_back(engine)
        async with engine.connect() as connection:
            plans = await due.due_pushes(connection, limit=CLOCK_LIMIT)
        await waker.wake_plans(plans, anew=True)
    if work.leases and (released := await batches.expire_leases(engine, limit=CLOCK_LIMIT)):
        log.warning("leases.expired", batches=released)
    if work.urgent or work.leases:
        await _wake_lane(resources, Lane.URGENT)
    if work.bulk or work.leases:
        await _wake_lane(resources, Lane.BULK)
    if work.cancelled:
        async with engine.connect() as connection:
            cancelled = await halts.cancelled(connection, limit=CLOCK_LIMIT)
        await waker.wake_batches(cancelled, anew=True)


async def _wake_lane(resources: Resources, lane: Lane) -> None:
    """Queue the open batches that the queue does not have.

    They are in it, mostly: only where one of those that have waited longest is not, more of them
    are looked at.
    """
    if await _queue(resources, lane, look=PROBE):
        await _queue(resources, lane, look=batches.LOOK)


async def _queue(resources: Resources, lane: Lane, *, look: int) -> bool:
    """Queue open batches, pushes in turns; tell whether any of them was missing."""
    found = await batches.open_batches(resources.engine, lane, look=look)
    turns = fair.in_turns(found, lambda ref: ref.app_id, lambda ref: ref.push_id)
    return await resources.queue.wake_batches(list(islice(turns, batches.LOOK)), anew=True) > 0
