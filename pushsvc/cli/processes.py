"""Children of `up`, `worker` and `demo`: started, watched, stopped, and never left behind.

A child is `python -m pushsvc <command> --json --lifeline FD`. Its first line on stdout is a JSON
object and says that it is ready; should it fail, its last line says why. FD is the reading end of
a pipe whose writing end only the parent holds: when the parent dies, by kill -9 too, the child
reads its end and stops in order.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Final, Self, TypeVar

import structlog

from pushsvc.cli.failures import CommandError

#: Imports, connections, keys: a child that is not ready by then never will be.
READY_SECONDS: Final = 60.0
#: What a child may need beyond its own drain, for its last writes, before it is killed.
GRACE_SECONDS: Final = 1.75
#: The longest line a child prints is a simulator's list of endpoints.
LINE_LIMIT_BYTES: Final = 1024 * 1024

T = TypeVar("T")

_log = structlog.get_logger()


class StoppedError(Exception):
    """The user stopped us before everything was started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to start a child."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    #: where its log goes; None: to our stderr
    log: IO[bytes] | None = None
    #: descriptors it keeps open for as long as it lives
    keeps: Sequence[int] = ()


class Child:
    """A child that was started."""

    def __init__(self, recipe: Recipe, process: asyncio.subprocess.Process) -> None:
        """Listen to what the process says, until it has ended."""
        self.recipe = recipe
        self._process = process
        #: its first line, once it is ready
        self.hello: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._last: dict[str, Any] = {}
        #: ends with the child; the result is its exit status
        self.ended = asyncio.create_task(self._listen(), name=f"what {recipe.name} says")

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the child has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    @property
    def failure(self) -> CommandError:
        """Return what its end means for the whole: its own words, or how it ended."""
        status = self.ended.result()
        told = self._last.get("error")
        if isinstance(told, dict):
            return CommandError(
                str(told.get("message")), code=str(told.get("code")), field=told.get("field")
            )
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended ({status})"
        return CommandError(f"The process `{self.recipe.name}` {how}.", code="child_ended")

    async def _listen(self) -> int:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            with suppress(json.JSONDecodeError):
                self._hear(json.loads(line))
        return await self._process.wait()

    def _hear(self, said: dict[str, Any]) -> None:
        self._last = said
        if not self.hello.done() and "error" not in said:
            self.hello.set_result(said)


class Children:
    """A group of children with one end: none outlives the `async with`."""

    def __init__(self, *, stop: asyncio.Event, drain_seconds: float) -> None:
        """Take the event that stops the whole, and how long a child may drain."""
        self._stop = stop
        self._drain_seconds = drain_seconds
        self._children: list[Child] = []
        self._lifeline = os.pipe()

    async def __aenter__(self) -> Self:
        """Begin without children."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop all children, the hard way when they do not end in time."""
        await self._end()
        for descriptor in self._lifeline:
            os.close(descriptor)

    async def start(self, *recipes: Recipe) -> list[dict[str, Any]]:
        """Start children side by side and wait until all are ready; return what each said.

        Raises:
            CommandError: one ended, or said nothing for a minute.
            StoppedError: we were told to stop meanwhile.
        """
        started = [await self._spawn(recipe) for recipe in recipes]
        return [await self._ready(child) for child in started]

    async def first_end(self) -> Child | None:
        """Wait until a child ends, and return it; None when we were told to stop."""
        await self._either(*(child.ended for child in self._children))
        if self._stop.is_set():
            return None
        ended = next(child for child in self._children if child.ended.done())
        self._children.remove(ended)
        return ended

    async def during(self, work: Coroutine[Any, Any, T], *, seconds: float | None = None) -> T:
        """Do work that needs the children; give it up when one ends, or when it takes too long.

        Raises:
            CommandError: a child ended, or the time was over.
            StoppedError: we were told to stop.
        """
        task = asyncio.create_task(work)
        ends = [child.ended for child in self._children]
        try:
            await self._either(task, *ends, seconds=seconds)
            if task.done():
                return task.result()
            if self._stop.is_set():
                raise StoppedError
            for child in self._children:
                if child.ended.done():
                    raise child.failure
            message = f"It was not done in {seconds:.0f} s."
            raise CommandError(message, code="too_slow")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _spawn(self, recipe: Recipe) -> Child:
        reading = self._lifeline[0]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pushsvc", *recipe.arguments),
            *("--json", "--lifeline", str(reading)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=recipe.log,
            env=dict(recipe.environment),
            pass_fds=(reading, *recipe.keeps),
            limit=LINE_LIMIT_BYTES,
        )
        child = Child(recipe, process)
        self._children.append(child)
        return child

    async def _ready(self, child: Child) -> dict[str, Any]:
        await self._either(child.hello, child.ended, seconds=READY_SECONDS)
        if child.hello.done():
            return child.hello.result()
        if self._stop.is_set():
            raise StoppedError
        if child.ended.done():
            raise child.failure
        message = f"The process `{child.recipe.name}` was not ready in {READY_SECONDS:.0f} s."
        raise CommandError(message, code="not_ready")

    async def _either(self, *futures: "asyncio.Future[Any]", seconds: float | None = None) -> None:
        """Wait for the first of these, or for the event that stops the whole."""
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait(
                [stopped, *futures], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopped.cancel()

    async def _end(self) -> None:
        for child in self._children:
            child.send(signal.SIGTERM)
        ends = [child.ended for child in self._children]
        if ends:
            await asyncio.wait(ends, timeout=self._drain_seconds + GRACE_SECONDS)
        for child in self._children:
            if not child.ended.done():
                _log.warning("child.killed", name=child.recipe.name)
                child.send(signal.SIGKILL)
        await asyncio.gather(*ends, return_exceptions=True)
