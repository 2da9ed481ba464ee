"""A real Parse Server that pushes through the service, and what the tests ask of it."""

import asyncio
import contextlib
import json
import os
import secrets
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import parse_qs, urlsplit

import aiohttp
import asyncpg

from tests.integration.pushing import until

HOME: Final = Path(__file__).parents[1] / "parse-server"
ADAPTER: Final = "@pushsvc/parse-server-push-adapter"
APPLICATION: Final = "shop"
MASTER_KEY: Final = "master-key"
#: With it, Parse Server takes tokens from its installations that a gateway calls dead.
PRUNE: Final = "PARSE_SERVER_CLEANUP_INVALID_INSTALLATIONS"
AGE: Final = """
    UPDATE "_PushStatus" SET "updatedAt" = "updatedAt" - interval '5 minutes'
    WHERE "objectId" = $1
"""
DEADLINE_SECONDS: Final = 60
#: Of its log, where it has ended.
SAID_CHARACTERS: Final = 2_000
#: More saves at once are no faster.
SAVES_AT_ONCE: Final = 16


@dataclass(kw_only=True)
class ParseServer:
    """A Parse Server on a database of its own; it can be killed, and started again."""

    dsn: str
    log: IO[bytes]
    port: int
    options: Mapping[str, Any]
    session: aiohttp.ClientSession
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        told = {"port": self.port, "database": _database(self.dsn), "options": self.options}
        self.process = await asyncio.create_subprocess_exec(
            *("node", str(HOME / "server.mjs")),
            # It writes a log where it is.
            cwd=Path(self.log.name).parent,
            # It takes a time without a zone for one of its own zone, and turns it to UTC.
            env={**os.environ, "PARSE_SERVER": json.dumps(told), PRUNE: "1", "TZ": "UTC"},
            stdin=asyncio.subprocess.PIPE,
            stdout=self.log,
            stderr=self.log,
        )
        await until(self.answers, seconds=DEADLINE_SECONDS)

    async def answers(self) -> bool:
        """Tell whether it is ready; it must not have ended."""
        assert self.process is not None
        assert self.process.returncode is None, self._said()
        try:
            async with self.session.get(f"{self.url}/health") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    def _said(self) -> str:
        return f"it ended:\n{Path(self.log.name).read_text(errors='replace')[-SAID_CHARACTERS:]}"

    async def kill(self) -> None:
        """End it as the out-of-memory killer does."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    @property
    def url(self) -> str:
        """Where its REST API is."""
        return f"http://127.0.0.1:{self.port}/parse"

    async def rest(self, method: str, path: str, body: Any = None) -> Any:
        """Ask with the master key; return the answer's JSON, and the push's id where it has one."""
        headers = {
            "X-Parse-Application-Id": APPLICATION,
            "X-Parse-Master-Key": MASTER_KEY,
        }
        async with self.session.request(
            method, f"{self.url}/{path}", json=body, headers=headers
        ) as response:
            found = await response.json()
            assert response.ok, found
            return response.headers.get("X-Parse-Push-Status-Id") or found

    async def push(self, **body: Any) -> str:
        """Push by REST; return the id of its `_PushStatus`."""
        return str(await self.rest("POST", "push", body))

    async def announce(self, **body: Any) -> str:
        """Push by a Cloud Code function; return the id of its `_PushStatus`."""
        return str((await self.rest("POST", "functions/announce", body))["result"])

    async def install(self, *rows: Mapping[str, Any]) -> None:
        """Save installations as their apps do."""
        gate = asyncio.Semaphore(SAVES_AT_ONCE)

        async def save(row: Mapping[str, Any]) -> None:
            async with gate:
                await self.rest("POST", "classes/_Installation", row)

        # The first save of a fresh server makes the class and its columns.
        columns = {name: value for row in rows for name, value in row.items()}
        first = await self.rest("POST", "classes/_Installation", columns)
        await self.rest("DELETE", f"classes/_Installation/{first['objectId']}")
        await asyncio.gather(*map(save, rows))

    async def installations(self) -> dict[str, dict[str, Any]]:
        """Return installationId -> row, of all there are."""
        found = await self.rest("GET", "classes/_Installation?limit=10000")
        return {row["installationId"]: row for row in found["results"]}

    async def status(self, push: str) -> dict[str, Any]:
        """Return the push's `_PushStatus`."""
        found: dict[str, Any] = await self.rest("GET", f"classes/_PushStatus/{push}")
        return found

    async def started(self, push: str) -> None:
        """Wait until it has begun to send."""

        async def running() -> bool:
            return bool((await self.status(push))["status"] == "running")

        await until(running, seconds=DEADLINE_SECONDS)

    async def ended(self, push: str) -> dict[str, Any]:
        """Wait until it has succeeded or failed, and return its status."""

        async def over() -> dict[str, Any] | None:
            found = await self.status(push)
            return found if found["status"] in {"succeeded", "failed"} else None

        found: dict[str, Any] = await until(over, seconds=DEADLINE_SECONDS)
        return found

    async def aged(self, push: str) -> None:
        """Have the status look as if nobody had written to it for long."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(AGE, push)
        finally:
            await connection.close()

    async def counted_for_good(self, push: str) -> dict[str, Any]:
        """Wait until the adapter says that it will not change the counts any more."""

        async def unmarked() -> dict[str, Any] | None:
            found = await self.status(push)
            return None if "pushsvcOpen" in found.get("errorMessage", {}) else found

        found: dict[str, Any] = await until(unmarked, seconds=DEADLINE_SECONDS)
        return found

    async def settled(self, push: str, devices: int) -> dict[str, Any]:
        """Wait until the status has counted so many devices, and return it."""

        async def counted() -> dict[str, Any] | None:
            found = await self.status(push)
            return found if counts(found).total == devices else None

        try:
            found: dict[str, Any] = await until(counted, seconds=DEADLINE_SECONDS)
        except AssertionError:
            raise AssertionError(await self.status(push)) from None
        return found


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a `_PushStatus` says came of it: device type -> devices."""

    sent: Counter[str]
    failed: Counter[str]

    @property
    def total(self) -> int:
        """How many devices it speaks of."""
        return self.sent.total() + self.failed.total()


