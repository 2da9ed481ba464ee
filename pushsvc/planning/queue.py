"""The queue that wakes workers. Redis may forget all of it: Postgres is the record.

Only this module and `worker.py` know arq.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
import structlog
from arq.connections import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from pushsvc.model import Lane
from pushsvc.planning import fair, fair_scripts
from pushsvc.storage.batches import BatchRef
from pushsvc.storage.due import DuePush

log = structlog.get_logger(__name__)

PLAN_JOB = "plan_push"
DELIVER_JOB = "deliver_batch"
#: A list that is empty, or has an element: somebody has stored what goes in volleys.
BELL = "pushsvc:bell"
#: A job as arq's `serialize_job` writes it, with JSON for a serializer: function, arguments, time.
JOB_FORM = '{"t":null,"f":"%s","a":[%s],"k":{},"et":%s}'
KEY_PREFIXES = (job_key_prefix, in_progress_key_prefix)

#: The push is stored when the queue is asked; a Redis that is slow must not delay the answer.
TIMEOUT_SECONDS = 2
MAX_CONNECTIONS = 50


def queue_name(lane: Lane) -> str:
    """Return the name of the lane's queue in Redis."""
    return f"pushsvc:{lane}"


def bell_of(lane: Lane) -> str:
    """Return the name of the list that a lane sleeps on until something is queued in it."""
    return f"{queue_name(lane)}:bell"


@dataclass(frozen=True, slots=True)
class Job:
    """Work for a worker: the function that does it, and the numbers that name it."""

    function: str
    arguments: tuple[int, ...]

    def __str__(self) -> str:
        """Return the work's name in Redis: who asks for it twice asks for one."""
        return ":".join((self.function, *map(str, self.arguments)))

    @classmethod
    def named(cls, name: str) -> "Job":
        """Return the job of this name."""
        function, *arguments = name.split(":")
        return cls(function, tuple(map(int, arguments)))


class Queue:
    """Names work to the workers; what it loses, the clock finds again."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis
        self._wake_script = redis.register_script(fair_scripts.WAKE)
        self._take_script = redis.register_script(fair_scripts.TAKE)
        self._next_script = redis.register_script(fair_scripts.NEXT)
        self._ringing: asyncio.Task[None] | None = None
        self._rings = False

    async def wake_plans(self, due: Sequence[DuePush], *, anew: bool = False) -> None:
        """Have workers plan the pushes that no job names yet; `anew`: count what waits, too."""
        for lane in Lane:
            asked = [
                (push.app_id, push.id, Job(PLAN_JOB, (push.id,)), fair.PLAN_UNITS)
                for push in due
                if push.lane is lane
            ]
            await self._wake(lane, asked, anew=anew)

    async def wake_batches(self, refs: Sequence[BatchRef], *, anew: bool = False) -> int:
        """Have workers deliver the batches that no job names yet, and return how many those were.

        `anew`: count what waits, too.
        """
        added = 0
        for lane in Lane:
            asked = [
                (
                    ref.app_id,
                    ref.push_id,
                    Job(DELIVER_JOB, (ref.push_id, ref.seq)),
                    fair.cost_of(ref.devices),
                )
                for ref in refs
                if ref.lane is lane
            ]
            added += await self._wake(lane, asked, anew=anew)
        return added

    async def _wake(
        self, lane: Lane, asked: Sequence[tuple[int, int, Job, int]], *, anew: bool
    ) -> int:
        """Put jobs into the lane; return how many were not there.

        Never raises: what is lost here, the clock asks for again.
        """
        if not asked:
            return 0
        arguments = [
            text
            for app, push, job, cost in asked
            for text in (str(app), str(push), str(job), str(cost))
        ]
        try:
            added = await self._wake_script(
                keys=[queue_name(lane), *KEY_PREFIXES],
                args=[JOB_FORM, str(int(anew)), *arguments],
            )
        except (RedisError, OSError) as error:
            log.warning("queue.unreachable", error=str(error))
            return 0
        return int(added)

    def ring(self) -> None:
        """Have a worker look for what is small and due, soon; those who ask meanwhile ask for one.

        Never raises: the clock looks, too.
        """
        self._rings = True
        if self._ringing is None:
            self._ringing = asyncio.create_task(self._ring_on(), name="ring")

    async def _ring_on(self) -> None:
        try:
            while self._rings:
                self._rings = False
                await self.ring_at(BELL)
        finally:
            self._ringing = None

    async def ring_at(self, bell: str) -> None:
        """Have one of those who hear this bell look now. Never raises: the clock looks, too."""
        try:
            # One ring is as good as many: whoever hears it takes up all there is.
            if await cast(Awaitable[int], self.redis.rpush(bell, b"")) > 1:
                await cast(Awaitable[Any], self.redis.ltrim(bell, -1, -1))
        except (RedisError, OSError) as error:
            log.warning("queue.unreachable", error=str(error))

    async def hear(self, seconds: float, *, bell: str = BELL) -> bool:
        """Wait for a ring, up to so long, and tell whether there was one.

        Raises:
            RedisError, OSError: Redis is away.
        """
        heard = self.redis.blpop([bell], timeout=seconds)  # type: ignore[arg-type] # float: Redis 6
        return await cast(Awaitable[Any], heard) is not None

    async def take(self, lane: Lane, slot: str) -> Job | None:
        """Return what its app wants done first, when one of its slots starts; None where nothing.

        Raises:
            RedisError, OSError: Redis is away, so that nobody knows.
        """
        named: bytes | None = await self._take_script(
            keys=[queue_name(lane), *KEY_PREFIXES],
            args=[JOB_FORM, slot, fair.slot_app(slot)],
        )
        return None if named is None else Job.named(named.decode())

    async def next(self, lane: Lane, here: Mapping[str, int]) -> tuple[Job, str] | None:
        """Return what a place of the lane that is free does next, and whose it is; None: nothing.

        `here` has the apps whose jobs run in this process, and how many of each.

        Raises:
            RedisError, OSError: Redis is away, so that nobody knows.
        """
        found: tuple[bytes, bytes] | None = await self._next_script(
            keys=[queue_name(lane), *KEY_PREFIXES],
            args=[JOB_FORM, *(part for app, count in here.items() for part in (app, count))],
        )
        return None if found is None else (Job.named(found[0].decode()), found[1].decode())

    async def close(self) -> None:
        """Close the connections; what rings has its time for it."""
        if self._ringing is not None:
            await asyncio.wait({self._ringing}, timeout=TIMEOUT_SECONDS)
        # It was given its pool, so it does not close it of itself.
        await self.redis.aclose(close_connection_pool=True)


async def in_progress(redis: ArqRedis, slots: Sequence[str]) -> Sequence[bool]:
    """Tell of each slot whether some worker runs it."""
    found = await redis.mget([in_progress_key_prefix + slot for slot in slots])
    return [there is not None for there in found]


def connect(url: str) -> ArqRedis:
    """Return a pool of connections to Redis; it connects when first used.

    Jobs are JSON: pickle would hand Redis the right to run code in the workers.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
    )
    return ArqRedis(pool, job_serializer=orjson.dumps, job_deserializer=orjson.loads)
