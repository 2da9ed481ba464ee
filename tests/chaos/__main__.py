"""`make chaos`: a storm from a seed, and what every ledger says after it."""

import asyncio
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tests.chaos.judge import MUST_BE_ZERO
from tests.chaos.run import Size, run
from tests.chaos.storm import NORMAL_SECONDS
from tests.integration.embedded_fixtures import private_data_directory


def main(
    *,
    seed: Annotated[
        int | None, typer.Option(help="Plan and order of everything; default: one by chance.")
    ] = None,
    devices: Annotated[int, typer.Option(min=1_000, help="Device deliveries.")] = 200_000,
    installations: Annotated[int, typer.Option(min=100, help="Installations, all apps.")] = 60_000,
    seconds: Annotated[
        float, typer.Option(min=10, help="How long the storm lasts.")
    ] = NORMAL_SECONDS,
    keep: Annotated[
        Path | None, typer.Option(help="Copy logs and the simulators' ledger to this directory.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, no table.")] = False,
) -> None:
    """Send to many devices while everything is killed; exit with 1 if a promise was broken."""
    begun = time.monotonic()

    def tell(said: str) -> None:
        print(f"{time.monotonic() - begun:6.1f}  {said}", file=sys.stderr, flush=True)  # noqa: T201 - progress

    size = Size(
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        devices=devices,
        installations=installations,
        seconds=seconds,
    )
    with private_data_directory() as directory:
        try:
            figures = asyncio.run(run(size, directory, tell))
        finally:
            if keep is not None:
                _keep(directory, keep)
    _report(figures, as_json=as_json)
    raise typer.Exit(1 if any(figures[name] for name in MUST_BE_ZERO) else 0)


def _report(figures: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures))  # noqa: T201 - the result
        return
    rows = Table("figure", "value", title=f"Storm of seed {figures['seed']}")
    for name, value in figures.items():
        rows.add_row(name, str(value))
    Console().print(rows)


def _keep(directory: Path, where: Path) -> None:
    """Copy what tells the story of a storm; the servers' own files are too large."""
    where.mkdir(parents=True, exist_ok=True)
    patterns = ("*.log", "*/server.log", "simulators/*.ledger")
    for pattern in patterns:
        for file in directory.glob(pattern):
            (where / "-".join(file.relative_to(directory).parts)).write_bytes(file.read_bytes())


if __name__ == "__main__":
    typer.run(main)
