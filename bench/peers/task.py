"""What every client is given to do, and what it tells of it."""

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Self

#: Different devices; as many as a large batch has, and no more than a client should hold ready.
DEVICES = 20_000
APNS, FCM = "apns", "fcm"

#: A client that takes longer has failed.
RUN_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """POST so many requests, and count the good answers.

    A good answer has status 200 and, for APNs, the request's own apns-id; for FCM, a body.
    Paths and ids are made ready before the clock starts: making them is not the client's work.
    """

    case: str
    port: int
    ca_file: str
    requests: int
    #: The body of each request, in ASCII.
    body: str
    #: Header fields that are the same in every request, `authorization` among them.
    headers: dict[str, str]
    #: A key in the form of Apple's .p8 files, for the client that makes its own tokens.
    key_file: str
    #: What the device follows in a :path of APNs, and the whole :path of FCM.
    prefix: str = "/3/device/"
    fcm_path: str = "/v1/projects/bench/messages:send"

    @classmethod
    def read(cls) -> Self:
        """Read the task from standard input."""
        return cls(**json.load(sys.stdin))

    def write(self) -> str:
        """Return the task as `read` takes it."""
        return json.dumps(asdict(self))

    def paths(self) -> list[str]:
        """Return the :path of the first requests; later ones start again."""
        if self.case == FCM:
            return [self.fcm_path]
        count = min(self.requests, DEVICES)
        return [f"{self.prefix}{sha256(b'%d' % n).hexdigest()}" for n in range(count)]

    def ids(self) -> list[str]:
        """Return the apns-id of each request."""
        hexes = (sha256(b"id %d" % n).hexdigest() for n in range(self.requests))
        return [f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:32]}" for h in hexes]


class Clock:
    """Wall and CPU time of this process between two moments."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure what happens within."""
        seconds, cpu = time.perf_counter(), _cpu()
        yield
        self.seconds, self.cpu_seconds = time.perf_counter() - seconds, _cpu() - cpu

    def tell(self, good: int) -> None:
        """Print the result: good answers, seconds, seconds of CPU."""
        result = {"good": good, "seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
        print(json.dumps(result))  # noqa: T201 - the result


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
