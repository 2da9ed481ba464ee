"""Embedded servers for tests: real ones, in private directories that are removed at the end."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import asyncpg
import redis

from pushsvc.embedded import Kind, child, start, stopped
from pushsvc.embedded.account import Account
from pushsvc.embedded.home import Home
from pushsvc.embedded.lock import Lock

KINDS: tuple[Kind, ...] = ("postgres", "redis")

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4 << 30


def eventually(fact: Callable[[], bool], *, what: str, seconds: float = 20) -> None:
    """Wait for a fact, and fail when it does not come about."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, f"did not come about in {seconds} s: {what}"
        time.sleep(0.01)


@contextlib.contextmanager
def private_data_directory(*, in_memory: bool = True) -> Iterator[Path]:
    """Yield a new data directory; wait until its servers have stopped, and remove it.

    As root the servers' account must be able to pass through, which pytest's tmp_path forbids.
    Memory spares the disk a cluster per test, where there is enough; it may refuse to run programs.
    """
    place = MEMORY if in_memory and _has_room(MEMORY) else None
    directory = Path(tempfile.mkdtemp(prefix="pushsvc-test-", dir=place))
    directory.chmod(0o711)
    try:
        yield directory
        for kind in KINDS:
            eventually(lambda kind=kind: stopped(kind, directory), what=f"{kind} stopped")  # type: ignore[misc]
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _has_room(place: Path) -> bool:
    # A container gives /dev/shm 64 MB, which is hardly one cluster.
    return os.access(place, os.W_OK) and shutil.disk_usage(place).free > ENOUGH_BYTES


@contextlib.contextmanager
def session_servers() -> Iterator[tuple[str, str]]:
    """Yield (database_url, redis_url) of servers of our own, empty but for the database."""
    with (
        private_data_directory() as directory,
        start("postgres", directory) as postgres,
        start("redis", directory) as redis_server,
    ):
        yield postgres.url, redis_server.url


# ---- processes that use a server

USER_PROGRAM = """
import json, sys
from pathlib import Path
from pushsvc.embedded import EmbeddedError, start
try:
    running = start(sys.argv[1], Path(sys.argv[2]))
except EmbeddedError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
    raise SystemExit(1)
names = ("url", "dsn", "server_pid", "keeper_pid")
print(json.dumps({name: getattr(running, name) for name in names}), flush=True)
sys.stdin.readline()
running.leave()
"""


@dataclass(kw_only=True)
class User:
    """A process that uses a server until it is told to leave, or killed."""

    child: subprocess.Popen[str]
    _said: dict[str, Any] | None = field(default=None)

    @property
    def said(self) -> dict[str, Any]:
        """What it printed once it had the server, or the error."""
        assert self.child.stdout is not None
        if self._said is None:
            self._said = json.loads(self.child.stdout.readline())
        return self._said

    def leave(self) -> None:
        """Have it leave, and wait for its end."""
        self.child.communicate("\n")

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.child.kill()
        self.child.wait()


@dataclass(kw_only=True)
class Users:
    """Starts them; none outlives the `with` block."""

    directory: Path
    started: list[User] = field(default_factory=list)

    def new(
        self,
        kind: Kind,
        *,
        account: Account | None = None,
        python: Path = Path(sys.executable),
        packages: Sequence[Path] = (),
    ) -> User:
        """Start one, which at once asks for the server; packages are where it looks first."""
        path = [*map(str, packages), os.environ.get("PYTHONPATH", "")]
        child = subprocess.Popen(
            [str(python), "-c", USER_PROGRAM, kind, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path).rstrip(os.pathsep)},
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        self.started.append(User(child=child))
        return self.started[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for user in self.started:
            user.child.kill()
            with user.child:
                pass


# ---- what is stored in a server, and asked of it


async def ask_postgres(dsn: str, statement: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def put(kind: Kind, dsn: str, word: str) -> None:
    if kind == "redis":
        with redis.Redis.from_url(dsn) as connection:
            connection.set("word", word)
    else:
        make = f"DROP TABLE IF EXISTS words; CREATE TABLE words AS SELECT '{word}' AS word"
        asyncio.run(execute_postgres(dsn, make))


async def execute_postgres(dsn: str, statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


def got(kind: Kind, dsn: str) -> str:
    if kind == "redis":
        with redis.Redis.from_url(dsn, decode_responses=True) as connection:
            return str(connection.get("word"))
    return str(asyncio.run(ask_postgres(dsn, "SELECT word FROM words")))


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0


def runs(pid: int) -> bool:
    """Whether it runs; a zombie does not, though a thread of it may still hold its locks."""
    if not Path("/proc/self/stat").exists():
        return child.asked_of_ps(pid) != b""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def ended(pid: int) -> None:
    eventually(lambda: not runs(pid), what=f"process {pid} is gone")


def await_stopped(kind: Kind, directory: Path) -> None:
    eventually(lambda: stopped(kind, directory), what=f"{kind} has stopped")


def await_no_keeper(kind: Kind, directory: Path) -> None:
    def free() -> bool:
        with Lock(Home.of(kind, directory).keeper_lock) as keeper:
            return keeper.try_exclusive()

    eventually(free, what=f"the keeper of {kind} is gone")
