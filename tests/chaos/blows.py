"""The events of a storm, as they are done to what runs."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from tests.chaos.gateways import NAMES as GATEWAYS
from tests.chaos.stage import Stage
from tests.chaos.storm import Event, Kind

#: Only HTTP/2 has GOAWAY.
H2: Final = GATEWAYS[:2]
#: In a GOAWAY storm every so many requests end their connection: in good order, or disowned.
GOAWAYS: Final = {"goaway_graceful": 200, "goaway_below": 310}


async def blow(stage: Stage, events: Sequence[Event], tell: Callable[[str], None]) -> None:
    """Do every event at its time after now; return when the last one is over."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.TaskGroup() as group:
        for event in events:
            await asyncio.sleep(begun + event.at - loop.time())
            tell(f"{event.at:6.1f} s  {event.kind} {event.target}")
            group.create_task(_DO[event.kind](stage, event))


async def _kill_worker(stage: Stage, event: Event) -> None:
    stage.workers[event.target].kill()


async def _kill_api(stage: Stage, _: Event) -> None:
    stage.api.kill()


async def _kill_simulators(stage: Stage, _: Event) -> None:
    for simulator in stage.gateways.processes.values():
        simulator.kill()


async def _flush_redis(stage: Stage, _: Event) -> None:
    await stage.flush_redis()


async def _restart_redis(stage: Stage, _: Event) -> None:
    await stage.restart_server("redis", signal.SIGKILL)


async def _restart_postgres(stage: Stage, _: Event) -> None:
    # What `pg_ctl stop -m immediate` sends.
    await stage.restart_server("postgres", signal.SIGQUIT)


async def _goaway_storm(stage: Stage, event: Event) -> None:
    for gateway in H2:
        rules = [
            {
                "gateway": gateway,
                "scope": "every",
                "n": every,
                "fault": fault,
                "seconds": event.seconds,
            }
            for fault, every in GOAWAYS.items()
        ]
        await stage.gateways.command(gateway, "/script", rules)
        await stage.gateways.command(gateway, "/storm", {"gateway": gateway, "storm": "goaway"})


async def _slow_readers(stage: Stage, event: Event) -> None:
    await _strike(stage, "stall", event)


async def _outage(stage: Stage, event: Event) -> None:
    await _strike(stage, "refuse", event)


async def _strike(stage: Stage, storm: str, event: Event) -> None:
    gateway = GATEWAYS[event.target]
    document: dict[str, Any] = {"gateway": gateway, "storm": storm, "seconds": event.seconds}
    await stage.gateways.command(gateway, "/storm", document)


_DO: Final[Mapping[Kind, Callable[[Stage, Event], Coroutine[Any, Any, None]]]] = {
    Kind.KILL_WORKER: _kill_worker,
    Kind.KILL_API: _kill_api,
    Kind.KILL_SIMULATORS: _kill_simulators,
    Kind.FLUSH_REDIS: _flush_redis,
    Kind.RESTART_REDIS: _restart_redis,
    Kind.RESTART_POSTGRES: _restart_postgres,
    Kind.GOAWAY_STORM: _goaway_storm,
    Kind.OUTAGE: _outage,
    Kind.SLOW_READERS: _slow_readers,
}
