"""`make bench-peers`: the broadcast of the service, and that of a Parse Server, in turns.

Both push to as many iOS devices with badge Increment, on this machine, to the same sink, and each
from a PostgreSQL of its own. Parse Server has its stock push adapter and the options that it needs
to be quick and to tell the truth; of either the best run counts.
"""

import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import parse_server, peers_alone
from bench.__main__ import flat
from bench.adapter_stage import Stage, parse_staged, stock_options
from bench.audience import seed
from bench.peers_runs import Ours, Run, theirs
from bench.place import PROCESSES, Place, migrated, opened, wait_until_stopped
from pushsvc import embedded
from tests import node_packages

#: Enough for a second and more of ours, with its start, and no more than Parse Server has memory
#: for: a device costs it as much as among 50,000, and 13 KB of its process.
DEVICES: Final = 100_000
ROUNDS: Final = 2
#: Pages of installations. Each page is an OFFSET query, and all are under way at once: at 1,000
#: and less Parse Server reads its table dozens of times over.
BATCH_SIZE: Final = 5000
#: What node-apn hands to node's http2.connect and asks of each request. At their defaults (10 MB,
#: 5 s) most of a large push is reported as failed, though it arrives.
NODE_APN: Final = {"maxSessionMemory": 10_000, "requestTimeout": 60_000}
PARSE_DIRECTORY: Final = "parse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is compared."""

    devices: int
    rounds: int
    processes: int
    batch_size: int


def main(
    *,
    devices: Annotated[int, typer.Option(min=200, help="Devices of each push.")] = DEVICES,
    rounds: Annotated[int, typer.Option(min=1, help="Pushes by each, in turns.")] = ROUNDS,
    processes: Annotated[int, typer.Option(min=1, help="Our worker processes.")] = PROCESSES,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Parse Server's queueOptions.batchSize.")
    ] = BATCH_SIZE,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, no table.")] = False,
) -> None:
    """Push to everyone by the service and by Parse Server, in turns; compare the best of each."""
    # Ends as Ctrl-C does: nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = Options(devices=devices, rounds=rounds, processes=processes, batch_size=batch_size)
    with Progress(console=Console(stderr=True)) as progress:
        install(progress)
        figures = uvloop.run(compared(options, progress=progress))
    if as_json:
        print(json.dumps(figures))  # noqa: T201 - the result
    else:
        Console().print(table(figures))
    raise typer.Exit(0 if figures["ledger_match"] else 1)


async def compared(options: Options, *, progress: Progress) -> dict[str, Any]:
    """Run both in turns, then what stands beside them; return the figures."""
    ours: list[Run] = []
    parse: list[Run] = []
    with opened(processes=options.processes) as place:
        async with (
            _service(place, options, progress=progress) as service,
            _parse(place, options, progress=progress) as stage,
        ):
            for _ in range(options.rounds):
                ours.append(await service.run())
                parse.append(await theirs(stage, batch_size=options.batch_size))
        figures = figures_of(options, sink=place.sink.name, ours=ours, parse=parse)
        return figures | {"alone": await peers_alone.per_second(place, options.devices)}


def install(progress: Progress) -> None:
    """Install what Parse Server is made of, or end with what is missing and what to do."""
    task = progress.add_task("install npm packages", total=1)
    try:
        node_packages.install(parse_server.HOME)
    except node_packages.MissingError as error:
        wanted = ".".join(map(str, node_packages.NODE))
        remedy = f"Install Node {wanted} or newer with npm, and let npm reach its registry"
        raise SystemExit(f"A Parse Server cannot be started: {error}. {remedy}.") from error
    progress.update(task, completed=1)


@asynccontextmanager
async def _service(place: Place, options: Options, *, progress: Progress) -> AsyncIterator[Ours]:
    """Give the service's database an app with devices."""
    async with migrated(place) as engine:
        key = await seed(engine, place, options.devices, progress=progress)
        yield Ours(place=place, engine=engine, key=key, devices=options.devices, progress=progress)


@asynccontextmanager
async def _parse(place: Place, options: Options, *, progress: Progress) -> AsyncIterator[Stage]:
    """Give Parse Server a PostgreSQL of its own, with as many devices."""
    directory = place.directory / PARSE_DIRECTORY
    directory.mkdir(mode=0o711)
    try:
        with embedded.start("postgres", directory) as postgres:
            async with parse_staged(
                place,
                options.devices,
                database_url=postgres.url,
                options={"stock": {"ios": stock_options(place) | NODE_APN}},
                pids={"postgres": postgres.server_pid, "sink": place.pids["sink"]},
                progress=progress,
            ) as stage:
                yield stage
    finally:
        wait_until_stopped(directory)


def figures_of(
    options: Options, *, sink: str, ours: Sequence[Run], parse: Sequence[Run]
) -> dict[str, Any]:
    """Compare the best run of each."""
    our_best, their_best = best(ours), best(parse)
    versions = parse_server.versions()
    return {
        "case": "peers",
        "devices": options.devices,
        "rounds": options.rounds,
        "sink": sink,
        "pushsvc": {"processes": options.processes, **our_best.as_json(), "runs": rates(ours)},
        "parse_server": {
            "version": versions["parse-server"],
            "adapter": f"@parse/push-adapter {versions['@parse/push-adapter']}",
            "options": {"queueOptions": {"batchSize": options.batch_size}, "ios": NODE_APN},
            **their_best.as_json(),
            "runs": rates(parse),
        },
        "ratio": round(our_best.devices_per_second / their_best.devices_per_second, 2),
        "ratio_of_cpu": round(_cpu_each(their_best) / _cpu_each(our_best), 2),
        "ledger_match": all(_is_whole(run, options.devices) for run in ours),
    }


def best(runs: Sequence[Run]) -> Run:
    """Return the quickest."""
    return max(runs, key=lambda run: run.devices_per_second)


def rates(runs: Sequence[Run]) -> list[int]:
    """Return the devices a second of each run, in their order."""
    return [round(run.devices_per_second) for run in runs]


def _cpu_each(run: Run) -> float:
    """Return the seconds of CPU of all processes for each device that got it."""
    return sum(run.cpu_seconds.values()) / run.seen.devices


def _is_whole(run: Run, devices: int) -> bool:
    """Tell whether a run of ours has delivered, counted and written down each device once."""
    ledger = {"sent": devices, "entries": devices}
    return run.is_whole(devices) and run.own["ledger"] == ledger


def table(figures: dict[str, Any]) -> Table:
    """Return the figures for people, the two side by side."""
    ours, parse = dict(flat(figures["pushsvc"])), dict(flat(figures["parse_server"]))
    rows = Table("figure", "pushsvc", f"parse-server {parse['version']}")
    rows.title = f"peers, {figures['devices']:,} devices: {figures['ratio']}x"
    for name in [*ours, *(name for name in parse if name not in ours)]:
        rows.add_row(name, str(ours.get(name, "")), str(parse.get(name, "")))
    for name, rate in figures["alone"].items():
        rows.add_row(f"{name} alone, messages/s", "", str(rate))
    return rows


if __name__ == "__main__":
    typer.run(main)
