"""A run: requests over a few connections, each answer judged, and what is found made small."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.integration.api.parse_fuzz.client import Client
from tests.integration.api.parse_fuzz.laws import broken
from tests.integration.api.parse_fuzz.wire import Request, text_of

CONNECTIONS = 6
#: Then there is no answer to wait for.
GIVE_UP_SECONDS = 30.0
#: To find one more is worth less than to be told of these.
MOST_FINDINGS = 20
MOST_ATTEMPTS = 60
#: For all findings together: a slow one stays slow while it is made small.
SMALLER_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A request whose answer breaks a law."""

    request: Request
    law: str

    def told(self, url: str) -> str:
        """For people."""
        return f"{self.law}\n  {self.request.curl(url)}"


@dataclass(kw_only=True)
class Run:
    """What came of a run."""

    statuses: Counter[int] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    slowest: float = 0.0


async def run(url: str, requests: Iterator[Request], *, connections: int = CONNECTIONS) -> Run:
    """Send the requests, and return what came of them."""
    found = Run()
    workers = [_worker(url, requests, found) for _ in range(connections)]
    await asyncio.gather(*workers)
    end = time.monotonic() + SMALLER_SECONDS
    async with Client(url) as client:
        found.findings = [await _smaller(client, one, end=end) for one in found.findings]
    return found


async def _worker(url: str, requests: Iterator[Request], found: Run) -> None:
    async with Client(url) as client:
        for request in requests:
            if len(found.findings) >= MOST_FINDINGS:
                return
            answer = await client.ask(request, seconds=GIVE_UP_SECONDS)
            found.statuses[answer.status] += 1
            found.slowest = max(found.slowest, answer.seconds)
            law = broken(request, answer)
            if law:
                found.findings.append(Finding(request=request, law=law))


# ---------------------------------------------------------------- made small


async def _smaller(client: Client, finding: Finding, *, end: float) -> Finding:
    """Leave out what may be left out, as long as the answer breaks the same law."""
    attempts, simpler = MOST_ATTEMPTS, _simpler(finding.request)
    while attempts and time.monotonic() < end and (request := next(simpler, None)):
        attempts -= 1
        law = broken(request, await client.ask(request, seconds=GIVE_UP_SECONDS))
        if law and _kind(law) == _kind(finding.law):
            finding = Finding(request=request, law=law)
            simpler = _simpler(request)
    return finding


def _kind(law: str) -> str:
    return law[:12]


def _simpler(request: Request) -> Iterator[Request]:
    for place in range(len(request.headers)):
        rest = (*request.headers[:place], *request.headers[place + 1 :])
        yield replace(request, headers=rest)
    try:
        body = json.loads(request.body)
    except ValueError:
        return
    for simpler in _without_a_part(body):
        yield replace(request, body=text_of(simpler))


def _without_a_part(value: Any) -> Iterator[Any]:
    """Yield the value without one of its parts, whole parts first."""
    parts: list[Any] = []
    if isinstance(value, dict):
        parts = list(value)
    elif isinstance(value, list):
        parts = list(range(len(value)))
    for part in parts:
        yield _changed(value, part)
    for part in parts:
        for simpler in _without_a_part(value[part]):
            yield _changed(value, part, simpler)


_GONE = object()


def _changed(value: Any, part: Any, new: Any = _GONE) -> Any:
    changed = value.copy()
    if new is _GONE:
        del changed[part]
    else:
        changed[part] = new
    return changed
