"""`make bench`: run a case and print its figures."""

import json
import signal
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import (
    adapter,
    broadcast,
    ingest,
    mixed,
    scaling,
    schedule,
    shaping,
    singles,
    sizing,
    stages,
    targeting,
)
from bench.audience import Content, Platform
from bench.place import PROCESSES

Figures = dict[str, Any]


class Case(StrEnum):
    """What can be measured."""

    ADAPTER = "adapter"
    BROADCAST = "broadcast"
    INGEST = "ingest"
    MIXED = "mixed"
    PLAN = "plan"
    SCALING = "scaling"
    SCHEDULE = "schedule"
    SHAPING = "shaping"
    SINGLES = "singles"
    SIZING = "sizing"
    STAGES = "stages"
    TARGETING = "targeting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The command line; None where it does not say."""

    devices: int | None
    pushes: int | None
    rate: float | None
    seconds: float | None
    processes: int
    kill: bool
    platform: Platform
    content: Content
    matrix: bool


Run = Callable[[Asked, Progress], Coroutine[Any, Any, Figures]]


def _broadcast(asked: Asked, progress: Progress) -> Coroutine[Any, Any, Figures]:
    if asked.matrix:
        return broadcast.run_matrix(asked.processes, progress=progress)
    options = broadcast.Options(
        devices=asked.devices or broadcast.DEVICES,
        processes=asked.processes,
        platform=asked.platform,
        content=asked.content,
    )
    return broadcast.run(options, progress=progress)


def _mixed(asked: Asked, progress: Progress) -> Coroutine[Any, Any, Figures]:
    options = mixed.Options(
        devices=asked.devices or mixed.DEVICES,
        rate=asked.rate or mixed.PER_SECOND,
        processes=asked.processes,
    )
    return mixed.run(options, progress=progress)


def _schedule(asked: Asked, progress: Progress) -> Coroutine[Any, Any, Figures]:
    options = schedule.Options(
        pushes=asked.pushes or schedule.PUSHES,
        seconds=schedule.SECONDS if asked.seconds is None else asked.seconds,
        kill=asked.kill,
    )
    return schedule.run(options, progress=progress)


def _singles(asked: Asked, progress: Progress) -> Coroutine[Any, Any, Figures]:
    options = singles.Options(rate=asked.rate, seconds=asked.seconds, processes=asked.processes)
    return singles.run(options, progress=progress)


def _of_devices(run: Callable[..., Coroutine[Any, Any, Figures]], devices: int) -> Run:
    return lambda asked, progress: run(asked.devices or devices, progress=progress)


#: Case -> how it is run, and the figure that says whether everything came out as it should.
CASES: Final[Mapping[Case, tuple[Run, str]]] = {
    Case.ADAPTER: (_of_devices(adapter.run, adapter.DEVICES), "as_it_should"),
    Case.BROADCAST: (_broadcast, "ledger_match"),
    Case.INGEST: (_of_devices(ingest.run, ingest.DEVICES), "rows_match"),
    Case.MIXED: (_mixed, "as_it_should"),
    Case.PLAN: (_of_devices(stages.run_plan, stages.DEVICES), "all_planned"),
    Case.SCALING: (_of_devices(scaling.run, scaling.DEVICES), "all_sent"),
    Case.SCHEDULE: (_schedule, "as_it_should"),
    Case.SHAPING: (_of_devices(shaping.run, shaping.DEVICES), "same_messages"),
    Case.SINGLES: (_singles, "delivered_once"),
    Case.SIZING: (_of_devices(sizing.run, sizing.DEVICES), "all_sent"),
    Case.STAGES: (_of_devices(stages.run, stages.DEVICES), "all_in_ledger"),
    Case.TARGETING: (_of_devices(targeting.run, targeting.DEVICES), "indexed"),
}

#: Case -> the options it takes, where that is not `--devices` alone; `--json` fits all.
OPTIONS: Final[Mapping[Case, Collection[str]]] = {
    Case.BROADCAST: {
        *("devices", "processes", "platform", "badge", "locales", "templates", "matrix"),
    },
    Case.MIXED: {"devices", "rate", "processes"},
    Case.SCHEDULE: {"pushes", "seconds", "kill"},
    Case.SINGLES: {"rate", "seconds", "processes"},
}
#: A matrix has sizes and kinds of its own.
MATRIX_OPTIONS: Final = {"matrix", "processes"}


