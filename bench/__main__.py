"""`make bench`: run a case and print its figures."""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import adapter, broadcast, ingest, schedule, shaping, targeting, urgent


class Case(StrEnum):
    """What can be measured."""

    ADAPTER = "adapter"
    BROADCAST = "broadcast"
    INGEST = "ingest"
    SCHEDULE = "schedule"
    SHAPING = "shaping"
    TARGETING = "targeting"
    URGENT = "urgent"


#: Devices of a run where the command line does not say.
DEVICES = {
    Case.ADAPTER: adapter.DEVICES,
    Case.BROADCAST: broadcast.DEVICES,
    Case.INGEST: ingest.DEVICES,
    Case.SCHEDULE: schedule.PUSHES,
    Case.SHAPING: shaping.DEVICES,
    Case.TARGETING: targeting.DEVICES,
    Case.URGENT: urgent.DEVICES,
}
#: Case -> the figure that says whether everything came out as it should.
PROOFS = {
    Case.ADAPTER: "as_it_should",
    Case.BROADCAST: "ledger_match",
    Case.INGEST: "rows_match",
    Case.SCHEDULE: "as_it_should",
    Case.SHAPING: "same_messages",
    Case.TARGETING: "indexed",
    Case.URGENT: "all_received",
}


def main(
    *,
    case: Annotated[Case, typer.Option(help="What to measure.")] = Case.BROADCAST,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Devices of the push, of each way to save, or of the app."),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    pushes: Annotated[
        int | None, typer.Option(min=2, help="Scheduled pushes, to one device each.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0, help="Scheduled pushes are due over so long.")
    ] = schedule.SECONDS,
    kill: Annotated[
        bool, typer.Option(help="Kill one of the two workers of scheduled pushes.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, no table.")] = False,
) -> None:
    """Measure the service: pushes to a sink that accepts all, saves, shaping, audiences."""
    number = devices or DEVICES[case]
    with Progress(console=Console(stderr=True)) as progress:
        if case is Case.SCHEDULE:
            options = schedule.Options(pushes=pushes or number, seconds=seconds, kill=kill)
            figures = uvloop.run(schedule.run(options, progress=progress))
        else:
            figures = uvloop.run(measured(case, number, processes=processes, progress=progress))
    if as_json:
        print(json.dumps(figures))  # noqa: T201 - the result
    else:
        Console().print(table(figures))
    raise typer.Exit(0 if figures[PROOFS[case]] else 1)


async def measured(
    case: Case, devices: int, *, processes: int, progress: Progress
) -> dict[str, Any]:
    """Run a case; return its figures."""
    if case is Case.ADAPTER:
        return await adapter.run(devices, progress=progress)
    if case is Case.INGEST:
        return await ingest.run(devices, progress=progress)
    if case is Case.SHAPING:
        return shaping.run(devices, progress=progress)
    if case is Case.TARGETING:
        return await targeting.run(devices, progress=progress)
    if case is Case.URGENT:
        return await urgent.run(devices, processes=processes, progress=progress)
    return (await broadcast.run(devices, processes=processes, progress=progress)).as_json()


def table(figures: dict[str, Any]) -> Table:
    """Return the figures for people."""
    rows = Table("figure", "value", title=f"{figures['case']}, {figures['devices']:,} devices")
    for name, value in flat(figures):
        if name not in {"case", "devices"}:
            rows.add_row(name, str(value))
    return rows


def flat(figures: dict[str, Any], *above: str) -> Iterator[tuple[str, Any]]:
    """Yield every figure under the names that lead to it."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from flat(value, *above, name)
        else:
            yield " ".join((*above, name)), value


if __name__ == "__main__":
    typer.run(main)
