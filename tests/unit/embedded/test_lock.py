"""File locks, and the endpoint that one of them vouches for."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pushsvc.embedded import endpoint
from pushsvc.embedded.endpoint import Endpoint
from pushsvc.embedded.home import Home
from pushsvc.embedded.lock import Lock


def test_one_alone_or_many_together(tmp_path: Path) -> None:
    """Sharers keep out who wants it alone, and the other way round."""
    path = tmp_path / "lock"
    with Lock(path) as one, Lock(path) as two, Lock(path) as three:
        assert one.try_shared()
        assert two.try_shared()
        assert not three.try_exclusive()
        one.close()
        assert not three.try_exclusive()
        two.close()
        assert three.try_exclusive()
        with Lock(path) as four:
            assert not four.try_shared()


def test_a_child_that_inherits_it_holds_it(tmp_path: Path) -> None:
    """A lock is passed on by its open file, and ends with the last process that has it open."""
    path = tmp_path / "lock"
    with Lock(path) as lock:
        assert lock.try_exclusive()
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(lock.descriptor,))
    with child, Lock(path) as other:
        assert not other.try_exclusive()
        child.communicate()
        assert other.try_exclusive()


def test_a_child_that_is_not_given_it_has_none(tmp_path: Path) -> None:
    """Whatever else we start does not keep our locks."""
    path = tmp_path / "lock"
    with Lock(path) as lock:
        assert lock.try_exclusive()
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    with Lock(path) as other:
        assert other.try_exclusive()
    child.communicate()


def test_the_holder_is_noted(tmp_path: Path) -> None:
    """The note outlives the lock; what is no number is no note."""
    path = tmp_path / "lock"
    with Lock(path) as lock:
        assert lock.noted() is None
        lock.note(123456)
        lock.note(78)
    with Lock(path) as again:
        assert again.noted() == 78
        path.write_text("not a number\n")
        assert again.noted() is None
        assert repr(again) == f"Lock(descriptor={again.descriptor})"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home for an endpoint."""
    made = Home.of("redis", tmp_path)
    made.make()
    return made


PLACE = Endpoint(url="unix:///x", socket=Path("/x"), server_pid=2, keeper_pid=3)


def test_an_endpoint_counts_as_long_as_its_keeper_lives(home: Home) -> None:
    """A file that a killed keeper left is no endpoint; a newer one replaces it at once."""
    assert endpoint.read(home) is None
    with endpoint.publish(home, PLACE):
        assert endpoint.read(home) == PLACE
        assert endpoint.read(home) == PLACE
    assert home.endpoint.exists()
    assert endpoint.read(home) is None
    with endpoint.publish(home, PLACE):
        assert endpoint.read(home) == PLACE


def test_an_endpoint_is_ours_alone(home: Home) -> None:
    """Other users learn nothing."""
    with endpoint.publish(home, PLACE):
        assert home.endpoint.stat().st_mode & 0o777 == 0o600
        assert home.endpoint.stat().st_uid == os.geteuid()


@pytest.mark.parametrize("left", ["whole", "cut", "nothing"])
def test_what_a_killed_keeper_left_is_removed(home: Home, tmp_path: Path, left: str) -> None:
    """The socket's directory too; a file that lost its content in a power cut is passed over."""
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    (sockets / "x").touch()
    if left != "nothing":
        endpoint.publish(home, replace(PLACE, socket=sockets / "x")).close()
    if left == "cut":
        os.truncate(home.endpoint, 10)
    endpoint.discard(home)
    assert sockets.exists() == (left != "whole")
    assert endpoint.read(home) is None
