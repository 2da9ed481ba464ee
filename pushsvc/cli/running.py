"""Running until told to stop: by a signal, or by the death of the parent."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import uvloop


def until_stopped(
    work: Callable[[asyncio.Event], Awaitable[None]], *, lifeline: int | None = None
) -> None:
    """Do work that ends when the event it is given is set.

    Args:
        work: must end within its own bound once the event is set.
        lifeline: the reading end of the parent's pipe; its end of file stops us.
    """

    async def begin() -> None:
        stop = asyncio.Event()
        stop_on_signals(stop, is_child=lifeline is not None)
        if lifeline is not None:
            _stop_with_parent(stop, lifeline)
        await work(stop)

    uvloop.run(begin())


def stop_on_signals(stop: asyncio.Event, *, is_child: bool = False) -> None:
    """Set the event at SIGINT or SIGTERM; a second one ends the process as it would any other.

    A child leaves SIGINT to its parent: Ctrl-C reaches the whole process group at once, and the
    parent stops its children in order.
    """
    loop = asyncio.get_running_loop()
    heeded = (signal.SIGTERM,) if is_child else (signal.SIGINT, signal.SIGTERM)
    if is_child:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def on_signal() -> None:
        stop.set()
        for number in heeded:
            loop.remove_signal_handler(number)

    for number in heeded:
        loop.add_signal_handler(number, on_signal)


def _stop_with_parent(stop: asyncio.Event, lifeline: int) -> None:
    """Set the event when the last writing end is closed, which is the parent's."""
    loop = asyncio.get_running_loop()

    def on_readable() -> None:
        if not os.read(lifeline, 1):
            loop.remove_reader(lifeline)
            stop.set()

    loop.add_reader(lifeline, on_readable)
