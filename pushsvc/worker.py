"""The worker: names the jobs, owns the resources, runs both lanes and the clock. No push logic.

Only this module and `planning/queue.py` know arq.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

import orjson
import structlog
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.exceptions import RedisError

from pushsvc import halting, pipeline
from pushsvc.config import Settings
from pushsvc.model import Lane
from pushsvc.planning import fair, queue
from pushsvc.planning.parking import Lot
from pushsvc.planning.precedence import Precedence
from pushsvc.planning.queue import Job, Queue, in_progress
from pushsvc.resources import Resources, open_lanes
from pushsvc.storage.engine import DATABASE_ERRORS
from pushsvc.trigger import Trigger

log = structlog.get_logger(__name__)

#: After a failure of Redis or Postgres a loop waits so long before it asks again.
PAUSE_SECONDS = 1
#: Days are made long ahead and dropped long after; what could not be done is tried again sooner.
UPKEEP_SECONDS = 600
UPKEEP_RETRY_SECONDS = 60
#: What is halted stops at most this much, and one look, later.
HALTS_SECONDS = 0.5
#: Somebody wants a number; it is leases that say who works, and what is cut off here goes on
#: elsewhere.
JOB_TIMEOUT_SECONDS = 15 * 60
#: For so long a place takes one job after another before arq starts the next in it: what arq holds
#: of its slot in Redis lasts for a job beyond that.
SLOT_SECONDS = 60
#: Without a ring a lane looks this often: for what older versions have queued. A ring that was lost
#: the clock makes good for.
LOOK_SECONDS = 1.0
#: The jobs of dead workers stay at the queue's head until that timeout, and those of apps that have
#: their share already: look past many of them.
READ_LIMIT = 1_000
#: While urgent jobs are under way, a job of the bulk lane begins this often: each keeps the event
#: loop busy for tens of milliseconds, and an urgent one comes to the loop some forty times.
PRECEDENCE_SECONDS = 0.1
#: A round of a loop takes milliseconds; where Redis or Postgres hang, no longer is waited.
LAST_ROUND_SECONDS = 1.0
#: After the running jobs are told to stop, they have so long to write down what is out.
LAST_WRITES_SECONDS = 1.5


async def run_worker(
    settings: Settings,
    *,
    stop: asyncio.Event,
    cut: asyncio.Event | None = None,
    ready: Callable[[], None] | None = None,
) -> None:
    """Work until `stop` is set, then let what is in flight finish within `shutdown_seconds`.

    `settings` come from `resources.located`. From `stop` on nothing more is handed to a gateway.
    What does not finish in time, or before `cut` is set, is written down as far as it came, and
    goes on elsewhere.
    """
    async with open_lanes(settings) as resources, asyncio.TaskGroup() as group:
        lot = Lot(
            places=settings.parked_jobs,
            after_seconds=settings.park_after_seconds,
            end_seconds=JOB_TIMEOUT_SECONDS,
        )
        wanted = [lane for lane in Lane if settings.lanes in {"both", lane}]
        precedence = Precedence(wait_seconds=PRECEDENCE_SECONDS)
        shared: dict[str, Any] = {"lot": lot, "precedence": precedence}
        lanes = [_lane(resources[lane], lane, shared) for lane in wanted]
        trigger = Trigger(resources[Lane.URGENT], **shared)
        stopping = resources[Lane.URGENT].stopping
        loops = [
            *(group.create_task(_forever(lane), name=f"lane {lane.queue_name}") for lane in lanes),
            group.create_task(_clock(resources[Lane.URGENT]), name="clock"),
            group.create_task(_upkeep(resources[Lane.URGENT]), name="upkeep"),
            group.create_task(_halts(resources[Lane.URGENT]), name="halts"),
        ]
        if Lane.URGENT in wanted:
            loops.append(group.create_task(trigger.run(), name="trigger"))
        if ready is not None:
            ready()
        try:
            await stop.wait()
        finally:
            stopping.set()
            lot.close()
            # The loops first: none of them may start a job behind the drain's back.
            await _end(lanes, loops)
            running = [task for lane in lanes for task in lane.tasks.values() if not task.done()]
            running += [*trigger.volleys, *lot.parked]
            await _drain(running, cut=cut, within_seconds=settings.shutdown_seconds)


async def plan_push(context: dict[str, Any], push_id: int) -> None:
    """Job: plan one push, or what its app wants done before it."""
    await _work(context, Job(queue.PLAN_JOB, (push_id,)))


async def deliver_batch(context: dict[str, Any], push_id: int, seq: int) -> None:
    """Job: deliver one batch, or what its app wants done before it."""
    await _work(context, Job(queue.DELIVER_JOB, (push_id, seq)))


#: The functions of jobs, and what does them.
WORK: Final[Mapping[str, Callable[..., Coroutine[Any, Any, None]]]] = {
    queue.PLAN_JOB: pipeline.plan_push,
    queue.DELIVER_JOB: pipeline.deliver_batch,
}


async def _work(context: dict[str, Any], named: Job) -> None:
    """Do what is next in the slot's app, then what is next in the lane, until nothing waits."""
    slot: str = context["job_id"]
    resources, places = (
        cast(Resources, context["resources"]),
        cast(dict[str, str], context["places"]),
    )
    until = time.monotonic() + SLOT_SECONDS
    job = await _first(context, named)
    try:
        while job is not None:
            try:
                await _do(context, job)
            except Exception as error:
                # Its place goes on with others; the clock finds it, with the truth of Postgres.
                log.exception("job.failed", job=str(job))
                if isinstance(error, DATABASE_ERRORS):
                    await _pause(resources)
            del places[slot]
            if resources.stopping.is_set() or time.monotonic() > until:
                return
            job = await _next(context)
    finally:
        places.pop(slot, None)


