"""Stage shares: where the workers' CPU goes, by samples that they take of themselves.

`sitecustomize.py` beside this runs in each process of the service that a case starts. While the
case measures, every 40 ms of CPU it notes which module of pushsvc is at work. With what the event
loop does when a signal comes, a sample costs 50 to 150 us: at most 0.4 % of what is measured.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

#: Beginning of a module's name -> the stage it is a part of; the first that fits.
STAGES: Final[Sequence[tuple[str, str]]] = (
    ("delivery.wire", "wire"),
    ("delivery.journal", "journal"),
    ("delivery.conclusion", "ledger"),
    ("delivery.evidence", "ledger"),
    ("delivery", "send"),
    ("shaping", "shape"),
    ("storage.devices", "load"),
    *(
        (f"storage.{module}", "lease and ledger rows")
        for module in (
            "badges",
            "batches",
            "claim",
            "claims",
            "firing",
            "leases",
            "ledger",
            "small_deliveries",
            "stepwise_lease",
            "usual_lease",
        )
    ),
    ("storage.plans", "plan"),
    ("storage", "other statements"),
    ("planner", "plan"),
    ("planning.queue", "queue"),
    ("planning.parking", "queue"),
    ("planning.fair", "queue"),
    ("planning.fair_scripts", "queue"),
    ("planning", "plan"),
    ("targeting", "plan"),
    ("waves", "plan"),
    ("loading", "load"),
    ("firing", "send"),
    ("pipeline", "send"),
    ("halting", "send"),
    ("ending", "ledger"),
    ("stats", "ledger"),
    ("worker", "queue"),
    ("trigger", "queue"),
    ("forgotten", "queue"),
    ("cli", "event loop, TLS, driver"),
    # Statements of SQLAlchemy run on a stack of their own.
    ("", "other statements"),
)
OTHER: Final = "other"


class Sampler:
    """The samples of one run: a directory in which each worker writes its own at its end."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._open = directory / "open"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to take samples."""
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        return {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "BENCH_SAMPLES": str(self._directory),
        }

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Have samples taken for so long."""
        self._open.touch()
        try:
            yield
        finally:
            self._open.unlink()

    def shares(self) -> dict[str, float]:
        """Return stage -> its share of the workers' CPU, the largest first; they have ended."""
        stages: Counter[str] = Counter()
        for file in self._directory.glob("*.json"):
            for module, count in json.loads(file.read_text()).items():
                stages[stage_of(module)] += count
        total = stages.total()
        return {stage: round(n / total, 3) for stage, n in stages.most_common()}


def stage_of(module: str) -> str:
    """Return the stage of a module of pushsvc, named from there."""
    for prefix, stage in STAGES:
        if module == prefix or module.startswith(f"{prefix}."):
            return stage
    return OTHER
