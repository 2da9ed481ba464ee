"""File locks which the kernel gives back when the last holder dies, `kill -9` included.

flock(2) locks belong to the open file: a child that inherits the descriptor holds the same lock,
and it ends when every copy of the descriptor is closed. A zombie has none open, so a lock tells
"is it alive?" where a process id would still answer yes.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class Lock:
    """One opened lock file; closing it gives the lock back, unless a child holds it too."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        # Python opens it close-on-exec: only a child that `pass_fds` names it for inherits it.
        self.descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)

    def try_shared(self) -> bool:
        """Take the lock beside other sharers; False when someone has it alone."""
        return self._try(fcntl.LOCK_SH)

    def try_exclusive(self) -> bool:
        """Take the lock alone; False when anyone else has it."""
        return self._try(fcntl.LOCK_EX)

    def wait_exclusive(self) -> None:
        """Block until nobody else has the lock, and take it."""
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    def note(self, pid: int) -> None:
        """Write into the file who holds the lock."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, b"%d\n" % pid, 0)

    def noted(self) -> int | None:
        """Return the process id that was noted last, if any."""
        text = os.pread(self.descriptor, 32, 0).strip()
        return int(text) if text.isdigit() else None

    def close(self) -> None:
        """Close the file. Callable twice."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Lock(descriptor={self.descriptor})"

    def _try(self, operation: int) -> bool:
        try:
            fcntl.flock(self.descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
