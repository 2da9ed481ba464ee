"""Children: started, watched, stopped, and never left behind. Simulators make good children."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pushsvc.cli.failures import CommandError
from pushsvc.cli.processes import Children, Recipe, StoppedError
from tests.integration.embedded_fixtures import eventually

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
DRAIN_SECONDS = 5.0
PORTS = ("apns", "fcm", "wns", "control")


def recipe(directory: Path, *, name: str = "simulators", **ports: int) -> Recipe:
    options = [f"--{port}-port={ports.get(port, 0)}" for port in PORTS]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PUSHSVC_")}
    return Recipe(
        name=name,
        arguments=("simulate", "--directory", str(directory), *options),
        environment=kept,
    )


def port_of(endpoints: Mapping[str, Any]) -> int:
    return int(endpoints["wns_address"].partition(":")[2])


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionError:  # refused, or reset by a listener that closes just now
        return False
    return True


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates and keys are made once; that takes longer than to start."""
    return tmp_path_factory.mktemp("simulators")


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def children(stop: asyncio.Event) -> AsyncIterator[Children]:
    async with Children(stop=stop, drain_seconds=DRAIN_SECONDS) as group:
        yield group


def pids(group: Children) -> list[int]:
    return [child._process.pid for child in group._children]


async def test_a_child_is_ready_when_started_and_gone_with_the_group(
    home: Path, stop: asyncio.Event
) -> None:
    """`start` returns what the child says once it listens; leaving the block stops it in order."""
    async with Children(stop=stop, drain_seconds=DRAIN_SECONDS) as group:
        [endpoints] = await group.start(recipe(home))
        assert listens(port_of(endpoints))
        [child] = group._children

    assert child.ended.result() == 0
    assert not listens(port_of(endpoints))


async def test_the_end_of_a_child_is_noticed(children: Children, home: Path) -> None:
    """A child that dies is returned, and tells how it died."""
    await children.start(recipe(home, name="one"), recipe(home, name="two"))
    os.kill(pids(children)[1], signal.SIGKILL)

    ended = await children.first_end()

    assert ended is not None
    assert str(ended.failure) == "The process `two` was killed by SIGKILL."


async def test_a_child_that_cannot_start_says_why(children: Children, home: Path) -> None:
    """The child's own error becomes ours, with its code."""
    [endpoints] = await children.start(recipe(home))
    taken = port_of(endpoints)

    with pytest.raises(CommandError, match="taken") as caught:
        await children.start(recipe(home, wns=taken))
    assert caught.value.code == "port_taken"


async def test_stopping_ends_the_wait_for_children(
    children: Children, stop: asyncio.Event, home: Path
) -> None:
    """Told to stop, nobody waits for a child to become ready or to die."""
    stop.set()

    assert await children.first_end() is None
    with pytest.raises(StoppedError):
        await children.start(recipe(home))


async def test_work_is_given_up_when_a_child_dies(children: Children, home: Path) -> None:
    """What needs the children does not wait for ever without one."""
    await children.start(recipe(home))
    asyncio.get_running_loop().call_soon(os.kill, pids(children)[0], signal.SIGKILL)

    with pytest.raises(CommandError, match="SIGKILL"):
        await children.during(asyncio.Event().wait())


async def test_work_is_given_up_when_it_takes_too_long(children: Children) -> None:
    """Work with a deadline ends by it."""
    with pytest.raises(CommandError, match="not done"):
        await children.during(asyncio.Event().wait(), seconds=0.01)


async def test_work_that_is_done_gives_its_result(children: Children) -> None:
    """Children are only watched: the result is the work's."""

    async def work() -> str:
        return "done"

    assert await children.during(work()) == "done"


def test_children_end_when_their_parent_is_killed(home: Path) -> None:
    """kill -9 of the parent closes the lifeline, and every child stops by itself."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(home)], stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        assert listens(port)
        parent.kill()

    eventually(lambda: not listens(port), what="the child has ended")


PARENT = """
import asyncio, sys
from pathlib import Path
from pushsvc.cli.processes import Children
from tests.integration.cli.test_processes import port_of, recipe

async def main():
    async with Children(stop=asyncio.Event(), drain_seconds=5) as group:
        [endpoints] = await group.start(recipe(Path(sys.argv[1])))
        print(port_of(endpoints), flush=True)
        await group.first_end()

asyncio.run(main())
"""
