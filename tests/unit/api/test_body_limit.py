"""Bodies of requests are bounded, each and all together."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from pushsvc.api.body_limit import LET_GO, BodyLimitMiddleware, Held
from pushsvc.errors import BodyTooLargeError, BodyTooSlowError, OverloadedError

SCOPE: Scope = {"type": "http", "headers": []}


class Requests:
    """Requests to an app that reads a body and answers when it is told to."""

    def __init__(self, *, held: Held | None = None, seconds: float = 60) -> None:
        self.answer = asyncio.Event()
        self.read = asyncio.Event()
        self.lets_go = False
        self._app = BodyLimitMiddleware(
            self._wait, limit_bytes=60, held=held, all_bytes=100, small_bytes=10, seconds=seconds
        )

    async def _wait(self, scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        if self.lets_go:
            scope[LET_GO]()
        self.read.set()
        await self.answer.wait()

    async def send(self, size: int) -> None:
        """Send a body of so many bytes, and return when it is answered."""

        async def receive() -> Message:
            return {"type": "http.request", "body": bytes(size)}

        await self._app(SCOPE, receive, ignore)

    async def stall(self) -> None:
        """Begin a body, and do not go on with it."""

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        await self._app(SCOPE, receive, ignore)


async def ignore(_message: Message) -> None:
    """Nothing is answered."""


async def test_bodies_of_all_requests_are_bounded_together() -> None:
    """One too many is refused for now, unless it is small; what is answered makes room."""
    requests = Requests()
    first = asyncio.create_task(requests.send(60))
    await requests.read.wait()

    with pytest.raises(OverloadedError):
        await requests.send(41)
    more = [asyncio.create_task(requests.send(size)) for size in (40, 10)]
    requests.answer.set()
    await asyncio.gather(*more)
    await requests.send(40)
    await first
    await requests.send(60)


async def test_doors_share_the_bound() -> None:
    """By whichever door they come, it is one process that holds them."""
    held = Held()
    one, other = Requests(held=held), Requests(held=held)
    first = asyncio.create_task(one.send(60))
    await one.read.wait()

    with pytest.raises(OverloadedError):
        await other.send(41)
    one.answer.set()
    await first
    assert held.bytes == 0


async def test_a_body_that_was_let_go_of_leaves_its_room_to_others() -> None:
    """Its request may wait for a minute yet; when that is answered, no room is freed twice."""
    requests = Requests()
    requests.lets_go = True
    waiting = []
    for _ in range(3):
        requests.read.clear()
        waiting.append(asyncio.create_task(requests.send(60)))
        await requests.read.wait()
    requests.lets_go = False
    requests.answer.set()
    await asyncio.gather(*waiting)
    requests.answer.clear()

    requests.read.clear()
    kept = asyncio.create_task(requests.send(60))
    await requests.read.wait()
    with pytest.raises(OverloadedError):
        await requests.send(41)
    requests.answer.set()
    await kept


async def test_one_body_is_bounded() -> None:
    """By what comes, where its length is not announced."""
    with pytest.raises(BodyTooLargeError):
        await Requests().send(61)


async def test_a_body_that_does_not_come_is_given_up() -> None:
    """Its room is for others."""
    with pytest.raises(BodyTooSlowError):
        await Requests(seconds=0).stall()
