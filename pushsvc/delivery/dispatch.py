"""Each device's message to its gateway, and the sheet on which the answers are gathered."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import structlog

from pushsvc.clock import Clock
from pushsvc.delivery.gateway import Gateway, Message, Settle
from pushsvc.delivery.validation import unasked, validating
from pushsvc.model import (
    ACCEPTED,
    VALIDATED,
    Answer,
    Batch,
    Device,
    OutcomeClass,
    Refused,
    Shape,
)

log = structlog.get_logger(__name__)

SHAPING_FAILED: Final = Answer(OutcomeClass.REQUEST_BAD, "ShapingFailed")
NO_TOKEN: Final = Answer(OutcomeClass.TOKEN_DEAD, "MissingDeviceToken")
NO_CREDENTIAL: Final = Answer(OutcomeClass.CREDENTIAL, "MissingCredential")
#: Handed to a gateway, and the process was stopped before its answer came.
STOPPED: Final = Answer(OutcomeClass.UNKNOWN, "Stopped")

#: Never handed to a gateway; a later attempt will.
NOT_SENT: Final = Answer(OutcomeClass.RETRY_SAFE, "NotSent")
#: Deleted since the plan.
NO_INSTALLATION: Final = Answer(OutcomeClass.TOKEN_DEAD, "InstallationGone")
#: A worker died over the batch; the message may have been sent.
WORKER_LOST: Final = Answer(OutcomeClass.UNKNOWN, "WorkerLost")
EXPIRED: Final = Answer(OutcomeClass.EXPIRED, "Expired")

#: Explicit devices have no row; their keys are told from row ids by the highest bit.
EXPLICIT_KEY: Final = 1 << 63

ShapeOf = Callable[[Device], Shape | Refused]
KeyOf = Callable[[int], int]
GatewayOf = Callable[[Shape], Gateway[Shape] | None]


class Sheet:
    """The outcomes of one batch: a byte for each device, and the answers that were not a yes."""

    def __init__(self, outcomes: bytes) -> None:
        self.outcomes = bytearray(outcomes)
        self.answers: dict[int, Answer] = {}

    def settle(self, index: int, answer: Answer) -> None:
        """Note what came of the device at this place; called once for each."""
        self.outcomes[index] = answer.outcome
        if answer is not ACCEPTED and answer is not VALIDATED:
            self.answers[index] = answer

    def settle_rest(self, answer: Answer) -> None:
        """Note the same for every device that nothing came of yet."""
        for index, byte in enumerate(self.outcomes):
            if byte == OutcomeClass.OPEN:
                self.settle(index, answer)

    def is_open(self, index: int) -> bool:
        """Tell whether nothing came of this device yet."""
        return self.outcomes[index] == OutcomeClass.OPEN


def keys_of(batch: Batch) -> KeyOf:
    """Return the 64-bit key of the device at each place: its row's, or batch and place."""
    if batch.installation_ids:
        return batch.installation_ids.__getitem__
    first = explicit_key(batch.seq, 0)
    return lambda index: first | index


def explicit_key(seq: int, place: int) -> int:
    """Return the key of an explicit device: it has one in each batch that it is in."""
    return EXPLICIT_KEY | seq << 32 | place


def in_time(batch: Batch, clock: Clock) -> Callable[[], bool]:
    """Return what tells whether the push has not expired yet, as counted from the lease."""
    left, now = batch.seconds_left, clock.monotonic
    if left is None:
        return lambda: True
    end = now() + left
    return lambda: now() < end


async def send(
    devices: Iterable[Device],
    sheet: Sheet,
    *,
    shape_of: ShapeOf,
    gateway_of: GatewayOf,
    key_of: KeyOf,
    in_time: Callable[[], bool],
    validate_only: bool = False,
) -> None:
    """Send to every device that is open on the sheet; all gateways at once.

    `key_of` gives the 64-bit key of the device at a place, the lower half of its message id.
    `in_time` is asked before each message; those that are still here when it says no have expired.
    With `validate_only` the gateways that would deliver are not called.
    """
    routed: dict[Gateway[Shape], list[Message[Shape]]] = {}
    for device in devices:
        index = device.index
        if not sheet.is_open(index):
            continue
        found = _route(device, shape_of, gateway_of)
        if isinstance(found, Answer):
            sheet.settle(index, found)
            continue
        shape, gateway = found
        if validate_only and (answer := unasked(device.token, shape)):
            sheet.settle(index, answer)
            continue
        messages = routed.get(gateway)
        if messages is None:
            messages = routed[gateway] = []
        messages.append((index, key_of(index), device.token, shape))
    settle = validating(sheet.settle) if validate_only else sheet.settle
    ends = await asyncio.gather(
        *(
            _send(gateway, messages, sheet, settle=settle, in_time=in_time)
            for gateway, messages in routed.items()
        ),
        return_exceptions=True,
    )
    # A fault of ours in one gateway's code is no reason to give up the others' messages.
    for end in ends:
        if isinstance(end, BaseException):
            log.error("gateway.failed", exc_info=end)
    if not in_time():
        sheet.settle_rest(EXPIRED)


def _route(
    device: Device, shape_of: ShapeOf, gateway_of: GatewayOf
) -> tuple[Shape, Gateway[Shape]] | Answer:
    """Return what goes to the device and by which gateway, or why nothing can."""
    if not device.token:
        return NO_TOKEN
    try:
        shape = shape_of(device)
    except Exception:
        # A fault of ours in one device's message is no reason to give up the others'.
        log.exception("shaping.failed", device_type=device.device_type)
        return SHAPING_FAILED
    if isinstance(shape, Refused):
        return Answer(OutcomeClass.REQUEST_BAD, shape.reason)
    gateway = gateway_of(shape)
    return NO_CREDENTIAL if gateway is None else (shape, gateway)


async def _send(
    gateway: Gateway[Shape],
    messages: list[Message[Shape]],
    sheet: Sheet,
    *,
    settle: Settle,
    in_time: Callable[[], bool],
) -> None:
    """Send to one gateway; whatever stops it, what it was handed has an answer."""
    handed = 0

    def hand() -> Iterator[Message[Shape]]:
        nonlocal handed
        for message in messages:
            if not in_time():
                return
            handed += 1
            yield message

    try:
        await gateway.send(hand(), settle)
    finally:
        for index, *_ in messages[:handed]:
            if sheet.is_open(index):
                sheet.settle(index, STOPPED)
