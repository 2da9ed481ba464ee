"""How fast a credential may be used, and whether at all: one state in Redis for all workers.

Redis may be away, or have lost everything: then all is allowed but what this process itself has
just seen to be in trouble. What is put off lies in Postgres.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from pushsvc.clock import Clock
from pushsvc.delivery import pacing_scripts as scripts
from pushsvc.delivery.answers import REASON_LIMIT_CHARACTERS
from pushsvc.delivery.circuit import (
    CIRCUITS,
    FAILURES_IN_A_ROW,
    LIFE_SECONDS,
    STALL_SECONDS,
    STALLED,
    Heard,
    Trouble,
)
from pushsvc.model import Answer, Deferral, OutcomeClass

#: A probe whose worker died is given to another one after this: longer than connecting and the
#: deadline of a message take.
PROBE_SECONDS: Final = 45.0
#: "All clear" holds for so long without another question, where nothing has to be counted first.
CLEAR_SECONDS: Final = 0.25
#: After a failure Redis is not asked again for so long: it may be one that hangs.
QUIET_SECONDS: Final = 1.0
UNREACHABLE: Final = (RedisError, OSError)

log = structlog.get_logger(__name__)


class Asking(Enum):
    """How a batch stands to the rate; pauses hold for all of them."""

    #: what is too much gets a time
    IN_TURN = "in turn"
    #: goes at once, and those in turn have so much less
    URGENT = "urgent"
    #: comes at a time that was reserved for it
    RESERVED = "reserved"


#: What each of them is for the script: counted, and put off.
_WORDS: Final = {
    Asking.IN_TURN: ("charge", "defer"),
    Asking.URGENT: ("charge", ""),
    Asking.RESERVED: ("", ""),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What one credential may send; None is no limit of ours."""

    per_minute: int | None = None
    #: after some minutes of silence it climbs to its full rate over so long
    ramp_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """How many messages go now, and what becomes of the others."""

    count: int
    #: these few are tried, while all others wait for what comes of them
    probe: bool = False
    #: nobody may ask: this is what the others get
    held: Answer | None = None
    #: else the next one goes after so many seconds, and one more with each interval
    wait_seconds: float = 0.0
    interval_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCircuit:
    """A circuit that is open, for people."""

    credential_id: int
    trouble: str
    reason: str
    #: both as epoch seconds
    since: float
    next_probe: float


