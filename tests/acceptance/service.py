"""The service as real processes on real servers, and what the tests ask of it."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.cli.processes import Children, Recipe
from pushsvc.cli.simulate import gateway_settings
from pushsvc.model import GONE_ON, App, GatewayName, OutcomeClass
from pushsvc.storage import apps, migrate, tables
from pushsvc.storage.apps import KeyKind, Scope
from pushsvc.storage.credentials import add_credential
from pushsvc.storage.engine import create_engine
from pushsvc.storage.ids import new_object_id
from pushsvc.storage.sealing import Seal, new_secret_key
from tests.integration.pushing import until

DEADLINE_SECONDS = 60
#: How long `up` may take to end after Ctrl-C.
EXIT_SECONDS = 10
#: Gateways that take some 1,000 messages a second from a worker: what is to fall into the middle
#: of a push has seconds to do so, however slow the machine.
UNHURRIED = ("latency_seconds=0.03,0.03", "apns_streams=16", "fcm_streams=16")
TOKENS_PER_PAGE = 10_000


@dataclass(kw_only=True)
class Service:
    """Simulators and servers that run, and processes of the service to start and kill."""

    environment: dict[str, str]
    engine: AsyncEngine
    redis: "Redis"
    children: Children
    control_url: str
    topic: str
    app: App
    api_key: str
    session: aiohttp.ClientSession
    pids: dict[str, int] = field(default_factory=dict)
    api_url: str = ""

    async def start(self, name: str, *arguments: str) -> int:
        """Start a process of the service, and return its pid when it is ready."""
        recipe = Recipe(name=name, arguments=arguments, environment=self.environment)
        (hello,) = await self.children.start(recipe)
        self.pids[name] = hello["pid"]
        self.api_url = hello.get("url", self.api_url)
        return self.pids[name]

    @asynccontextmanager
    async def up(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run `pushsvc up` as its user does, with a Ctrl-C for it at the end."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pushsvc", "up", "--json"),
            stdout=asyncio.subprocess.PIPE,
            env=self.environment,
        )
        assert process.stdout is not None
        try:
            hello = json.loads(await process.stdout.readline())
            self.api_url = hello["url"]
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
                await asyncio.wait_for(process.wait(), DEADLINE_SECONDS)

    def kill(self, name: str) -> None:
        """End a process as the out-of-memory killer does."""
        os.kill(self.pids.pop(name), signal.SIGKILL)

    async def stop(self, name: str) -> int | None:
        """Tell a process to stop, and return its exit status; None where we are to stop."""
        os.kill(self.pids.pop(name), signal.SIGTERM)
        ended = await self.children.first_end()
        return None if ended is None else ended.ended.result()

    async def install(self, count: int, *, fault: str = "00000000") -> dict[int, str]:
        """Store iOS installations in the channel `all`; return key -> token."""
        rows = [
            {
                "app_id": self.app.id,
                "object_id": new_object_id(),
                "device_token": f"{number:056x}{fault}",
                "device_type": "ios",
                "app_identifier": self.topic,
                "channels": ["all"],
            }
            for number in range(1, count + 1)
        ]
        table = tables.installations
        async with self.engine.begin() as connection:
            returning = table.insert().returning(table.c.id, table.c.device_token)
            found = {row[0]: row[1] for row in await connection.execute(returning, rows)}
            badges = [{"installation_id": number} for number in found]
            await connection.execute(tables.badges.insert(), badges)
        return found

    async def push(self, **body: Any) -> str:
        """Post a push, to the channel `all` unless it names devices, and return its id."""
        audience = {} if "devices" in body else {"channels": ["all"]}
        given = audience | {"data": {"alert": "Hello", "badge": "Increment"}} | body
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with self.session.post(
            f"{self.api_url}/v1/pushes", json=given, headers=headers
        ) as response:
            found = await response.json()
            assert response.status == 202, found
            return str(found["id"])

    async def show(self, push: str) -> dict[str, Any]:
        """Return the push as the API shows it."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with self.session.get(
            f"{self.api_url}/v1/pushes/{push}", headers=headers
        ) as response:
            found: dict[str, Any] = await response.json()
            assert response.status == 200, found
            return found

    async def done(self, push: str) -> dict[str, Any]:
        """Wait until the push is closed, and return it."""

        async def closed() -> dict[str, Any] | None:
            found = await self.show(push)
            return found if found["state"] == "done" else None

        found: dict[str, Any] = await until(closed, seconds=DEADLINE_SECONDS)
        return found

    async def stats(self) -> dict[str, Any]:
        """Return the simulators' sums."""
        async with self.session.get(f"{self.control_url}/stats") as response:
            found: dict[str, Any] = await response.json()
        return found

    async def requests(self, gateway: str = "apns") -> int:
        """Return how many requests the simulated gateway has seen."""
        return int((await self.stats())["gateways"][gateway]["requests"])

    async def seen(self, at_least: int, gateway: str = "apns") -> None:
        """Wait until the simulated gateway has seen so many requests."""

        async def reached() -> bool:
            return await self.requests(gateway) >= at_least

        await until(reached, seconds=DEADLINE_SECONDS)

    async def delivered(self, gateway: str = "apns") -> Counter[str]:
        """Return token -> how often the simulated gateway took a message for it."""
        found: Counter[str] = Counter()
        after: Any = 0
        while after is not None:
            query = {"gateway": gateway, "after": str(after), "limit": str(TOKENS_PER_PAGE)}
            async with self.session.get(
                f"{self.control_url}/ledger/tokens", params=query
            ) as response:
                page = await response.json()
            for entry in page["entries"]:
                found[entry["token"]] += entry["delivered"]
            after = page["next"]
        return found

    async def ledger(self, push: str) -> dict[int, OutcomeClass]:
        """Return installation -> its outcome, asserting that each has just one."""
        columns = tables.batches.c
        statement = (
            select(columns.installation_ids, columns.outcomes)
            .join(tables.pushes, tables.pushes.c.id == columns.push_id)
            .where(tables.pushes.c.object_id == push)
        )
        found: dict[int, OutcomeClass] = {}
        async with self.engine.connect() as connection:
            for ids, outcomes in await connection.execute(statement):
                for number, byte in zip(ids, outcomes, strict=True):
                    if byte not in GONE_ON:
                        assert number not in found, f"{number} has two outcomes"
                        found[number] = OutcomeClass(byte)
        return found

    async def resent(self, push: str) -> set[int]:
        """Return the installations whose message went out again although it may have arrived."""
        columns = tables.batches.c
        statement = (
            select(columns.installation_ids, columns.outcomes)
            .join(tables.pushes, tables.pushes.c.id == columns.push_id)
            .where(tables.pushes.c.object_id == push)
        )
        async with self.engine.connect() as connection:
            return {
                number
                for ids, outcomes in await connection.execute(statement)
                for number, byte in zip(ids, outcomes, strict=True)
                if byte == OutcomeClass.RESENT
            }

    async def badges(self) -> Counter[int]:
        """Return badge -> how many of the app's devices have it."""
        statement = (
            select(tables.badges.c.badge)
            .join(tables.installations)
            .where(tables.installations.c.app_id == self.app.id)
        )
        async with self.engine.connect() as connection:
            return Counter((await connection.execute(statement)).scalars())


