"""The whole of it: a service, rows, requests of all kinds, and the facts that must still hold."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.config import Settings
from pushsvc.model import App
from tests.integration.api.parse_fuzz import corpus, delivery, rows, service
from tests.integration.api.parse_fuzz.run import CONNECTIONS, run
from tests.integration.api.parse_fuzz.service import Service
from tests.integration.api.parse_fuzz.wire import Keys, Request
from tests.integration.pushing import Site, site as open_site, until

#: After so many what they pushed is sent.
ROUND_REQUESTS = 5_000
#: What the service may hold more after the random requests than when it had seen the tables.
MOST_GROWTH_MEGABYTES = 60.0

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where the fuzzing takes place."""

    service: Service
    site: Site
    app: App
    keys: Keys
    #: of an app that may be emptied at any time
    spare: Keys


@asynccontextmanager
async def ground(settings: Settings, engine: AsyncEngine, folder: Path) -> AsyncIterator[Ground]:
    """Run the API as a process, with two apps; the one has simulators for gateways."""
    # What is not sent at once is no finding, and need not be waited for.
    once = settings.model_copy(
        update={"attempt_limit": 1, "retry_seconds": 1, "credential_hold_seconds": 0}
    )
    app, keys = await service.make_app(engine)
    _, spare = await service.make_app(engine)
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(open_site(once, app, folder / "simulators"))
        process = await stack.enter_async_context(service.running(settings, folder / "log"))
        yield Ground(service=process, site=site, app=app, keys=keys, spare=spare)


async def fuzz(place: Ground, *, seed: int, cases: int, stride: int, tell: Tell) -> list[str]:
    """Return all that is wrong after so many random requests, and each stride-th of the tables."""
    devices = await delivery.install(place.site)
    await rows.make(place.service.url, place.site.engine, place.app, place.keys)
    tables = islice(corpus.each(place.keys), seed % stride, None, stride)
    found = await _asked(place, "tables", tables, tell)
    # One after the other: how long each takes is its own affair then.
    too_much = corpus.too_much(place.keys)
    found += await _asked(place, "too much", too_much, tell, connections=1)
    warm = place.service.rss_megabytes()
    random = islice(corpus.at_random(place.keys, place.spare, seed=seed), cases)
    while requests := list(islice(random, ROUND_REQUESTS)):
        found += await _asked(place, "at random", iter(requests), tell)
        found += await delivery.flaws(place.site, devices)
    return [*found, *await _remains(place, warm)]


async def _remains(place: Ground, warm: float) -> list[str]:
    """Return what is not as it was before: memory, transactions, what works, and the log."""
    growth = place.service.rss_megabytes() - warm
    found = [] if growth <= MOST_GROWTH_MEGABYTES else [f"memory: {growth:.0f} MB more than before"]
    await rows.good_requests_pass(place.service.url, place.keys)
    await until(lambda: _no_transaction_is_left(place.site.engine))
    return [*found, *place.service.cries()]


async def _asked(
    place: Ground,
    name: str,
    requests: Iterator[Request],
    tell: Tell,
    *,
    connections: int = CONNECTIONS,
) -> list[str]:
    begun = time.monotonic()
    came = await run(place.service.url, requests, connections=connections)
    seconds = time.monotonic() - begun
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(came.statuses.items()))
    tell(f"{name}: {statuses}; {seconds:.1f} s, slowest {came.slowest:.2f} s")
    return [finding.told(place.service.url) for finding in came.findings]


async def _no_transaction_is_left(engine: AsyncEngine) -> bool:
    """Tell whether no session of the database sits in a transaction that nobody goes on with."""
    left = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    async with engine.connect() as connection:
        return bool((await connection.execute(text(left))).scalar_one() == 0)
