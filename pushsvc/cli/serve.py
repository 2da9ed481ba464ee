"""`pushsvc serve`: the API."""

import asyncio
import gc
import os
from typing import Final

import typer

from pushsvc.app import run_api
from pushsvc.cli import running, service, session
from pushsvc.cli.options import Host, Json, Lifeline, Port
from pushsvc.cli.output import json_line, plain
from pushsvc.resources import located

#: Objects that are made and not freed before the youngest are looked through, and how often the
#: older ones are. Requests leave few cycles. At the interpreter's 700 a request with fifty saves is
#: looked through again and again while it is worked on.
COLLECT_AFTER: Final = (10_000, 20, 20)

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
        # What is there now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
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
