"""What happened to the token of an installation; and what is held, by push."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import GatewayName, TokenEventKind
from pushsvc.storage.tables import apps, pushes, token_events as e


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEvent:
    """Something that happened to a token."""

    id: int
    at: datetime
    kind: TokenEventKind
    token: str | None
    gateway: GatewayName | None
    reason: str | None
    #: the push's public id; None where there was none, or it is gone
    push: str | None
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPush:
    """A push whose evidence was too much to be acted on."""

    push: str
    app: str
    finished_at: datetime | None
    tokens: int


async def events_of(
    connection: AsyncConnection, installation_id: int, *, before: int | None, limit: int
) -> list[TokenEvent]:
    """Return what happened to the installation's tokens, newest first, below the id `before`."""
    # Not by equality, which would let a plan read everybody's events in the order of their ids.
    place = tuple_(e.c.installation_id, e.c.id)
    end = tuple_(installation_id + 1, 0) if before is None else tuple_(installation_id, before)
    statement = (
        select(e, pushes.c.object_id)
        .outerjoin(pushes, pushes.c.id == e.c.push_id)
        .where(place >= tuple_(installation_id, 0), place < end)
        .order_by(e.c.installation_id.desc(), e.c.id.desc())
        .limit(limit)
    )
    return [
        TokenEvent(
            id=row.id,
            at=row.created_at,
            kind=TokenEventKind(row.kind),
            token=row.token,
            gateway=GatewayName(row.gateway) if row.gateway else None,
            reason=row.reason,
            push=row.object_id,
            since=row.since,
        )
        for row in await connection.execute(statement)
    ]


async def held_pushes(
    connection: AsyncConnection, *, app_id: int | None, days: int, limit: int
) -> list[HeldPush]:
    """Return so many pushes of the last days whose evidence is held, newest first."""
    statement = (
        select(pushes.c.object_id, apps.c.name, pushes.c.finished_at, pushes.c.tokens_held)
        .join(apps, apps.c.id == pushes.c.app_id)
        .where(
            pushes.c.tokens_held > 0,
            pushes.c.created_at > func.now() - func.make_interval(0, 0, 0, days),
        )
        .order_by(pushes.c.id.desc())
        .limit(limit)
    )
    if app_id is not None:
        statement = statement.where(pushes.c.app_id == app_id)
    return [
        HeldPush(push=row[0], app=row[1], finished_at=row[2], tokens=row[3])
        for row in await connection.execute(statement)
    ]
