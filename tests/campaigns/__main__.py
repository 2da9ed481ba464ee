"""The proof of campaigns: every device's message, by its gateway's ledger, against the reports."""

import asyncio
import json
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.campaigns.run import DIFFERENCES, run
from tests.integration.embedded_fixtures import private_data_directory


def main(
    *,
    devices: Annotated[int, typer.Option(min=1_000, help="Installations.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Which devices there are.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, no table.")] = False,
) -> None:
    """Run three campaigns over the same devices; exit with 1 if anything differs."""
    begun = time.monotonic()

    def tell(said: str) -> None:
        print(f"{time.monotonic() - begun:6.1f}  {said}", file=sys.stderr, flush=True)  # noqa: T201 - progress

    with private_data_directory() as directory:
        figures = asyncio.run(run(devices, seed=seed, waits=True, directory=directory, tell=tell))
    figures["wall_seconds"] = round(time.monotonic() - begun, 1)
    if as_json:
        print(json.dumps(figures))  # noqa: T201 - the result
    else:
        rows = Table("figure", "value", title="Campaigns")
        for name, value in figures.items():
            rows.add_row(name, str(value))
        Console().print(rows)
    raise typer.Exit(1 if figures[DIFFERENCES] else 0)


if __name__ == "__main__":
    typer.run(main)
