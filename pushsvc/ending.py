"""The ends of a batch: what is settled before it is sent, and what is written down after."""

import asyncio
import random

import structlog

from pushsvc.delivery import dispatch
from pushsvc.delivery.conclusion import Rules, conclude, may_repeat
from pushsvc.delivery.retry import Limits
from pushsvc.model import Batch, Device, Ledger, Push
from pushsvc.resources import Resources
from pushsvc.shaping import body
from pushsvc.stats import tally
from pushsvc.storage import batches
from pushsvc.storage.engine import PASSING_ERRORS
from pushsvc.storage.leases import LEASE_LIMIT

log = structlog.get_logger(__name__)

#: A batch whose messages are out must be written down: the pause between two tries is shorter than
#: that of the clock, which hands out what nobody closed; and the end of trying.
FINISH_PAUSE_SECONDS = 0.1
FINISH_SECONDS = 600


def settle_early(push: Push, batch: Batch, *, devices: list[Device], sheet: dispatch.Sheet) -> None:
    """Settle the devices that no message goes to."""
    present = {device.index for device in devices}
    for index in range(batch.size):
        if index not in present and sheet.is_open(index):
            sheet.settle(index, dispatch.NO_INSTALLATION)
    if batch.seconds_left is not None and batch.seconds_left <= 0:
        sheet.settle_rest(dispatch.EXPIRED)
    elif batch.leases > LEASE_LIMIT or (batch.leases > 1 and not may_repeat(push)):
        sheet.settle_rest(dispatch.WORKER_LOST)


async def finish(
    resources: Resources,
    push: Push,
    batch: Batch,
    *,
    devices: list[Device],
    sheet: dispatch.Sheet,
) -> None:
    """Decide what came of each device, and close the batch with it."""
    # Work that workers die over is not carried on: somebody must look at it.
    settings = resources.settings
    limits = Limits(
        attempts=settings.attempt_limit if batch.leases <= LEASE_LIMIT else 0,
        seconds=settings.retry_seconds,
        hold_seconds=settings.credential_hold_seconds,
    )
    rules = Rules(
        limits=limits,
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
