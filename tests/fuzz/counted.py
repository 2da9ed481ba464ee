"""One target's run: counts its inputs, tells how it goes, and keeps an input that breaks a law."""

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from time import monotonic
from types import FrameType

Target = Callable[[bytes], None]

#: The clock is read, and the guard against an endless input set anew, once in so many inputs.
_LOOK_EVERY = 256
_TELL_EVERY_SECONDS = 2.0
#: So many inputs take a tenth of this where all is well.
_STUCK_SECONDS = 120.0


class Over(Exception):  # noqa: N818 - it is no error
    """The run has come to its end."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        #: As a process ends: 0 when no law was broken.
        self.status = status


class Run:
    """So many inputs, or as many as there are in some seconds."""

    def __init__(self, name: str, target: Target, *, inputs: int, seconds: float) -> None:
        self.count = 0
        self._name = name
        self._target = target
        self._inputs = inputs
        self._started = self._told = monotonic()
        self._end = self._started + seconds
        signal.signal(signal.SIGALRM, stuck)

    def take(self, octets: bytes) -> None:
        """Give the target one input.

        Raises:
            Over: that was the last one, or it broke a law.
        """
        if self.count % _LOOK_EVERY == 0:
            self._look()
        if self.count == self._inputs:
            self._finish()
        self.count += 1
        try:
            self._target(octets)
        except Exception as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            traceback.print_exc()
            self._keep(octets)
            raise Over(1) from error

    def _look(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, _STUCK_SECONDS)
        now = monotonic()
        if now >= self._end:
            self._finish()
        if now >= self._told + _TELL_EVERY_SECONDS:
            self._told = now
            self._tell("...")

    def _finish(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._tell("no law broken")
        raise Over(0)

    def _tell(self, what: str) -> None:
        rate = self.count / max(monotonic() - self._started, 1e-9)
        tell(f"{self._name:<10} {self.count:>11,} inputs  {rate:>8,.0f}/s  {what}")

    def _keep(self, octets: bytes) -> None:
        file, path = tempfile.mkstemp(prefix=f"pushsvc-fuzz-{self._name}-")
        with os.fdopen(file, "wb") as kept:
            kept.write(octets)
        tell(f"{self._name}: input {self.count:,} breaks a law; it is kept in {path}")
        tell(f"replay it: python -m tests.fuzz --replay {path} --target {self._name}")


def stuck(_signal: int, _frame: FrameType | None) -> None:
    """Break into an input that does not end."""
    message = f"an input takes more than {_STUCK_SECONDS:g} s"
    raise TimeoutError(message)


def tell(line: str) -> None:
    """Say a line now, also to a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
