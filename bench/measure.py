"""CPU and memory of processes and all their children, by the kernel's accounts."""

import resource
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of CPU so far, and the most memory that any one process of the group held, in MB."""

    cpu_seconds: float
    peak_rss_mb: float


def usage(pid: int) -> Usage:
    """Return what the process and its children, ended ones too, have used."""
    cpu, peak = 0.0, 0.0
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            cpu += exact_seconds(process.pid, times.user + times.system)
            cpu += times.children_user + times.children_system
            peak = max(peak, peak_rss_mb(process.pid))
    return Usage(cpu, peak)


def own_cpu_seconds() -> float:
    """Return what this process, which asks, has used itself."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def per_message(
    before: Mapping[str, Usage], after: Mapping[str, Usage], messages: int
) -> dict[str, Any]:
    """Return the CPU of each process for one message, in microseconds, and their peak RSS."""
    cpu = {
        name: round((after[name].cpu_seconds - use.cpu_seconds) / messages * 1e6, 2)
        for name, use in before.items()
    }
    return {
        "cpu_us_per_message": cpu | {"all": round(sum(cpu.values()), 2)},
        "peak_rss_mb": {name: round(use.peak_rss_mb, 1) for name, use in after.items()},
    }


def exact_seconds(pid: int, ticks: float) -> float:
    """Return a process's CPU to the nanosecond where the system tells it, else as it is given.

    Ticks are 10 ms, and PostgreSQL has many processes. The number of the clock is that of
    clock_getcpuclockid(3).
    """
    if sys.platform == "linux":
        with suppress(OSError):
            return time.clock_gettime(~pid << 3 | 2)
    return ticks


def usages(groups: Mapping[str, int]) -> dict[str, Usage]:
    """Return the usage of each named process and its children."""
    return {name: usage(pid) for name, pid in groups.items()}


def peak_rss_mb(pid: int) -> float:
    """Read the high-water mark where the system keeps one (proc_pid_status(5), VmHWM)."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return float(psutil.Process(pid).memory_info().rss) / MEGABYTE
