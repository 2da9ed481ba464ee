"""Small pushes that are due: found, and claimed for a volley, apps in turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import Push
from pushsvc.storage.due import IN_VOLLEYS
from pushsvc.storage.engine import driver
from pushsvc.storage.pushes import SELECTED, as_push

#: Pushes of a volley: what it costs by itself is then little for each; a worker is busy with it for
#: some 50 ms.
VOLLEY: Final = 100
#: Due pushes that one looks at; where there are more, of each app, and of all.
LOOK: Final = 1_000
LOOK_OF_EACH: Final = VOLLEY
LOOK_OF_ALL: Final = 5_000
#: Claimed pushes that one look puts back.
PUT_BACK_LIMIT: Final = 1_000

# ---------------------------------------------------------------- what is due

_FIRED: Final = f"state = 'waiting' AND due_at <= now() AND {IN_VOLLEYS}"
_DUE: Final = f"SELECT id, app_id FROM pushes WHERE {_FIRED} ORDER BY due_at LIMIT $1"  # noqa: S608 - of constants
# Nobody's thousands hide another's.
_DUE_OF_EACH: Final = f"""
    SELECT due.id, due.app_id FROM apps CROSS JOIN LATERAL (
        SELECT id, app_id, due_at, row_number() OVER (ORDER BY due_at) AS turn
        FROM pushes WHERE app_id = apps.id AND {_FIRED}
        ORDER BY due_at LIMIT $1
    ) AS due
    ORDER BY turn, due_at LIMIT $2
"""  # noqa: S608 - of constants
_NEXT: Final = """
    SELECT extract(epoch FROM min(due_at) - now())::float8 FROM pushes
    WHERE state = 'waiting' AND due_at > now()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What a look has found."""

    #: app and push, those that waited longest first
    pushes: Sequence[tuple[int, int]]
    #: until the next push of any kind is due; None where none is scheduled, or more are due
    next_seconds: float | None


async def look(engine: AsyncEngine, *, most: int = LOOK) -> Due:
    """Return small pushes that are due: fewer than `most`; or LOOK_OF_EACH of each app.

    Then no more than LOOK_OF_ALL, of as many apps as there are.
    """
    async with driver(engine) as connection:
        rows = await connection.fetch(_DUE, most)
        if len(rows) == most:
            rows = await connection.fetch(_DUE_OF_EACH, LOOK_OF_EACH, LOOK_OF_ALL)
            following = None
        else:
            following = await connection.fetchval(_NEXT)
    return Due(pushes=[(row["app_id"], row["id"]) for row in rows], next_seconds=following)


# ---------------------------------------------------------------- claimed

_CLAIM: Final = f"""
    UPDATE pushes SET state = 'planning', leases = leases + 1,
        started_at = coalesce(started_at, now()),
        lease_until = now() + make_interval(secs => $3)
    FROM (
        SELECT pushes.id FROM unnest($1::bigint[]) WITH ORDINALITY AS asked(id, turn)
        JOIN pushes ON pushes.id = asked.id
        WHERE {_FIRED}
        ORDER BY turn LIMIT $2
        FOR UPDATE OF pushes SKIP LOCKED
    ) AS mine
    WHERE pushes.id = mine.id
    RETURNING {SELECTED}, leases
"""  # noqa: S608 - of constants
# By the lease that comes next, a plan is no volley's.
_GIVE_BACK: Final = """
    UPDATE pushes SET lease_until = NULL, leases = pushes.leases + 1
    FROM unnest($1::bigint[], $2::integer[]) AS ours(id, leases)
    WHERE pushes.id = ours.id AND state = 'planning' AND pushes.leases = ours.leases
"""
_PUT_BACK: Final = f"""
    UPDATE pushes SET state = 'waiting', lease_until = NULL WHERE id IN (
        SELECT id FROM pushes
        WHERE state = 'planning' AND due_at <= now() AND lease_until < now() AND {IN_VOLLEYS}
        LIMIT $1 FOR UPDATE SKIP LOCKED
    )
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A push that is ours to plan for as long as the lease lasts."""

    push: Push
    #: its number: the fence against a worker that comes back late
    lease: int


async def claim(
    engine: AsyncEngine, ids: Sequence[int], *, lease_seconds: float, limit: int = VOLLEY
) -> list[Claimed]:
    """Take the first of these pushes that nobody else has, in this order."""
    async with driver(engine) as connection:
        rows = await connection.fetch(_CLAIM, ids, limit, lease_seconds)
    found = {row["id"]: _claimed(dict(row)) for row in rows}
    return [found[number] for number in ids if number in found]


def _claimed(row: dict[str, Any]) -> Claimed:
    lease = row.pop("leases")
    return Claimed(push=as_push(row), lease=lease)


async def give_back(engine: AsyncEngine, claimed: Sequence[Claimed]) -> None:
    """Leave pushes that were not begun to others, who plan each by itself."""
    async with driver(engine) as connection:
        await connection.execute(
            _GIVE_BACK, [one.push.id for one in claimed], [one.lease for one in claimed]
        )


async def put_back(engine: AsyncEngine) -> None:
    """Have claimed pushes wait again whose worker has died before it had begun with them."""
    async with driver(engine) as connection:
        await connection.execute(_PUT_BACK, PUT_BACK_LIMIT)
