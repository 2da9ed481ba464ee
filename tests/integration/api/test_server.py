"""The HTTP server: its port, and its end."""

import asyncio
import socket

import aiohttp
import pytest

from pushsvc.api import server
from pushsvc.app import run_api
from pushsvc.config import Settings


def ignore(_port: int) -> None:
    """Take note of the port, and forget it."""


async def test_a_port_that_is_taken_is_named(settings: Settings) -> None:
    """With the setting that chooses another."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = settings.model_copy(update={"port": port})

        with pytest.raises(server.PortTakenError, match=f"Port {port} .*PUSHSVC_PORT"):
            await run_api(busy, ready=ignore, stop=asyncio.Event())


@pytest.mark.parametrize("host", ["192.0.2.1", "nobody.invalid", "2001:db8::1"])
async def test_an_address_that_is_not_ours_is_named(settings: Settings, host: str) -> None:
    """With its setting."""
    elsewhere = settings.model_copy(update={"host": host})

    with pytest.raises(server.ListenError, match="PUSHSVC_HOST"):
        await run_api(elsewhere, ready=ignore, stop=asyncio.Event())


async def test_it_stops_when_told_and_gives_the_port_back(settings: Settings) -> None:
    """A request that runs is answered first."""
    stop = asyncio.Event()
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_api(settings, ready=bound.set_result, stop=stop))
    port = await asyncio.wait_for(bound, timeout=20)

    async def slow_body() -> object:
        yield b'{"where"'
        stop.set()
        # The server has begun to stop when it takes no more connections.
        for _ in range(2_000):
            if not await _accepts(port):
                break
            await asyncio.sleep(0.01)
        yield b": 1}"

    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/parse/push"
        async with session.post(url, data=slow_body()) as response:
            assert response.status == 403
    await asyncio.wait_for(running, timeout=20)
    with socket.create_server(("127.0.0.1", port)):
        pass


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (ConnectionRefusedError, ConnectionResetError):
        return False
    writer.close()
    return True
