"""A Parse Server in Node, with one of two push adapters, on a database of its own."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

#: Where its packages are pinned, for the tests and for this.
HOME: Final = Path(__file__).parents[1] / "tests" / "parse-server"
#: adapter -> its module, as Parse Server's configuration names it
ADAPTERS: Final = {"stock": "@parse/push-adapter", "ours": "@pushsvc/parse-server-push-adapter"}
APPLICATION: Final = "bench"
MASTER_KEY: Final = "bench-master-key"
READY_SECONDS: Final = 60
POLL_SECONDS: Final = 0.1
STOP_SECONDS: Final = 10


def versions() -> dict[str, str]:
    """Return the versions of the packages that are compared with ours, or carry it."""
    pinned = json.loads((HOME / "package.json").read_text())["dependencies"]
    return {name: pinned[name] for name in (ADAPTERS["stock"], "parse-server")}


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

    process: asyncio.subprocess.Process
    #: its base is the mount
    session: aiohttp.ClientSession
    log: Path

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid

    def require_running(self) -> None:
        """Tell why it ended, if it has.

        Raises:
            RuntimeError: it has ended.
        """
        if self.process.returncode is not None:
            raise RuntimeError(f"Parse Server ended: {_end_of(self.log)}")

    async def push(self, body: Mapping[str, Any]) -> str:
        """Push, and return the id of its `_PushStatus`."""
        async with self.session.post("push", json=body) as response:
            return response.headers["X-Parse-Push-Status-Id"]

    async def save(self, installation: Mapping[str, Any]) -> None:
        """Save an installation, which makes the table where there is none."""
        async with self.session.post("installations", json=installation) as response:
            await response.read()


@asynccontextmanager
async def running(setup: Setup) -> AsyncIterator[ParseServer]:
    """Start one, and stop it at the end.

    Raises:
        RuntimeError: it did not start.
    """
    port = _free_port()
    process = await _started(setup, port)
    keys = {"X-Parse-Application-Id": APPLICATION, "X-Parse-Master-Key": MASTER_KEY}
    try:
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{port}/parse/", headers=keys, raise_for_status=True
        ) as session:
            await _ready(process, session, setup.log)
            yield ParseServer(process=process, session=session, log=setup.log)
    finally:
        await _ended(process)


async def _started(setup: Setup, port: int) -> asyncio.subprocess.Process:
    options = {
        "appId": APPLICATION,
        "masterKey": MASTER_KEY,
        "push": {
            "adapter": ADAPTERS[setup.adapter],
            "queueOptions": {"batchSize": setup.batch_size},
            **setup.options,
        },
        "silent": True,
        "verifyServerUrl": False,
    }
    told = {"port": port, "database": setup.database, "options": options}
    with setup.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *("node", str(HOME / "server.mjs")),
            # It keeps a folder of logs there, whatever it is told.
            cwd=setup.log.parent,
            env={**os.environ, "PARSE_SERVER": json.dumps(told)},
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
        )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
    return port


async def _ready(
    process: asyncio.subprocess.Process, session: aiohttp.ClientSession, log: Path
) -> None:
    """Wait until it answers."""
    with suppress(TimeoutError):
        async with asyncio.timeout(READY_SECONDS):
            while process.returncode is None:
                with suppress(aiohttp.ClientError):
                    async with session.get("health"):
                        return
                await asyncio.sleep(POLL_SECONDS)
    raise RuntimeError(f"Parse Server did not start: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-1000:]


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Stop it, by closing its stdin, or the hard way."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