class Pacing:
    """The pace of every credential. Owns what is still being told to Redis."""

    def __init__(self, redis: "Redis", *, clock: Clock) -> None:
        """Ask nothing yet."""
        self._redis = redis
        self.clock = clock
        self._quiet_until = 0.0
        self._telling: set[asyncio.Task[None]] = set()
        self._scripts = {
            text: redis.register_script(text)
            for text in (
                scripts.ACQUIRE,
                scripts.SLOW_DOWN,
                scripts.OPEN,
                scripts.CLOSE,
                scripts.GIVE_BACK,
            )
        }

    def of(self, credential_id: int, rate: Rate, *, narrow: frozenset[str]) -> "Pace":
        """Return the pace of a credential; `narrow` are refusals of a part of it alone."""
        return Pace(self, credential_id, rate, narrow=narrow)

    async def run(self, script: str, credential_id: int, *arguments: str | float) -> Any:
        """Run one of the scripts by Redis's clock; None where Redis cannot be reached."""
        if self.clock.monotonic() < self._quiet_until:
            return None
        try:
            keys, args = [key_of(credential_id)], ["", *arguments]
            return await self._scripts[script](keys=keys, args=args)
        except UNREACHABLE as error:
            self._quiet_until = self.clock.monotonic() + QUIET_SECONDS
            log.warning("pacing.unreachable", error=type(error).__name__)
            return None

    def tell_soon(self, telling: Coroutine[Any, Any, None]) -> None:
        """Tell Redis something, while the caller goes on."""
        task = asyncio.create_task(telling, name="tell the pace")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Wait for what is being told."""
        await asyncio.gather(*self._telling, return_exceptions=True)


class Pace:
    """One credential: asks for all workers, and remembers what this process has seen itself."""

    def __init__(
        self, pacing: Pacing, credential_id: int, rate: Rate, *, narrow: frozenset[str]
    ) -> None:
        self.stall_seconds = STALL_SECONDS
        self._pacing = pacing
        self._now = pacing.clock.monotonic
        self._id = credential_id
        self._rate = rate
        self.narrow = narrow
        self._clear_until = 0.0
        #: what went without a question, and is counted with the next one
        self._owed = 0
        self._failures = 0
        #: messages of some batch that nothing was heard of for `stall_seconds`
        self._waiting: dict[object, int] = {}
        self._alive_at = self._settled_at = self._now() - LIFE_SECONDS
        #: our own pause, for when Redis cannot be asked
        self._paused_until = 0.0
        self._held: Answer | None = None

    async def acquire(self, count: int, asking: Asking) -> Grant:
        """Ask for so many messages at once; the answer is for all of them."""
        uncounted = asking is not Asking.IN_TURN or self._rate.per_minute is None
        if uncounted and self._now() < self._clear_until:
            self._owed += count if asking is not Asking.RESERVED else 0
            return Grant(count=count)
        owed = 0
        if asking is not Asking.RESERVED:
            owed, self._owed = self._owed, 0
        said = await self._pacing.run(
            scripts.ACQUIRE,
            self._id,
            count,
            owed,
            *_WORDS[asking],
            (self._rate.per_minute or 0) / 60,
            self._rate.ramp_seconds,
            PROBE_SECONDS,
        )
        if said is None:
            return self._unasked(count)
        return self._granted(said, asking)

    def _granted(self, said: Sequence[Any], asking: Asking) -> Grant:
        taken, wait, interval, probe, kind, reason, limited = said
        if kind and not probe:
            self._held = _held(kind.decode(), reason.decode(), float(wait))
            self._pause(float(wait))
            return Grant(count=0, held=self._held)
        if not probe and (asking is Asking.URGENT or not limited):
            self._clear_until = self._now() + CLEAR_SECONDS
        self._paused_until = 0.0
        return Grant(
            count=taken,
            probe=bool(probe),
            wait_seconds=float(wait),
            interval_seconds=float(interval),
        )

    def _unasked(self, count: int) -> Grant:
        if self._held is not None and self._now() < self._paused_until:
            return Grant(count=0, held=self._held)
        return Grant(count=count)

    async def tell(self, heard: Heard, *, probe: bool) -> None:
        """Take in what came of some messages; Redis hears of it where it matters to others."""
        if heard.slower is not None:
            self._clear_until = 0.0
            log.warning(
                "pace.slower",
                credential=self._id,
                reason=heard.slower,
                pause_seconds=round(heard.pause_seconds, 1),
            )
            await self._pacing.run(scripts.SLOW_DOWN, self._id, heard.pause_seconds, heard.slower)
        if heard.alive:
            self._alive_at = self._now()
            self._failures = 0
            if probe:
                await self._close()
        elif heard.trouble is not None:
            self._failures += heard.failures
            dead = self._now() - self._alive_at >= LIFE_SECONDS
            if probe or (dead and self._failures >= FAILURES_IN_A_ROW):
                await self._open(heard.trouble, heard.reason, probe=probe)
        elif probe:
            # It was not made: the worker is to stop, or the push has expired.
            await self._pacing.run(scripts.GIVE_BACK, self._id)

    def settled(self) -> None:
        """Note that messages are being settled."""
        self._settled_at = self._now()

    def waits(self, who: object, count: int) -> None:
        """Note of how many messages somebody has heard nothing for so long."""
        if count:
            self._waiting[who] = count
        else:
            self._waiting.pop(who, None)

    def stalls(self) -> bool:
        """Tell whether nothing at all is settled with this credential; and let the others know."""
        if sum(self._waiting.values()) < FAILURES_IN_A_ROW:
            return False
        if self._now() - max(self._alive_at, self._settled_at) < self.stall_seconds:
            return False
        self._pacing.tell_soon(self._open(Trouble.SILENT, STALLED, probe=False))
        return True

    async def _open(self, trouble: Trouble, reason: str, *, probe: bool) -> None:
        circuit = CIRCUITS[trouble]
        self._held = _held(trouble, reason, circuit.first_seconds)
        self._pause(circuit.first_seconds)
        said = await self._pacing.run(
            scripts.OPEN,
            self._id,
            trouble.value,
            reason,
            circuit.first_seconds,
            circuit.most_seconds,
            circuit.probe_messages,
            "probe" if probe else "",
        )
        if said is not None and said[1]:
            pause = float(said[0])
            log.warning(
                "circuit.opened",
                credential=self._id,
                trouble=trouble.value,
                reason=reason,
                pause_seconds=round(pause, 1),
            )

    async def _close(self) -> None:
        said = await self._pacing.run(scripts.CLOSE, self._id)
        if said:
            log.info("circuit.closed", credential=self._id, open_seconds=round(float(said), 1))

    def _pause(self, seconds: float) -> None:
        self._clear_until = 0.0
        self._paused_until = self._now() + seconds


def key_of(credential_id: int) -> str:
    """Return the name of a credential's state in Redis."""
    return f"pushsvc:pace:{credential_id}"


async def open_circuits(redis: "Redis", credential_ids: Sequence[int]) -> list[OpenCircuit]:
    """Return those of the credentials whose circuits are open."""
    found = []
    for number in credential_ids:
        state: dict[bytes, bytes] = await cast(
            Awaitable[dict[bytes, bytes]], redis.hgetall(key_of(number))
        )
        kind = state.get(b"kind", b"").decode()
        if kind and kind != scripts.THROTTLED:
            found.append(
                OpenCircuit(
                    credential_id=number,
                    trouble=kind,
                    reason=state.get(b"reason", b"").decode(),
                    since=float(state.get(b"since", 0)),
                    next_probe=float(state.get(b"until", 0)),
                )
            )
    return found


def _held(kind: str, reason: str, wait_seconds: float) -> Answer:
    """Return what becomes of a message that nobody may ask about."""
    if kind == scripts.THROTTLED:
        outcome, word = OutcomeClass.THROTTLED_SENDER, "Throttled"
    else:
        refused = kind == Trouble.REFUSED
        outcome = OutcomeClass.CREDENTIAL if refused else OutcomeClass.RETRY_SAFE
        word = "CircuitOpen"
    told = f"{word}: {reason}"[:REASON_LIMIT_CHARACTERS]
    return Answer(outcome, told, wait_seconds, deferral=Deferral.HELD)
