"""The client that sends single pushes in a bench."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from bench.singles_client import CONNECTIONS, Client


@asynccontextmanager
async def api() -> AsyncIterator[str]:
    """Accept every other push, the answer in two pieces."""
    accepted = itertools.cycle((b"202 Accepted", b"429 Too Many Requests"))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]))
            writer.write(b"HTTP/1.1 %b\r\ncontent-length: 2\r\n\r\n{" % next(accepted))
            await writer.drain()
            writer.write(b"}")

    ends: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
        await asyncio.gather(*(end for end in ends if end))


async def test_the_client_tells_what_was_accepted() -> None:
    """Each send has its own device; what was refused is posted and not accepted."""
    async with api() as url:
        client = Client(url, "key")
        await client.connect()
        evenly = await client.evenly(2_000, lambda sends: sends < 2 * CONNECTIONS)
        most = await client.at_most(0.02)
        client.close()
    assert len(evenly.posted) == 2 * CONNECTIONS
    assert len(evenly.accepted) == CONNECTIONS
    assert len(most.posted) >= CONNECTIONS
    assert not most.posted.keys() & evenly.posted.keys()
