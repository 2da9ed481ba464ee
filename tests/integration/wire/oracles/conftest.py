"""Real HTTP/2 servers, started once for each test; one event loop is enough here."""

import asyncio
from collections.abc import Callable

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """These runs prove the protocol against others, on the loop that the service uses."""
    return {"uvloop": uvloop.new_event_loop}
