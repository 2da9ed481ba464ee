"""What the sink writes down while it runs."""

from dataclasses import dataclass
from pathlib import Path

from bench.sink import Seen


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

    @property
    def seen(self) -> Seen:
        """Return how many messages there were, and for how many devices."""
        return Seen(len(self.lines), len({line.split(" ")[1] for line in self.lines}))

    @property
    def last(self) -> float:
        """Return when the last one came, by the system's clock; 0 where none did."""
        return max((float(line.split(" ")[0]) for line in self.lines), default=0.0)
