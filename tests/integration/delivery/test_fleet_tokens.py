"""One token for the whole fleet, in Redis; and what each worker does without Redis."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict

import orjson
import pytest
from redis.asyncio import Redis

from pushsvc.clock import SystemClock
from pushsvc.delivery.fleet_tokens import FleetTokenStore
from pushsvc.delivery.tokens import SharedToken, Token

pytestmark = pytest.mark.integration


@pytest.fixture
async def redis(servers: tuple[str, str]) -> AsyncIterator["Redis"]:
    """A connection to the run's Redis, emptied."""
    async with Redis.from_url(servers[1]) as connection:
        await connection.flushall()
        yield connection


class Mint:
    """Makes tokens, numbered, and slowly enough that callers meet."""

    def __init__(self) -> None:
        self.made = 0

    async def __call__(self, _stale: Token | None) -> Token:
        """Make the next token."""
        self.made += 1
        await asyncio.sleep(0)
        now = SystemClock().now().timestamp()
        return Token(
            value=f"token {self.made}",
            minted_at=now,
            refresh_at=now + 60,
            expires_at=now + 120,
        )


def worker(redis: "Redis", mint: Mint) -> SharedToken:
    """A worker process's share in the token."""
    return SharedToken("shared", mint, store=FleetTokenStore(redis), clock=SystemClock())


async def test_workers_that_start_together_mint_one_token(redis: "Redis") -> None:
    """The first mints, the others find it."""
    mint = Mint()
    tokens = await asyncio.gather(*(worker(redis, mint).current() for _ in range(8)))

    assert mint.made == 1
    assert {token.value for token in tokens} == {"token 1"}


async def test_a_worker_that_starts_later_finds_the_token(redis: "Redis") -> None:
    """Restarts mint nothing."""
    mint = Mint()
    await worker(redis, mint).current()
    await worker(redis, mint).current()

    assert mint.made == 1


async def test_a_token_that_redis_forgot_is_put_back_by_who_has_it(redis: "Redis") -> None:
    """A refused token is replaced once for all, also after FLUSHALL."""
    mint = Mint()
    one, other = worker(redis, mint), worker(redis, mint)
    stale = await one.current()
    await other.current()
    await redis.flushall()

    renewed = await asyncio.gather(one.renew(stale), other.renew(stale))

    assert mint.made == 2
    assert {token.value for token in renewed} == {"token 2"}


async def test_without_redis_a_worker_keeps_a_token_of_its_own() -> None:
    """Sending goes on."""
    mint = Mint()
    async with Redis(unix_socket_path="/nonexistent/redis.sock") as nowhere:
        share = worker(nowhere, mint)
        first, second = await share.current(), await share.current()

    assert mint.made == 1
    assert first == second


STORED = {"value": "token", "minted_at": 1.0, "refresh_at": 2, "expires_at": 3.0}


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(b"\xff{", id="garbage"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"value": "token"}', id="fields are missing"),
        pytest.param(orjson.dumps({**STORED, "value": 1}), id="a value that is no text"),
        pytest.param(orjson.dumps({**STORED, "expires_at": "3"}), id="a time that is no number"),
    ],
)
async def test_what_is_no_token_counts_as_absent(redis: "Redis", stored: bytes) -> None:
    """Another version, or another program, may have written it; a new token replaces it."""
    store = FleetTokenStore(redis)
    mint = Mint()
    await store.put("shared", await mint(None), ttl_seconds=60)
    [key] = await redis.keys("*")
    await redis.set(key, stored)

    assert await store.get("shared") is None
    assert (await worker(redis, mint).current()).value == "token 2"
    assert (await store.get("shared")) is not None


async def test_fields_of_another_version_are_left_out(redis: "Redis") -> None:
    """A fleet is upgraded one process at a time."""
    store = FleetTokenStore(redis)
    await store.put("shared", Token(**STORED), ttl_seconds=60)  # type: ignore[arg-type]  # mixed
    [key] = await redis.keys("*")
    await redis.set(key, orjson.dumps({**STORED, "scope": "all"}))

    found = await store.get("shared")

    assert found is not None
    assert asdict(found) == STORED
