"""Each device's message to its gateway, and the sheet on which the answers are gathered."""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Final, NamedTuple

import structlog

from pushsvc.clock import Clock
from pushsvc.delivery import paced, rounds
from pushsvc.delivery.gateway import Gateway, Message, Settle
from pushsvc.delivery.paced import Consignment, Paces, Watch
from pushsvc.delivery.pacing import Asking
from pushsvc.delivery.validation import unasked, validating
from pushsvc.delivery.wns import channel
from pushsvc.model import (
    ACCEPTED,
    VALIDATED,
    Answer,
    Batch,
    Deferral,
    Device,
    Halt,
    Lane,
    OutcomeClass,
    Push,
    Refused,
    Shape,
    WnsShape,
)

log = structlog.get_logger(__name__)

SHAPING_FAILED: Final = Answer(OutcomeClass.REQUEST_BAD, "ShapingFailed")
NO_TOKEN: Final = Answer(OutcomeClass.TOKEN_DEAD, "MissingDeviceToken")
NO_CREDENTIAL: Final = Answer(OutcomeClass.CREDENTIAL, "MissingCredential")
#: Handed to a gateway, and the process was stopped before its answer came.
STOPPED: Final = Answer(OutcomeClass.UNKNOWN, "Stopped", retry_after=0.0)

#: Never handed to a gateway; a later attempt will.
NOT_SENT: Final = rounds.NOT_SENT
#: The same, of a push that was paused meanwhile.
PAUSED: Final = Answer(OutcomeClass.RETRY_SAFE, "Paused", deferral=Deferral.HELD)
#: Not handed to a gateway, and none will be.
CANCELLED: Final = Answer(OutcomeClass.CANCELLED, "Cancelled")
#: The same, after an earlier attempt that was never answered: the message may have arrived.
IN_DOUBT: Final = Answer(OutcomeClass.UNKNOWN, "CancelledInDoubt")
#: Deleted since the plan.
NO_INSTALLATION: Final = Answer(OutcomeClass.TOKEN_DEAD, "InstallationGone")
#: A worker died over the batch; the message may have been sent.
WORKER_LOST: Final = Answer(OutcomeClass.UNKNOWN, "WorkerLost", retry_after=0.0)
EXPIRED: Final = Answer(OutcomeClass.EXPIRED, "Expired")

#: Explicit devices have no row; their keys are told from row ids by the highest bit.
EXPLICIT_KEY: Final = 1 << 63


class When(NamedTuple):
    """Until when messages are handed to gateways."""

    #: whether the push has not expired
    in_time: Callable[[], bool]
    #: whether this process is to stop, or the push is halted
    stopped: Callable[[], bool]


ShapeOf = Callable[[Device], Shape | Refused]
KindsOf = Callable[[Sequence[Device]], Iterable[Hashable]]
KeyOf = Callable[[int], int]


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """The gateway of a credential, and how fast it may be used."""

    gateway: Gateway[Shape]
    pace: Paces


RouteOf = Callable[[Shape], Route | None]
#: What goes by each way.
Routed = dict[Route, list[Message[Shape]]]


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
        index = -1
        while (index := self.outcomes.find(OutcomeClass.OPEN, index + 1)) >= 0:
            self.settle(index, answer)

    @property
    def has_open(self) -> bool:
        """Whether nothing came of one device at least."""
        return OutcomeClass.OPEN in self.outcomes

    def is_open(self, index: int) -> bool:
        """Tell whether nothing came of this device yet."""
        return self.outcomes[index] == OutcomeClass.OPEN


class JointSheet(Sheet):
    """The sheets of several batches as one, for what is sent together; their places follow on."""

    def __init__(self, sheets: Sequence[Sheet]) -> None:
        super().__init__(b"".join(sheet.outcomes for sheet in sheets))
        self._at = [(sheet, place) for sheet in sheets for place in range(len(sheet.outcomes))]

    def settle(self, index: int, answer: Answer) -> None:
        """Note it on the device's own sheet, too."""
        super().settle(index, answer)
        sheet, place = self._at[index]
        sheet.settle(place, answer)


def left_of(push: Push) -> Answer:
    """Return what comes of the devices of a batch that no message was handed over for."""
    if push.halt is Halt.CANCEL:
        return CANCELLED
    return PAUSED if push.halt is Halt.PAUSE else NOT_SENT


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


def asking_of(push: Push, batch: Batch) -> Asking:
    """Tell how a batch stands to the rates of its credentials."""
    if batch.paced:
        return Asking.RESERVED
    return Asking.URGENT if push.lane is Lane.URGENT else Asking.IN_TURN


