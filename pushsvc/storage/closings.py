"""Who waits for a push to be closed is told by one look at Postgres for all who wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage.engine import DATABASE_ERRORS, driver

log = structlog.get_logger(__name__)

#: Between two looks while somebody waits; each is a lookup by key.
LOOK_SECONDS: Final = 0.02
PAUSE_SECONDS: Final = 1.0

_CLOSED: Final = "SELECT id FROM pushes WHERE id = ANY($1) AND finished_at IS NOT NULL"


class Closings:
    """Tells when pushes are closed; made by `watching_closings`, whose task is its owner."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        #: push -> those who wait for it
        self._waiting: dict[int, set[asyncio.Event]] = {}
        self._asked = asyncio.Event()
        self._let_go = asyncio.Event()

    async def wait(self, push_id: int, *, seconds: float) -> None:
        """Return when the push is closed, or after so long, or when all are let go."""
        if seconds <= 0 or self._let_go.is_set():
            return
        told = asyncio.Event()
        self._waiting.setdefault(push_id, set()).add(told)
        self._asked.set()
        try:
            async with asyncio.timeout(seconds):
                await told.wait()
        except TimeoutError:
            pass
        finally:
            others = self._waiting.get(push_id, set())
            others.discard(told)
            if not others:
                self._waiting.pop(push_id, None)

    def let_go(self) -> None:
        """Keep nobody waiting any more: the process is to stop."""
        self._let_go.set()
        self._tell(list(self._waiting))

    async def run(self) -> None:
        """Look for as long as somebody waits."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._waiting:  # noqa: ASYNC110 - what happens in Postgres sets no event here
                await asyncio.sleep(await self._look())

    async def _look(self) -> float:
        try:
            async with driver(self._engine) as connection:
                rows = await connection.fetch(_CLOSED, list(self._waiting))
        except DATABASE_ERRORS as error:
            log.warning("closings.unknown", error=type(error).__name__)
            return PAUSE_SECONDS
        except Exception:
            # Who waits later is not to wait in vain for this.
            log.exception("closings.failed")
            return PAUSE_SECONDS
        self._tell([row["id"] for row in rows])
        return LOOK_SECONDS

    def _tell(self, push_ids: list[int]) -> None:
        for push_id in push_ids:
            for told in self._waiting.pop(push_id, ()):
                told.set()


@asynccontextmanager
async def watching_closings(engine: AsyncEngine) -> AsyncIterator[Closings]:
    """Lend what tells of closings; it ends with the block."""
    closings = Closings(engine)
    task = asyncio.create_task(closings.run(), name="closings")
    try:
        yield closings
    finally:
        closings.let_go()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
