"""Runs of a campaign that are under way, and whether one is in the way of the next."""

from datetime import datetime
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import BatchState, Push, PushState
from pushsvc.storage.pushes import COLUMNS as PUSH_COLUMNS, as_push
from pushsvc.storage.tables import batches, pushes

OPEN: Final = (PushState.WAITING, PushState.PLANNING, PushState.SENDING)


async def runs(connection: AsyncConnection, campaign_id: int) -> list[Push]:
    """Return the pushes of a campaign's runs that are not closed, oldest first."""
    statement = (
        select(*PUSH_COLUMNS)
        .where(pushes.c.campaign_id == campaign_id, pushes.c.state.in_([one.value for one in OPEN]))
        .order_by(pushes.c.id)
    )
    return [as_push(row) for row in (await connection.execute(statement)).mappings()]


# A run in local time is on its way for longer than a day, and the next one follows it around the
# world. It is in the way where it is behind by half of what lies between the two: with a zone that
# is not planned, or not sent to.
_IS_BUSY: Final = text("""
    SELECT EXISTS (
        SELECT FROM pushes WHERE campaign_id = :campaign_id
            AND state IN ('waiting', 'planning', 'sending')
            AND (
                local_time IS NULL OR CAST(:wall AS timestamp) IS NULL OR halt IS NOT NULL
                OR state <> 'sending' AND due_at <= now() - (:wall - local_time) / 2
                OR EXISTS (
                    SELECT FROM batches JOIN waves USING (push_id, zone)
                    WHERE batches.push_id = pushes.id AND batches.state <> 2
                        AND waves.due_at <= now() - (:wall - local_time) / 2
                )
            )
    )
""")


async def is_busy(
    connection: AsyncConnection, campaign_id: int, *, local_time: datetime | None
) -> bool:
    """Tell whether a run is in the way of the next one; `local_time`: that one's wall time."""
    values = {"campaign_id": campaign_id, "wall": local_time}
    return bool((await connection.execute(_IS_BUSY, values)).scalar_one())


async def is_leased(connection: AsyncConnection, push_id: int) -> bool:
    """Tell whether a worker has a batch of the push."""
    leased = select(batches.c.seq).where(
        batches.c.push_id == push_id, batches.c.state == BatchState.LEASED
    )
    return bool((await connection.execute(select(leased.exists()))).scalar_one())
