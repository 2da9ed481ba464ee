"""The HTTP server: its port, and its end."""

import asyncio
import socket

import aiohttp
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

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


H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
WEBSOCKET = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
ONCE = "Connection: close, upgrade\r\nUpgrade: h2c\r\n"
THREE = "Content-Length: 3\r\n\r\nabc"
CHUNKS = "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"


PLAIN = "GET /b HTTP/1.1\r\n\r\n"
#: What is sent -> the answers.
OFFERS = {
    f"POST /a HTTP/1.1\r\n{H2C}{THREE}": ["POST /a abc"],
    f"POST /a HTTP/1.1\r\n{H2C}{CHUNKS}": ["POST /a abc"],
    f"POST /a HTTP/1.1\r\n{WEBSOCKET}{THREE}": ["POST /a abc"],
    f"GET /a HTTP/1.1\r\n{WEBSOCKET}\r\n": ["GET /a "],
    f"POST /a HTTP/1.0\r\n{H2C}{THREE}": ["POST /a abc"],
    f"POST /a HTTP/1.1\r\n{ONCE}{THREE}": ["POST /a abc"],
    f"POST /a HTTP/1.1\r\n{H2C}{THREE}{PLAIN}PUT /c HTTP/1.1\r\n{H2C}{CHUNKS}": [
        "POST /a abc",
        "GET /b ",
        "PUT /c abc",
    ],
    f"POST /a HTTP/1.1\r\n{H2C}Transfer-Encoding: chunked\r\n\r\nn": ["Invalid HTTP"],
    "CONNECT a.example:443 HTTP/1.1\r\n\r\n": ["Invalid HTTP"],
}


async def test_an_offer_of_another_protocol_is_not_taken_up(settings: Settings) -> None:
    """curl --http2 offers one with each request: it is read to its end, and answered."""
    stop = asyncio.Event()
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(server.serve(_echo, settings, ready=bound.set_result, stop=stop))
    port = await bound

    async with asyncio.timeout(20):
        for sent, answers in OFFERS.items():
            assert await _answers(port, [sent], len(answers)) == answers
            assert await _answers(port, list(sent), len(answers)) == answers

    stop.set()
    await running


async def _answers(port: int, parts: list[str], count: int) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part.encode())
        # The server reads in this loop, too, and so has the parts one by one.
        await asyncio.sleep(0)
    found = []
    for _ in range(count):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split()[0])
        found.append((await reader.readexactly(length)).decode()[:12])
    writer.close()
    return found


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    body = (await request.body()).decode()
    await PlainTextResponse(f"{request.method} {request.url.path} {body}")(scope, receive, send)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (ConnectionRefusedError, ConnectionResetError):
        return False
    writer.close()
    return True
