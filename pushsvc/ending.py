"""The ends of a batch: what is settled before it is sent, and what is written down after."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from pushsvc.clock import Clock
from pushsvc.delivery import dispatch, evidence
from pushsvc.delivery.conclusion import Conclusion, Rules, conclude
from pushsvc.delivery.retry import Limits
from pushsvc.model import Batch, Device, Halt, Ledger, Push
from pushsvc.resources import Resources
from pushsvc.shaping import body
from pushsvc.stats import tally
from pushsvc.storage import batches, halts
from pushsvc.storage.engine import PASSING_ERRORS
from pushsvc.storage.leases import LEASE_LIMIT

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: A batch whose messages are out must be written down: the pause between two tries is shorter than
#: that of the clock, which hands out what nobody closed; and the end of trying.
FINISH_PAUSE_SECONDS = 0.1
FINISH_SECONDS = 600
ROUTES = evidence.Routes(parties_of=body.parties_of, gateway_of=body.gateway_of)


async def take_up(resources: Resources, push: Push, batch: Batch, *, sheet: dispatch.Sheet) -> None:
    """Keep a journal of a batch; settle all of one that a worker before us may have sent some of.

    What is only looked at was sent in no case, and is looked at again.
    """
    if push.validate_only:
        return
    if batch.leases == 1:
        resources.journal.follow(batch, sheet)
    else:
        await _take_over(resources, batch, sheet=sheet)


async def _take_over(resources: Resources, batch: Batch, *, sheet: dispatch.Sheet) -> None:
    """Settle what the worker before us had settled, and leave the rest in doubt: nothing is sent.

    Whether it is sent again, in a follow-up, is for the push to say. What was settled, and could
    not be written down so many times, is left in doubt, too: it may be that which cannot be.
    """
    if batch.leases <= LEASE_LIMIT:
        for place, answer in (await resources.journal.read(batch)).items():
            if sheet.is_open(place):
                sheet.settle(place, answer)
    sheet.settle_rest(dispatch.WORKER_LOST)


def settle_early(batch: Batch, *, devices: Sequence[Device], sheet: dispatch.Sheet) -> None:
    """Settle the devices that no message goes to."""
    if len(devices) < batch.size:
        present = {device.place for device in devices}
        for index in range(batch.size):
            if index not in present and sheet.is_open(index):
                sheet.settle(index, dispatch.NO_INSTALLATION)
    if batch.seconds_left is not None and batch.seconds_left <= 0:
        sheet.settle_rest(dispatch.EXPIRED)
    elif batch.leases > LEASE_LIMIT:
        sheet.settle_rest(dispatch.WORKER_LOST)


def time_of(batch: Batch, clock: Clock) -> Callable[[], datetime]:
    """Return what tells the database's time, as counted from the lease.

    Ages and expiries are by its clock; a worker's own may be minutes off.
    """
    began = clock.monotonic()
    return lambda: batch.leased_at + timedelta(seconds=clock.monotonic() - began)


async def finish(
    resources: Resources,
    push: Push,
    batch: Batch,
    *,
    devices: list[Device],
    sheet: dispatch.Sheet,
    now: datetime,
) -> None:
    """Decide what came of each device, and close the batch with it."""
    closed = False
    try:
        doubtful = await _doubtful(resources, push, batch)
        for place in doubtful:
            if sheet.answers.get(place) is dispatch.CANCELLED:
                sheet.settle(place, dispatch.IN_DOUBT)
        ledger = ledger_of(
            resources, push, batch, devices=devices, sheet=sheet, now=now, in_doubt=doubtful
        )
        finish_batch = partial(batches.finish_batch, resources.engine, batch, ledger)
        closed = bool(await write_down(resources, finish_batch, name=push.object_id))
    finally:
        resources.journal.leave(batch, closed=closed)
    if not closed:
        log.warning("batch.taken_over", push=push.object_id, seq=batch.seq)


async def _doubtful(resources: Resources, push: Push, batch: Batch) -> Collection[int]:
    """Return the places of a cancelled push's devices that may have their message already."""
    if push.halt is not Halt.CANCEL or batch.attempt == 1:
        return ()
    try:
        return await halts.in_doubt(resources.engine, batch)
    except PASSING_ERRORS as error:
        # Nobody can say, then; what is out must be written down.
        log.warning("ledger.unreachable", batch=batch.seq, error=type(error).__name__)
        return range(batch.size)


def ledger_of(
    resources: Resources,
    push: Push,
    batch: Batch,
    *,
    devices: Sequence[Device],
    sheet: dispatch.Sheet,
    now: datetime,
    in_doubt: Collection[int] = (),
) -> Ledger:
    """Decide what came of each device of a batch, every one of which is settled.

    `in_doubt` are places whose device may have the message of an earlier attempt.
    """
    for place, answer in evidence.outdated(batch, sheet.answers).items():
        sheet.settle(place, answer)
    if sheet.answers or in_doubt:
        end = _concluded(
            resources, push, batch, devices=devices, sheet=sheet, now=now, in_doubt=in_doubt
        )
    else:
        # A plain yes for each: there is nothing to decide.
        end = Conclusion(outcomes=bytes(sheet.outcomes), exceptions={}, follow_ups=())
    found = evidence.gather(push, batch, devices, answers=sheet.answers, routes=ROUTES)
    types = [tally.NO_TYPE] * batch.size
    for device in devices:
        types[device.place] = device.device_type
    return Ledger(
        outcomes=end.outcomes,
        counts=tally.count(types, end.outcomes),
        exceptions=end.exceptions,
        follow_ups=end.follow_ups,
        evidence=found,
        answered=evidence.weigh(devices, outcomes=end.outcomes, evidence=found, routes=ROUTES),
    )


def _concluded(
    resources: Resources,
    push: Push,
    batch: Batch,
    *,
    devices: Sequence[Device],
    sheet: dispatch.Sheet,
    now: datetime,
    in_doubt: Collection[int],
) -> Conclusion:
    settings = resources.settings
    limits = Limits(
        # Work that workers die over is not carried on: somebody must look at it.
        attempts=settings.attempt_limit if batch.leases <= LEASE_LIMIT else 0,
        seconds=settings.retry_seconds,
        hold_seconds=settings.credential_hold_seconds,
    )
    rules = Rules(
        limits=limits,
        now=now,
        jitter=random.random(),  # noqa: S311 - spreads retries; guards nothing
        gateway_of=body.gateway_of,
        in_doubt=in_doubt,
    )
    return conclude(
        push, batch, devices, outcomes=sheet.outcomes, answers=sheet.answers, rules=rules
    )


async def write_down(
    resources: Resources, write: Callable[[], Awaitable[T]], *, name: str
) -> T | None:
    """Close what was sent; its messages are out, so a database that is away is waited for.

    The lease may run out meanwhile: until another worker claims a batch, it is ours to close.
    Returns None where the database did not come back.
    """
    end = resources.clock.monotonic() + FINISH_SECONDS
    while resources.clock.monotonic() < end:
        try:
            return await write()
        except PASSING_ERRORS as error:
            log.warning("ledger.unreachable", of=name, error=type(error).__name__)
            await asyncio.sleep(FINISH_PAUSE_SECONDS)
    return None
