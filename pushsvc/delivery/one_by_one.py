"""A round for senders that take one message at a time: each waits for its own verdict."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic

from pushsvc.delivery.gateway import Message
from pushsvc.delivery.rounds import Run, ShapeT
from pushsvc.delivery.tokens import Token
from pushsvc.delivery.wire import Answered, NotProcessed, Verdict
from pushsvc.model import Answer

#: Messages in a row that were not answered, after which the rest is left for a later attempt. One
#: that takes its whole time is dear where only a few are under way at once.
UNANSWERED_IN_A_ROW: Final = 10

#: An Answer is for a message that no gateway needs to see.
Deliver = Callable[[Message[ShapeT], Token], Awaitable[Verdict | Answer]]

CLOSED: Final = NotProcessed("the gateway is closed")
STOPPED: Final = NotProcessed("stopped before its turn")


class OneByOne(Generic[ShapeT]):
    """The messages of one gateway that are under way, bounded over all who send."""

    def __init__(self, deliver: Deliver[ShapeT], *, at_once: int) -> None:
        """Make it; `deliver` never raises for the network, and may be called `at_once` times."""
        self._deliver = deliver
        self._slots = asyncio.Semaphore(at_once)
        self._under_way: set[asyncio.Task[None]] = set()
        self._closed = False

    async def send(self, run: Run[ShapeT], pulled: Iterator[Message[ShapeT]], token: Token) -> bool:
        """Send one round; tell whether another is worth while."""
        unanswered = _Row()
        async with asyncio.TaskGroup() as round_:
            while unanswered.length < UNANSWERED_IN_A_ROW and (message := next(pulled, None)):
                try:
                    await self._slots.acquire()
                except asyncio.CancelledError:
                    run.on_verdict(message[0], STOPPED)
                    raise
                task = round_.create_task(self._settle(run, message, token, unanswered=unanswered))
                self._under_way.add(task)
                task.add_done_callback(self._done)
        return run.heard and unanswered.length < UNANSWERED_IN_A_ROW

    async def drain(self, seconds: float) -> None:
        """Deliver no more, and wait for what is under way, so long at most."""
        self._closed = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)

    async def _settle(
        self, run: Run[ShapeT], message: Message[ShapeT], token: Token, *, unanswered: "_Row"
    ) -> None:
        verdict = CLOSED if self._closed else await self._deliver(message, token)
        if isinstance(verdict, Answer):
            run.refuse(message[0], verdict)
            return
        unanswered.length = 0 if isinstance(verdict, Answered) else unanswered.length + 1
        run.on_verdict(message[0], verdict)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._slots.release()


@dataclass(slots=True)
class _Row:
    """How many of a kind there were one after another."""

    length: int = 0