async def send(
    devices: Sequence[Device],
    sheet: Sheet,
    *,
    shape_of: ShapeOf,
    kinds_of: KindsOf | None = None,
    route_of: RouteOf,
    key_of: KeyOf,
    in_time: Callable[[], bool],
    asking: Asking = Asking.IN_TURN,
    stopped: Callable[[], bool] = lambda: False,
    validate_only: bool = False,
) -> None:
    """Send to every device that is open on the sheet; all gateways at once.

    `key_of` gives the 64-bit key of the device at a place, the lower half of its message id.
    `in_time` is asked whenever messages are handed over; those that are still here when it says no
    have expired. `asking` is how they stand to the rates of their credentials.
    `stopped` is asked, too: when it says yes, those that are still here stay open on the sheet.
    With `validate_only` the gateways that would deliver are not called.
    """
    routed: Routed = {}
    address(
        devices,
        sheet,
        into=routed,
        shape_of=shape_of,
        kinds_of=kinds_of,
        route_of=route_of,
        key_of=key_of,
        validate_only=validate_only,
    )
    settle = validating(sheet.settle) if validate_only else sheet.settle
    when = When(in_time=in_time, stopped=stopped)
    await hand_over(routed, sheet, settle=settle, when=when, asking=asking)
    if not in_time():
        sheet.settle_rest(EXPIRED)


def address(
    devices: Sequence[Device],
    sheet: Sheet,
    *,
    into: Routed,
    shape_of: ShapeOf,
    kinds_of: KindsOf | None = None,
    route_of: RouteOf,
    key_of: KeyOf,
    first: int = 0,
    validate_only: bool = False,
) -> None:
    """Shape a message for every device that is open on the sheet, or settle why there is none.

    `kinds_of` tells which devices have the same message, which is then shaped and routed once; of
    those without a kind each is. `first` is where the sheet begins among those that are handed over
    together.
    """
    outcomes = sheet.outcomes
    known: dict[Hashable, tuple[Shape, list[Message[Shape]]]] = {}
    kinds = kinds_of(devices) if kinds_of else repeat(None, len(devices))
    for device, kind in zip(devices, kinds, strict=True):
        index, token = device.place, device.token
        if outcomes[index]:  # OPEN is 0
            continue
        found = known.get(kind) if token else None
        if found is None:
            said = _route(device, shape_of, route_of)
            if isinstance(said, Answer):
                sheet.settle(index, said)
                continue
            found = said[0], into.setdefault(said[1], [])
            if kind is not None:
                known[kind] = found
        shape, messages = found
        if validate_only and (answer := unasked(token, shape)):
            sheet.settle(index, answer)
            continue
        messages.append((first + index, key_of(index), token, shape))


async def hand_over(
    routed: Routed, sheet: Sheet, *, settle: Settle, when: When, asking: Asking
) -> None:
    """Send what goes by each way, all at once."""
    ends = await asyncio.gather(
        *(
            _send(route, messages, sheet, settle=settle, when=when, asking=asking)
            for route, messages in routed.items()
        ),
        return_exceptions=True,
    )
    # A fault of ours in one gateway's code is no reason to give up the others' messages.
    for end in ends:
        if isinstance(end, BaseException):
            log.error("gateway.failed", exc_info=end)


def _route(device: Device, shape_of: ShapeOf, route_of: RouteOf) -> tuple[Shape, Route] | Answer:
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
    route = route_of(shape)
    if route is not None:
        return shape, route
    # A channel that is not served any more would be none with a credential, either.
    unserved = channel.refusal(device.token) if isinstance(shape, WnsShape) else None
    return unserved or NO_CREDENTIAL


async def _send(
    route: Route,
    messages: Sequence[Message[Shape]],
    sheet: Sheet,
    *,
    settle: Settle,
    when: When,
    asking: Asking,
) -> None:
    """Send with one credential, as fast as its pace allows."""
    consignment = Consignment(
        messages=messages,
        hand=partial(_hand, route.gateway, sheet=sheet, settle=settle, when=when),
        is_open=sheet.is_open,
        answers=sheet.answers,
        settle=sheet.settle,
        in_time=when.in_time,
    )
    await paced.send(consignment, route.pace, asking)


async def _hand(
    gateway: Gateway[Shape],
    messages: Sequence[Message[Shape]],
    watch: Watch,
    *,
    sheet: Sheet,
    settle: Settle,
    when: When,
) -> None:
    """Hand messages to a gateway; whatever stops it, what it was handed has an answer."""
    handed = 0
    time = asyncio.get_running_loop().time

    def over() -> bool:
        return when.stopped() or not when.in_time()

    def hand() -> Iterator[Message[Shape]]:
        nonlocal handed
        asked_at = None
        for message in messages:
            # Within a turn of the loop its time stands still, and nothing comes in between.
            if (now := time()) != asked_at:
                if watch.hangs or over():
                    return
                asked_at = now
            handed += 1
            yield message

    try:
        await gateway.send(hand(), settle, over)
    finally:
        for index, *_ in messages[:handed] if sheet.has_open else ():
            if sheet.is_open(index):
                sheet.settle(index, STOPPED)
