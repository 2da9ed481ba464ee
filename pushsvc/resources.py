"""Everything with a lifetime: opened in order, closed in reverse, and passed on."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import (
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field, replace
from pathlib import Path
from weakref import WeakValueDictionary

from pydantic import SecretStr
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc import embedded
from pushsvc.clock import Clock, SystemClock
from pushsvc.config import Settings, SettingsError
from pushsvc.delivery.apns import provider_token
from pushsvc.delivery.fleet_tokens import FleetTokenStore
from pushsvc.delivery.gateways import Gateways
from pushsvc.delivery.halts import Halts
from pushsvc.delivery.journal import Journal, keeping_journal
from pushsvc.delivery.pacing import Pacing
from pushsvc.model import Credential, Lane, Rules
from pushsvc.planning import localtime, queue, variants
from pushsvc.planning.queue import Queue
from pushsvc.stats.opens import OpenCounter, counting_opens
from pushsvc.storage.backlog import Backlog
from pushsvc.storage.closings import Closings, watching_closings
from pushsvc.storage.credentials import credentials_of
from pushsvc.storage.database_time import keeping_time
from pushsvc.storage.engine import create_engine
from pushsvc.storage.intake import Intake
from pushsvc.storage.provider_tokens import claim_moment
from pushsvc.storage.saving.saver import Saver
from pushsvc.storage.schema import Schemas
from pushsvc.storage.sealing import Seal, new_secret_key
from pushsvc.targeting.asked import Limits
from pushsvc.targeting.limits import limits_of

#: A plan holds a connection, and needs another to go on.
CONNECTIONS_LEAST = 2
#: Of a process's connections, those on which statements look up everything by an index: short ones,
#: for many pushes each.
BY_INDEX_CONNECTIONS = 2

SECRET_KEY_FILE = "secret.key"  # noqa: S105 - a file's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a process holds open while it runs."""

    settings: Settings
    engine: AsyncEngine
    #: for what is small and comes by the thousand: its statements are BY_INDEX
    by_index: AsyncEngine
    queue: Queue
    seal: Seal
    clock: Clock
    gateways: Gateways
    journal: Journal
    #: of the pushes under way here
    halts: Halts
    schemas: Schemas
    backlog: Backlog
    saver: Saver
    intake: Intake
    opens: OpenCounter
    closings: Closings
    #: Taken by each plan that holds a connection for as long as it runs: half of the connections
    #: stay with those who need one for a moment, and no plan waits for a second one.
    planning: asyncio.Semaphore
    #: the same of finds, whose queries are the callers'
    finding: asyncio.Semaphore
    #: of the pushes that somebody reads just now: batches that begin together read theirs once
    reading: WeakValueDictionary[int, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    #: set when the process was told to stop: nothing more is handed to a gateway
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def limits(self) -> Limits:
        """The bounds of a where-clause that a caller sends."""
        return limits_of(self.settings)


@contextmanager
def located(settings: Settings) -> Iterator[Settings]:
    """Fill in the servers' URLs and the secret key, starting embedded servers where none is set.

    Raises:
        SettingsError: a configured database without a secret key.
        embedded.EmbeddedError: an embedded server cannot run here; the message says what to do.
    """
    home = settings.data_dir or embedded.default_data_directory()
    with ExitStack() as stack:
        changes: dict[str, object] = {}
        if settings.database_url is None:
            running = stack.enter_context(embedded.start("postgres", home))
            changes["database_url"] = running.url
            if settings.secret_key is None:
                changes["secret_key"] = SecretStr(_secret_key_in(home))
        elif settings.secret_key is None:
            message = (
                "PUSHSVC_SECRET_KEY is required with a configured database: credentials are "
                "stored encrypted under it. Make one with `openssl rand -base64 32`."
            )
            raise SettingsError(message)
        if settings.redis_url is None:
            running = stack.enter_context(embedded.start("redis", home))
            changes["redis_url"] = running.url
        yield settings.model_copy(update=changes)


@asynccontextmanager
async def open_resources(
    settings: Settings, *, host: Clock | None = None
) -> AsyncIterator[Resources]:
    """Open what a process of the service needs; `settings` come from `located`.

    The wall time of it all is the database's; `host` has the clocks of this machine.
    """
    assert settings.database_url
    assert settings.redis_url
    assert settings.secret_key
    async with AsyncExitStack() as stack:
        few = min(BY_INDEX_CONNECTIONS, settings.database_connections // 2)
        connections = max(CONNECTIONS_LEAST, settings.database_connections - few)
        engine = create_engine(settings.database_url, connections=connections)
        stack.push_async_callback(engine.dispose)
        by_index = create_engine(settings.database_url, connections=few, by_index=True)
        stack.push_async_callback(by_index.dispose)
        waker = Queue(queue.connect(settings.redis_url))
        stack.push_async_callback(waker.close)
        clock = await stack.enter_async_context(keeping_time(engine, host or SystemClock()))
        seal = Seal(settings.secret_key.get_secret_value())
        pacing = Pacing(waker.redis, clock=clock)
        stack.push_async_callback(pacing.close)
        gateways = _gateways(settings, engine, waker.redis, seal=seal, pacing=pacing, clock=clock)
        stack.push_async_callback(gateways.close)
        saver = Saver(engine)
        stack.push_async_callback(saver.close)
        intake = Intake(by_index)
        stack.push_async_callback(intake.close)
        yield Resources(
            settings=settings,
            engine=engine,
            by_index=by_index,
            queue=waker,
            seal=seal,
            clock=clock,
            gateways=gateways,
            halts=Halts(),
            journal=await stack.enter_async_context(keeping_journal(waker.redis)),
            schemas=Schemas(engine, clock),
            backlog=Backlog(
                engine,
                clock,
                due_limit=settings.open_pushes_limit,
                scheduled_limit=settings.scheduled_pushes_limit,
                batches_limit=settings.open_batches_limit,
            ),
            saver=saver,
            intake=intake,
            closings=await stack.enter_async_context(watching_closings(engine)),
            opens=await stack.enter_async_context(counting_opens(engine, placing)),
            planning=asyncio.Semaphore(connections // 2),
            finding=asyncio.Semaphore(connections // 2),
        )


def placing(rules: Rules, installation: int, zone: str | None) -> tuple[str | None, str]:
    """Return what a run's plan takes an installation for: its variant, and its zone."""
    (variant,) = variants.split(rules, [installation])
    return variant, zone if zone in localtime.known_zones() else ""


def _gateways(
    settings: Settings,
    engine: AsyncEngine,
    redis: "Redis",
    *,
    seal: Seal,
    pacing: Pacing,
    clock: Clock,
) -> Gateways:
    async def load(app_id: int) -> list[Credential]:
        async with engine.connect() as connection:
            return await credentials_of(connection, seal, app_id=app_id)

    async def moments(name: str, refused: float | None) -> int:
        return await claim_moment(
            engine,
            name,
            refused=refused,
            refresh_seconds=provider_token.REFRESH_SECONDS,
            least_seconds=provider_token.LEAST_INTERVAL_SECONDS,
        )

    store = FleetTokenStore(redis)
    return Gateways(settings, load=load, store=store, pacing=pacing, clock=clock, moments=moments)


@asynccontextmanager
async def open_lanes(settings: Settings) -> AsyncIterator[Mapping[Lane, Resources]]:
    """Open what a worker needs: the same for both lanes, but for their connections to Postgres.

    Half of them are the bulk lane's, and what is urgent waits for none of those. Too few to be
    divided are shared; who works on one lane alone has all of them.
    """
    bulk = settings.database_connections // 2
    rest = settings.database_connections - bulk
    if min(bulk, rest - 1) < CONNECTIONS_LEAST or settings.lanes != "both":
        async with open_resources(settings) as shared:
            yield dict.fromkeys(Lane, shared)
            return
    assert settings.database_url
    engine = create_engine(settings.database_url, connections=bulk)
    try:
        halved = settings.model_copy(update={"database_connections": rest})
        async with open_resources(halved) as urgent:
            planning = asyncio.Semaphore(bulk // 2)
            yield {
                Lane.URGENT: urgent,
                Lane.BULK: replace(urgent, engine=engine, planning=planning),
            }
    finally:
        await engine.dispose()


def _secret_key_in(home: Path) -> str:
    """Return the embedded database's own key, made with the first use."""
    path = home / SECRET_KEY_FILE
    home.mkdir(parents=True, exist_ok=True)
    # Written beside and linked into place, so that of two who start at once both read one key.
    fresh = path.with_suffix(f".{os.getpid()}")
    if not path.exists():
        fresh.touch(mode=0o600)
        fresh.write_text(new_secret_key())
        with suppress(FileExistsError):
            path.hardlink_to(fresh)
        fresh.unlink()
    return path.read_text()