async def _pause(resources: Resources) -> None:
    """Leave the queue to those who reach Postgres: else who does not would take all of it."""
    with suppress(TimeoutError):
        await asyncio.wait_for(resources.stopping.wait(), PAUSE_SECONDS)


async def _do(context: dict[str, Any], job: Job) -> None:
    """Do a job on the place's time, or parked."""
    resources: Resources = context["resources"]
    precedence, lot = cast(Precedence, context["precedence"]), cast(Lot, context["lot"])
    if context["lane"] is Lane.URGENT:
        with precedence.taken():
            await lot.run(WORK[job.function](resources, *job.arguments), name=str(job))
    else:
        await precedence.given()
        await lot.run(WORK[job.function](resources, *job.arguments), name=str(job))


async def _first(context: dict[str, Any], named: Job) -> Job | None:
    """Return what is done first in a slot that arq has started."""
    resources, slot = cast(Resources, context["resources"]), context["job_id"]
    context["places"][slot] = app = fair.slot_app(slot)
    if not app:
        return named  # queued by an older version
    try:
        return await resources.queue.take(context["lane"], slot)
    except (RedisError, OSError):
        return named


async def _next(context: dict[str, Any]) -> Job | None:
    """Return what the place goes on with, without arq."""
    resources, places = cast(Resources, context["resources"]), context["places"]
    try:
        found = await resources.queue.next(context["lane"], Counter(places.values()))
    except (RedisError, OSError):
        return None
    if found is None:
        return None
    job, places[context["job_id"]] = found
    return job


class LaneEndedError(Exception):
    """The lane was told to end, and is between two polls."""


