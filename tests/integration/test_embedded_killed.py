"""Embedded servers whose process, keeper or user is killed: nothing stored is lost."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pushsvc.embedded import Kind, Running, ServerStartError, start, stopped
from pushsvc.embedded.home import Home
from pushsvc.embedded.lock import Lock
from tests.integration.embedded_fixtures import (
    KINDS,
    Users,
    accepts,
    ask_postgres,
    await_no_keeper,
    await_stopped,
    ended,
    eventually,
    got,
    private_data_directory,
    put,
    runs,
)

pytestmark = pytest.mark.integration

#: The last words of a server that was stopped, not killed.
CLEAN_END: dict[Kind, str] = {
    "postgres": "database system is shut down",
    "redis": " is now ready to exit",
}

both_kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def shared_directory() -> Iterator[Path]:
    """One data directory for the module: a first start takes most of a second."""
    with private_data_directory() as path:
        yield path


@pytest.fixture
def directory(shared_directory: Path) -> Iterator[Path]:
    """The data directory, with no server running before or after the test."""
    yield shared_directory
    for kind in KINDS:
        await_stopped(kind, shared_directory)


@pytest.fixture
def fresh_directory() -> Iterator[Path]:
    """A data directory in which nothing was ever started."""
    with private_data_directory() as path:
        yield path


@pytest.fixture
def users(directory: Path) -> Iterator[Users]:
    """Processes that use its servers."""
    with Users(directory=directory) as started:
        yield started


@pytest.fixture
def word() -> str:
    """What this test stores, and no other."""
    return uuid.uuid4().hex


def kill_server(running: Running) -> None:
    os.kill(running.server_pid, signal.SIGKILL)


def kill_keeper(running: Running) -> None:
    os.kill(running.keeper_pid, signal.SIGKILL)


def kill_both(running: Running) -> None:
    kill_keeper(running)
    kill_server(running)


@both_kinds
@pytest.mark.parametrize("kill", [kill_server, kill_keeper, kill_both])
def test_start_right_after_kill_9(
    kind: Kind, kill: Callable[[Running], None], *, directory: Path, word: str
) -> None:
    """Whoever is killed, the next start has a server with all that was stored, and only one."""
    with start(kind, directory) as running:
        put(kind, running.dsn, word)
        kill(running)
        if kill is kill_keeper:
            # Only to be sure of a new server: to join one before its keeper is gone is right too.
            await_no_keeper(kind, directory)
        with start(kind, directory) as again:
            assert got(kind, again.dsn) == word
            assert again.server_pid != running.server_pid
            assert not runs(running.server_pid)


@both_kinds
def test_kill_9_of_the_last_user(kind: Kind, users: Users, word: str) -> None:
    """A killed user has left: the server is stopped, or waited for by who comes at once."""
    user = users.new(kind)
    put(kind, user.said["dsn"], word)
    user.kill()
    with start(kind, users.directory) as again:
        assert got(kind, again.dsn) == word
    last = users.new(kind)
    server = last.said["server_pid"]
    last.kill()
    ended(server)


@both_kinds
def test_a_server_that_lost_its_keeper_goes_with_its_last_user(
    kind: Kind, directory: Path, word: str
) -> None:
    """It serves on without a keeper, and is stopped cleanly when it is left."""
    with start(kind, directory) as running:
        kill_keeper(running)
        await_no_keeper(kind, directory)
        put(kind, running.dsn, word)
        assert not stopped(kind, directory)
    ended(running.server_pid)
    await_stopped(kind, directory)
    with start(kind, directory) as again:
        assert got(kind, again.dsn) == word


def test_a_server_that_lost_its_keeper_stays_for_others(directory: Path) -> None:
    """One user's leaving does not take it from the others."""
    with start("redis", directory) as first, start("redis", directory) as second:
        kill_keeper(first)
        await_no_keeper("redis", directory)
        first.leave()
        assert accepts(second.socket)
        assert runs(second.server_pid)


@both_kinds
def test_sigterm_to_the_keeper_stops_the_server(kind: Kind, directory: Path) -> None:
    """The machine's shutdown ends it cleanly, used or not."""
    with start(kind, directory) as running:
        os.kill(running.keeper_pid, signal.SIGTERM)
        ended(running.server_pid)
        await_stopped(kind, directory)
        assert CLEAN_END[kind] in Home.of(kind, directory).log.read_text()


def test_initdb_killed_half_way(fresh_directory: Path) -> None:
    """A half-made cluster is thrown away, and the next start makes a whole one."""
    home = Home.of("postgres", fresh_directory)
    with Users(directory=fresh_directory) as users:
        user = users.new("postgres")
        eventually(lambda: bool(list(home.directory.glob("initdb-*/base"))), what="initdb runs")
        named = re.search(r"keeper\[(\d+)\]", home.log.read_text())
        assert named is not None
        os.kill(int(named[1]), signal.SIGKILL)
        user.kill()
    assert not home.stored.exists()
    with start("postgres", fresh_directory) as running:
        assert asyncio.run(ask_postgres(running.dsn, "SELECT current_database()")) == "pushsvc"
    assert not list(home.directory.glob("initdb-*"))


@pytest.mark.parametrize("zombie", [False, True])
def test_a_pid_file_that_names_another_process(directory: Path, *, zombie: bool) -> None:
    """The dead server's id may be a zombie's or a stranger's by now; that does not keep us out."""
    home = stopped_cluster(directory)
    with stranger_beside(home, zombie=zombie) as pid:
        with Lock(home.server_lock) as lock:
            lock.note(pid)
        with start("postgres", directory) as running:
            assert asyncio.run(ask_postgres(running.dsn, "SELECT 1")) == 1
    await_stopped("postgres", directory)


def test_a_server_that_was_started_by_hand(directory: Path) -> None:
    """A pid file that is not our server's goes on keeping us out."""
    home = stopped_cluster(directory)
    with (
        stranger_beside(home, zombie=False),
        pytest.raises(ServerStartError, match=r'lock file "postmaster\.pid" already exists'),
    ):
        start("postgres", directory)


def stopped_cluster(directory: Path) -> Home:
    with start("postgres", directory):
        pass
    await_stopped("postgres", directory)
    return Home.of("postgres", directory)


@contextlib.contextmanager
def stranger_beside(home: Home, *, zombie: bool) -> Iterator[int]:
    """Put a pid file in the cluster which names a process of the cluster's owner."""
    owner = home.stored.stat().st_uid
    as_root = os.geteuid() == 0
    command = ["true"] if zombie else ["sleep", "60"]
    stranger = subprocess.Popen(command, user=owner if as_root else None)
    try:
        if zombie:
            ended(stranger.pid)
        file = home.stored / "postmaster.pid"
        file.write_text(f"{stranger.pid}\n{home.stored}\n1\n5432\n/tmp\n\n")
        os.chown(file, owner, -1)
        yield stranger.pid
    finally:
        stranger.kill()
        stranger.wait()
