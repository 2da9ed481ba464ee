"""A push is cancelled, paused, resumed, moved to another time; and what workers do about it.

A step is one transaction under the lock of the push's row. The workers look for halts of what they
have under way, and stop handing messages out; what is left of a cancelled push is written down.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc import admission, waves
from pushsvc.delivery import dispatch
from pushsvc.errors import ConfirmationRequiredError, NotFoundError, WrongStateError
from pushsvc.model import Halt, OutcomeClass, Push, PushState, Submission
from pushsvc.planning import schedule
from pushsvc.resources import Resources
from pushsvc.stats import limits, tally
from pushsvc.storage import apps, halts, pushes, waves as stored_waves
from pushsvc.storage.halts import Ended, Left

log = structlog.get_logger(__name__)

#: Batches that are written down in one transaction, of a cancelled push: tens of milliseconds.
PIECE: Final = 10
_OVER: Final = frozenset({PushState.DONE, PushState.FAILED, PushState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The push that is meant, and who asks."""

    object_id: str
    #: None for whoever may ask about all apps' pushes
    app_id: int | None
    #: for people, as it follows "Cancelled": "through the API"
    how: str


# ---------------------------------------------------------------- steps


async def cancel(resources: Resources, named: Named) -> Push:
    """Cancel a push: what is not handed to a gateway yet never is. A repeat changes nothing.

    Raises:
        NotFoundError: there is no such push.
        WrongStateError: it is over.
    """
    async with resources.engine.begin() as connection:
        return await cancel_in(connection, named)


async def cancel_in(connection: AsyncConnection, named: Named) -> Push:
    """Do the same in a transaction of the caller's."""
    push = await _locked(connection, named)
    if push.is_cancelled:
        return push
    _refuse_over(push, "cancelled")
    reason = f"Cancelled {named.how}."
    step = halts.cancel if push.batches else halts.end_unsent
    cancelled = await step(connection, push, reason=reason)
    log.info("push.cancelled", push=push.object_id, was=push.state.value, devices=push.devices)
    return cancelled


async def pause(resources: Resources, named: Named) -> Push:
    """Pause a push: nothing more of it is handed to a gateway. A repeat changes nothing.

    Raises:
        NotFoundError: there is no such push.
        WrongStateError: it is over, or cancelled.
    """
    async with resources.engine.begin() as connection:
        push = await _locked(connection, named)
        if push.halt is Halt.PAUSE:
            return push
        _refuse_over(push, "paused")
        log.info("push.paused", push=push.object_id)
        return await halts.pause(connection, push, reason=f"Paused {named.how}.")


async def resume(resources: Resources, named: Named, *, confirm_recipients: int | None) -> Push:
    """Let a paused push go on. One that is not paused stays as it is.

    Raises:
        NotFoundError: there is no such push.
        WrongStateError: it is over, or cancelled.
        ConfirmationRequiredError: its audience is larger than what is confirmed.
    """
    async with resources.engine.begin() as connection:
        push = await _locked(connection, named)
        _refuse_over(push, "resumed")
        if push.halt is None:
            return push
        confirmed = None if push.rules is None else confirm_recipients
        require_confirmed(push, confirmed)
        log.info("push.resumed", push=push.object_id)
        return await halts.resume(connection, push, confirmed=confirmed)


async def reschedule(resources: Resources, named: Named, times: Mapping[str, Any]) -> Push:
    """Give a push that waits other times, of `schedule.TIME_KEYS`; those left out stay.

    An expiry that counts from the push's time goes along with it; null takes one away.

    Raises:
        NotFoundError: there is no such push.
        WrongStateError: its plan has begun.
        CallerError: what is wrong with the times, and in which field.
    """
    async with resources.engine.begin() as connection:
        push = await _locked(connection, named)
        if push.state is not PushState.WAITING or push.batches:
            message = (
                f"The push is {push.state.value}: only one that waits for its time can be moved. "
                "Cancel it, if it is on its way, and send another."
            )
            raise WrongStateError(message)
        asked, app = _timed(push, times), await apps.get_app(connection, push.app_id)
        stands = "push_time" not in times
        when = admission.when_due(resources, app, asked, stands=stands)
        moved = await halts.set_times(connection, push, when, now=asked.push_time is None)
        await _foresee_anew(connection, moved)
    log.info("push.moved", push=push.object_id, due_at=moved.due_at.isoformat())
    return moved


async def _foresee_anew(connection: AsyncConnection, push: Push) -> None:
    """Note the zones to come of a push whose time has changed, and forget those it had."""
    await stored_waves.forget_empty(connection, push.id, before=None)
    if push.local_time is not None:
        await waves.foresee(connection, push)


