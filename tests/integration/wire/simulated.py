"""The strict APNs for tests of the wire: calls and pools to it, and what it knows in the end."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import jwt

from pushsvc.cli.processes import Children, Recipe
from pushsvc.delivery.wire import Call, Limits, Origin, Pool, Template, client_context
from pushsvc.simulators import Simulators
from pushsvc.simulators.apns.faults import FAULTS
from pushsvc.simulators.ledger import Entry
from tests.integration.wire.fate import nothing_leaks
from tests.integration.wire.sending import SECONDS

BODY = b'{"aps":{"alert":"hello"}}'
#: With one connection it is certain where a request goes.
ONE = Limits(max_connections=1, await_settings=True, backoff_first_seconds=0.01)

#: Key to device token.
Tokens = Mapping[int, str]


def plain(keys: Iterable[int]) -> dict[int, str]:
    """Device tokens that ask for nothing."""
    return {key: f"{key:064x}" for key in keys}


def asking(fault: str, parameter: int, *keys: int) -> dict[int, str]:
    """Device tokens that ask for a fault."""
    row = FAULTS.named(fault)
    assert row is not None
    return {key: f"{key:056x}fa17{row.code:02x}{parameter:02x}" for key in keys}


class Apns:
    """Calls and pools to one simulated APNs; `ends` is `Endpoints.as_json()`."""

    def __init__(self, ends: Mapping[str, Any], opened: AsyncExitStack) -> None:
        self._origin = Origin.from_url(ends["apns_url"])
        self._context = client_context(ends["ca_file"])
        self._opened = opened
        apns = ends["credentials"]["apns"]
        claims = {"iss": apns["team_id"], "iat": int(time.time())}
        token = jwt.encode(claims, apns["p8"], algorithm="ES256", headers={"kid": apns["key_id"]})
        self._template = Template(
            [(b"apns-topic", apns["topics"][0].encode()), (b"apns-push-type", b"alert")],
            varying=(b"apns-id",),
            literal=[(b"authorization", f"bearer {token}".encode())],
        )

    def pool(self, limits: Limits = ONE) -> Pool:
        """A pool, closed with the simulator."""
        pool = Pool(self._origin, ssl_context=self._context, limits=limits)
        self._opened.push_async_callback(pool.close, drain_seconds=1.0)
        return pool

    def calls(self, tokens: Tokens, body: bytes = BODY) -> Iterator[Call]:
        """A call for each token; its apns-id is made of its key."""
        for key, token in tokens.items():
            apns_id = b"%08x-0000-4000-8000-000000000000" % key
            yield key, self._template, f"/3/device/{token}".encode(), (apns_id,), body


class LocalApns(Apns):
    """An APNs in this process, whose ledger can be looked at."""

    def __init__(self, simulators: Simulators, opened: AsyncExitStack) -> None:
        super().__init__(simulators.endpoints.as_json(), opened)
        self._simulators = simulators

    def entries(self) -> dict[str, Entry]:
        """What the ledger says about each token; none may have come twice."""
        entries, _ = self._simulators.ledger.page(gateway="apns", token=None, after=0, limit=10_000)
        assert len(entries) == len({entry.token for entry in entries})
        return {entry.token: entry for entry in entries}

    def delivered(self, tokens: Tokens) -> list[int]:
        """The keys whose message was taken."""
        entries = self.entries()
        return [
            key for key, token in tokens.items() if token in entries and entries[token].delivered
        ]

    def script(self, **rule: Any) -> None:
        """Add a rule."""
        self._simulators.control.add_rules({"gateway": "apns", **rule})

    @property
    def wire(self) -> dict[str, Any]:
        """What the wire of APNs counted."""
        counted: dict[str, Any] = self._simulators.control.stats()["gateways"]["apns"]["wire"]
        return counted


@asynccontextmanager
async def local_apns(directory: Path) -> AsyncIterator[LocalApns]:
    """A simulator in this process."""
    async with Simulators(directory) as simulators, AsyncExitStack() as opened:
        yield LocalApns(simulators, opened)


@asynccontextmanager
async def fair(apns: LocalApns, pool: Pool) -> AsyncIterator[None]:
    """Around a check: afterwards nothing leaks, and the simulator has seen nothing illegal."""
    async with nothing_leaks(pool):
        yield
    assert list(apns.wire["last_violations"]) == []


class DistantApns(Apns):
    """An APNs in a process of its own, asked by its control endpoint."""

    def __init__(
        self, ends: Mapping[str, Any], opened: AsyncExitStack, session: aiohttp.ClientSession
    ) -> None:
        super().__init__(ends, opened)
        self._url = ends["control_url"]
        self._session = session

    async def script(self, *rules: dict[str, Any]) -> None:
        """Add rules."""
        document = [{"gateway": "apns", **rule} for rule in rules]
        async with self._session.post(f"{self._url}/script", json=document) as answer:
            assert answer.status == 200

    async def sums(self) -> dict[str, Any]:
        """The sums of the ledger and of the wire."""
        sums: dict[str, Any] = (await self._get("/stats"))["gateways"]["apns"]
        return sums

    async def deliveries(self) -> dict[str, int]:
        """How often a message was taken for each token."""
        found: dict[str, int] = {}
        after = 0
        while after is not None:
            page = await self._get(f"/ledger/tokens?gateway=apns&limit=10000&after={after}")
            found |= {entry["token"]: entry["delivered"] for entry in page["entries"]}
            after = page["next"]
        return found

    async def _get(self, path: str) -> Any:
        async with self._session.get(self._url + path) as answer:
            return await answer.json()


@asynccontextmanager
async def distant_apns(directory: Path) -> AsyncIterator[DistantApns]:
    """A simulator in a process of its own: two cores are used."""
    ports = [f"--{name}-port=0" for name in ("apns", "fcm", "wns", "control")]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PUSHSVC_")}
    recipe = Recipe(
        name="simulators",
        arguments=("simulate", "--directory", str(directory), *ports),
        environment=kept,
    )
    async with (
        Children(stop=asyncio.Event(), drain_seconds=SECONDS) as children,
        aiohttp.ClientSession() as session,
        AsyncExitStack() as opened,
    ):
        (ends,) = await children.start(recipe)
        yield DistantApns(ends, opened, session)
