"""`pushsvc worker`: one worker in this process, or several as children of it."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog
import typer

from pushsvc.cli import running, service, session
from pushsvc.cli.options import Json, Lifeline, Processes
from pushsvc.cli.output import json_line, plain
from pushsvc.cli.processes import Children, StoppedError
from pushsvc.config import Settings
from pushsvc.resources import located
from pushsvc.worker import run_worker

#: Workers that die more often than this will go on doing so; a supervisor above us should know.
RESTARTS: Final = 5
RESTARTS_SECONDS: Final = 60.0

app = typer.Typer(add_completion=False)
log = structlog.get_logger(__name__)


@app.command()
def worker(
    *,
    processes: Processes = None,
    as_json: Json = False,
    lifeline: Lifeline = None,
) -> None:
    """Run workers until told to stop; then let what they have begun finish."""
    read = session.settings(processes=processes)

    def ready(pids: Sequence[int]) -> None:
        running.settle_memory()
        if as_json:
            json_line({"pid": os.getpid(), "pids": pids})
        else:
            plain(f"Working in {len(pids)} process(es).")

    cut = asyncio.Event()

    async def work(stop: asyncio.Event) -> None:
        # A supervisor has looked; a child that comes back after a migration goes on as the others.
        if lifeline is None:
            await session.require_level(found)
        if read.processes == 1:
            await run_worker(found, ready=lambda: ready([os.getpid()]), stop=stop, cut=cut)
        else:
            await _supervise(read, stop=stop, ready=ready)

    with located(read) as found:
        # A supervisor is not told: at a second signal it ends, and its children see that.
        heard = cut if read.processes == 1 else None
        running.until_stopped(work, lifeline=lifeline, cut=heard)


async def _supervise(
    read: Settings, *, stop: asyncio.Event, ready: Callable[[Sequence[int]], None]
) -> None:
    died: deque[float] = deque(maxlen=RESTARTS)
    try:
        async with Children(stop=stop, drain_seconds=read.shutdown_seconds) as children:
            told = await children.start(*service.worker_recipes(read))
            ready([one["pid"] for one in told])
            while (ended := await children.first_end()) is not None:
                log.error("worker.ended", name=ended.recipe.name, error=str(ended.failure))
                if too_many(died, now=time.monotonic()):
                    raise ended.failure
                await children.start(ended.recipe)
                log.info("worker.restarted", name=ended.recipe.name)
    except StoppedError:
        return


def too_many(died: "deque[float]", *, now: float) -> bool:
    """Note a death; tell whether it is one too many within the time.

    Args:
        died: the moments of the deaths that were forgiven, at most `RESTARTS`.
        now: the moment of this one, on the same clock.
    """
    if len(died) == RESTARTS and now - died[0] < RESTARTS_SECONDS:
        return True
    died.append(now)
    return False
