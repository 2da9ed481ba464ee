"""PostgreSQL: made, run and asked."""

import os
import shutil
import signal
import struct
import tempfile
from pathlib import Path
from urllib.parse import quote

from pushsvc.embedded import account as accounts, child, wheels
from pushsvc.embedded.account import Account
from pushsvc.embedded.errors import ServerStartError
from pushsvc.embedded.home import Home, make_socket_directory
from pushsvc.embedded.lock import Lock
from pushsvc.embedded.program import Prepared, Program, ask

USER = "postgres"
DATABASE = "pushsvc"
#: Part of the socket's name; nothing listens on a port.
PORT = 5432

#: For development and measurements on a small machine that has other work too. The rest is
#: PostgreSQL's own; https://www.postgresql.org/docs/18/runtime-config.html
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "max_connections": "100",
    # Fewer checkpoints under load; recovery after a crash stays within seconds.
    "max_wal_size": "4GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
    # Accepted means durable, here too.
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

#: StartupMessage of protocol 3.0: https://www.postgresql.org/docs/18/protocol-message-formats.html
_STARTUP = struct.pack("!i", 3 << 16) + f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
STARTUP_MESSAGE = struct.pack("!i", 4 + len(_STARTUP)) + _STARTUP

#: The same order and case rules on every machine, and no table of the system's is needed: the
#: wheel has no ICU, and the C locale alone knows no upper and lower case beyond ASCII.
INITDB = (
    f"--username={USER}",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)


def prepare(home: Home, lock: Lock) -> Prepared:
    """Make the database cluster if there is none, and clear away what a killed server left.

    Raises:
        EmbeddedError: no wheel, a directory cannot be reached, or initdb fails.
    """
    account = accounts.unprivileged()
    if account is None:
        postgres = wheels.program("postgres")
    else:
        home.refuse_unreachable_for(account)
        postgres = wheels.postgres_for(account, home)
    if not home.stored.exists():
        _make_cluster(home, account, postgres, lock=lock)
    _forget(home.stored / "postmaster.pid", lock.noted())
    sockets = make_socket_directory(home, account)
    return Prepared(
        command=(str(postgres), "-D", str(home.stored), *_options(sockets)),
        account=account,
        socket=sockets / f".s.PGSQL.{PORT}",
        url=f"postgresql+asyncpg://{USER}@/{DATABASE}?host={quote(str(sockets))}&port={PORT}",
    )


def _options(sockets: Path) -> list[str]:
    settings = SETTINGS | {
        "shared_buffers": f"{shared_megabytes(_memory_bytes())}MB",
        "unix_socket_directories": f'"{sockets}"',
    }
    return [f"--{name}={value}" for name, value in settings.items()]


def shared_megabytes(memory_bytes: int) -> int:
    """Return what the server may keep in memory for itself, which it takes as it needs it.

    An eighth of what there is, from PostgreSQL's own 128 MB to the GB that a million devices want.
    """
    return min(max((memory_bytes >> 20) // 8, 128), 1024)


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _make_cluster(home: Home, account: Account | None, postgres: Path, *, lock: Lock) -> None:
    # Under another name until it is whole: we may be killed half-way. initdb would not be, but it
    # has the lock, so by the time the next keeper has that nobody works on a former draft.
    for abandoned in home.directory.glob("initdb-*"):
        shutil.rmtree(abandoned)
    draft = Path(tempfile.mkdtemp(prefix="initdb-", dir=home.directory))
    if account is not None:
        os.chown(draft, account.uid, account.gid)
    _run((str(postgres.with_name("initdb")), f"--pgdata={draft}", *INITDB), account, lock)
    _run(
        (str(postgres), "--single", "-D", str(draft), "-c", "exit_on_error=true", "template1"),
        account,
        lock,
        text=f"CREATE DATABASE {DATABASE}\n",
    )
    draft.rename(home.stored)
    _synchronise(home.directory)


def _synchronise(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _forget(pid_file: Path, former_pid: int | None) -> None:
    # PostgreSQL refuses to start while the process named there exists, be it a zombie or, by
    # now, quite another one. Only our own server's is removed, which is known to be dead: one
    # that somebody started by hand on this cluster must go on keeping us out.
    try:
        named = pid_file.read_text().split(maxsplit=1)[:1]
    except FileNotFoundError:
        return
    if named == [str(former_pid)]:
        pid_file.unlink()


def _run(command: tuple[str, ...], account: Account | None, lock: Lock, *, text: str = "") -> None:
    status = child.run(command, account, lock, text=text)
    if status != 0:
        message = f"{Path(command[0]).name} ended with status {status}."
        raise ServerStartError(message)


def _answers(path: Path) -> bool:
    # An error is an answer too, such as "too many connections"; but not cannot_connect_now, said
    # while it starts, recovers or stops: https://www.postgresql.org/docs/18/protocol-flow.html
    answer = ask(path, STARTUP_MESSAGE)
    return answer[:1] == b"R" or (answer[:1] == b"E" and b"\0C57P03\0" not in answer)


PROGRAM = Program(
    names=("postgres",),
    # Fast, then immediate shutdown: https://www.postgresql.org/docs/18/server-shutdown.html
    stop_signals=(signal.SIGINT, signal.SIGQUIT, signal.SIGKILL),
    prepare=prepare,
    answers=_answers,
)