def counts(status: Mapping[str, Any]) -> Counts:
    """Read the counts, whose sums must be those by type."""
    found = Counts(
        sent=Counter(status.get("sentPerType") or {}),
        failed=Counter(status.get("failedPerType") or {}),
    )
    sums = (status.get("numSent", 0), status.get("numFailed", 0))
    # An op that adds nothing leaves a column empty.
    assert tuple(number or 0 for number in sums) == (found.sent.total(), found.failed.total())
    return found


def _database(dsn: str) -> dict[str, Any]:
    """What Parse Server's driver must know, of a dsn whose host is a socket's directory."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    return {
        "host": query["host"][0],
        "port": int(query["port"][0]),
        "user": parts.username,
        "database": parts.path.removeprefix("/"),
    }


@asynccontextmanager
async def parse_server(
    database_url: str, directory: Path, push: Mapping[str, Any], **options: Any
) -> AsyncIterator[ParseServer]:
    """Run one on a new database, with these options of its pushes beside our adapter."""
    port = free_port()
    told = {
        "appId": APPLICATION,
        "masterKey": MASTER_KEY,
        "masterKeyIps": ["127.0.0.1"],
        "push": {"adapter": ADAPTER, "parse": at(port), **push},
        "logLevel": "error",
        **options,
    }
    async with aiohttp.ClientSession() as session:
        with (directory / f"parse-server-{port}.log").open("ab") as log:
            server = ParseServer(
                dsn=await _new_database(database_url),
                port=port,
                options=told,
                log=log,
                session=session,
            )
            try:
                await server.start()
                yield server
            finally:
                await server.kill()


def at(port: int) -> dict[str, str]:
    """Where a Parse Server on this port is, and its master key, in the adapter's words."""
    return {
        "serverURL": f"http://127.0.0.1:{port}/parse",
        "applicationId": APPLICATION,
        "masterKey": MASTER_KEY,
    }


def free_port() -> int:
    """A port that nobody has; what is killed shall come back on its own."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
    return port


async def _new_database(url: str) -> str:
    dsn = url.replace("+asyncpg", "", 1)
    name = f"parse_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return dsn.replace("/pushsvc?", f"/{name}?", 1)
