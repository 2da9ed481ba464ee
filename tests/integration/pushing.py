"""A service on simulators, and short words for what the tests of the pipeline do with it."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc import pipeline
from pushsvc.config import Settings
from pushsvc.model import (
    GONE_ON,
    App,
    GatewayName,
    OutcomeClass,
    Push,
    PushState,
    Source,
    Submission,
)
from pushsvc.resources import Resources, open_resources
from pushsvc.simulators import Knobs, Simulators
from pushsvc.simulators.ledger import Entry
from pushsvc.stats import tally
from pushsvc.storage import plans, pushes, tables
from pushsvc.storage.credentials import add_credential
from pushsvc.storage.engine import driver
from pushsvc.storage.ids import new_object_id
from pushsvc.worker import run_worker

DEADLINE_SECONDS = 20
POLL_SECONDS = 0.02
#: More than any of these tests sends.
LEDGER_LIMIT = 10_000

_numbers = itertools.count(1)


def apns_token(fault: str = "00000000") -> str:
    """A new token; its last eight digits ask for a fault, `fa17CCPP`."""
    return f"{next(_numbers):056x}{fault}"


def fcm_token(fault: str = "") -> str:
    """A new token; `~name-PP` at its end asks for a fault."""
    return f"fcm-{next(_numbers)}:token{fault}"


def wns_channel(fault: str = "") -> str:
    """A new channel URI; `~name-PP` at its end asks for a fault."""
    return f"https://db5.notify.windows.com/?token=wns{next(_numbers)}{fault}"


async def until(fact: Callable[[], Awaitable[Any]], *, seconds: float = DEADLINE_SECONDS) -> Any:
    """Wait until the fact is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := await fact()):
        assert time.monotonic() < deadline, f"never became true: {fact}"
        await asyncio.sleep(POLL_SECONDS)
    return found


async def blocks_another(connection: AsyncConnection) -> bool:
    """Tell whether somebody waits for a lock of this transaction."""
    waits = text("""
        SELECT EXISTS (
            SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))
        )
    """)
    return bool(await connection.scalar(waits))


@dataclass(frozen=True, kw_only=True)
class Site:
    """An app of its own on a service whose gateways are simulators."""

    app: App
    resources: Resources
    simulators: Simulators
    engine: AsyncEngine
    devices: dict[str, int] = field(default_factory=dict)

    async def install(self, token: str, device_type: str = "ios", **columns: Any) -> int:
        """Store an installation in the channel `all`, with badge 0; return its key."""
        row = {
            "app_id": self.app.id,
            "object_id": new_object_id(),
            "device_token": token,
            "device_type": device_type,
            "app_identifier": self.simulators.endpoints.credentials.apns.topics[0],
            "channels": ["all"],
        } | columns
        async with self.engine.begin() as connection:
            statement = insert(tables.installations).values(row)
            result = await connection.execute(statement.returning(tables.installations.c.id))
            number: int = result.scalar_one()
            await connection.execute(insert(tables.badges).values(installation_id=number))
        return number

    async def push(self, **changes: Any) -> Push:
        """Submit a push to the channel `all`."""
        given: dict[str, Any] = {
            "source": Source.V1,
            "audience": {"channels": ["all"]},
            "content": {"data": {"alert": "Hello"}},
        } | changes
        return (await pipeline.submit_push(self.resources, self.app, Submission(**given))).push

    async def leased(self, push: Push, *, lease_seconds: float = 60) -> int:
        """Take up the push's plan as a worker does; return the lease's number."""
        async with driver(self.engine) as connection:
            leased = await plans.lease_plan(connection, push.id, lease_seconds=lease_seconds)
        assert leased is not None
        return leased[1]

    async def now(self, push: Push) -> Push:
        """Return the push as it is now."""
        async with self.engine.connect() as connection:
            return await pushes.get_push(connection, push.id)

    async def done(self, push: Push) -> Push:
        """Wait until the push is closed."""

        async def closed() -> Push | None:
            found = await self.now(push)
            ends = {PushState.DONE, PushState.FAILED, PushState.CANCELLED}
            return found if found.state in ends else None

        found: Push = await until(closed)
        return found

    async def outcomes(self, push: Push) -> dict[str, int]:
        """Return the push's outcomes that are not nought."""
        async with self.engine.connect() as connection:
            counts = await pushes.counts_of(connection, await self.now(push))
        return {o.value: n for o, n in tally.by_outcome(tally.total(counts)).items() if n}

    async def ledger(self, push: Push) -> dict[int, tuple[OutcomeClass, str]]:
        """Return installation -> final class and reason, asserting that each has just one."""
        columns = tables.batches.c
        async with self.engine.connect() as connection:
            rows = await connection.execute(
                select(columns.installation_ids, columns.outcomes, columns.exceptions)
                .where(columns.push_id == push.id)
                .order_by(columns.seq)
            )
            found: dict[int, tuple[OutcomeClass, str]] = {}
            for ids, outcomes, exceptions in rows:
                reasons = {p: r for r, places in (exceptions or {}).items() for p in places}
                for place, number in enumerate(ids):
                    if outcomes[place] not in GONE_ON:
                        assert number not in found, f"{number} has two outcomes"
                        found[number] = (OutcomeClass(outcomes[place]), reasons.get(place, ""))
        return found

    async def badge(self, number: int) -> int:
        """Return the installation's badge."""
        async with self.engine.connect() as connection:
            statement = select(tables.badges.c.badge).where(
                tables.badges.c.installation_id == number
            )
            found: int = (await connection.execute(statement)).scalar_one()
            return found

    def sent(self) -> Sequence[Entry]:
        """Return what the simulators got, oldest first."""
        found, _ = self.simulators.ledger.page(
            gateway=None, token=None, after=0, limit=LEDGER_LIMIT
        )
        return found

    def sent_to(self, token: str) -> Sequence[Entry]:
        """Return what they got for this token or channel."""
        return [entry for entry in self.sent() if entry.token == token]


