"""The adapter for Parse Server, by its own tests: nothing but Node, and servers on loopback."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).parents[2] / "adapters" / "parse-server"
#: What the package asks for.
NODE: Final = 18
SECONDS: Final = 120


def node() -> str:
    """Return Node's command; skip where there is none that is new enough."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("this machine has no node")
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    match = re.match(r"v(\d+)\.", told)
    if match is None or int(match[1]) < NODE:
        pytest.skip(f"the package needs Node {NODE}; here is {told.strip()}")
    return found


def test_the_tests_of_the_package_pass() -> None:
    """The npm package for Parse Server holds what its own tests say of it."""
    ended = subprocess.run(
        # Its tests wait more than they compute.
        [node(), "--test", "--test-concurrency=4"],
        cwd=PACKAGE,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_module_keeps_the_budgets_of_this_repository() -> None:
    """No module of the package has more than 400 lines, and no line more than 100 characters."""
    for module in sorted(PACKAGE.rglob("*.js")):
        if "node_modules" in module.parts:
            continue
        lines = module.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 400, f"{module.name} has {len(lines)} lines"
        long = [number for number, line in enumerate(lines, 1) if len(line) > 100]
        assert not long, f"{module.name} has long lines: {long}"
