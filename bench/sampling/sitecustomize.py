"""Imported by Python at the start of a process that has it on its path: see `bench.sampling`."""

import atexit
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

#: Of CPU between two samples.
EVERY_SECONDS = 0.04


def sample_workers() -> None:
    """Take samples of this process if it is a worker, and write them down at its end."""
    directory = os.environ.get("BENCH_SAMPLES")
    if directory is None or "worker" not in sys.orig_argv:
        return
    modules: Counter[str] = Counter()
    is_open, opened = os.path.exists, os.path.join(directory, "open")  # noqa: PTH118 - for each sample

    def take(_number: int, frame: FrameType | None) -> None:
        if is_open(opened):
            modules[module_at(frame)] += 1

    def write() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(directory, f"{os.getpid()}.json").write_text(json.dumps(modules))

    signal.signal(signal.SIGPROF, take)
    signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)
    atexit.register(write)


def module_at(frame: FrameType | None) -> str:
    """Return the innermost module of pushsvc that is at work here, named from there."""
    root = f"{os.path.dirname(sys.modules['pushsvc'].__file__ or '')}{os.sep}"  # noqa: PTH120 - the same
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(root):
            return file[len(root) : -len(".py")].replace(os.sep, ".")
        frame = frame.f_back
    return ""


sample_workers()
