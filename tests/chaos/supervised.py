"""A process of the service that is started again whenever it ends, as a supervisor does it."""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bench.measure import peak_rss_mb

#: Imports, connections, keys; a machine with two cores has much else to do in a storm.
READY_SECONDS: Final = 60.0
#: How long a process may take to end when all is over.
END_SECONDS: Final = 15.0
#: A process that cannot start (a port not free yet, a database not back yet) is tried again.
PAUSE_SECONDS: Final = 0.2
LINE_BYTES: Final = 1 << 20


class Supervised:
    """`python -m pushsvc ...`, kept running until it is told to end."""

    def __init__(
        self, name: str, *arguments: str, log: Path, lifeline: int, tell: Callable[[str], None]
    ) -> None:
        """Name it; `start` runs it.

        Args:
            name: what reports call it.
            arguments: of the command line.
            log: where its stderr goes.
            lifeline: the reading end of a pipe; when we die, its end tells the process to stop.
            tell: told when it is ready, and when it ends by itself.
        """
        self.name = name
        #: most memory it has held in any of its lives, MB
        self.peak_rss_mb = 0.0
        #: how often it ended without being killed
        self.ended_by_itself = 0
        self._arguments, self._log, self._lifeline = arguments, log, lifeline
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._killed = self._ending = False
        self._is_ready = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._said: asyncio.Future[dict[str, Any]]

    async def start(self, environment: Mapping[str, str]) -> dict[str, Any]:
        """Run it; return what it says when it is ready for the first time."""
        self._said = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(environment), name=f"keep {self.name}")
        await asyncio.wait_for(asyncio.shield(self._said), READY_SECONDS)
        return self._said.result()

    async def ready(self) -> None:
        """Wait until the life that was begun last is ready."""
        await asyncio.wait_for(self._is_ready.wait(), READY_SECONDS)

    def kill(self) -> None:
        """End it as `kill -9` does; it is started again at once."""
        if self._process is not None and self._process.returncode is None:
            self.look()
            self._killed = True
            self._is_ready.clear()
            self._process.kill()

    def look(self) -> None:
        """Take down how much memory it has held."""
        if self._process is not None and self._process.returncode is None:
            with suppress(OSError, ProcessLookupError):
                self.peak_rss_mb = max(self.peak_rss_mb, peak_rss_mb(self._process.pid))

    async def end(self) -> None:
        """Tell it to stop, and wait until it has."""
        self._ending = True
        if self._process is not None and self._process.returncode is None:
            self.look()
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), END_SECONDS)
            except TimeoutError:
                self._process.kill()
        if self._keeper is not None:
            await self._keeper

    async def _keep(self, environment: Mapping[str, str]) -> None:
        while not self._ending:
            self._killed = False
            with self._log.open("ab") as log:
                self._process = await self._spawn(environment, log)
            await self._listen(self._process)
            if not (self._killed or self._ending):
                self.ended_by_itself += 1
                self._tell(f"{self.name} ended with {self._process.returncode}")
                await asyncio.sleep(PAUSE_SECONDS)

    async def _spawn(self, environment: Mapping[str, str], log: Any) -> asyncio.subprocess.Process:
        options: Sequence[str] = ("--json", "--lifeline", str(self._lifeline))
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pushsvc", *self._arguments, *options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=dict(environment),
            pass_fds=(self._lifeline,),
            limit=LINE_BYTES,
        )

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            said = json.loads(line)
            self._tell(
                f"{self.name} says {said['error']}" if "error" in said else f"{self.name} is ready"
            )
            if "error" not in said:
                self._is_ready.set()
                if not self._said.done():
                    self._said.set_result(said)
        await process.wait()