async def _locked(connection: AsyncConnection, named: Named) -> Push:
    push = await halts.lock_push(connection, app_id=named.app_id, object_id=named.object_id)
    if push is None:
        raise NotFoundError("There is no such push.")
    return push


def _refuse_over(push: Push, step: str) -> None:
    """Raise WrongStateError where there is nothing left to do it to."""
    if push.state in _OVER or push.is_cancelled:
        state = "cancelled" if push.is_cancelled else push.state.value
        message = f"The push is {state}: it can no longer be {step}."
        raise WrongStateError(message)


def require_confirmed(push: Push, confirmed: int | None) -> None:
    """Raise ConfirmationRequiredError where a run waits for a larger number than this."""
    wanted = None if push.rules is None else push.rules.unconfirmed
    if wanted is not None and (confirmed is None or confirmed < wanted):
        message = (
            f"The audience has {wanted:,} devices. If that is right, resume with "
            f"confirm_recipients {wanted} or more."
        )
        raise ConfirmationRequiredError(message, field="/confirm_recipients")


def _timed(push: Push, times: Mapping[str, Any]) -> Submission:
    """Return the push as it would have been asked for with these times."""
    moment, interval = times.get("expiration_time"), times.get("expiration_interval")
    if not times.keys() & {"expiration_time", "expiration_interval"}:
        interval = push.expiration_interval
        if interval is None and push.expires_at is not None:
            moment = schedule.iso(push.expires_at)
    return Submission(
        source=push.source,
        audience=push.audience,
        # What it says of an expiry was taken into account when it was asked for.
        content={},
        push_time=times.get("push_time", push.push_time),
        expiration_time=moment,
        expiration_interval=interval,
        late=push.late,
        rules=push.rules,
    )


# ---------------------------------------------------------------- what workers do


@asynccontextmanager
async def taken(resources: Resources, push_id: int) -> AsyncIterator[Push | None]:
    """Lend a push to work on, whose halt is watched for meanwhile; None where it is gone.

    It is read once for as long as any of it is under way here: once it is planned, nothing of it
    changes that a batch goes by, but for its halt.
    """
    with resources.halts.watching(push_id):
        yield await _read_once(resources, push_id)


async def _read_once(resources: Resources, push_id: int) -> Push | None:
    here = resources.halts
    if here.known(push_id) is None:
        async with resources.reading.setdefault(push_id, asyncio.Lock()):
            if here.known(push_id) is None:
                try:
                    here.remember(await pushes.read_push(resources.engine, push_id))
                except pushes.PushGoneError:
                    return None
    return here.known(push_id)


async def look(resources: Resources) -> None:
    """Find out which pushes under way here are halted."""
    asked = resources.halts.under_way
    if asked:
        found = await halts.halted(resources.engine, asked)
        resources.halts.hear(asked, found)


async def write_left(resources: Resources, push: Push) -> None:
    """Write down what is left of a cancelled push, in pieces, with whoever else is at it."""
    written = PIECE
    while written == PIECE and not resources.stopping.is_set():
        written = await halts.end_left(resources.engine, push.id, end=_cancelled, limit=PIECE)


def _cancelled(left: Left) -> Ended:
    outcomes = bytearray(left.outcomes)
    exceptions: dict[str, list[int]] = {}
    for place, byte in enumerate(outcomes):
        if byte == OutcomeClass.OPEN:
            answer = dispatch.IN_DOUBT if place in left.in_doubt else dispatch.CANCELLED
            outcomes[place] = answer.outcome
            exceptions.setdefault(answer.reason, []).append(place)
    types = [one or tally.NO_TYPE for one in left.device_types]
    return Ended(
        outcomes=bytes(outcomes),
        counts=tally.count(types, bytes(outcomes)),
        exceptions=exceptions,
    )


async def guard(resources: Resources, *, limit: int) -> None:
    """Pause runs of campaigns of which too much fails, and their campaigns."""
    async with resources.engine.connect() as connection:
        guarded = await halts.guarded(connection, limit=limit)
        counts = await pushes.counts_of_all(connection, guarded)
    for push in guarded:
        assert push.rules is not None
        assert push.rules.pause_when is not None
        why = limits.passed(push.rules.pause_when, tally.total(counts[push.id]))
        if why is None:
            continue
        async with resources.engine.begin() as connection:
            if await halts.trip(connection, push, reason=f"Paused by its own rule: {why}"):
                log.warning("push.paused", push=push.object_id, why=why)
