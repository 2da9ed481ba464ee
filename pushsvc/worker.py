"""The worker: names the jobs, owns the resources, runs both lanes and the clock. No push logic.

Only this module and `planning/queue.py` know arq.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar, cast

import orjson
import structlog
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.exceptions import RedisError

from pushsvc import halting, pipeline
from pushsvc.config import Settings
from pushsvc.model import Lane, Push
from pushsvc.planning import fair, queue
from pushsvc.planning.parking import Lot
from pushsvc.planning.precedence import Precedence
from pushsvc.planning.queue import Job, in_progress
from pushsvc.resources import Resources, open_lanes
from pushsvc.storage.engine import DATABASE_ERRORS

log = structlog.get_logger(__name__)

#: After a failure of Redis or Postgres a loop waits so long before it asks again.
PAUSE_SECONDS = 1
#: Days are made long ahead and dropped long after; what could not be done is tried again sooner.
UPKEEP_SECONDS = 600
UPKEEP_RETRY_SECONDS = 60
#: What is halted stops at most this much, and one look, later.
HALTS_SECONDS = 0.5
#: arq wants a number; it is leases that say who works, and what is cut off here goes on elsewhere.
JOB_TIMEOUT_SECONDS = 15 * 60
#: The jobs of dead workers stay at the queue's head until that timeout, and those of apps that have
#: their share already: look past many of them.
READ_LIMIT = 1_000
#: While urgent jobs are under way, a job of the bulk lane begins this often: each keeps the event
#: loop busy for tens of milliseconds, and an urgent one comes to the loop some forty times.
PRECEDENCE_SECONDS = 0.1
#: What is due within so long goes together: each volley costs some milliseconds by itself.
GATHER_SECONDS = 0.1
#: Small deliveries come side by side; so long is waited for those that come with the first.
COMPANY_SECONDS = 0.003
#: Of the time in which a process that is to stop may not notice.
LONGEST_REST_SECONDS = 0.25
#: While one of them waits for Postgres or a gateway, the others go on.
VOLLEYS_AT_ONCE = 3
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
    """Do what is next in the slot's app, on the slot's time or parked."""
    resources: Resources = context["resources"]
    job = await _next(context, named)
    if job is None:
        return
    precedence, lot = cast(Precedence, context["precedence"]), cast(Lot, context["lot"])
    if context["lane"] is Lane.URGENT:
        with precedence.taken():
            await lot.run(WORK[job.function](resources, *job.arguments), name=str(job))
    else:
        await precedence.given()
        await lot.run(WORK[job.function](resources, *job.arguments), name=str(job))


async def _next(context: dict[str, Any], named: Job) -> Job | None:
    resources: Resources = context["resources"]
    if not fair.slot_app(context["job_id"]):
        return named  # queued by an older version
    try:
        return await resources.queue.take(context["lane"], context["job_id"])
    except (RedisError, OSError):
        return named


class Taken(Protocol):
    """A push that is ours, for a volley."""

    @property
    def push(self) -> Push:
        """The push."""
        ...


TakenT = TypeVar("TakenT", bound=Taken)
Take = Callable[[Resources, Sequence[int]], Awaitable[Sequence[TakenT]]]
Fire = Callable[[Resources, Sequence[TakenT]], Coroutine[Any, Any, None]]


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
        """Start those whose turn it is, all at once: arq asks Redis three times for each.

        What runs already, here and elsewhere, is in the queue, too.
        """
        running = [slot for slot, task in self.tasks.items() if not task.done()]
        queued = [slot for slot in map(bytes.decode, job_ids) if slot not in self.tasks]
        busy = await in_progress(self.pool, queued) if queued else []
        free = [slot for slot, taken in zip(queued, busy, strict=True) if not taken]
        chosen = fair.choose(free, running, limit=self.max_jobs)
        ends = await asyncio.gather(*map(self.start_chosen, chosen), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end

    async def start_chosen(self, slot: str) -> None:
        """Start a job. Give back the place that arq takes before asking Redis, and then forgets."""
        try:
            await super().start_jobs([slot.encode()])
        except (RedisError, OSError):
            self._release_sem_dec_counter_on_complete()
            raise


def _lane(resources: Resources, lane: Lane, shared: Mapping[str, Any]) -> LaneWorker:
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
        ctx={"resources": resources, "lane": lane, **shared},
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


class Trigger:
    """Fires small pushes when they are due, and deliveries when somebody rings, in volleys.

    It owns the volleys under way.
    """

    def __init__(self, resources: Resources, *, lot: Lot, precedence: Precedence) -> None:
        """Fire nothing before `run`."""
        self.volleys: set[asyncio.Task[None]] = set()
        self._resources = resources
        self._lot = lot
        self._precedence = precedence
        self._places = asyncio.Semaphore(VOLLEYS_AT_ONCE)

    async def run(self) -> None:
        """Look for what is due until the process is to stop, at its time or soon after."""
        stopping, now = self._resources.stopping, self._resources.clock.monotonic
        look_at = 0.0
        while not stopping.is_set():
            try:
                await self._fire_deliveries()
                if now() >= look_at:
                    look_at = now() + await self._fire_due()
            except DATABASE_ERRORS as error:
                log.warning("trigger.failed", error=str(error))
                look_at = now() + PAUSE_SECONDS
            await self._rest(max(0.0, look_at - now()))

    async def _rest(self, seconds: float) -> None:
        """Wait for so long, or for a ring; what comes with it goes with it."""
        if seconds <= 0:
            return
        try:
            # To some Redis a millisecond's fraction is none, and none is for ever.
            if await self._resources.queue.hear(max(0.01, min(seconds, LONGEST_REST_SECONDS))):
                await asyncio.sleep(COMPANY_SECONDS)
        except (RedisError, OSError):
            # Without a bell, by the clock alone.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._resources.stopping.wait(), seconds)

    async def _fire_due(self) -> float:
        """Start volleys of what is due, as there is room; return how long to wait for more."""
        due = await pipeline.find_due(self._resources)
        await self._fire_all(
            [push_id for _, push_id in due.pushes], take=pipeline.claim, fire=pipeline.fire
        )
        if due.next_seconds is None:
            return GATHER_SECONDS if due.pushes else self._resources.settings.clock_seconds
        return max(GATHER_SECONDS, min(due.next_seconds, self._resources.settings.clock_seconds))

    async def _fire_deliveries(self) -> None:
        found = await pipeline.find_deliveries(self._resources)
        await self._fire_all(found, take=pipeline.lease_deliveries, fire=pipeline.fire_deliveries)

    async def _fire_all(
        self, ids: Sequence[int], *, take: "Take[TakenT]", fire: "Fire[TakenT]"
    ) -> None:
        """Start volleys of these pushes, each when there is a place for it."""
        while ids and not self._resources.stopping.is_set():
            await self._places.acquire()
            taken: Sequence[TakenT] = ()
            try:
                taken = await take(self._resources, ids)
            finally:
                if not taken:
                    self._places.release()
            if not taken:
                break
            self._start(fire(self._resources, taken))
            # What stands before the last of them is others'.
            ids = ids[ids.index(taken[-1].push.id) + 1 :]

    def _start(self, volley: Coroutine[Any, Any, None]) -> None:
        """Start a volley; its place is free again when it is done, or parked."""
        task = asyncio.create_task(self._run(volley), name="volley")
        self.volleys.add(task)
        task.add_done_callback(self._ended)

    async def _run(self, volley: Coroutine[Any, Any, None]) -> None:
        with self._precedence.taken():
            await self._lot.run(volley, name="volley")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._places.release()
        self.volleys.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("volley.failed", exc_info=error)


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
        lane.ending = True
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
