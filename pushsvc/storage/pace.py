"""How fast pushes of the last days went out."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

#: A push to fewer devices tells of its planning and closing.
DEVICES_LEAST: Final = 1_000
DAYS: Final = 7
#: Of the newest pushes so many are looked at: they are in the order of an index.
PUSHES_MOST: Final = 10_000

# What a push took is that of its slowest retry, too; so the middle of all is taken.
_PACE: Final = """
    SELECT count(*) AS pushes, percentile_cont(0.5) WITHIN GROUP (ORDER BY pace) AS pace FROM (
        SELECT devices_planned / extract(epoch FROM finished_at - started_at)::float8 AS pace
        FROM (
            SELECT devices_planned, started_at, finished_at, state, content
            FROM pushes {of_app} ORDER BY id DESC LIMIT :most
        ) AS newest
        WHERE state = 'done' AND devices_planned >= :least AND finished_at > started_at
            AND finished_at > now() - make_interval(days => :days)
            AND NOT content @> '{{"validate_only": true}}'
    ) AS paces
"""
_OF_APP: Final = text(_PACE.format(of_app="WHERE app_id = :app_id"))
_OF_ALL: Final = text(_PACE.format(of_app=""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The pace of finished pushes."""

    messages_per_second: float
    #: how many pushes it is the middle of
    pushes: int


async def recent_pace(connection: AsyncConnection, *, app_id: int | None) -> Pace | None:
    """Return the pace of the app's recent pushes, or of everybody's; None where there were none."""
    parameters = {"most": PUSHES_MOST, "least": DEVICES_LEAST, "days": DAYS}
    if app_id is None:
        row = (await connection.execute(_OF_ALL, parameters)).one()
    else:
        row = (await connection.execute(_OF_APP, {**parameters, "app_id": app_id})).one()
    if row.pace is None:
        return None
    return Pace(messages_per_second=row.pace, pushes=row.pushes)
