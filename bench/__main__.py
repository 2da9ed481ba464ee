"""`make bench`: run a case and print its figures."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import broadcast


class Case(StrEnum):
    """What can be measured."""

    BROADCAST = "broadcast"


def main(
    *,
    case: Annotated[Case, typer.Option(help="What to measure.")] = Case.BROADCAST,
    devices: Annotated[int, typer.Option(min=1, help="Devices of the push.")] = 100_000,
    processes: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, no table.")] = False,
) -> None:
    """Measure the service against a sink that accepts everything."""
    assert case is Case.BROADCAST
    with Progress(console=Console(stderr=True)) as progress:
        run = broadcast.run(devices, processes=processes, progress=progress)
        figures = uvloop.run(run).as_json()
    if as_json:
        print(json.dumps(figures))  # noqa: T201 - the result
    else:
        Console().print(table(figures))
    raise typer.Exit(0 if figures["ledger_match"] else 1)


def table(figures: dict[str, Any]) -> Table:
    """Return the figures for people."""
    rows = Table("figure", "value", title=f"{figures['case']}, {figures['devices']:,} devices")
    for name, value in figures.items():
        if isinstance(value, dict):
            for part, number in value.items():
                rows.add_row(f"{name} {part}", str(number))
        elif name not in {"case", "devices"}:
            rows.add_row(name, str(value))
    return rows


if __name__ == "__main__":
    typer.run(main)
