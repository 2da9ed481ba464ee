"""Where an embedded server keeps its files, and who may get there."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushsvc.embedded import DirectoryNotReachableError, default_data_directory
from pushsvc.embedded.account import ENTER, READ, Account, allows, first_closed
from pushsvc.embedded.home import (
    LONGEST_SOCKET_NAME,
    SOCKET_PATH_LIMIT_BYTES,
    Home,
    make_directory,
    make_socket_directory,
)

as_root = os.geteuid() == 0
#: An account that is surely not ours.
STRANGER = Account(name="stranger", uid=54321, gid=54321)


def status(*, mode: int, uid: int = 1, gid: int = 1) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 0, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("seen", "wanted", "expected"),
    [
        pytest.param(status(mode=0o711), ENTER, True, id="others may enter"),
        pytest.param(status(mode=0o711), READ, False, id="others may not read"),
        pytest.param(status(mode=0o710), ENTER, False, id="the group is not ours"),
        pytest.param(status(mode=0o710, gid=54321), ENTER, True, id="the group is ours"),
        pytest.param(status(mode=0o701, gid=54321), ENTER, False, id="the group comes first"),
        pytest.param(status(mode=0o700, uid=54321), ENTER | READ, True, id="the owner"),
        pytest.param(status(mode=0o077, uid=54321), ENTER, False, id="the owner comes first"),
    ],
)
def test_permission_bits(seen: os.stat_result, wanted: int, *, expected: bool) -> None:
    """The first class that fits decides, as path_resolution(7) says."""
    assert allows(seen, STRANGER, wanted) is expected


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody can enter, unlike pytest's tmp_path."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o711)
        yield Path(path).resolve()


def test_the_topmost_closed_directory_is_named(open_directory: Path) -> None:
    """What has to be opened first is what the error should name."""
    closed = open_directory / "closed"
    (closed / "closed-too").mkdir(parents=True)
    (closed / "closed-too").chmod(0o700)
    assert first_closed(closed, STRANGER) is None
    closed.chmod(0o700)
    assert first_closed(closed / "closed-too", STRANGER) == closed


def test_a_file_must_be_readable(open_directory: Path) -> None:
    """To enter the directories is not enough."""
    file = open_directory / "file"
    file.touch(mode=0o644)
    assert first_closed(file, STRANGER) is None
    file.chmod(0o640)
    assert first_closed(file, STRANGER) == file


@pytest.mark.skipif(as_root, reason="root's is elsewhere")
def test_default_data_directory_of_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the XDG base directory specification says, which tells to ignore relative paths."""
    monkeypatch.setenv("HOME", "/home/somebody")
    below_home = Path("/home/somebody/.local/share/pushsvc")
    assert default_data_directory({}) == below_home
    assert default_data_directory({"XDG_DATA_HOME": "relative"}) == below_home
    assert default_data_directory({"XDG_DATA_HOME": "/x"}) == Path("/x/pushsvc")


@pytest.mark.skipif(not as_root, reason="a user's is below their home")
def test_default_data_directory_of_root() -> None:
    """Root's servers are the system's, wherever root's home is."""
    assert default_data_directory({"XDG_DATA_HOME": "/x"}) == Path("/var/lib/pushsvc")


def test_new_directories_have_our_mode_whatever_the_umask(open_directory: Path) -> None:
    """A strict umask does not lock out the account PostgreSQL runs as; old ones are not touched."""
    former = os.umask(0o077)
    try:
        make_directory(open_directory / "one" / "two")
    finally:
        os.umask(former)
    modes = [stat.S_IMODE((open_directory / part).stat().st_mode) for part in ("one", "one/two")]
    assert modes == ([0o711] * 2 if as_root else [0o700] * 2)
    assert stat.S_IMODE(open_directory.stat().st_mode) == 0o711


def test_homes_of_one_data_directory_do_not_meet(open_directory: Path) -> None:
    """Both kinds may be given the same directory, by whatever name."""
    (open_directory / "link").symlink_to(open_directory)
    postgres, redis = Home.of("postgres", open_directory), Home.of("redis", open_directory)
    assert postgres.directory != redis.directory
    assert Home.of("redis", open_directory / "link") == redis


@pytest.fixture
def temporary(open_directory: Path) -> Path:
    """Stands for the system's temporary directory."""
    path = open_directory / "tmp"
    path.mkdir()
    path.chmod(0o1777)
    return path


def sockets(home: Home, *tops: Path, account: Account | None = None) -> Path:
    return make_socket_directory(home, account, tops=[str(top) for top in tops])


def test_socket_directories_are_private_short_and_one_per_home(temporary: Path) -> None:
    """The same home always has the same one, empty, and no other home has it."""
    deep = Path("/" + "deep/" * 100)
    first = sockets(Home.of("redis", deep), temporary)
    (first / "left.sock").touch()
    assert sockets(Home.of("redis", deep), temporary) == first
    assert sockets(Home.of("postgres", deep), temporary) != first
    assert not list(first.iterdir())
    assert first.is_relative_to(temporary)
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    assert len(os.fsencode(first / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_LIMIT_BYTES


@pytest.mark.parametrize("squat", ["a link", "open to all", "a file", "another's"])
def test_a_place_that_another_user_prepared_is_not_taken(temporary: Path, squat: str) -> None:
    """Who knows the name beforehand cannot put their directory there and swap our sockets."""
    base = temporary / f"pushsvc-{os.geteuid()}"
    match squat:
        case "a link":
            (temporary / "theirs").mkdir()
            base.symlink_to(temporary / "theirs")
        case "open to all":
            base.mkdir()
            base.chmod(0o777)
        case "a file":
            base.touch()
        case _:
            base.mkdir()
            if not as_root:
                pytest.skip("only root can make another user's directory")
            os.chown(base, STRANGER.uid, STRANGER.gid)
    with pytest.raises(DirectoryNotReachableError, match=r"pushsvc-\d+ would .* Set TMPDIR"):
        sockets(Home.of("redis", temporary), temporary)


def test_a_temporary_directory_that_is_too_deep_is_passed_over(temporary: Path) -> None:
    """TMPDIR may be deeper than a socket's path can be."""
    deep = temporary / ("deep" * 20)
    deep.mkdir()
    assert sockets(Home.of("redis", temporary), deep, temporary).is_relative_to(temporary)
    assert not list(deep.iterdir())


@pytest.mark.skipif(not as_root, reason="what only root meets")
def test_a_temporary_directory_closed_to_the_servers_account_is_passed_over(
    temporary: Path, open_directory: Path
) -> None:
    """As /root/tmp is to PostgreSQL."""
    closed = open_directory / "closed"
    closed.mkdir(mode=0o700)
    taken = sockets(Home.of("redis", temporary), closed, temporary, account=STRANGER)
    assert taken.is_relative_to(temporary)
    assert (taken.stat().st_uid, taken.parent.stat().st_uid) == (STRANGER.uid, 0)
