"""The account a server runs as, and what that account may reach."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from pushsvc.embedded.errors import ServerStartError

#: Exists on every Unix, owns nothing, and we create no account on somebody's machine.
UNPRIVILEGED_NAME = "nobody"
#: Permission bits of one class (owner, group or others).
READ, ENTER = 0o4, 0o1


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account other than ours; it belongs to no group but its own."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """Return whom PostgreSQL runs as when we are root, which it refuses to run as; else None.

    Raises:
        ServerStartError: we are root and the system has no such account.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED_NAME)
    except KeyError:
        message = (
            f"PostgreSQL does not run as root, and there is no account {UNPRIVILEGED_NAME!r} to "
            "run it as. Start pushsvc as an ordinary user, or set PUSHSVC_DATABASE_URL."
        )
        raise ServerStartError(message) from None
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def allows(status: os.stat_result, account: Account, wanted: int) -> bool:
    """Tell whether the permission bits give the account what is wanted (path_resolution(7))."""
    if status.st_uid == account.uid:
        granted = status.st_mode >> 6
    elif status.st_gid == account.gid:
        granted = status.st_mode >> 3
    else:
        granted = status.st_mode
    return granted & wanted == wanted


def first_closed(path: Path, account: Account) -> Path | None:
    """Return the topmost part of the path that the account cannot enter (or read, for a file)."""
    for part in (*reversed(path.parents), path):
        status = part.stat()
        if not allows(status, account, ENTER if stat.S_ISDIR(status.st_mode) else READ):
            return part
    return None
