"""Redis, or Valkey in its place: run and asked."""

import signal
from pathlib import Path
from urllib.parse import quote

from pushsvc.embedded import wheels
from pushsvc.embedded.home import Home, make_directory, make_socket_directory
from pushsvc.embedded.lock import Lock
from pushsvc.embedded.program import Prepared, Program, ask

SOCKET_NAME = "redis.sock"
#: https://redis.io/docs/latest/operate/oss_and_stack/management/config-file/ (6.2). Valkey has them
#: all, and takes over Redis's append-only file: https://valkey.io/topics/migration/
SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "logfile": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    # The append-only file alone is loaded at start, so a snapshot would be written for nobody.
    "save": "",
}


def prepare(home: Home, _lock: Lock) -> Prepared:
    """Make the directories.

    Raises:
        EmbeddedError: no wheel, or no place for the socket.
    """
    redis_server = wheels.program("redis")
    make_directory(home.stored)
    path = make_socket_directory(home, None) / SOCKET_NAME
    settings = SETTINGS | {"dir": str(home.stored), "unixsocket": str(path)}
    options = (part for name, value in settings.items() for part in (f"--{name}", value))
    return Prepared(
        command=(str(redis_server), *options),
        account=None,
        socket=path,
        url=f"unix://{quote(str(path))}",
    )


def _answers(path: Path) -> bool:
    # An error is an answer too, such as "max number of clients"; but not that it still loads.
    answer = ask(path, b"PING\r\n")
    return answer != b"" and not answer.startswith(b"-LOADING")


PROGRAM = Program(
    names=("redis-server", "valkey-server"),
    # SIGTERM is SHUTDOWN: it writes and syncs the append-only file.
    stop_signals=(signal.SIGTERM, signal.SIGKILL),
    prepare=prepare,
    answers=_answers,
)
