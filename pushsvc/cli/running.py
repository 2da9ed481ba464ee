"""Running until told to stop: by a signal, or by the death of the parent."""

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop

from pushsvc import log

#: Objects that are made and not freed before the youngest are looked through, and how often the
#: older ones are. Requests and groups of pushes leave few cycles. At the interpreter's 700 one with
#: fifty saves is looked through again and again while it is worked on.
COLLECT_AFTER: Final = (10_000, 20, 20)


def settle_memory() -> None:
    """Leave what is there now out of garbage collection: it stays as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def until_stopped(
    work: Callable[[asyncio.Event], Awaitable[None]],
    *,
    lifeline: int | None = None,
    cut: asyncio.Event | None = None,
) -> None:
    """Do work that ends when the event it is given is set.

    Args:
        work: must end within its own bound once the event is set.
        lifeline: the reading end of the parent's pipe; its end of file stops us.
        cut: set when we are told a second time.
    """

    async def begin() -> None:
        stop = asyncio.Event()
        stop_on_signals(stop, is_child=lifeline is not None, cut=cut)
        if lifeline is not None:
            _stop_with_parent(lifeline, stop=stop, cut=cut)
        await work(stop)

    log.settle()
    uvloop.run(begin())


def stop_on_signals(
    stop: asyncio.Event, *, is_child: bool = False, cut: asyncio.Event | None = None
) -> None:
    """Set `stop` at SIGINT or SIGTERM, and `cut` at a second one.

    One more ends the process as it would any other. A child leaves SIGINT to its parent: Ctrl-C
    reaches the whole process group at once, and the parent stops its children in order.
    """
    loop = asyncio.get_running_loop()
    heeded = (signal.SIGTERM,) if is_child else (signal.SIGINT, signal.SIGTERM)
    if is_child:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    events = [stop] if cut is None else [stop, cut]

    def on_signal() -> None:
        events.pop(0).set()
        if not events:
            for number in heeded:
                loop.remove_signal_handler(number)

    for number in heeded:
        loop.add_signal_handler(number, on_signal)


def _stop_with_parent(lifeline: int, *, stop: asyncio.Event, cut: asyncio.Event | None) -> None:
    """Set `stop` when the last writing end is closed, which is the parent's.

    A parent that goes while we stop has lost its patience, or its life: then `cut`.
    """
    loop = asyncio.get_running_loop()

    def on_readable() -> None:
        if not os.read(lifeline, 1):
            loop.remove_reader(lifeline)
            if stop.is_set() and cut is not None:
                cut.set()
            stop.set()

    loop.add_reader(lifeline, on_readable)
