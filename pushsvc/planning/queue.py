"""The queue that wakes workers. Redis may forget all of it: Postgres is the record.

Only this module and `worker.py` know arq.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import structlog
from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from pushsvc.model import Lane
from pushsvc.storage.batches import BatchRef
from pushsvc.storage.pushes import DuePush

log = structlog.get_logger(__name__)

PLAN_JOB = "plan_push"
DELIVER_JOB = "deliver_batch"

#: The push is stored when the queue is asked; a Redis that is slow must not delay the answer.
TIMEOUT_SECONDS = 2
MAX_CONNECTIONS = 50


def queue_name(lane: Lane) -> str:
    """Return the name of the lane's queue in Redis."""
    return f"pushsvc:{lane}"


@dataclass(frozen=True, slots=True)
class _Job:
    """One job: its id names the work, so that the same work is not queued twice."""

    id: str
    lane: Lane
    function: str
    arguments: tuple[int, ...]


class Queue:
    """Names work to the workers; what it loses, the clock finds again."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis

    async def wake_plans(self, due: Sequence[DuePush]) -> None:
        """Have workers plan the pushes that no job names yet."""
        await self._wake(
            [
                _Job(f"plan:{push.id}:{push.leases}:{push.wait}", push.lane, PLAN_JOB, (push.id,))
                for push in due
            ]
        )

    async def wake_batches(self, refs: Sequence[BatchRef]) -> None:
        """Have workers deliver the batches that no job names yet."""
        await self._wake(
            [
                _Job(
                    f"batch:{ref.push_id}:{ref.seq}:{ref.leases}:{ref.wait}",
                    ref.lane,
                    DELIVER_JOB,
                    (ref.push_id, ref.seq),
                )
                for ref in refs
            ]
        )

    async def _wake(self, jobs: Sequence[_Job]) -> None:
        """Put jobs into their queues. Never raises: what is lost here, the clock asks for again."""
        try:
            async with self.redis.pipeline(transaction=False) as pipe:
                for job in jobs:
                    pipe.exists(job_key_prefix + job.id)
                known = await pipe.execute()
            for job, there in zip(jobs, known, strict=True):
                if not there:
                    # The id names the work: a second job of that name is refused.
                    await self.redis.enqueue_job(
                        job.function,
                        *job.arguments,
                        _job_id=job.id,
                        _queue_name=queue_name(job.lane),
                    )
        except (RedisError, OSError) as error:
            log.warning("queue.unreachable", error=str(error))

    async def close(self) -> None:
        """Close the connections."""
        # It was given its pool, so it does not close it of itself.
        await self.redis.aclose(close_connection_pool=True)


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
