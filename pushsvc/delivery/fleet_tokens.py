"""The token store of the fleet: Redis, so that one token is enough for all workers.

APNs punishes a team that presents more than one new token in 20 minutes, so two workers may not
each mint their own. Without Redis each process keeps its own, as well as it can.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, fields
from typing import Any, Final

import orjson
from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

from pushsvc.delivery.tokens import LocalTokenStore, Token

#: Longer than minting takes; what a dead worker held is free after it.
LOCK_SECONDS: Final = 15.0
#: How long one waits for another worker's minting before minting all the same.
LOCK_WAIT_SECONDS: Final = 15.0


class FleetTokenStore:
    """A store for all processes that share a Redis."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._local = LocalTokenStore()

    async def get(self, name: str) -> Token | None:
        """Return the token of this name, if there is one."""
        with suppress(RedisError, OSError):
            stored = await self._redis.get(_key(name))
            return _token(stored) if stored else None
        return await self._local.get(name)

    async def put(self, name: str, token: Token, *, ttl_seconds: float) -> None:
        """Keep the token until its end."""
        await self._local.put(name, token, ttl_seconds=ttl_seconds)
        with suppress(RedisError, OSError):
            await self._redis.set(
                _key(name), orjson.dumps(asdict(token)), px=max(1, int(ttl_seconds * 1000))
            )

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        """Let one of the fleet at a time mint a token of this name."""
        lock = Lock(
            self._redis,
            f"{_key(name)}:lock",
            timeout=LOCK_SECONDS,
            blocking_timeout=LOCK_WAIT_SECONDS,
        )
        async with self._local.lock(name):
            with suppress(RedisError, OSError):
                await lock.acquire()
            try:
                yield
            finally:
                # A lock that ran out, or was never had, is nobody's loss.
                with suppress(LockError, RedisError, OSError):
                    await lock.release()


def _token(stored: bytes) -> Token | None:
    """Return what another worker stored; None where this version cannot make a token of it."""
    try:
        read: Any = orjson.loads(stored)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(read, dict):
        return None
    known: dict[str, Any] = {one.name: read.get(one.name) for one in fields(Token)}
    value, *times = known.values()
    if not isinstance(value, str) or any(type(time) not in {int, float} for time in times):
        return None
    return Token(**known)


def _key(name: str) -> str:
    return f"pushsvc:token:{name}"
