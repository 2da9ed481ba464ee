"""The journal: how far each batch under way has come, told to Redis while it is sent.

Postgres hears of a batch once, at its end. Who takes a batch over from a worker that died reads
here what that worker had settled; the rest is in doubt. A page is the whole state of one batch,
written again when it has changed: writing it twice does no harm, and what Redis forgot is there
again with the next beat. A batch that ends before the first beat never meets Redis.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from pushsvc.delivery.dispatch import Sheet
from pushsvc.model import ACCEPTED, AGAINST_TOKENS, Answer, Batch, Deferral, OutcomeClass

log = structlog.get_logger(__name__)

#: What came since is in doubt when a worker dies; and as often a page is written at most.
BEAT_SECONDS: Final = 0.05
#: A fleet may stand still for a night and a day before somebody takes its batches over.
KEEP_SECONDS: Final = 24 * 3600
#: Pages to take away while Redis is away; those beyond go by themselves, a day later.
MOST_FORGOTTEN: Final = 1_000


@dataclass(slots=True)
class _Page:
    """One batch under way."""

    sheet: Sheet
    leased_at: datetime
    #: the outcomes as Redis has them; as the plan left them while it has none
    written: bytes
    #: whether Redis may have heard of it
    begun: bool = False


class Journal:
    """The journal of a process; made by `keeping_journal`, whose task is its owner."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._pages: dict[str, _Page] = {}
        self._forgotten: deque[str] = deque(maxlen=MOST_FORGOTTEN)
        self._busy = asyncio.Event()
        self._hurried = asyncio.Event()
        self._ending = False
        self._reachable = True

    def follow(self, batch: Batch, sheet: Sheet) -> None:
        """Tell how far the batch is, from beat to beat, until `leave`."""
        self._pages[key_of(batch)] = _Page(sheet, batch.leased_at, batch.outcomes)
        self._busy.set()

    def leave(self, batch: Batch, *, closed: bool) -> None:
        """Tell no more of the batch; one that is closed in Postgres needs no page any more."""
        key = key_of(batch)
        page = self._pages.pop(key, None)
        # One that was taken over has a page by another worker.
        if closed and (batch.leases > 1 if page is None else page.begun):
            self._forgotten.append(key)
            self._busy.set()

    async def read(self, batch: Batch) -> Mapping[int, Answer]:
        """Return what the batch's former worker had settled; nothing where Redis cannot tell."""
        try:
            page = await self._redis.get(key_of(batch))
        except (RedisError, OSError) as error:
            log.warning("journal.unreadable", batch=batch.seq, error=str(error))
            return {}
        return settled(page or b"", size=batch.size)

    def hurry(self) -> None:
        """Have the next beat come at once: much has been settled, and nothing of it is told yet."""
        self._hurried.set()

    async def run(self) -> None:
        """Write what is new, beat after beat, until `end`."""
        ending = False
        while not ending:
            await self._busy.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), BEAT_SECONDS)
            self._hurried.clear()
            ending = self._ending
            await self._beat()

    async def end(self) -> None:
        """Let `run` write once more, and end."""
        self._ending = True
        self._busy.set()

    async def _beat(self) -> None:
        """Write in one round trip. Never raises: what Redis did not hear, it hears next time."""
        new = {
            key: page for key, page in self._pages.items() if page.sheet.outcomes != page.written
        }
        gone = list(self._forgotten)
        if not self._pages and not gone:
            self._busy.clear()
        if not new and not gone:
            return
        seen = {key: bytes(page.sheet.outcomes) for key, page in new.items()}
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, page in new.items():
                    page.begun = True
                    pipe.set(key, written(page.sheet, leased_at=page.leased_at), ex=KEEP_SECONDS)
                if gone:
                    pipe.unlink(*gone)
                await pipe.execute()
        except (RedisError, OSError) as error:
            if self._reachable:
                log.warning("journal.unreachable", error=str(error))
            self._reachable = False
            return
        self._reachable = True
        for key, page in new.items():
            page.written = seen[key]
        for _ in gone:
            self._forgotten.popleft()


@asynccontextmanager
async def keeping_journal(redis: "Redis") -> AsyncIterator[Journal]:
    """Lend a journal; at the end what is over is taken away."""
    journal = Journal(redis)
    task = asyncio.create_task(journal.run(), name="journal")
    try:
        yield journal
    finally:
        await journal.end()
        await task


def key_of(batch: Batch) -> str:
    """Return the name of the batch's page in Redis."""
    return f"pushsvc:journal:{batch.push_id}:{batch.seq}"


def written(sheet: Sheet, *, leased_at: datetime) -> bytes:
    """Return a batch's page: its outcomes, a byte each, and after them its answers in JSON.

    What an answer says against a token, it says against the one that was loaded under this lease.
    Who takes over may find another one there, so it is of this lease's time at the latest.
    """
    asked_ms = int(leased_at.timestamp() * 1000)
    lines = [
        (place, one.outcome, one.reason, one.retry_after, _since(one, asked_ms), one.deferral)
        for place, one in sheet.answers.items()
    ]
    return bytes(sheet.outcomes) + orjson.dumps(lines)


def settled(page: bytes, *, size: int) -> Mapping[int, Answer]:
    """Read a page of so many devices: what came of each place; nothing where it is no page."""
    try:
        lines: Any = orjson.loads(page[size:])
        answers = {
            place: Answer(OutcomeClass(byte), reason, after, since, put_off and Deferral(put_off))
            for place, byte, reason, after, since, put_off in lines
            if 0 <= place < size
        }
    except (ValueError, TypeError):
        return {}
    accepted = (place for place, byte in enumerate(page[:size]) if byte == OutcomeClass.OK)
    return dict.fromkeys(accepted, ACCEPTED) | answers


def _since(answer: Answer, asked_ms: int) -> int | None:
    if answer.outcome not in AGAINST_TOKENS:
        return None
    return asked_ms if answer.invalid_since_ms is None else min(answer.invalid_since_ms, asked_ms)
