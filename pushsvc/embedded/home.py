"""Where a server keeps its files and its socket."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pushsvc.embedded.account import Account, first_closed
from pushsvc.embedded.errors import DirectoryNotReachableError

Kind = Literal["postgres", "redis"]

#: sun_path holds 104 bytes on macOS and 108 on Linux, the closing NUL included (unix(7)).
SOCKET_PATH_LIMIT_BYTES = 103
#: The longest name that is put into a socket directory: PostgreSQL's lock beside its socket.
LONGEST_SOCKET_NAME = ".s.PGSQL.5432.lock"
#: Enough of a hash to tell one user's data directories apart.
SOCKET_DIRECTORY_CHARACTERS = 12

#: Root's directories can be passed through, for the account that PostgreSQL runs as.
ROOT_MODE, USER_MODE = 0o711, 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The directory of one server, `<data directory>/<kind>`, and what lies in it."""

    kind: Kind
    directory: Path

    @classmethod
    def of(cls, kind: Kind, data_directory: Path) -> Self:
        """Name the home; nothing is created."""
        return cls(kind=kind, directory=data_directory.expanduser().resolve() / kind)

    def make(self) -> None:
        """Create the directory and the missing ones above it.

        Raises:
            DirectoryNotReachableError: it cannot be created, or is another user's.
        """
        try:
            make_directory(self.directory)
        except OSError as error:
            message = f"Cannot create {self.directory}: {error.strerror}. {_OTHER_DIRECTORY}"
            raise DirectoryNotReachableError(message) from error
        if self.directory.stat().st_uid != os.geteuid():
            # Root could write there, and its owner then no longer could.
            message = f"{self.directory} belongs to another user. {_OTHER_DIRECTORY}"
            raise DirectoryNotReachableError(message)

    def refuse_unreachable_for(self, account: Account) -> None:
        """Refuse a home the account cannot get to: what lies above it is not ours to open.

        Raises:
            DirectoryNotReachableError: names the directory that would have to be opened.
        """
        closed = first_closed(self.directory, account)
        if closed is not None:
            message = (
                f"PostgreSQL does not run as root but as {account.name!r}, who cannot enter "
                f"{closed} on the way to {self.directory}. Allow it (chmod o+x {closed}), or set "
                "PUSHSVC_DATA_DIR to a directory elsewhere."
            )
            raise DirectoryNotReachableError(message)

    @property
    def users_lock(self) -> Path:
        """Shared by all who use the server; the keeper waits to have it alone."""
        return self.directory / "users.lock"

    @property
    def keeper_lock(self) -> Path:
        """Held by the one keeper."""
        return self.directory / "keeper.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server and its children, so it tells of a server that lost its keeper."""
        return self.directory / "server.lock"

    @property
    def endpoint(self) -> Path:
        """Where the server answers, while it does."""
        return self.directory / "endpoint.json"

    @property
    def log(self) -> Path:
        """What keeper and server have to say in this run."""
        return self.directory / "server.log"

    @property
    def former_log(self) -> Path:
        """The log of the run before; older ones are not kept."""
        return self.directory / "server.log.1"

    @property
    def stored(self) -> Path:
        """What must survive: PGDATA, or Redis's append-only file."""
        return self.directory / "data"


_OTHER_DIRECTORY = "Set PUSHSVC_DATA_DIR to a directory of yours."


def default_data_directory(environment: Mapping[str, str] | None = None) -> Path:
    """Return the data directory for who does not set PUSHSVC_DATA_DIR.

    /var/lib/pushsvc for root; else as the XDG base directory specification says, which also
    tells to ignore an XDG_DATA_HOME that is relative.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/pushsvc")
    variables = os.environ if environment is None else environment
    base = Path(variables.get("XDG_DATA_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "pushsvc"


def make_directory(path: Path) -> None:
    """Create the directory and the missing ones above it, with our mode whatever the umask."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    path.chmod(ROOT_MODE if os.geteuid() == 0 else USER_MODE)


def make_socket_directory(
    home: Home, account: Account | None, *, tops: Iterable[str] | None = None
) -> Path:
    """Create the home's empty socket directory, which only the server's account can enter.

    A data directory may lie deep and a socket's path is short, so it lies in one of the tops: the
    temporary directory, or /tmp. Its name is no secret, so it stands in a directory which is ours
    alone to write: no other user can take a socket's place, or swap the directory.

    Raises:
        DirectoryNotReachableError: there is no such place.
    """
    name = hashlib.sha256(os.fsencode(home.directory)).hexdigest()[:SOCKET_DIRECTORY_CHARACTERS]
    # TMPDIR may be deep, or closed to the account PostgreSQL runs as.
    tried = tops or (tempfile.gettempdir(), "/tmp")  # noqa: S108 - _is_ours checks
    bases = [Path(top).resolve() / f"pushsvc-{os.geteuid()}" for top in dict.fromkeys(tried)]
    for base in bases:
        directory = base / name
        if len(os.fsencode(directory / LONGEST_SOCKET_NAME)) > SOCKET_PATH_LIMIT_BYTES:
            continue
        if _is_ours(base) and (account is None or first_closed(base, account) is None):
            _empty(directory, account)
            return directory
    names = " or ".join(str(base) for base in bases)
    message = (
        f"No place for the server's socket: {names} would have to be ours alone, open to the "
        "account the server runs as, and short. "
        "Set TMPDIR to such a directory."
    )
    raise DirectoryNotReachableError(message)


def _is_ours(base: Path) -> bool:
    try:
        make_directory(base)
        status = base.lstat()
    except OSError:
        return False
    writable_by_others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return ours and not writable_by_others


def _empty(directory: Path, account: Account | None) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        os.chown(directory, account.uid, account.gid)
    for left in directory.iterdir():
        left.unlink()
