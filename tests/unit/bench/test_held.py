"""Processes held to a share of a core."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from bench.held import CREDIT_SECONDS, Held, held

DEADLINE_SECONDS = 20


def test_stops_who_has_had_more_than_its_share_until_it_has_earned_it() -> None:
    process = Held(1, share=0.25, used=0.0, looked=0.0)
    assert process.look(used=CREDIT_SECONDS, now=0.004) is None
    assert process.look(used=CREDIT_SECONDS + 0.002, now=0.006) == signal.SIGSTOP
    assert process.look(used=CREDIT_SECONDS + 0.002, now=0.007) is None
    assert process.look(used=CREDIT_SECONDS + 0.002, now=0.011) == signal.SIGCONT


def test_who_was_idle_has_saved_up_no_more_than_its_credit() -> None:
    process = Held(1, share=0.25, used=0.0, looked=0.0)
    assert process.look(used=0.0, now=100.0) is None
    assert process.look(used=2 * CREDIT_SECONDS, now=100.0) == signal.SIGSTOP


@pytest.fixture
def busy() -> Iterator[psutil.Process]:
    """Yield a process that takes all it can get."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as started:
        yield psutil.Process(started.pid)
        started.kill()


def test_holds_a_process_and_lets_it_go(busy: psutil.Process) -> None:
    with held([busy.pid], share=0.1):
        ends = time.monotonic() + DEADLINE_SECONDS
        while busy.status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < ends
    assert busy.status() != psutil.STATUS_STOPPED


def test_says_so_when_nobody_was_held(busy: psutil.Process) -> None:
    holding = held([busy.pid], share=0.1)
    holding.__enter__()
    [holder] = [one for one in psutil.Process().children() if "bench.held" in one.cmdline()]
    holder.kill()
    holder.wait()
    with pytest.raises(RuntimeError, match="not held"):
        holding.__exit__(None, None, None)
