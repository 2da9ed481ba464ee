"""h2load, of nghttp2: C, and made for nothing else. The same apns-id in every request."""

import re
import resource
import subprocess
import tempfile
from pathlib import Path

from bench.peers.task import APNS, RUN_SECONDS, Task

CONCURRENT = 1_000


def run(program: str, task: Task, directory: Path) -> dict[str, float]:
    """Run it, and return what other clients print of themselves.

    Raises:
        RuntimeError: it did not end well.
    """
    base = f"https://localhost:{task.port}"
    headers = dict(task.headers)
    if task.case == APNS:
        headers["apns-id"] = task.ids()[0]
    with tempfile.TemporaryDirectory(dir=directory) as name:
        urls, body = Path(name, "urls"), Path(name, "body")
        urls.write_text("".join(f"{base}{path}\n" for path in task.paths()))
        body.write_text(task.body)
        command = [program, "-n", str(task.requests), "-c", "1", "-m", str(CONCURRENT)]
        command += ["-t", "1", "-i", str(urls), "-d", str(body)]
        for field in headers.items():
            command += ["-H", ": ".join(field)]
        before = _cpu_of_children()
        process = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
        )
        cpu_seconds, said = _cpu_of_children() - before, process.stdout
    seconds = re.search(r"finished in ([\d.]+)(m?s)", said)
    good = re.search(r"status codes: (\d+) 2xx", said)
    if process.returncode or not seconds or not good:
        message = f"h2load ended with {process.returncode}: {said[-300:]}"
        raise RuntimeError(message)
    return {
        "good": int(good[1]),
        "seconds": float(seconds[1]) / (1_000 if seconds[2] == "ms" else 1),
        "cpu_seconds": cpu_seconds,
    }


def _cpu_of_children() -> float:
    """Seconds of all that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
