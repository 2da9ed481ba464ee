"""Storms: a gateway that is away, reads slowly or ends its connections. Each ends by itself."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pushsvc.simulators.listener import Listener
from pushsvc.simulators.script import MAX_SECONDS, Rule, Script

REFUSE, SILENT, UNAVAILABLE, STALL, GOAWAY = "refuse", "silent", "unavailable", "stall", "goaway"
KINDS = (REFUSE, SILENT, UNAVAILABLE, STALL, GOAWAY)
#: What every request meets while these last.
FAULT = {SILENT: "never_n", UNAVAILABLE: "unavailable"}


class StormError(ValueError):
    """The storm makes no sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """What is asked for; `every` n-th open connection is struck, by its number."""

    gateway: str
    storm: str
    seconds: float = 0.0
    every: int = 1

    def __post_init__(self) -> None:
        """Refuse what is no storm.

        Raises:
            StormError: naming what is wrong.
        """
        if self.storm not in KINDS:
            message = f"storm must be one of {', '.join(KINDS)}"
            raise StormError(message)
        if self.every < 1:
            message = "every must be 1 or more"
            raise StormError(message)
        if self.storm != GOAWAY and not 0 < self.seconds <= MAX_SECONDS:
            message = f"seconds must be above 0 and at most {MAX_SECONDS:.0f}"
            raise StormError(message)


class Storms:
    """The storms over all gateways."""

    def __init__(self, listeners: Mapping[str, Listener], script: Script) -> None:
        self._listeners = listeners
        self._script = script
        self._rules: dict[tuple[str, str], Rule] = {}
        self._away: dict[str, asyncio.Task[None]] = {}
        self._calm = asyncio.Event()
        self._begin: dict[str, Callable[[Storm, Listener], int]] = {
            REFUSE: self._refuse,
            SILENT: self._answer_badly,
            UNAVAILABLE: self._answer_badly,
            STALL: lambda storm, listener: listener.stall(storm.seconds, every=storm.every),
            GOAWAY: lambda storm, listener: listener.retire(every=storm.every),
        }

    def begin(self, storm: Storm) -> int:
        """Begin a storm; returns how many open connections it strikes.

        Raises:
            StormError: when there is no such gateway, or it is away already.
        """
        listener = self._listeners.get(storm.gateway)
        if listener is None:
            message = f"gateway must be one of {', '.join(self._listeners)}"
            raise StormError(message)
        return self._begin[storm.storm](storm, listener)

    def end(self) -> None:
        """Let gateways come back; connections that are not read are read when their time is up."""
        for rule in self._rules.values():
            self._script.drop(rule)
        self._rules.clear()
        self._calm.set()

    async def close(self) -> None:
        """End, and wait until every gateway listens again."""
        self.end()
        await asyncio.gather(*self._away.values())

    def as_json(self) -> dict[str, Any]:
        """Gateways that are away."""
        return {"refusing": sorted(self._away)}

    def _answer_badly(self, storm: Storm, listener: Listener) -> int:
        rule = Rule(
            gateway=storm.gateway,
            scope="every",
            fault=FAULT[storm.storm],
            seconds=storm.seconds,
        )
        before = self._rules.pop((storm.gateway, storm.storm), None)
        if before:
            self._script.drop(before)
        self._script.add(rule)
        self._rules[storm.gateway, storm.storm] = rule
        return listener.open_connections

    def _refuse(self, storm: Storm, listener: Listener) -> int:
        if storm.gateway in self._away:
            message = f"{storm.gateway} refuses already"
            raise StormError(message)
        self._calm.clear()
        struck = listener.shut()
        self._away[storm.gateway] = asyncio.create_task(self._come_back(storm, listener))
        return struck

    async def _come_back(self, storm: Storm, listener: Listener) -> None:
        try:
            async with asyncio.timeout(storm.seconds):
                await self._calm.wait()
        except TimeoutError:
            pass
        await listener.listen()
        del self._away[storm.gateway]
