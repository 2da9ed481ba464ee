"""Start an embedded server, or join the one that runs, and leave it again."""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pushsvc.embedded import endpoint
from pushsvc.embedded.endpoint import Endpoint
from pushsvc.embedded.errors import (
    DirectoryNotReachableError,
    EmbeddedError,
    NoWheelError,
    ServerStartError,
)
from pushsvc.embedded.home import Home, Kind
from pushsvc.embedded.lock import Lock
from pushsvc.embedded.programs import PROGRAMS

#: The keeper runs the very code that we run, installed or not (`-m` would search for it), and
#: nothing from the working directory (`-P`), which may be anybody's.
KEEPER = (
    sys.executable,
    "-P",
    "-c",
    (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
        "from pushsvc.embedded.keeper import main; sys.exit(main(sys.argv[1:]))"
    ),
)
#: What a keeper may report, by name.
ERRORS: dict[str, type[EmbeddedError]] = {
    error.__name__: error for error in (DirectoryNotReachableError, NoWheelError, ServerStartError)
}
#: A first start takes under a second, a recovery after a crash some seconds.
START_SECONDS = 60.0
#: Delay between two looks at a file lock, which cannot be waited for with a deadline.
POLL_SECONDS = 0.02
#: How long the last one to leave looks on: long enough for a keeper that is being killed to be
#: gone, and mostly for the server to have stopped.
DYING_SECONDS = 0.25
#: How much of the log an error shows.
SHOWN_LOG_LINES = 15


class Running:
    """A share in a running server; a context manager that leaves it.

    The server stops when all have left. A process that dies without leaving has left too.
    """

    def __init__(self, home: Home, users: Lock, place: Endpoint) -> None:
        self._home = home
        self._users: Lock | None = users
        #: `postgresql+asyncpg://…` for SQLAlchemy, or `unix://…` for redis-py and arq
        self.url = place.url
        #: the same for asyncpg itself
        self.dsn = place.url.replace("+asyncpg", "", 1)
        self.socket = place.socket
        self.server_pid = place.server_pid
        self.keeper_pid = place.keeper_pid

    def leave(self) -> None:
        """Give the share back. The last one looks on for up to 0.25 s while the server stops."""
        users, self._users = self._users, None
        if users is not None:
            users.close()
            _end_if_abandoned(self._home)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    def __repr__(self) -> str:
        state = "left" if self._users is None else "running"
        return f"Running({self.url!r}, server_pid={self.server_pid}, {state})"


def start(kind: Kind, directory: Path, *, timeout_seconds: float = START_SECONDS) -> Running:
    """Start the server of this data directory, or join it, and return when it takes commands.

    Blocks; asyncio code calls it in a thread. All that belongs to the server lies in
    `<directory>/<kind>`, which is created, so both kinds can have the same directory.

    Raises:
        NoWheelError: there is no such server for this platform.
        DirectoryNotReachableError: the directory cannot be created, written, or entered by the
            account PostgreSQL runs as.
        ServerStartError: the server ended, or does not answer in time.
    """
    home = Home.of(kind, directory)
    home.make()
    deadline = time.monotonic() + timeout_seconds
    users = Lock(home.users_lock)
    try:
        # Exclusive is a keeper that is stopping the server: wait for its end.
        while not users.try_shared():
            _wait_until(deadline, home)
        return Running(home, users, _join(home, deadline))
    except BaseException:
        users.close()
        raise


def stopped(kind: Kind, directory: Path) -> bool:
    """Tell whether neither the server nor its keeper runs: the files may be moved or removed."""
    home = Home.of(kind, directory)
    if not home.keeper_lock.exists():
        return True
    with Lock(home.keeper_lock) as keeper:
        return keeper.try_exclusive() and not _server_runs(home)


def _join(home: Home, deadline: float) -> Endpoint:
    while True:
        place = endpoint.read(home)
        # Its keeper may not know yet that the server was killed.
        if place is not None and PROGRAMS[home.kind].answers(place.socket):
            return place
        with Lock(home.keeper_lock) as keeper:
            report = _start_keeper(home, keeper) if keeper.try_exclusive() else None
        if report is not None:
            try:
                _hear(report, home, deadline)
            finally:
                os.close(report)
        else:
            _wait_until(deadline, home)


def _start_keeper(home: Home, lock: Lock) -> int:
    """Start a keeper, which inherits the lock; return the pipe that it will answer on."""
    if home.log.exists():
        home.log.replace(home.former_log)
    ours, theirs = os.pipe()
    try:
        with (
            home.log.open("wb") as log,
            subprocess.Popen(  # noqa: S603 - our own module, no shell
                [*KEEPER, home.kind, str(home.directory.parent), str(lock.descriptor), str(theirs)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock.descriptor, theirs),
                # Away from our terminal: its Ctrl-C is for us.
                start_new_session=True,
            ),
        ):
            # It detaches at once, and leaving this block reaps what it detached from.
            pass
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return ours


def _hear(report: int, home: Home, deadline: float) -> None:
    """Wait for the new keeper's answer.

    Raises:
        EmbeddedError: as the keeper says.
    """
    heard = b""
    while select.select([report], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(report, 4096)
        if not piece:
            break
        heard += piece
    else:
        raise _not_in_time(home)
    answer: dict[str, Any] = json.loads(heard) if heard else {"error": "ServerStartError"}
    if "error" in answer:
        kind = ERRORS[answer["error"]]
        message = answer.get("message", "The keeper ended without a word.")
        raise kind(message if kind is not ServerStartError else _with_log(home, message))


def _end_if_abandoned(home: Home) -> None:
    """Have the server ended if its keeper was killed and we were the last to use it."""
    # Whoever uses the data directory next would do it too; but there may be no next time.
    deadline = time.monotonic() + DYING_SECONDS
    with contextlib.suppress(FileNotFoundError):
        while time.monotonic() < deadline and not _is_settled(home):
            time.sleep(POLL_SECONDS)


def _is_settled(home: Home) -> bool:
    """Tell whether others use the server or it has stopped; have it ended if it lost its keeper."""
    with Lock(home.keeper_lock) as keeper:
        with Lock(home.users_lock) as users:
            if not users.try_exclusive():
                # Shared by others, or the keeper's: it is stopping the server, or being killed.
                return users.try_shared()
        if not keeper.try_exclusive():
            return False
        if _server_runs(home):
            os.close(_start_keeper(home, keeper))
        return True


def _server_runs(home: Home) -> bool:
    # Only asked under `keeper.lock`: so no keeper mistakes our look for a server.
    with Lock(home.server_lock) as server:
        return not server.try_shared()


def _wait_until(deadline: float, home: Home) -> None:
    if time.monotonic() > deadline:
        raise _not_in_time(home)
    time.sleep(POLL_SECONDS)


def _not_in_time(home: Home) -> ServerStartError:
    return ServerStartError(_with_log(home, f"No {home.kind} server in {home.directory} in time."))


def _with_log(home: Home, message: str) -> str:
    with home.log.open(encoding="utf-8", errors="replace") as log:
        last = "".join(f"  {line.rstrip()}\n" for line in deque(log, maxlen=SHOWN_LOG_LINES))
    return f"{message} The last lines of {home.log}:\n{last}".rstrip()
