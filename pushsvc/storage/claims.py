"""Small pushes that are due: found, and claimed for a volley, apps in turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import Push
from pushsvc.storage.by_key import PUSH_STATE
from pushsvc.storage.due import IN_VOLLEYS
from pushsvc.storage.engine import driver
from pushsvc.storage.pushes import SELECTED, as_push

if TYPE_CHECKING:
    import asyncpg

log = structlog.get_logger(__name__)

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

_WAITED: Final = f"= 'waiting' AND due_at <= now() AND {IN_VOLLEYS}"
_FIRED: Final = f"state {_WAITED}"
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


async def look(engine: AsyncEngine, *, most: int = LOOK) -> Sequence[tuple[int, int]]:
    """Return small pushes that are due, with their apps: those that waited longest first.

    Fewer than `most`; where there are more, LOOK_OF_EACH of each app, and LOOK_OF_ALL of all.
    """
    async with driver(engine) as connection:
        rows = await connection.fetch(_DUE, most)
        if len(rows) == most:
            rows = await connection.fetch(_DUE_OF_EACH, LOOK_OF_EACH, LOOK_OF_ALL)
    return [(row["app_id"], row["id"]) for row in rows]


async def next_seconds(engine: AsyncEngine) -> float | None:
    """Return how long until the next push of any kind is due; None where none is scheduled."""
    async with driver(engine) as connection:
        seconds: float | None = await connection.fetchval(_NEXT)
    return seconds


# ---------------------------------------------------------------- claimed

_CLAIM: Final = """
    UPDATE pushes SET state = 'planning', leases = leases + 1,
        started_at = coalesce(started_at, now()),
        lease_until = now() + make_interval(secs => $2)
    FROM (
        SELECT pushes.id FROM {pushes}
        WHERE {fired}
        ORDER BY {order} LIMIT $1
        FOR UPDATE OF pushes SKIP LOCKED
    ) AS mine
    WHERE pushes.id = mine.id
    RETURNING {selected}, leases
"""
_CLAIM_NEXT: Final = _CLAIM.format(pushes="pushes", order="due_at", fired=_FIRED, selected=SELECTED)
_CLAIM_ASKED: Final = _CLAIM.format(
    pushes="""unnest($3::bigint[]) WITH ORDINALITY AS asked(id, turn)
        JOIN pushes ON pushes.id = asked.id""",
    order="turn",
    fired=f"{PUSH_STATE} {_WAITED}",
    selected=SELECTED,
)
# By the lease that comes next, a plan is no volley's.
_GIVE_BACK: Final = f"""
    UPDATE pushes SET lease_until = NULL, leases = pushes.leases + 1
    FROM unnest($1::bigint[], $2::integer[]) AS ours(id, leases)
    WHERE pushes.id = ours.id AND {PUSH_STATE} = 'planning' AND pushes.leases = ours.leases
"""  # noqa: S608 - of constants
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


async def claim_next(
    engine: AsyncEngine, *, lease_seconds: float, limit: int = VOLLEY
) -> tuple[list[Claimed], bool]:
    """Take those that waited longest, of whatever app; and tell whether there may be more."""
    async with driver(engine) as connection:
        rows = await connection.fetch(_CLAIM_NEXT, limit, lease_seconds)
    found = await _read(engine, rows)
    claimed = sorted(found, key=lambda one: (one.push.due_at, one.push.id))
    return claimed, len(rows) == limit


async def claim(
    engine: AsyncEngine, ids: Sequence[int], *, lease_seconds: float, limit: int = VOLLEY
) -> list[Claimed]:
    """Take the first of these pushes that nobody else has, in this order."""
    async with driver(engine) as connection:
        rows = await connection.fetch(_CLAIM_ASKED, limit, lease_seconds, ids)
    found = {one.push.id: one for one in await _read(engine, rows)}
    return [found[number] for number in ids if number in found]


async def _read(engine: AsyncEngine, rows: Sequence["asyncpg.Record"]) -> list[Claimed]:
    """Return what is in rows; what a newer version has stored is left to its workers."""
    found: list[Claimed] = []
    unread: list[tuple[int, int]] = []
    for row in rows:
        try:
            found.append(_claimed(row))
        except Exception:
            log.exception("push.unreadable", push=row["object_id"])
            unread.append((row["id"], row["leases"]))
    if unread:
        await _give_back(engine, unread)
    return found


def _claimed(row: "asyncpg.Record") -> Claimed:
    values = dict(row)
    lease = values.pop("leases")
    return Claimed(push=as_push(values), lease=lease)


async def give_back(engine: AsyncEngine, claimed: Sequence[Claimed]) -> None:
    """Leave pushes that were not begun to others, who plan each by itself."""
    await _give_back(engine, [(one.push.id, one.lease) for one in claimed])


async def _give_back(engine: AsyncEngine, leased: Sequence[tuple[int, int]]) -> None:
    """Have pushes planned each by itself, if these are still their leases."""
    async with driver(engine) as connection:
        await connection.execute(
            _GIVE_BACK, [push_id for push_id, _ in leased], [lease for _, lease in leased]
        )


async def put_back(engine: AsyncEngine) -> None:
    """Have claimed pushes wait again whose worker has died before it had begun with them."""
    async with driver(engine) as connection:
        await connection.execute(_PUT_BACK, PUT_BACK_LIMIT)
