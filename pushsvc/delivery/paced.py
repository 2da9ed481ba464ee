"""The messages of one batch to one credential, as fast as its pace allows."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final, Protocol

from pushsvc.delivery import circuit
from pushsvc.delivery.circuit import STALLED, Heard, Trouble
from pushsvc.delivery.gateway import Message, Settle
from pushsvc.delivery.pacing import Asking, Grant
from pushsvc.model import Answer, Deferral, OutcomeClass, Shape

#: What is out is looked at so often within the time after which a gateway is taken to hang.
LOOKS: Final = 5
#: What one batch has too much goes on in at most so many follow-ups...
MOST_TURNS: Final = 10
#: ...none of which is for less than this.
TURN_SECONDS: Final = 1.0
#: What is held comes back up to so much later, so that not all of it does at once.
SPREAD: Final = 0.25

PACED: Final = Answer(OutcomeClass.RETRY_SAFE, "Paced", deferral=Deferral.PACED)
HANGS: Final = Answer(
    OutcomeClass.RETRY_SAFE, f"CircuitOpen: {STALLED}", TURN_SECONDS, deferral=Deferral.HELD
)


class Paces(Protocol):
    """What dispatch asks of a credential's pace; `pacing.Pace` has it."""

    @property
    def stall_seconds(self) -> float:
        """How long nothing is settled before the gateway is taken to hang."""

    @property
    def narrow(self) -> frozenset[str]:
        """Refusals of a part of the credential alone."""

    async def acquire(self, count: int, asking: Asking) -> Grant:
        """Ask for so many messages."""

    async def tell(self, heard: Heard, *, probe: bool) -> None:
        """Take in what came of some."""

    def settled(self) -> None:
        """Note that messages are being settled."""

    def waits(self, who: object, count: int) -> None:
        """Note of how many messages somebody has heard nothing for so long."""

    def stalls(self) -> bool:
        """Tell whether the gateway hangs, for all that this process knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consignment:
    """What is to be sent with one credential, and where its answers are found."""

    messages: Sequence[Message[Shape]]
    #: hands messages to the gateway until all are settled, or the watch says that it hangs
    hand: Callable[[Sequence[Message[Shape]], "Watch"], Awaitable[None]]
    is_open: Callable[[int], bool]
    #: of all but a plain yes
    answers: Mapping[int, Answer]
    settle: Settle
    in_time: Callable[[], bool]


class Watch:
    """Looks at messages that are out; `hangs` once nothing was settled for long."""

    def __init__(
        self, consignment: Consignment, part: Sequence[Message[Shape]], pace: Paces
    ) -> None:
        """Begin to look; `end` ends it."""
        self.hangs = False
        self._lot = consignment
        self._part = part
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._waiting = len(part)
        self._since = self._loop.time()
        self._timer = self._later()

    def _later(self) -> asyncio.TimerHandle:
        return self._loop.call_later(self._pace.stall_seconds / LOOKS, self._look)

    def end(self) -> None:
        """Look no more."""
        self._timer.cancel()
        self._pace.waits(self, 0)

    def _look(self) -> None:
        now = self._loop.time()
        waiting = sum(self._lot.is_open(index) for index, *_ in self._part)
        if waiting < self._waiting:
            self._waiting, self._since = waiting, now
            self._pace.waits(self, 0)
            self._pace.settled()
        elif now - self._since >= self._pace.stall_seconds:
            self._pace.waits(self, waiting)
            self.hangs = self.hangs or self._pace.stalls()
        self._timer = self._later()


async def send(consignment: Consignment, pace: Paces, asking: Asking) -> None:
    """Send what may go now, and put off the rest.

    After a probe it is asked again: where that went well, all others go at once.
    """
    rest = consignment.messages
    while rest:
        grant = await pace.acquire(len(rest), asking)
        part, rest = rest[: grant.count], rest[grant.count :]
        if part:
            watch = Watch(consignment, part, pace)
            try:
                await consignment.hand(part, watch)
            finally:
                watch.end()
            if watch.hangs:
                if grant.probe:
                    await pace.tell(_stalled(part), probe=True)
                _hold(consignment, [*part, *rest], HANGS)
                return
            await pace.tell(_heard(consignment, part, pace), probe=grant.probe)
        if not grant.probe:
            _put_off(consignment, rest, grant)
            return


def _put_off(consignment: Consignment, rest: Sequence[Message[Shape]], grant: Grant) -> None:
    if grant.held is not None:
        _hold(consignment, rest, grant.held)
        return
    interval = grant.interval_seconds
    size = max(ceil(len(rest) / MOST_TURNS), ceil(TURN_SECONDS / interval) if interval else 1)
    for start in range(0, len(rest), size):
        turn = replace(PACED, retry_after=grant.wait_seconds + start * interval)
        for index, *_ in rest[start : start + size]:
            consignment.settle(index, turn)


def _hold(consignment: Consignment, messages: Sequence[Message[Shape]], why: Answer) -> None:
    """Settle what is open of these; a push that has expired meanwhile is no matter of the pace."""
    if not consignment.in_time():
        return
    late = 1 + SPREAD * random.random()  # noqa: S311 - spreads retries; guards nothing
    held = replace(why, retry_after=(why.retry_after or 0.0) * late)
    for index, *_ in messages:
        if consignment.is_open(index):
            consignment.settle(index, held)


def _stalled(part: Sequence[Message[Shape]]) -> Heard:
    return Heard(failures=len(part), trouble=Trouble.SILENT, reason=STALLED)


def _heard(consignment: Consignment, part: Sequence[Message[Shape]], pace: Paces) -> Heard:
    """Sum up what came of a part; most often that is a yes for each, told without a look at it."""
    if not consignment.answers:
        # Handed in their order: where the first one is not settled, none is.
        return Heard(alive=0 if consignment.is_open(part[0][0]) else len(part))
    handed = [index for index, *_ in part if not consignment.is_open(index)]
    said = [consignment.answers[index] for index in handed if index in consignment.answers]
    return circuit.heard(said, accepted=len(handed) - len(said), narrow=pace.narrow)
