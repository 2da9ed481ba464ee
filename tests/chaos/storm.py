"""What happens to the service, and when, as a seed says. Pure."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """An event of the storm."""

    KILL_WORKER = "kill_worker"
    KILL_API = "kill_api"
    KILL_SIMULATORS = "kill_simulators"
    FLUSH_REDIS = "flush_redis"
    RESTART_REDIS = "restart_redis"
    RESTART_POSTGRES = "restart_postgres"
    GOAWAY_STORM = "goaway_storm"
    OUTAGE = "outage"
    SLOW_READERS = "slow_readers"


#: How often each comes in a storm of `NORMAL_SECONDS`; a longer one has more of all.
TIMES: Final = {
    Kind.KILL_WORKER: 5,
    Kind.KILL_API: 2,
    Kind.KILL_SIMULATORS: 2,
    Kind.FLUSH_REDIS: 2,
    Kind.RESTART_REDIS: 2,
    Kind.RESTART_POSTGRES: 2,
    Kind.GOAWAY_STORM: 2,
    Kind.OUTAGE: 1,
    Kind.SLOW_READERS: 2,
}
NORMAL_SECONDS: Final = 100.0
#: The first blow falls when there is something to hit, the last one early enough to be survived.
BEGIN, END = 0.05, 0.8
#: How long each lasts that does.
SECONDS: Final = {Kind.OUTAGE: 20.0, Kind.SLOW_READERS: 8.0, Kind.GOAWAY_STORM: 5.0}
#: Simulators that were killed are back in this time.
CLOSE: Final = 5.0
#: A push that is halted stops within this time.
STOP_SECONDS: Final = 2.0
#: Postgres is back in this time, with connections to it.
AWAY_SECONDS: Final = 6.0
#: APNs, FCM and WNS.
GATEWAYS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event; `target` is the number of a worker, or the index of a gateway."""

    at: float
    kind: Kind
    target: int = 0
    #: how long it lasts, where it does
    seconds: float = 0.0


def events(seed: int, *, seconds: float, workers: int) -> list[Event]:
    """Return the events of a storm in their order, spread over its time."""
    chance = random.Random(f"storm {seed}")
    scale = seconds / NORMAL_SECONDS
    kinds = [kind for kind, times in TIMES.items() for _ in range(max(1, round(times * scale)))]
    chance.shuffle(kinds)
    step = (END - BEGIN) * seconds / len(kinds)
    drawn = [
        Event(
            at=BEGIN * seconds + (place + chance.random()) * step,
            kind=kind,
            target=chance.randrange(workers if kind is Kind.KILL_WORKER else GATEWAYS),
            seconds=min(SECONDS.get(kind, 0.0), seconds / 4),
        )
        for place, kind in enumerate(kinds)
    ]
    return sorted(_apart(drawn), key=lambda event: event.at)


def deaf_until(events: Sequence[Event], moment: float) -> float:
    """Return from when on nothing more of a push may arrive that was halted at this moment.

    What was handed over to a gateway that reads nothing is read later, and while Postgres is away
    nobody can tell the workers.
    """
    end = moment + STOP_SECONDS
    for event in events:
        lasts = {Kind.RESTART_POSTGRES: AWAY_SECONDS, Kind.SLOW_READERS: event.seconds}
        if event.kind in lasts and event.at <= end:
            end = max(end, event.at + lasts[event.kind] + STOP_SECONDS)
    return end


def _apart(drawn: list[Event]) -> Iterator[Event]:
    """Move kills of the simulators out of an outage, which they would end, to its end."""
    moved = 0
    outages = [event for event in drawn if event.kind is Kind.OUTAGE]
    for event in drawn:
        ends = [o.at + o.seconds for o in outages if o.at - CLOSE <= event.at < o.at + o.seconds]
        if event.kind is Kind.KILL_SIMULATORS and ends:
            yield replace(event, at=max(ends) + CLOSE * moved)
            moved += 1
        else:
            yield event
