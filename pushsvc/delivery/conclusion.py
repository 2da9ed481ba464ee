"""What a sheet of answers means: what is final, what is tried again, which tokens died. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pushsvc.delivery.retry import not_before, retryable
from pushsvc.model import (
    Answer,
    Batch,
    Device,
    GatewayName,
    NewBatch,
    OnUnknown,
    OutcomeClass,
    Push,
    Retirement,
)

#: Delays are rounded up, so that one batch's retries make few follow-ups: to a second below a
#: minute, to a quarter of a minute above.
FINE_SECONDS: Final = 1
COARSE_SECONDS: Final = 15
COARSE_FROM_SECONDS: Final = 60
#: FCM's word for a token whose app is gone.
UNREGISTERED: Final = "UNREGISTERED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the conclusion depends on besides the answers."""

    attempt_limit: int
    now: datetime
    #: drawn evenly from [0, 1); one for the batch, so that its devices go on together
    jitter: float
    gateway_of: Callable[[Device], GatewayName | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """The ledger's part of it: final bytes, reasons, follow-ups, dead tokens."""

    outcomes: bytes
    exceptions: Mapping[str, Sequence[int]]
    follow_ups: Sequence[NewBatch]
    retirements: Sequence[Retirement]


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

    A device is carried on into a follow-up where waiting can help, attempts are left and the
    push will not have expired. Every device has been settled, one way or another.
    """
    final = bytearray(outcomes)
    device_of = {device.index: device for device in devices}
    carried: dict[float, list[int]] = {}
    exceptions: dict[str, list[int]] = {}
    for index, answer in answers.items():
        exceptions.setdefault(answer.reason, []).append(index)
        if not _again(push, answer, attempt=batch.attempt, limit=rules.attempt_limit):
            continue
        gateway = _gateway_at(index, device_of, rules)
        delay = _delay(answer, batch.attempt, gateway=gateway, jitter=rules.jitter)
        doubt = answer.outcome is OutcomeClass.UNKNOWN and not push.validate_only
        if push.expires_at and rules.now + timedelta(seconds=delay) >= push.expires_at:
            # What may have arrived in time is not called expired.
            final[index] = OutcomeClass.UNKNOWN if doubt else OutcomeClass.EXPIRED
        else:
            final[index] = OutcomeClass.RESENT if doubt else OutcomeClass.CARRIED
            carried.setdefault(delay, []).append(index)
    return Conclusion(
        outcomes=bytes(final),
        exceptions=exceptions,
        follow_ups=[
            _follow_up(batch, sorted(places), delay=delay)
            for delay, places in sorted(carried.items())
        ],
        retirements=_retirements(batch, device_of, _evidence(push, answers)),
    )


def _again(push: Push, answer: Answer, *, attempt: int, limit: int) -> bool:
    if attempt >= limit:
        return False
    if answer.outcome is OutcomeClass.UNKNOWN:
        return may_repeat(push)
    return retryable(answer.outcome)


def may_repeat(push: Push) -> bool:
    """Tell whether what may have been sent is sent again; what is only looked at never was."""
    return push.validate_only or push.on_unknown is OnUnknown.RESEND


def _gateway_at(index: int, device_of: Mapping[int, Device], rules: Rules) -> GatewayName:
    """Return whose pace a retry keeps; any, where the device could not even be loaded."""
    device = device_of.get(index)
    return (rules.gateway_of(device) if device else None) or GatewayName.APNS


def _delay(answer: Answer, attempt: int, *, gateway: GatewayName, jitter: float) -> float:
    delay = not_before(answer, attempt, gateway=gateway, jitter=jitter)
    grain = FINE_SECONDS if delay < COARSE_FROM_SECONDS else COARSE_SECONDS
    return float(math.ceil(delay / grain) * grain)


def _follow_up(batch: Batch, places: Sequence[int], *, delay: float) -> NewBatch:
    return NewBatch(
        installation_ids=[batch.installation_ids[p] for p in places if batch.installation_ids],
        recipients=[batch.recipients[p] for p in places if batch.recipients],
        attempt=batch.attempt + 1,
        delay_seconds=delay,
        # The lease that sent them has changed the badges; a change happens once.
        badges_applied=True,
    )


def _evidence(push: Push, answers: Mapping[int, Answer]) -> Mapping[int, Answer]:
    """Return the answers that call tokens dead; where we only look, FCM's plain word alone does."""
    return {
        index: answer
        for index, answer in answers.items()
        if answer.outcome is OutcomeClass.TOKEN_DEAD
        and (not push.validate_only or answer.reason == UNREGISTERED)
    }


def _retirements(
    batch: Batch, device_of: Mapping[int, Device], dead: Mapping[int, Answer]
) -> list[Retirement]:
    """Name the tokens to retire: those of installations that their own gateway calls dead."""
    if not batch.installation_ids:
        return []
    return [
        Retirement(
            installation_id=batch.installation_ids[index],
            token=device_of[index].token,
            since=(
                datetime.fromtimestamp(answer.invalid_since_ms / 1000, UTC)
                if answer.invalid_since_ms is not None
                else None
            ),
        )
        for index, answer in dead.items()
        if index in device_of and device_of[index].token
    ]
