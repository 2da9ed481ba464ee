"""What a sheet of answers means: what is final, what is tried again. Pure."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pushsvc.delivery.retry import Limits, Tried, wait_seconds
from pushsvc.model import (
    Answer,
    Batch,
    Deferral,
    Device,
    GatewayName,
    Halt,
    NewBatch,
    OnUnknown,
    OutcomeClass,
    Push,
)

#: Delays are rounded up, so that one batch's retries make few follow-ups: to a second below a
#: minute, to a quarter of a minute above.
FINE_SECONDS: Final = 1
COARSE_SECONDS: Final = 15
COARSE_FROM_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the conclusion depends on besides the answers."""

    limits: Limits
    now: datetime
    #: drawn evenly from [0, 1); one for the batch, so that its devices go on together
    jitter: float
    gateway_of: Callable[[Device], GatewayName | None]
    #: places whose message may have arrived in an earlier attempt; told of cancelled pushes alone
    in_doubt: Collection[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """The ledger's part of it: final bytes, reasons, follow-ups."""

    outcomes: bytes
    exceptions: Mapping[str, Sequence[int]]
    follow_ups: Sequence[NewBatch]


@dataclass(frozen=True, slots=True, order=True)
class _Way:
    """What the devices of one follow-up have in common."""

    delay: float
    attempt: int
    paced: bool


def conclude(
    push: Push,
    batch: Batch,
    devices: Sequence[Device],
    *,
    outcomes: bytearray,
    answers: Mapping[int, Answer],
    rules: Rules,
) -> Conclusion:
    """Decide about every device of the batch.

    A device is carried on into a follow-up where waiting can help, time and attempts are left and
    the push will not have expired; of a cancelled push none is. Every device has been settled, one
    way or another.
    """
    final = bytearray(outcomes)
    device_of = {device.place: device for device in devices}
    carried: dict[_Way, list[int]] = {}
    exceptions: dict[str, list[int]] = {}
    tried = Tried(attempt=batch.attempt, age=_age(batch, rules.now))
    for index, answer in answers.items():
        exceptions.setdefault(answer.reason, []).append(index)
        if answer.outcome is OutcomeClass.UNKNOWN and not may_repeat(push):
            continue
        gateway = _gateway_at(index, device_of, rules)
        wait = wait_seconds(answer, tried, rules.limits, gateway=gateway, jitter=rules.jitter)
        if wait is None:
            continue
        delay, mark = _rounded_up(wait), _mark(push, answer)
        if push.halt is Halt.CANCEL:
            final[index] = OutcomeClass.CANCELLED
        elif push.expires_at and rules.now + timedelta(seconds=delay) >= push.expires_at:
            # What may have arrived in time is not called expired.
            doubt = mark is OutcomeClass.RESENT
            final[index] = OutcomeClass.UNKNOWN if doubt else OutcomeClass.EXPIRED
        else:
            final[index] = mark
            carried.setdefault(_way(answer, delay, batch), []).append(index)
    for index in rules.in_doubt:
        if final[index] == OutcomeClass.CANCELLED:
            final[index] = OutcomeClass.UNKNOWN
    return Conclusion(
        outcomes=bytes(final),
        exceptions=exceptions,
        follow_ups=[_follow_up(batch, sorted(carried[way]), way=way) for way in sorted(carried)],
    )


def _age(batch: Batch, now: datetime) -> float:
    """Return the seconds since the devices were first tried; 0 where that was in this batch."""
    if batch.first_tried_at is None:
        return 0.0
    return max(0.0, (now - batch.first_tried_at).total_seconds())


def _mark(push: Push, answer: Answer) -> OutcomeClass:
    """Return what the ledger keeps of a device that goes on: whether it may get the push twice."""
    doubtful = answer.outcome is OutcomeClass.UNKNOWN and not push.validate_only
    return OutcomeClass.RESENT if doubtful else OutcomeClass.CARRIED


def _way(answer: Answer, delay: float, batch: Batch) -> _Way:
    asked = answer.deferral is None
    return _Way(delay, batch.attempt + asked, answer.deferral is Deferral.PACED)


def may_repeat(push: Push) -> bool:
    """Tell whether what may have been sent is sent again; what is only looked at never was."""
    if push.validate_only:
        return True
    return push.on_unknown is OnUnknown.RESEND and push.halt is not Halt.CANCEL


def _gateway_at(index: int, device_of: Mapping[int, Device], rules: Rules) -> GatewayName:
    """Return whose pace a retry keeps; any, where the device could not even be loaded."""
    device = device_of.get(index)
    return (rules.gateway_of(device) if device else None) or GatewayName.APNS


def _rounded_up(seconds: float) -> float:
    grain = FINE_SECONDS if seconds < COARSE_FROM_SECONDS else COARSE_SECONDS
    return float(math.ceil(seconds / grain) * grain)


def _follow_up(batch: Batch, places: Sequence[int], *, way: _Way) -> NewBatch:
    first = batch.first_tried_at
    if not way.paced:
        first = first or batch.leased_at
    elif first is not None:
        # To wait for a turn is no try: nobody ages meanwhile.
        first += timedelta(seconds=way.delay)
    return NewBatch(
        installation_ids=[batch.installation_ids[p] for p in places if batch.installation_ids],
        recipients=[batch.recipients[p] for p in places if batch.recipients],
        attempt=way.attempt,
        first_tried_at=first,
        paced=way.paced,
        delay_seconds=way.delay,
        # The lease that sent them has changed the badges; a change happens once.
        badges_applied=True,
        zone=batch.zone,
        variant=batch.variant,
        expires_at=batch.expires_at,
    )
