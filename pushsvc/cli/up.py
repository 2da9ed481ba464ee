"""`pushsvc up`: the whole service as one group of processes."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from pushsvc.cli import fixed_app, running, service, session
from pushsvc.cli.migrate import bring
from pushsvc.cli.options import Host, Json, Port, Processes
from pushsvc.cli.output import json_line, plain
from pushsvc.cli.processes import Children, Recipe, StoppedError
from pushsvc.resources import located
from pushsvc.storage.apps import KeyKind

Key = Annotated[str | None, typer.Option(help="A key of --app-id, which has no other of its kind.")]

app = typer.Typer(add_completion=False)


@app.command()
def up(
    *,
    host: Host = None,
    port: Port = None,
    processes: Processes = None,
    mount: Annotated[
        str | None,
        typer.Option(help="Mount of the Parse API, instead of PUSHSVC_PARSE_MOUNT."),
    ] = None,
    app_id: Annotated[
        str | None,
        typer.Option(help="Make an app with this application id, unless there is one."),
    ] = None,
    master_key: Key = None,
    rest_key: Key = None,
    javascript_key: Key = None,
    client_key: Key = None,
    windows_key: Key = None,
    allow_reset: Annotated[
        bool,
        typer.Option("--allow-reset", help="Let POST /_reset empty an app. For test suites."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the API and the workers, and Postgres and Redis where none is configured.

    Brings the database to this version's level first. If one process dies, all end.
    """
    given = {
        KeyKind.MASTER: master_key,
        KeyKind.REST: rest_key,
        KeyKind.JAVASCRIPT: javascript_key,
        KeyKind.CLIENT: client_key,
        KeyKind.WINDOWS: windows_key,
    }
    fixed = fixed_app.asked_for(app_id, given)
    read = session.settings(
        host=host,
        port=port,
        processes=processes,
        parse_mount=mount,
        allow_reset=allow_reset or None,
    )

    def ready(recipes: Sequence[Recipe], told: Sequence[Mapping[str, Any]]) -> None:
        shown = service.addresses(told[0]["url"], read)
        if fixed is not None:
            shown["app"] = fixed.application_id
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
                told = await children.start(*recipes)
                if fixed is not None:
                    # Not before the port is ours: a run that fails must not take others' keys away.
                    await fixed_app.ensure(found, fixed)
                ready(recipes, told)
                ended = await children.first_end()
        except StoppedError:
            return
        if ended is not None:
            raise ended.failure

    with located(read) as found:
        asyncio.run(work())