class LaneWorker(Worker):
    """arq's worker, which sleeps until its lane's bell rings, and outlives a Redis in trouble."""

    def __init__(self, lane: Lane, waker: Queue, **settings: Any) -> None:
        """Start nothing before `main`; `settings` are arq's."""
        self.ending = False
        self._lane, self._waker = lane, waker
        self._freed = asyncio.Event()
        self._hearing: asyncio.Task[bool] | None = None
        super().__init__(
            queue_name=queue.queue_name(lane),
            redis_pool=waker.redis,
            poll_delay=0,
            handle_signals=False,
            **settings,
        )

    def end(self) -> None:
        """Have `main` end at once, or before its next look."""
        self.ending = True
        self._freed.set()
        if self._hearing is not None:
            self._hearing.cancel()

    async def _poll_iteration(self) -> None:
        if self.ending:
            raise LaneEndedError
        await super()._poll_iteration()
        await self._rest()

    async def _rest(self) -> None:
        """Wait for a ring, or where all places are taken for one of them; but no longer than that.

        Who has no place does not listen: another process does.
        """
        if self.ending:
            return
        if self.job_counter >= self.max_jobs:
            self._freed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._freed.wait(), LOOK_SECONDS)
            return
        self._hearing = asyncio.create_task(
            self._waker.hear(LOOK_SECONDS, bell=queue.bell_of(self._lane)), name="bell"
        )
        try:
            await asyncio.wait({self._hearing})
        finally:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
        if not self._hearing.cancelled():
            self._hearing.result()

    def _release_sem_dec_counter_on_complete(self) -> None:
        super()._release_sem_dec_counter_on_complete()
        self._freed.set()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Start those whose turn it is, all at once: arq asks Redis three times for each.

        What runs already, here and elsewhere, is in the queue, too. Where more wait than there are
        places here, the bell rings for another process.
        """
        places: Mapping[str, str] = self.ctx["places"]
        tasks = [slot for slot, task in self.tasks.items() if not task.done()]
        running = [places.get(slot) or fair.slot_app(slot) for slot in tasks]
        queued = [slot for slot in map(bytes.decode, job_ids) if slot not in self.tasks]
        busy = await in_progress(self.pool, queued) if queued else []
        free = [slot for slot, taken in zip(queued, busy, strict=True) if not taken]
        chosen = fair.choose(free, running, limit=self.max_jobs)
        ends = await asyncio.gather(*map(self.start_chosen, chosen), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end
        if len(free) > len(chosen) and self.job_counter >= self.max_jobs:
            await self._waker.ring_at(queue.bell_of(self._lane))

    async def start_chosen(self, slot: str) -> None:
        """Start a job. Give back the place that arq takes before asking Redis, and then forgets."""
        try:
            await super().start_jobs([slot.encode()])
        except (RedisError, OSError):
            self._release_sem_dec_counter_on_complete()
            raise


def _lane(resources: Resources, lane: Lane, shared: Mapping[str, Any]) -> LaneWorker:
    settings = resources.settings
    return LaneWorker(
        lane,
        resources.queue,
        functions=[
            func(cast(WorkerCoroutine, plan_push), name=queue.PLAN_JOB),
            func(cast(WorkerCoroutine, deliver_batch), name=queue.DELIVER_JOB),
        ],
        max_jobs=settings.urgent_jobs if lane is Lane.URGENT else settings.bulk_jobs,
        job_timeout=SLOT_SECONDS + JOB_TIMEOUT_SECONDS,
        queue_read_limit=READ_LIMIT,
        keep_result=0,
        # A job that fails is found again by the clock, with the truth that Postgres has by then.
        max_tries=1,
        retry_jobs=False,
        log_results=False,
        # Of each place that works: the app whose job it does.
        ctx={"resources": resources, "lane": lane, "places": {}, **shared},
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


async def _clock(resources: Resources) -> None:
    ending = resources.stopping
    while not ending.is_set():
        pause = resources.settings.clock_seconds
        try:
            await pipeline.tick(resources)
        except DATABASE_ERRORS as error:
            log.warning("clock.failed", error=str(error))
            pause += PAUSE_SECONDS
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), pause)


async def _halts(resources: Resources) -> None:
    ending = resources.stopping
    while not ending.is_set():
        try:
            await halting.look(resources)
        except DATABASE_ERRORS as error:
            log.warning("halts.unknown", error=str(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), HALTS_SECONDS)


async def _upkeep(resources: Resources) -> None:
    ending = resources.stopping
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
        lane.end()
    _, running = await asyncio.wait(loops, timeout=LAST_ROUND_SECONDS)
    while running:
        for loop in running:
            loop.cancel()
        _, running = await asyncio.wait(running, timeout=PAUSE_SECONDS / 10)


async def _drain(
    running: Sequence[asyncio.Task[Any]], *, cut: asyncio.Event | None, within_seconds: float
) -> None:
    """Let the running work finish; what does not in time is cancelled, and writes down."""
    if not running:
        return
    log.info("worker.draining", jobs=len(running))
    done = asyncio.gather(*running, return_exceptions=True)
    hurried = asyncio.ensure_future((cut or asyncio.Event()).wait())
    either: set[asyncio.Future[Any]] = {done, hurried}
    await asyncio.wait(either, timeout=within_seconds, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    for task in running:
        task.cancel()
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_WRITES_SECONDS):
            await done
