"""How much of an app waits, as it was a moment ago: what is asked before more is taken."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.clock import Clock
from pushsvc.errors import TooManyPushesError
from pushsvc.remembered import Remembered

#: Of what others store meanwhile, more than the limit gets in.
REMEMBERED_SECONDS: Final = 1.0
#: A push on its way takes seconds, one that waits for its time may take days.
RETRY_DUE_SECONDS: Final = 5
RETRY_SCHEDULED_SECONDS: Final = 60

# Each counts no further than to its limit, along an index of what is open.
_DUE: Final = text("""
    SELECT count(*) FROM (
        SELECT FROM pushes WHERE app_id = :app_id AND due_at <= now()
            AND state IN ('waiting', 'planning', 'sending')
        LIMIT :most
    ) AS found
""")
_SCHEDULED: Final = text("""
    SELECT count(*) FROM (
        SELECT FROM pushes WHERE app_id = :app_id AND due_at > now()
            AND state IN ('waiting', 'planning', 'sending')
        LIMIT :most
    ) AS found
""")
_BATCHES: Final = text("""
    SELECT count(*) FROM (
        SELECT FROM pushes JOIN batches ON batches.push_id = pushes.id
        WHERE app_id = :app_id AND pushes.state IN ('planning', 'sending') AND batches.state <> 2
            AND pushes.halt IS NULL
        LIMIT :most
    ) AS found
""")


@dataclass(slots=True)
class _Count:
    """What was counted, and what this process has added since."""

    n: int


class Backlog:
    """Knows how much of the apps waits, and how much may."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        *,
        due_limit: int,
        scheduled_limit: int,
        batches_limit: int,
    ) -> None:
        self._engine = engine
        self._due_limit = due_limit
        self._scheduled_limit = scheduled_limit
        self._batches_limit = batches_limit
        self._counts: Remembered[_Count] = Remembered(clock, seconds=REMEMBERED_SECONDS)

    async def enter(self, app_id: int, *, due: bool) -> None:
        """Let one more push of the app in, which is due at once or later.

        Raises:
            TooManyPushesError: too many of them wait.
        """
        limit = self._due_limit if due else self._scheduled_limit
        count = await self._count(app_id, _DUE if due else _SCHEDULED, limit=limit)
        if count.n < limit:
            count.n += 1
        elif due:
            message = (
                f"{limit} pushes of this app are due and not done yet. Send this one again later; "
                "or raise open_pushes_limit."
            )
            raise TooManyPushesError(message, retry_after_seconds=RETRY_DUE_SECONDS)
        else:
            message = (
                f"{limit} pushes of this app wait for their time. Send this one again when some "
                "of them are due; or raise scheduled_pushes_limit."
            )
            raise TooManyPushesError(message, retry_after_seconds=RETRY_SCHEDULED_SECONDS)

    async def is_full(self, app_id: int) -> bool:
        """Tell whether the app has as many open batches as it may have before it gets more."""
        count = await self._count(app_id, _BATCHES, limit=self._batches_limit)
        return count.n >= self._batches_limit

    async def _count(self, app_id: int, statement: TextClause, *, limit: int) -> _Count:
        async def load() -> _Count:
            async with self._engine.connect() as connection:
                found = await connection.execute(statement, {"app_id": app_id, "most": limit})
                return _Count(found.scalar_one())

        counted = await self._counts.get_or((app_id, statement), load)
        assert counted is not None
        return counted
