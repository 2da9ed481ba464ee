"""The keeper, a process of its own, which is given KIND DATA_DIRECTORY KEEPER_FD REPORT_FD.

It runs one server as its child and ends it when nobody uses it any more:

1. It inherits `keeper.lock`, so there is one keeper at a time, from the moment it is started.
2. It ends a server whose keeper was killed: that server holds `server.lock`.
3. It starts the server, and publishes the endpoint when the server answers.
4. It waits to have `users.lock` alone. Every user shares that lock, and the kernel takes it from
   a user who dies; so it gets it when the last one has left, however that came about.
5. It stops the server and ends, and only so gives its locks back. Who comes meanwhile waits for
   them, and starts the next keeper.
"""

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from pushsvc.embedded import child as children, endpoint
from pushsvc.embedded.endpoint import Endpoint
from pushsvc.embedded.errors import EmbeddedError, ServerStartError
from pushsvc.embedded.home import Home
from pushsvc.embedded.lock import Lock
from pushsvc.embedded.program import Prepared, Program
from pushsvc.embedded.programs import PROGRAMS

#: Delay between two looks whether something has come about.
POLL_SECONDS = 0.02
#: A server that has not recovered by now never will: it has at most `max_wal_size` to replay.
STARTUP_SECONDS = 600.0

#: What wakes the keeper: asked to end, the server ended, or (our own word) nobody uses it.
ASKED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
UNUSED = signal.SIGUSR1

logger = logging.getLogger("keeper")


def keep(home: Home, report: int) -> int:
    """Run the server for as long as it is used; return the exit status."""
    program = PROGRAMS[home.kind]
    logger.info("keeping %s in %s", home.kind, home.directory)
    users = Lock(home.users_lock)
    lock = claim(home, program)
    endpoint.discard(home)
    if users.try_exclusive():
        logger.info("nobody waits for the %s server any more", home.kind)
        return 0
    prepared = program.prepare(home, lock)
    child = children.spawn(prepared.command, prepared.account, lock)
    try:
        await_answer(child, lambda: program.answers(prepared.socket))
        with published(home, prepared, child.pid) as place:
            tell(report, {"keeper_pid": place.keeper_pid})
            return guard(child, users)
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, ASKED)
        children.stop(child, program.stop_signals)
        logger.info("the server ended with status %s", child.returncode)
        shutil.rmtree(prepared.socket.parent, ignore_errors=True)


def claim(home: Home, program: Program, *, each_seconds: float = children.STOP_SECONDS) -> Lock:
    """Take `server.lock`, ending the server that still holds it.

    Raises:
        ServerStartError: the former server cannot be ended.
    """
    lock = Lock(home.server_lock)
    if lock.try_exclusive():
        return lock
    for number in program.stop_signals:
        pid = lock.noted()
        logger.info("a server has outlived its keeper: %s to process %s", number.name, pid)
        if pid is not None and children.runs(pid, *program.names):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if _comes_about(lock.try_exclusive, each_seconds):
            return lock
    message = f"The former server, process {lock.noted()}, does not end. End it by hand."
    raise ServerStartError(message)


def await_answer(child: subprocess.Popen[bytes], answers: Callable[[], bool]) -> None:
    """Wait until the server takes commands.

    Raises:
        ServerStartError: it ended, or takes too long.
    """
    if not _comes_about(lambda: child.poll() is not None or answers(), STARTUP_SECONDS):
        message = f"The server does not answer after {STARTUP_SECONDS:.0f} seconds."
        raise ServerStartError(message)
    if child.poll() is not None:
        message = f"The server ended with status {child.returncode}."
        raise ServerStartError(message)


@contextlib.contextmanager
def published(home: Home, prepared: Prepared, server_pid: int) -> Iterator[Endpoint]:
    """Tell all who come where the server answers."""
    place = Endpoint(
        url=prepared.url, socket=prepared.socket, server_pid=server_pid, keeper_pid=os.getpid()
    )
    with endpoint.publish(home, place):
        try:
            yield place
        finally:
            home.endpoint.unlink(missing_ok=True)


def guard(child: subprocess.Popen[bytes], users: Lock) -> int:
    """Wait until the server is no longer used (0), we are asked to end (0), or it dies (1)."""
    awaited = {*ASKED, signal.SIGCHLD, UNUSED}
    # A signal that is ignored by default is not delivered to sigwait on macOS without this.
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    # From here on they stay pending until sigwait takes them: none is lost, none interrupts.
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    threading.Thread(target=_tell_when_unused, args=(users,), daemon=True, name="users").start()
    while child.poll() is None:
        number = signal.sigwait(awaited)
        if number != signal.SIGCHLD:
            logger.info("nobody uses it" if number == UNUSED else "asked to end")
            return 0
    logger.error("the server died with status %s", child.returncode)
    return 1


def tell(report: int, words: dict[str, object]) -> None:
    """Answer who started us, who may be gone by now."""
    with contextlib.suppress(BrokenPipeError), open(report, "w", encoding="utf-8") as pipe:
        json.dump(words, pipe)


def detach() -> None:
    """Become nobody's child, so that a user which lives on has no zombie of ours to reap."""
    if os.fork() > 0:
        os._exit(0)


def main(arguments: list[str]) -> int:
    """Run one keeper."""
    kind, data_directory, keeper_lock, report = arguments
    detach()
    for descriptor in (int(keeper_lock), int(report)):
        # Ours for as long as we live, but not the server's.
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - takes no keyword
    os.chdir("/")
    logging.basicConfig(
        format="%(asctime)s keeper[%(process)d]: %(message)s", level=logging.INFO, stream=sys.stderr
    )
    # The server inherits what is blocked, and must hear when it is to stop.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in ASKED:
        signal.signal(number, _end)
    home = Home.of(next(known for known in PROGRAMS if known == kind), Path(data_directory))
    try:
        return keep(home, int(report))
    except (EmbeddedError, OSError) as error:
        logger.info("%s", error)
        kind_of_error = type(error) if isinstance(error, EmbeddedError) else ServerStartError
        tell(int(report), {"error": kind_of_error.__name__, "message": f"{error}"})
        return 1


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    # Only until `guard`: a start that is not finished is given up.
    raise SystemExit(128 + number)


def _tell_when_unused(users: Lock) -> None:
    users.wait_exclusive()
    os.kill(os.getpid(), UNUSED)


def _comes_about(fact: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
