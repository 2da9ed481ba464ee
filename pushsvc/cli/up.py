"""`pushsvc up`: the whole service as one group of processes."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from pushsvc.cli import running, service, session
from pushsvc.cli.migrate import bring
from pushsvc.cli.options import Host, Json, Port, Processes
from pushsvc.cli.output import json_line, plain
from pushsvc.cli.processes import Children, Recipe, StoppedError
from pushsvc.resources import located

app = typer.Typer(add_completion=False)


@app.command()
def up(
    *,
    host: Host = None,
    port: Port = None,
    processes: Processes = None,
    as_json: Json = False,
) -> None:
    """Run the API and the workers, and Postgres and Redis where none is configured.

    Brings the database to this version's level first. If one process dies, all end.
    """
    read = session.settings(host=host, port=port, processes=processes)

    def ready(recipes: Sequence[Recipe], told: Sequence[Mapping[str, Any]]) -> None:
        shown = service.addresses(told[0]["url"], read)
        if as_json:
            pids = {recipe.name: one["pid"] for recipe, one in zip(recipes, told, strict=True)}
            json_line({**shown, "pids": pids})
        else:
            for name, value in shown.items():
                plain(f"{name:<8} {value}")
            plain("Ctrl-C stops everything.")

    async def work() -> None:
        stop = asyncio.Event()
        running.stop_on_signals(stop)
        await bring(found)
        try:
            async with Children(stop=stop, drain_seconds=read.shutdown_seconds) as children:
                recipes = service.recipes(read)
                ready(recipes, await children.start(*recipes))
                ended = await children.first_end()
        except StoppedError:
            return
        if ended is not None:
            raise ended.failure

    with located(read) as found:
        asyncio.run(work())
