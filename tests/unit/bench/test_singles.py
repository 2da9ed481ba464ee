"""What the single sends of a bench prove, and how long they took."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from bench.singles import latency, proof, rates
from bench.singles_client import CONNECTIONS, Client, Sent

ALL_SENT = {"done": 2, "sent": 2, "others": 0}
SENT = Sent(posted={"a": 1.0, "b": 1.1}, accepted={"a": 1.01, "b": 1.2})


def test_a_run_is_whole_when_each_push_came_once() -> None:
    """Accepted, received once and sent by the ledger: then nothing is wrong."""
    found = proof([SENT], [("a", 1.02), ("b", 1.3)], ledger=ALL_SENT)
    assert found["delivered_once"]


@pytest.mark.parametrize(
    ("received", "ledger"),
    [
        ([("a", 1.02)], ALL_SENT),
        ([("a", 1.02), ("b", 1.3), ("b", 1.4)], ALL_SENT),
        ([("a", 1.02), ("b", 1.3), ("c", 1.4)], ALL_SENT),
        ([("a", 1.02), ("b", 1.3)], {"done": 1, "sent": 2, "others": 0}),
        ([("a", 1.02), ("b", 1.3)], {"done": 2, "sent": 1, "others": 1}),
    ],
)
def test_a_run_is_not_whole_otherwise(
    received: list[tuple[str, float]], ledger: dict[str, int]
) -> None:
    """Missing, double, nobody's, open, or not sent by the ledger: each is found."""
    assert not proof([SENT], received, ledger=ledger)["delivered_once"]


def test_what_is_delivered_counts_to_the_last_receipt() -> None:
    """Two sends, the last of which came 0.5 s after the first POST: four a second."""
    received = {"a": 1.02, "b": 1.5}
    assert rates(SENT, received)["delivered_per_second"] == 4
    assert latency(SENT.posted, received)["most_ms"] == 400


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

    served: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()
        await writer.wait_closed()

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.create_task(serve(reader, writer)))

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"
        await asyncio.gather(*served)


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