@asynccontextmanager
async def site(settings: Settings, app: App, directory: Path) -> AsyncIterator[Site]:
    """Open simulators, and a service with credentials for them; no worker yet."""
    # Each test mints provider tokens of its own; the rule of one in 20 minutes has its own tests.
    knobs = Knobs(apns_token_update_seconds=0)
    async with Simulators(directory, knobs=knobs) as simulators:
        ends = simulators.endpoints
        pointed = settings.model_copy(
            update={
                "gateway_ca_file": ends.ca_file,
                "apns_url": ends.apns_url,
                "fcm_url": ends.fcm_url,
                "wns_token_url": ends.wns_token_url,
                "wns_entra_url": ends.wns_entra_url,
                "wns_connect_to": ends.wns_address,
                "gateway_timeout_seconds": 5.0,
            }
        )
        async with open_resources(pointed) as resources:
            await add_credentials(resources, app, simulators)
            await drop_work_of_others(resources.engine, app)
            yield Site(app=app, resources=resources, simulators=simulators, engine=resources.engine)


async def drop_work_of_others(engine: AsyncEngine, app: App) -> None:
    """Delete what other tests have left to be retried: this one's workers would take it up."""
    pushes_of_others = delete(tables.pushes).where(
        tables.pushes.c.app_id != app.id, tables.pushes.c.finished_at.is_(None)
    )
    async with engine.begin() as connection:
        await connection.execute(pushes_of_others)


async def add_credentials(resources: Resources, app: App, simulators: Simulators) -> None:
    """Store the simulators' credentials as the app's."""
    found = simulators.endpoints.credentials
    apns, fcm, wns = found.apns, found.fcm, found.wns
    rows: list[tuple[GatewayName, dict[str, Any], str]] = [
        (
            GatewayName.APNS,
            {"key_id": apns.key_id, "team_id": apns.team_id, "topics": list(apns.topics)},
            apns.p8,
        ),
        (
            GatewayName.FCM,
            {"project_id": fcm.service_account["project_id"]},
            orjson.dumps(dict(fcm.service_account)).decode(),
        ),
        (GatewayName.WNS, {"package_sid": wns.package_sid}, wns.client_secret),
    ]
    async with resources.engine.begin() as connection:
        for gateway, public, secret in rows:
            await add_credential(
                connection,
                resources.seal,
                app=app,
                gateway=gateway,
                public=public,
                secret=secret,
            )


@asynccontextmanager
async def working(site: Site) -> AsyncIterator[None]:
    """Run a worker for as long as the block lasts."""
    stop = asyncio.Event()
    worker = asyncio.create_task(run_worker(site.resources.settings, stop=stop), name="worker")
    try:
        yield
    finally:
        stop.set()
        await worker
