"""What the sink writes down while it runs."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.sink import Seen

#: Longer than the sink keeps to itself what it is to write down.
QUIET_SECONDS: Final = 2.5
POLL_SECONDS: Final = 0.05


@dataclass(slots=True, kw_only=True)
class Tail:
    """What the sink writes down from now on."""

    file: Path
    offset: int
    lines: list[str]

    @classmethod
    def of(cls, file: Path) -> "Tail":
        """Begin at the end of what is there."""
        return cls(file=file, offset=file.stat().st_size, lines=[])

    def read(self) -> int:
        """Read on; return how many messages there are."""
        with self.file.open("rb") as file:
            file.seek(self.offset)
            new, _, _ = file.read().rpartition(b"\n")
        if new:
            self.offset += len(new) + 1
            self.lines += new.decode().splitlines()
        return len(self.lines)

    async def drained(self, expected: int) -> None:
        """Wait until the sink has written down so many messages, or nothing for a while."""
        count, quiet_since = self.read(), time.monotonic()
        while count < expected and time.monotonic() < quiet_since + QUIET_SECONDS:
            await asyncio.sleep(POLL_SECONDS)
            if self.read() > count:
                count, quiet_since = len(self.lines), time.monotonic()

    @property
    def seen(self) -> Seen:
        """Return how many messages there were, and for how many devices."""
        return Seen(len(self.lines), len({line.rpartition(" ")[2] for line in self.lines}))

    @property
    def last(self) -> float:
        """Return when the last one came, by the system's clock; 0 where none did.

        Only of those that the sink writes down with their moments.
        """
        return max((float(line.split(" ")[0]) for line in self.lines), default=0.0)
