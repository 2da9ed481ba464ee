"""Processes that get a share of one core and no more, as if each had a small core of its own.

`python -m bench.held SHARE PID ...` stops each for as long as it has used more than its share, and
lets all go when its standard input ends: when who started it does, by kill -9 too.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from subprocess import PIPE, Popen
from typing import Final

from bench.measure import exact_seconds

#: Between two looks.
LOOK_SECONDS: Final = 0.001
#: What one that was idle may have at once.
CREDIT_SECONDS: Final = 0.005
END_SECONDS: Final = 5


@dataclass(slots=True)
class Held:
    """A process, and how much CPU it may have now; below zero it is stopped."""

    pid: int
    share: float
    #: seconds of CPU it had, and the clock, at the last look
    used: float
    looked: float
    credit: float = CREDIT_SECONDS
    stopped: bool = False

    def look(self, used: float, now: float) -> int | None:
        """Return the signal that it gets."""
        earned = self.share * (now - self.looked)
        self.credit = min(CREDIT_SECONDS, self.credit + earned - (used - self.used))
        self.used, self.looked = used, now
        if self.stopped == (self.credit < 0):
            return None
        self.stopped = not self.stopped
        return signal.SIGSTOP if self.stopped else signal.SIGCONT


@contextmanager
def held(pids: Sequence[int], *, share: float) -> Iterator[None]:
    """Hold these to a share of a core each.

    Raises:
        RuntimeError: whoever held them ended before, so that they were not held.
    """
    command = [sys.executable, "-m", "bench.held", str(share), *(str(pid) for pid in pids)]
    with Popen(command, stdin=PIPE) as holder:  # noqa: S603 - our own words
        try:
            yield
            if holder.poll() is not None:
                raise RuntimeError("processes were not held to their share of a core")
        finally:
            assert holder.stdin is not None
            holder.stdin.close()
            holder.wait(END_SECONDS)


def hold(share: float, pids: Sequence[int]) -> None:
    """Hold these until our standard input ends."""
    now = time.monotonic()
    processes = [Held(pid, share, exact_seconds(pid, 0.0), now) for pid in pids]
    try:
        while not select.select([sys.stdin], [], [], LOOK_SECONDS)[0]:
            for process in processes:
                used = exact_seconds(process.pid, process.used)
                told = process.look(used, time.monotonic())
                if told is not None:
                    os.kill(process.pid, told)
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)


if __name__ == "__main__":
    # The one who holds us says when it is over; Ctrl-C says it to both.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hold(float(sys.argv[1]), [int(pid) for pid in sys.argv[2:]])
