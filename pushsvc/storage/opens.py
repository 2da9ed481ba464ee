"""How often pushes were opened: added up hour by hour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.storage.tables import opens


@dataclass(frozen=True, slots=True)
class Opened:
    """What a device tells: the push by its public id, or by the hash of its alert."""

    app_id: int
    push_id: str | None
    push_hash: str | None
    #: None for now
    at: datetime | None


@dataclass(frozen=True, slots=True)
class HourOfOpens:
    """The opens of one hour."""

    hour: datetime
    opens: int


# A device may tell a time that is wrong: no push is opened before it was made, nor in the future.
# The order of the rows is that of their locks, so that two processes do not wait in a circle.
_ADD: Final = text("""
    INSERT INTO opens (push_id, hour, opens)
    SELECT push.id,
        date_trunc('hour', least(now(), greatest(coalesce(told.at, now()), push.created_at)), 'UTC')
            AS hour,
        count(*)
    FROM unnest(
        CAST(:apps AS bigint[]), CAST(:ids AS text[]), CAST(:hashes AS text[]),
        CAST(:moments AS timestamptz[])
    ) AS told(app_id, push_id, push_hash, at)
    CROSS JOIN LATERAL (
        SELECT found.id, found.created_at FROM (
            SELECT id, created_at, 1 AS rank FROM pushes
            WHERE object_id = told.push_id AND app_id = told.app_id
            UNION ALL
            (
                SELECT id, created_at, 2 AS rank FROM pushes
                WHERE app_id = told.app_id AND push_hash = told.push_hash
                ORDER BY id DESC LIMIT 1
            )
        ) AS found
        ORDER BY found.rank LIMIT 1
    ) AS push
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (push_id, hour) DO UPDATE SET opens = opens.opens + excluded.opens
""")


async def add_opens(connection: AsyncConnection, told: Sequence[Opened]) -> None:
    """Count these opens, each for the push it names or else the newest one with its hash.

    What names no push of its app is not counted.
    """
    parameters = {
        "apps": [one.app_id for one in told],
        "ids": [one.push_id for one in told],
        "hashes": [one.push_hash for one in told],
        "moments": [one.at for one in told],
    }
    await connection.execute(_ADD, parameters)


async def opens_of(connection: AsyncConnection, push_ids: Sequence[int]) -> Mapping[int, int]:
    """Return how often each of these pushes was opened."""
    statement = (
        select(opens.c.push_id, func.sum(opens.c.opens).label("n"))
        .where(opens.c.push_id.in_(push_ids))
        .group_by(opens.c.push_id)
    )
    found = {row.push_id: int(row.n) for row in await connection.execute(statement)}
    return {push_id: found.get(push_id, 0) for push_id in push_ids}


async def hours_of(
    connection: AsyncConnection, push_id: int, *, after: datetime | None, limit: int
) -> list[HourOfOpens]:
    """Return the hours in which a push was opened, oldest first, from the one after `after`."""
    statement = select(opens.c.hour, opens.c.opens).where(opens.c.push_id == push_id)
    if after is not None:
        statement = statement.where(opens.c.hour > after)
    rows = await connection.execute(statement.order_by(opens.c.hour).limit(limit))
    return [HourOfOpens(row.hour, row.opens) for row in rows]
