"""The worker: names the jobs, owns the resources, runs both lanes and the clock. No push logic.

Only this module and `planning/queue.py` know arq.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import orjson
import structlog
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.exceptions import RedisError

from pushsvc import pipeline
from pushsvc.config import Settings
from pushsvc.model import Lane
from pushsvc.planning import queue
from pushsvc.resources import Resources, open_resources
from pushsvc.storage.engine import DATABASE_ERRORS

log = structlog.get_logger(__name__)

#: After a failure of Redis or Postgres a loop waits so long before it asks again.
PAUSE_SECONDS = 1
#: Days are made long ahead and dropped long after; what could not be done is tried again sooner.
UPKEEP_SECONDS = 600
UPKEEP_RETRY_SECONDS = 60
#: arq wants a number; it is leases that say who works, and what is cut off here goes on elsewhere.
JOB_TIMEOUT_SECONDS = 15 * 60
#: The jobs of dead workers stay at the queue's head until that timeout: look past many of them.
READ_LIMIT = 500
#: A round of a loop takes milliseconds; where Redis or Postgres hang, no longer is waited.
LAST_ROUND_SECONDS = 1.0
#: After the running jobs are told to stop, they have so long to write down what is out.
LAST_WRITES_SECONDS = 1.5


async def run_worker(
    settings: Settings, *, stop: asyncio.Event, ready: Callable[[], None] | None = None
) -> None:
    """Work until `stop` is set, then let what runs finish within `shutdown_seconds`.

    `settings` come from `resources.located`. What does not finish in time is written down as far
    as it came, and goes on elsewhere.
    """
    async with open_resources(settings) as resources, asyncio.TaskGroup() as group:
        lanes = [_lane(resources, lane) for lane in Lane]
        ending = asyncio.Event()
        loops = [
            *(group.create_task(_forever(lane), name=f"lane {lane.queue_name}") for lane in lanes),
            group.create_task(_clock(resources, ending), name="clock"),
            group.create_task(_upkeep(resources, ending), name="upkeep"),
        ]
        if ready is not None:
            ready()
        try:
            await stop.wait()
        finally:
            # The loops first: none of them may start a job behind the drain's back.
            ending.set()
            await _end(lanes, loops)
            await _drain(lanes, within_seconds=settings.shutdown_seconds)


async def plan_push(context: dict[str, Any], push_id: int) -> None:
    """Job: plan one push."""
    await pipeline.plan_push(context["resources"], push_id)


async def deliver_batch(context: dict[str, Any], push_id: int, seq: int) -> None:
    """Job: deliver one batch."""
    await pipeline.deliver_batch(context["resources"], push_id, seq)


class LaneEndedError(Exception):
    """The lane was told to end, and is between two polls."""


class LaneWorker(Worker):
    """arq's worker, which outlives a Redis that stumbles, and can be ended between two polls."""

    ending = False

    async def _poll_iteration(self) -> None:
        if self.ending:
            raise LaneEndedError
        await super()._poll_iteration()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Start jobs. Give the place back that arq takes before it asks Redis, and then forgets."""
        try:
            await super().start_jobs(job_ids)
        except (RedisError, OSError):
            self._release_sem_dec_counter_on_complete()
            raise


def _lane(resources: Resources, lane: Lane) -> LaneWorker:
    settings = resources.settings
    urgent = lane is Lane.URGENT
    return LaneWorker(
        functions=[
            func(cast(WorkerCoroutine, plan_push), name=queue.PLAN_JOB),
            func(cast(WorkerCoroutine, deliver_batch), name=queue.DELIVER_JOB),
        ],
        queue_name=queue.queue_name(lane),
        redis_pool=resources.queue.redis,
        max_jobs=settings.urgent_jobs if urgent else settings.bulk_jobs,
        poll_delay=settings.urgent_poll_seconds if urgent else settings.bulk_poll_seconds,
        job_timeout=JOB_TIMEOUT_SECONDS,
        queue_read_limit=READ_LIMIT,
        keep_result=0,
        # A job that fails is found again by the clock, with the truth that Postgres has by then.
        max_tries=1,
        retry_jobs=False,
        handle_signals=False,
        log_results=False,
        ctx={"resources": resources},
        job_serializer=orjson.dumps,
        job_deserializer=orjson.loads,
    )


async def _forever(lane: LaneWorker) -> None:
    """Keep a lane polling until it is to end, whatever Redis does meanwhile."""
    while not lane.ending:
        try:
            await lane.main()
        except LaneEndedError:
            return
        except (RedisError, OSError) as error:
            log.warning("queue.unreachable", error=str(error))
            await asyncio.sleep(PAUSE_SECONDS)


async def _clock(resources: Resources, ending: asyncio.Event) -> None:
    while not ending.is_set():
        pause = resources.settings.clock_seconds
        try:
            await pipeline.tick(resources)
        except DATABASE_ERRORS as error:
            log.warning("clock.failed", error=str(error))
            pause += PAUSE_SECONDS
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), pause)


async def _upkeep(resources: Resources, ending: asyncio.Event) -> None:
    while not ending.is_set():
        try:
            pause = PAUSE_SECONDS if await pipeline.upkeep(resources) else UPKEEP_SECONDS
        except DATABASE_ERRORS as error:
            # A lock that was not to be had at once, mostly.
            log.warning("upkeep.failed", error=str(error))
            pause = UPKEEP_RETRY_SECONDS
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), pause)


async def _end(lanes: list[LaneWorker], loops: list[asyncio.Task[None]]) -> None:
    """End the loops where they stand between two rounds; one that hangs is cancelled.

    Until it has ended: redis-py can lose a cancellation that meets an answer.
    """
    for lane in lanes:
        lane.ending = True
    _, running = await asyncio.wait(loops, timeout=LAST_ROUND_SECONDS)
    while running:
        for loop in running:
            loop.cancel()
        _, running = await asyncio.wait(running, timeout=PAUSE_SECONDS / 10)


async def _drain(lanes: list[LaneWorker], *, within_seconds: float) -> None:
    """Let the running jobs finish; those that do not in time are cancelled, and write down."""
    running = [task for lane in lanes for task in lane.tasks.values() if not task.done()]
    if not running:
        return
    log.info("worker.draining", jobs=len(running))
    await asyncio.wait(running, timeout=within_seconds)
    for task in running:
        task.cancel()
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_WRITES_SECONDS):
            await asyncio.gather(*running, return_exceptions=True)
