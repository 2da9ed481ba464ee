"""The processes of a service: ready, drained, supervised, and gone with their parent."""

import os
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.integration.cli.conftest import Pushsvc, end_of, running
from tests.integration.embedded_fixtures import eventually

pytestmark = pytest.mark.integration

#: What the issue of this feature promises for Ctrl-C.
STOP_SECONDS = 10.0


def is_alive(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/livez", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@contextmanager
def in_time() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < STOP_SECONDS


def test_the_api_says_where_it_listens_and_stops_in_order(variables: Mapping[str, str]) -> None:
    """`serve` tells its port when it takes requests, and ends with 0 when told to."""
    with running(["serve"], variables) as (process, told):
        assert is_alive(told["url"])
        assert told["port"] > 0
        process.send_signal(signal.SIGTERM)
        with in_time():
            assert end_of(process).status == 0
    assert not is_alive(told["url"])


def test_a_port_that_is_taken_is_told_with_its_setting(pushsvc: Pushsvc) -> None:
    """The error names PUSHSVC_PORT."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = pushsvc("serve", "--port", str(taken.getsockname()[1]), "--json")

    assert (ended.status, ended.error["code"]) == (1, "port_taken")
    assert "PUSHSVC_PORT" in ended.err


def test_a_child_of_ours_stops_when_the_lifeline_is_cut(variables: Mapping[str, str]) -> None:
    """The end of the parent's pipe is the end of the child, and Ctrl-C is the parent's affair."""
    reading, writing = os.pipe()
    arguments = ["worker", "--lifeline", str(reading)]
    try:
        with running(arguments, variables, keeps=[reading]) as (process, _):
            process.send_signal(signal.SIGINT)
            assert process.poll() is None
            os.close(writing)
            with in_time():
                assert end_of(process).status == 0
    finally:
        os.close(reading)


def test_a_worker_that_dies_is_started_again(variables: Mapping[str, str]) -> None:
    """The supervisor says so in the log, and goes on."""
    with running(["worker", "--processes", "2"], variables) as (process, told):
        first, second, _ = told["pids"]
        os.kill(first, signal.SIGKILL)
        assert process.stderr is not None
        line = next(line for line in process.stderr if "worker.ended" in line)
        assert "SIGKILL" in line
        os.kill(second, 0)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        with in_time():
            assert end_of(process).status == 0


def test_up_is_one_group_that_drains_on_ctrl_c(variables: Mapping[str, str]) -> None:
    """`up` runs the API and workers; Ctrl-C at the terminal ends all, with 0 and in time."""
    with running(["up", "--processes", "2"], variables) as (process, told):
        assert is_alive(told["url"])
        assert list(told["pids"]) == ["api", "worker 1", "worker 2", "worker 3"]
        os.killpg(process.pid, signal.SIGINT)
        with in_time():
            assert end_of(process).status == 0
    assert not is_alive(told["url"])


def test_up_ends_when_one_of_its_processes_dies(variables: Mapping[str, str]) -> None:
    """The whole ends with 1, and the name of the process that died."""
    with running(["up"], variables) as (process, told):
        os.kill(told["pids"]["worker 1"], signal.SIGKILL)
        with in_time():
            ended = end_of(process)

    assert ended.status == 1
    assert ended.error["code"] == "child_ended"
    assert ended.error["message"] == "The process `worker 1` was killed by SIGKILL."


def test_nothing_of_up_outlives_it(variables: Mapping[str, str]) -> None:
    """kill -9 of `up` ends its processes, too."""
    with running(["up"], variables) as (process, told):
        process.kill()
    eventually(lambda: not is_alive(told["url"]), what="the API has ended")


def test_up_tells_a_taken_port_as_its_own_error(pushsvc: Pushsvc) -> None:
    """The child's error is told once, and is the error of the whole."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = pushsvc("up", "--port", str(taken.getsockname()[1]), "--json")

    assert (ended.status, ended.error["code"]) == (1, "port_taken")
    assert "PUSHSVC_PORT" in ended.error["message"]
