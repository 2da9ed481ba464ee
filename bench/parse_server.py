"""A Parse Server in Node, with one of two push adapters, on a database of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

#: Where its packages are pinned.
HOME: Final = Path(__file__).parent / "parse"
APPLICATION: Final = "bench"
MASTER_KEY: Final = "bench-master-key"
READY_SECONDS: Final = 60
STOP_SECONDS: Final = 10


def versions() -> dict[str, str]:
    """Return the packages that are pinned, and their versions."""
    pinned: dict[str, str] = json.loads((HOME / "package.json").read_text())["dependencies"]
    return pinned


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What one is started with."""

    #: `stock` or `ours`
    adapter: str
    #: of the adapter
    options: Mapping[str, Any]
    #: of pages of installations, each of which is one call of the adapter
    batch_size: int
    #: for node-postgres: host (a directory of sockets), database, user
    database: Mapping[str, Any]
    #: where it and its adapter may write what they have to say
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseServer:
    """One that answers."""

    pid: int
    session: aiohttp.ClientSession
    mount: str

    async def push(self, body: Mapping[str, Any]) -> str:
        """Push, and return the id of its `_PushStatus`."""
        async with self.session.post(f"{self.mount}/push", json=body) as response:
            return response.headers["X-Parse-Push-Status-Id"]

    async def save(self, installation: Mapping[str, Any]) -> None:
        """Save an installation, which makes the table where there is none."""
        async with self.session.post(f"{self.mount}/installations", json=installation) as response:
            await response.read()


@asynccontextmanager
async def running(setup: Setup) -> AsyncIterator[ParseServer]:
    """Start one, and stop it at the end.

    Raises:
        RuntimeError: it did not start.
    """
    said = {
        "adapter": setup.adapter,
        "options": setup.options,
        "batchSize": setup.batch_size,
        "database": setup.database,
        "applicationId": APPLICATION,
        "masterKey": MASTER_KEY,
    }
    with setup.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *("node", str(HOME / "server.mjs"), json.dumps(said)),
            # It keeps a folder of logs there, whatever it is told.
            cwd=setup.log.parent,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        hello = await _hello(process, setup.log)
        keys = {"X-Parse-Application-Id": APPLICATION, "X-Parse-Master-Key": MASTER_KEY}
        async with aiohttp.ClientSession(
            hello["url"], headers=keys, raise_for_status=True
        ) as session:
            yield ParseServer(pid=process.pid, session=session, mount=hello["mount"])
    finally:
        await _ended(process)


async def _hello(process: asyncio.subprocess.Process, log: Path) -> dict[str, Any]:
    """Read its first line that is JSON; before it there may be warnings."""
    assert process.stdout is not None
    with suppress(TimeoutError):
        async with asyncio.timeout(READY_SECONDS):
            async for line in process.stdout:
                with suppress(json.JSONDecodeError):
                    hello: dict[str, Any] = json.loads(line)
                    return hello
    raise RuntimeError(f"Parse Server did not start: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-1000:]


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Stop it, by closing its stdin, or the hard way."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
