"""Watching a campaign: the run under way until it is closed, or the next one when it comes."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from pushsvc.cli import output
from pushsvc.cli.campaign_words import ZONES_SHOWN, begun, time_cell, waves_table
from pushsvc.cli.display import table
from pushsvc.cli.watching import ENDS, LOOK_SECONDS

#: Delay between two looks while there is no run, and between two lines of JSON.
WAIT_SECONDS: Final = 1.0
#: Looks over which a rate is measured: some five seconds.
_RATE_LOOKS: Final = 25
_OVER: Final = frozenset({"paused", "ended", "cancelled"})

Shown = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A campaign at one moment, all of it as the API shows it."""

    campaign: Shown
    #: the run that is watched; None while the next one is waited for
    run: Shown | None = None
    push: Shown | None = None
    waves: Sequence[Shown] = ()
    #: devices that got their outcome in a second, lately
    per_second: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to see."""
        if self.push is not None:
            return self.push["state"] in ENDS
        return self.campaign["state"] in _OVER or not self.campaign["next_runs"]


def run_to_watch(runs: Sequence[Shown], *, after: int) -> Shown | None:
    """Return the oldest run under way, else the first that began after the number `after`."""
    started = sorted((one for one in runs if one["push_id"]), key=lambda one: one["number"])
    under_way = [one for one in started if one["push_state"] not in ENDS]
    newer = [one for one in started if one["number"] > after]
    return next(iter(under_way or newer), None)


def settled(push: Shown) -> int:
    """Return how many devices of the batches so far have their outcome."""
    return int(push["devices"]) - int(push["counts"]["open"])


@dataclass(slots=True)
class Rate:
    """Devices in a second, over the last looks."""

    _looks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_RATE_LOOKS))

    def after(self, devices: int, *, at: float) -> float:
        """Return the rate, now that so many devices are settled."""
        self._looks.append((at, devices))
        begun, before = self._looks[0]
        return (devices - before) / (at - begun) if at > begun else 0.0


class Screen(Protocol):
    """Where it is shown while it goes on."""

    def show(self, seen: Seen) -> None:
        """Show how it is now."""


async def follow(look: Callable[[], Awaitable[Seen]], screen: Screen) -> Seen:
    """Look again and again, and show it, until there is nothing more to see."""
    rate = Rate()
    while True:
        seen = await look()
        if seen.push is not None:
            pace = rate.after(settled(seen.push), at=time.monotonic())
            seen = replace(seen, per_second=round(pace, 1))
        screen.show(seen)
        if seen.is_over:
            return seen
        await asyncio.sleep(WAIT_SECONDS if seen.push is None else LOOK_SECONDS)


# ---------------------------------------------------------------- screens


class Lines:
    """A line of JSON for each change, one a second at most."""

    def __init__(self) -> None:
        self._last: Shown = {}
        self._at = float("-inf")

    def show(self, seen: Seen) -> None:
        """Print a line, unless nothing has changed or one was just printed."""
        line, now = line_of(seen), time.monotonic()
        if line == self._last or now < self._at + WAIT_SECONDS:
            return
        self._last, self._at = line, now
        output.json_line(line)


def line_of(seen: Seen) -> Shown:
    """Return what a program that reads lines wants to know of a moment."""
    if seen.push is None or seen.run is None:
        return {
            "event": "waiting",
            "state": seen.campaign["state"],
            "next_run": next(iter(seen.campaign["next_runs"]), None),
        }
    return {
        "event": "progress",
        "run": seen.run["number"],
        "push_id": seen.push["id"],
        "state": seen.push["state"],
        "halt": seen.push["halt"],
        "devices": seen.push["devices"],
        "settled": settled(seen.push),
        "per_second": seen.per_second,
        "counts": seen.push["counts"],
        "waves": {"all": len(seen.waves), "begun": begun(seen.waves)},
    }


class Silent:
    """Nothing, where there is no terminal to draw on."""

    def show(self, seen: Seen) -> None:
        """Show nothing."""


class Drawn(AbstractContextManager["Drawn"]):
    """A progress bar, what came of the devices so far, and the zones, drawn over and over."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
        )
        self._task = self._bar.add_task("", total=None, rate="")
        self._live = Live(self._bar, console=console, transient=True, refresh_per_second=5)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """Wipe it away: what came of it is printed below."""
        self._live.stop()

    def show(self, seen: Seen) -> None:
        """Draw it anew."""
        self._bar.update(
            self._task,
            description=heading(seen),
            # While the audience grows there is no share of it.
            total=None if seen.push is None else seen.push["devices"] or None,
            completed=0 if seen.push is None else settled(seen.push),
            rate=f"{seen.per_second:,.0f}/s" if seen.push else "",
        )
        self._live.update(Group(self._bar, *_below(seen)))


def heading(seen: Seen) -> str:
    """Return the line of a moment."""
    name = seen.campaign["name"]
    if seen.push is None or seen.run is None:
        return f"{name} waits until {time_cell(next(iter(seen.campaign['next_runs']), None))}"
    is_paused = seen.push["halt"] == "pause"
    return f"{name} run {seen.run['number']} {'paused' if is_paused else seen.push['state']}"


def _below(seen: Seen) -> list[RenderableType]:
    if seen.push is None:
        return []
    shown: list[RenderableType] = []
    if seen.push["halt"]:
        shown.append(Text(f"{seen.push['halt']}: {seen.push['halt_reason']}"))
    counts = [(name, n) for name, n in seen.push["counts"].items() if n]
    if counts:
        shown.append(table(("outcome", "devices"), counts))
    if seen.waves:
        shown.append(waves_table(seen.waves, most=ZONES_SHOWN))
    return shown
