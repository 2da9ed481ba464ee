"""Eight processes and their gateways: one token of each kind, whatever Redis forgets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.delivery.apns.provider_token import LEAST_INTERVAL_SECONDS, REFRESH_SECONDS
from pushsvc.delivery.fleet_tokens import FleetTokenStore
from pushsvc.delivery.tokens import SharedToken, Token
from pushsvc.simulators import Simulators
from pushsvc.storage.provider_tokens import claim_moment
from tests.integration.delivery.sending import Clients

pytestmark = pytest.mark.integration

PROCESSES = 8

Fleet = Callable[[], Sequence[Clients]]


@pytest.fixture
async def start(
    servers: tuple[str, str], database: AsyncEngine, clients: Clients
) -> AsyncIterator[Fleet]:
    """Starts eight processes that know nothing yet, each with a connection of its own to Redis."""

    async def moments(name: str, refused: float | None) -> int:
        return await claim_moment(
            database,
            name,
            refused=refused,
            refresh_seconds=REFRESH_SECONDS,
            least_seconds=LEAST_INTERVAL_SECONDS,
        )

    async with AsyncExitStack() as stack:

        def start_all() -> Sequence[Clients]:
            fleet = []
            for _ in range(PROCESSES):
                redis = Redis.from_url(servers[1])
                stack.push_async_callback(redis.aclose)
                process = Clients(
                    endpoints=clients.endpoints,
                    session=clients.session,
                    store=FleetTokenStore(redis),
                    clock=clients.clock,
                    moments=moments,
                )
                stack.push_async_callback(process.close)
                fleet.append(process)
            return fleet

        async with Redis.from_url(servers[1]) as redis:
            await redis.flushall()
        yield start_all


async def all_of(shares: Sequence[SharedToken]) -> set[str]:
    """Ask for tokens at the same moment."""
    return {token.value for token in await asyncio.gather(*(one.current() for one in shares))}


async def age(database: AsyncEngine, minutes: int) -> None:
    """Let provider tokens be so much older than they are."""
    async with database.begin() as connection:
        older = text("UPDATE provider_tokens SET issued_at = issued_at - make_interval(mins => :m)")
        await connection.execute(older, {"m": minutes})


async def test_eight_processes_show_one_provider_token(
    servers: tuple[str, str], database: AsyncEngine, start: Fleet
) -> None:
    """Also those that start after FLUSHALL, and then one other when its time has come."""
    first = await all_of([process.provider_token() for process in start()])
    async with Redis.from_url(servers[1]) as redis:
        await redis.flushall()
        assert await all_of([process.provider_token() for process in start()]) == first
        await redis.flushall()
    await age(database, 48)
    second = await all_of([process.provider_token() for process in start()])

    assert len(first) == len(second) == 1
    assert first != second


async def test_eight_processes_replace_a_refused_provider_token_once(
    servers: tuple[str, str], database: AsyncEngine, start: Fleet
) -> None:
    """When it is old enough, and by the database's clock; younger ones stay, whoever asks."""
    shares = [process.provider_token() for process in start()]
    young = await shares[0].current()
    assert {t.value for t in await renewed(shares, young)} == {young.value}
    await age(database, 21)
    async with Redis.from_url(servers[1]) as redis:
        await redis.flushall()
    shares = [process.provider_token() for process in start()]
    old = await shares[0].current()

    assert old.value != young.value
    replaced = {token.value for token in await renewed(shares, old)}
    assert len(replaced) == 1
    assert old.value not in replaced


async def renewed(shares: Sequence[SharedToken], refused: Token) -> list[Token]:
    return await asyncio.gather(*(one.renew(refused) for one in shares))


async def test_eight_processes_fetch_one_access_token_of_each_kind(
    servers: tuple[str, str], start: Fleet, simulators: Simulators
) -> None:
    """FCM and WNS, at the start and where one was refused; FLUSHALL costs none."""
    fleet = start()
    kinds = [
        [process.fcm()._tokens for process in fleet],
        [process.wns()._tokens for process in fleet],
    ]
    first = [await all_of(shares) for shares in kinds]
    assert simulators.control.stats()["oauth_fetches"] == {"fcm": 1, "wns": 1}

    async with Redis.from_url(servers[1]) as redis:
        await redis.flushall()
    for shares in kinds:
        await renewed(shares, await shares[0].current())
    second = [await all_of(shares) for shares in kinds]

    assert simulators.control.stats()["oauth_fetches"] == {"fcm": 2, "wns": 2}
    assert [len(tokens) for tokens in (*first, *second)] == [1, 1, 1, 1]
