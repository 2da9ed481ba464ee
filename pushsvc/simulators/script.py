"""Faults by script: the next N requests, every N-th, the N-th of each connection, or by chance."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pushsvc.simulators.faults import Marker

#: Rules that may be active at once.
MAX_RULES = 100
#: Whatever is asked for does not go on for longer.
MAX_SECONDS = 3600.0
SCOPES = ("next", "every", "connection", "random")


class ScriptError(ValueError):
    """The rule makes no sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of the script.

    Scopes: `next` strikes the next `n` requests; `every` each `n`-th; `connection` the `n`-th of
    each connection; `random` each request with `probability`. With `seconds` it ends by itself.
    """

    gateway: str
    scope: str
    fault: str
    n: int = 1
    parameter: int = 0
    probability: float = 0.0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what could never strike.

        Raises:
            ScriptError: naming what is wrong.
        """
        if self.scope not in SCOPES:
            message = f"scope must be one of {', '.join(SCOPES)}"
            raise ScriptError(message)
        if self.n < 1:
            message = "n must be 1 or more"
            raise ScriptError(message)
        if not 0 <= self.parameter <= 0xFF:  # noqa: PLR2004 - PP is one byte
            message = "parameter must be 0..255"
            raise ScriptError(message)
        if self.scope == "random" and not 0 < self.probability <= 1:
            message = "probability must be above 0 and at most 1"
            raise ScriptError(message)
        if not 0 <= self.seconds <= MAX_SECONDS:
            message = f"seconds must be 0 to {MAX_SECONDS:.0f}; 0: until it is dropped"
            raise ScriptError(message)


@dataclass(slots=True)
class _Running:
    """A rule, when it ends if it does, and how many requests it has seen."""

    rule: Rule
    ends: float | None
    seen: int = 0


class Script:
    """The active rules, asked once per request in the order they were added."""

    def __init__(self, *, seed: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seed = seed
        self._clock = clock
        self._running: dict[str, list[_Running]] = {}
        self._chance = random.Random(seed)  # noqa: S311 - repeatable faults, no secrets

    def add(self, rule: Rule) -> None:
        """Make a rule active.

        Raises:
            ScriptError: when too many are.
        """
        self._drop_ended()
        if sum(map(len, self._running.values())) >= MAX_RULES:
            message = f"at most {MAX_RULES} rules; DELETE /script first"
            raise ScriptError(message)
        self._running.setdefault(rule.gateway, []).append(
            _Running(rule, self._clock() + rule.seconds if rule.seconds else None)
        )

    def drop(self, rule: Rule) -> None:
        """Drop one rule, if it is still active."""
        active = self._running.get(rule.gateway, [])
        active[:] = [running for running in active if running.rule is not rule]

    def clear(self) -> None:
        """Drop all rules and start the chance anew."""
        self._running.clear()
        self._chance.seed(self._seed)

    def rules(self) -> list[dict[str, Any]]:
        """The active rules and how many requests each has seen."""
        self._drop_ended()
        return [
            {name: getattr(running.rule, name) for name in Rule.__slots__} | {"seen": running.seen}
            for active in self._running.values()
            for running in active
        ]

    def strike(self, gateway: str, *, ordinal: int) -> Marker | None:
        """The fault for this request, if any.

        Args:
            gateway: whose request it is.
            ordinal: the how-manieth request of its connection it is, from 1.
        """
        active = self._running.get(gateway)
        if not active:
            return None
        self._drop_ended(gateway)
        struck: Rule | None = None
        for running in list(active):
            rule = running.rule
            if rule.scope == "next" and struck is not None:
                continue
            running.seen += 1
            if rule.scope == "next" and running.seen == rule.n:
                active.remove(running)
            if struck is None and self._strikes(running, ordinal):
                struck = rule
        return Marker(struck.fault, struck.parameter) if struck else None

    def _drop_ended(self, *gateways: str) -> None:
        now: float | None = None
        for gateway in gateways or self._running:
            active = self._running[gateway]
            if any(running.ends is not None for running in active):
                now = now or self._clock()
                active[:] = [one for one in active if one.ends is None or one.ends > now]

    def _strikes(self, running: _Running, ordinal: int) -> bool:
        rule = running.rule
        match rule.scope:
            case "every":
                return running.seen % rule.n == 0
            case "connection":
                return ordinal == rule.n
            case "random":
                return self._chance.random() < rule.probability
            case _:
                return True
