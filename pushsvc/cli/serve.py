"""`pushsvc serve`: the API."""

import asyncio
import os

import typer

from pushsvc.app import run_api
from pushsvc.cli import running, service, session
from pushsvc.cli.options import Host, Json, Lifeline, Port
from pushsvc.cli.output import json_line, plain
from pushsvc.resources import located

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    *,
    host: Host = None,
    port: Port = None,
    as_json: Json = False,
    lifeline: Lifeline = None,
) -> None:
    """Run the API until told to stop; then let running requests finish."""
    read = session.settings(host=host, port=port)

    def ready(bound: int) -> None:
        running.settle_memory()
        url = service.url_of(read, bound)
        if as_json:
            json_line({"url": url, "port": bound, "pid": os.getpid()})
        else:
            plain(f"Listening on {url}")

    async def work(stop: asyncio.Event) -> None:
        await session.require_level(found)
        await run_api(found, ready=ready, stop=stop)

    with located(read) as found:
        running.until_stopped(work, lifeline=lifeline)
