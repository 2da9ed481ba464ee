"""Packages of npm that we are held against: pinned, and installed once for each checkout.

Tests install what they need. `python -m tests.node_packages` has all of it before.
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HOMES: Final = [Path(__file__).parent / name for name in ("parse-server", "node-builders", "node")]
#: What the newest Parse SDK asks for, and all others are content with.
NODE: Final = (20, 19)
#: Parse Server has some 360 packages: half a minute on two busy cores, the registry being near.
INSTALL_SECONDS: Final = 240
#: npm's words for a registry that it did not reach.
OFFLINE: Final = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT)\b"
)


class MissingError(Exception):
    """The machine has no Node, or cannot reach a registry: why nothing was run."""


def install(home: Path) -> None:
    """Install the packages that this folder pins, unless they are there.

    Raises:
        MissingError: Node or npm is missing or too old, or npm has no registry.
        RuntimeError: npm failed.
    """
    _require_node()
    # Two test processes, or a bench, may want the same folder.
    with (home / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(home)


def _install(home: Path) -> None:
    stamp = home / "node_modules" / ".installed-from"
    wanted = hashlib.sha256((home / "package-lock.json").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    quiet = ("--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund")
    ended = subprocess.run(
        ["npm", "ci", *quiet],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if ended.returncode and OFFLINE.search(ended.stderr):
        raise MissingError(
            f"npm reaches no registry, and the packages of tests/{home.name} are not there yet"
        )
    if ended.returncode:
        raise RuntimeError(f"`npm ci` failed in {home}:\n{ended.stderr}")
    stamp.write_text(wanted)


def _require_node() -> None:
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        raise MissingError(f"this machine has no {' and no '.join(missing)}")
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    numbers = [int(number) for number in re.findall(r"\d+", told)]
    if tuple(numbers) < NODE:
        wanted = ".".join(map(str, NODE))
        raise MissingError(f"the packages need Node {wanted}; here is {told.strip()}")


def main() -> None:
    """Install all, or say why not: the tests that lack them are skipped."""
    try:
        for home in HOMES:
            install(home)
    except MissingError as error:
        sys.stderr.write(f"{error}\n")


if __name__ == "__main__":
    main()
