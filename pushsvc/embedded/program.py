"""What the keeper knows of a server, whichever it is."""

import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pushsvc.embedded.account import Account
from pushsvc.embedded.home import Home
from pushsvc.embedded.lock import Lock

#: An answer takes milliseconds; this bounds the wait for a server that is stuck or being killed.
ANSWER_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A server whose files are ready: how it is run and reached."""

    command: tuple[str, ...]
    #: whom it runs as, if not as us
    account: Account | None
    socket: Path
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A kind of server."""

    #: what it may be called; one of them is part of the command line of every running one
    names: tuple[str, ...]
    #: from the gentlest to the last
    stop_signals: tuple[signal.Signals, ...]
    #: makes its files; whatever works on them is given the lock, which notes the server before
    prepare: Callable[[Home, Lock], Prepared]
    #: True when it takes commands on this socket
    answers: Callable[[Path], bool]


def ask(path: Path, question: bytes) -> bytes:
    """Return the beginning of a server's answer; nothing if there is none."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(path))
            connection.sendall(question)
            return connection.recv(4096)
        except OSError:
            return b""