def main(
    context: typer.Context,
    *,
    case: Annotated[Case, typer.Option(help="What to measure.")] = Case.BROADCAST,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Devices of the push, of each way to save, or of the app."),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Worker processes.")] = PROCESSES,
    platform: Annotated[Platform, typer.Option(help="Of a broadcast's devices.")] = Platform.IOS,
    badge: Annotated[bool, typer.Option(help="A broadcast increments badges.")] = True,
    locales: Annotated[bool, typer.Option("--locales", help="It has three languages.")] = False,
    templates: Annotated[
        bool, typer.Option("--templates", help="Its texts have variables.")
    ] = False,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Broadcasts of many sizes and kinds, one by one.")
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(min=0.1, max=100_000, help="Single sends a second; else as many as can be."),
    ] = None,
    pushes: Annotated[
        int | None, typer.Option(min=2, help="Scheduled pushes, to one device each.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Scheduled pushes are due, or single sends sent, for so long."),
    ] = None,
    kill: Annotated[
        bool, typer.Option(help="Kill one of the two workers of scheduled pushes.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, no table.")] = False,
) -> None:
    """Measure the service: pushes to a sink that accepts all, saves, shaping, audiences."""
    check_options(case, [name for name in context.params if _is_given(context, name)])
    asked = Asked(
        devices=devices,
        pushes=pushes,
        rate=rate,
        seconds=seconds,
        processes=processes,
        kill=kill,
        platform=platform,
        content=Content(badge=badge, locales=locales, templates=templates),
        matrix=matrix,
    )
    # Ends as Ctrl-C does: nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run, proof = CASES[case]
    with Progress(console=Console(stderr=True)) as progress:
        figures = uvloop.run(run(asked, progress))
    if not as_json:
        Console().print(table_of_runs(figures) if "runs" in figures else table(figures))
    if as_json or matrix:
        print(json.dumps(figures))  # noqa: T201 - the result
    raise typer.Exit(0 if figures[proof] else 1)


def check_options(case: Case, given: Collection[str]) -> None:
    """Raise BadParameter, which ends with 2, for an option that the case does not take."""
    for name in given:
        if name not in {"case", "as_json"} and name not in _options_of(case):
            cases = ", ".join(one for one in Case if name in _options_of(one))
            raise typer.BadParameter(
                f"does not fit --case {case}. It is for: {cases}.", param_hint=f"--{name}"
            )
    strange = [name for name in given if name in _options_of(case) - MATRIX_OPTIONS]
    if "matrix" in given and strange:
        raise typer.BadParameter(
            "does not fit --matrix, which has its own.", param_hint=f"--{strange[0]}"
        )


def _options_of(case: Case) -> set[str]:
    return set(OPTIONS.get(case, {"devices"}))


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def table(figures: Figures) -> Table:
    """Return the figures for people."""
    rows = Table("figure", "value", title=f"{figures['case']}, {figures['devices']:,} devices")
    for name, value in flat(figures):
        if name not in {"case", "devices"}:
            rows.add_row(name, str(value))
    return rows


def table_of_runs(figures: Figures) -> Table:
    """Return a row for each run."""
    names = ("devices", "platform", "content", "seconds", "devices_per_second", "ratio_to_h2load")
    rows = Table(*names, "cpu us, all", "worker rss mb", "ledger_match", title=figures["case"])
    for run in figures["runs"]:
        cells = [run[name] for name in names]
        cells += [run["cpu_us_per_message"]["all"], run["peak_rss_mb"]["worker"]]
        rows.add_row(*(str(cell) for cell in (*cells, run["ledger_match"])))
    return rows


def flat(figures: Figures, *above: str) -> Iterator[tuple[str, Any]]:
    """Yield every figure under the names that lead to it."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from flat(value, *above, name)
        else:
            yield " ".join((*above, name)), value


if __name__ == "__main__":
    typer.run(main)
