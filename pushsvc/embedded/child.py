"""Processes started by the keeper: under which account, with what they may see of ours."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from pushsvc.embedded.account import Account
from pushsvc.embedded.lock import Lock

#: All that a server needs of our environment, which also holds secrets and PG* variables.
PASSED_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
#: How long one signal to stop may take: a fast shutdown writes at most `shared_buffers`.
STOP_SECONDS = 30.0


def run(
    command: Sequence[str],
    account: Account | None,
    lock: Lock | None = None,
    *,
    text: str = "",
) -> int:
    """Run a program to its end and return its status; what it prints goes to our log.

    With the lock it is known to be at work, should we be killed meanwhile.
    """
    ended = subprocess.run(  # noqa: S603 - a program of the wheel's, no shell
        command,
        input=text.encode(),
        env=environment(),
        cwd="/",
        check=False,
        pass_fds=() if lock is None else (lock.descriptor,),
        **identity(account),
    )
    return ended.returncode


def spawn(command: Sequence[str], account: Account | None, lock: Lock) -> subprocess.Popen[bytes]:
    """Start the server, which takes over the lock: it is free again when the server is gone."""
    child = subprocess.Popen(  # noqa: S603 - a program of the wheel's, no shell
        command,
        stdin=subprocess.DEVNULL,
        env=environment(),
        cwd="/",
        umask=0o077,
        pass_fds=(lock.descriptor,),
        # The child itself notes its id, so that there is no moment at which it runs unknown.
        preexec_fn=lambda: lock.note(os.getpid()),  # noqa: PLW1509 - the keeper has one thread
        **identity(account),
    )
    lock.close()
    return child


def stop(
    child: subprocess.Popen[bytes],
    signals: Sequence[signal.Signals],
    *,
    each_seconds: float = STOP_SECONDS,
) -> None:
    """End the server, by the gentlest signal that does."""
    for number in signals:
        child.send_signal(number)
        try:
            child.wait(each_seconds)
        except subprocess.TimeoutExpired:
            continue
        return


class Identity(TypedDict):
    """As whom `subprocess` runs a program; None is as us."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


def identity(account: Account | None) -> Identity:
    """Return the account for `subprocess`, without the groups that are ours."""
    if account is None:
        return Identity(user=None, group=None, extra_groups=None)
    return Identity(user=account.uid, group=account.gid, extra_groups=[])


def environment() -> dict[str, str]:
    """Return the environment servers run in: the C locale, whatever ours is."""
    passed = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
    return {**passed, "LC_ALL": "C"}


def runs(pid: int, *programs: str) -> bool:
    """Tell whether the process lives and is one of them: the id may be another's by now."""
    line = command_line(pid)
    return any(program.encode() in line for program in programs)


def command_line(pid: int) -> bytes:
    """Return a process's command line; nothing for one that is gone or a zombie."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""
    return asked_of_ps(pid)


def asked_of_ps(pid: int) -> bytes:
    """Return a process's command line where there is no /proc."""
    asked = subprocess.run(  # noqa: S603 - one number is all that varies
        ("/bin/ps", "-o", "command=", "-p", str(pid)), capture_output=True, check=False
    )
    return asked.stdout