@asynccontextmanager
async def service(
    urls: tuple[str, str], directory: Path, *, knobs: Sequence[str] = UNHURRIED, **settings: str
) -> AsyncIterator[Service]:
    """Open simulators as a process and an app that sends to them; start the rest yourself."""
    environment = dict(os.environ) | {
        "PUSHSVC_DATABASE_URL": urls[0],
        "PUSHSVC_REDIS_URL": urls[1],
        "PUSHSVC_SECRET_KEY": new_secret_key(),
        "PUSHSVC_PORT": "0",
        "PUSHSVC_LOG_LEVEL": "warning",
    }
    environment |= {f"PUSHSVC_{name.upper()}": value for name, value in settings.items()}
    engine = create_engine(urls[0], connections=4)
    redis = Redis.from_url(urls[1])
    async with (
        Children(stop=asyncio.Event(), drain_seconds=EXIT_SECONDS) as children,
        aiohttp.ClientSession() as session,
    ):
        try:
            await migrate.upgrade(engine)
            ends = await simulate(children, environment, directory, knobs=knobs)
            app, api_key = await make_app(engine, environment["PUSHSVC_SECRET_KEY"], ends)
            yield Service(
                environment=environment,
                engine=engine,
                redis=redis,
                children=children,
                control_url=ends["control_url"],
                topic=ends["credentials"]["apns"]["topics"][0],
                app=app,
                api_key=api_key,
                session=session,
            )
        finally:
            await redis.aclose()
            await engine.dispose()


async def simulate(
    children: Children,
    environment: dict[str, str],
    directory: Path,
    *,
    knobs: Sequence[str] = UNHURRIED,
) -> Mapping[str, Any]:
    """Start the simulators, and point the environment to them."""
    ports = [f"--{name}-port=0" for name in ("apns", "fcm", "wns", "control")]
    turned = [f"--knob={knob}" for knob in knobs]
    recipe = Recipe(
        name="simulators",
        arguments=["simulate", "--directory", str(directory), *ports, *turned],
        environment=environment,
    )
    (ends,) = await children.start(recipe)
    for setting, value in gateway_settings(ends).items():
        environment[f"PUSHSVC_{setting.upper()}"] = value
    return ends


async def make_app(
    engine: AsyncEngine, secret_key: str, ends: Mapping[str, Any]
) -> tuple[App, str]:
    """Store a fresh app with credentials for the simulated gateways; return it with an api key."""
    async with engine.begin() as connection:
        app = await apps.create_app(connection, name=f"app-{new_object_id()}")
        _, api_key = await apps.create_key(connection, app, kind=KeyKind.API, scopes=[Scope.ADMIN])
        await equip(connection, Seal(secret_key), app, ends["credentials"])
    return app, api_key


async def equip(connection: AsyncConnection, seal: Seal, app: App, told: Mapping[str, Any]) -> None:
    """Give the app credentials in the shape in which the simulators tell theirs."""
    apns, fcm, wns = told["apns"], told["fcm"]["service_account"], told["wns"]
    given: dict[GatewayName, tuple[dict[str, Any], str]] = {
        GatewayName.APNS: (
            {name: apns[name] for name in ("key_id", "team_id", "topics")},
            apns["p8"],
        ),
        GatewayName.FCM: (
            {name: fcm[name] for name in ("project_id", "client_email")},
            json.dumps(fcm),
        ),
        GatewayName.WNS: ({"package_sid": wns["package_sid"]}, wns["client_secret"]),
    }
    for gateway, (public, secret) in given.items():
        await add_credential(
            connection, seal, app=app, gateway=gateway, public=public, secret=secret
        )
