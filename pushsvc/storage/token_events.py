"""Evidence against tokens: written with the ledger, and applied when its push is closed.

That happens in pieces, each a transaction of its own that can be repeated without harm, and each
locks installations in the order of their keys, as saves do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import Evidence, OutcomeClass, Weight, Weights
from pushsvc.storage.engine import BY_INDEX, driver

if TYPE_CHECKING:
    import asyncpg

    Driver = asyncpg.Connection[asyncpg.Record]

#: Installations that one transaction takes out of use, or back into it: it locks them for some 50
#: milliseconds.
PIECE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one transaction came to."""

    #: where the next one begins; None where there was nothing left
    last: int | None
    #: how many tokens went out of use, or into it
    changed: int


async def run_piece(engine: AsyncEngine, statement: str, *values: object) -> Piece:
    """Run a statement over one piece, which looks up everything by an index."""
    async with driver(engine) as connection, connection.transaction():
        await connection.execute(_BY_INDEX)
        return _piece(await connection.fetchrow(statement, *values))


def _piece(row: "asyncpg.Record | None") -> Piece:
    assert row is not None
    return Piece(last=row["last"], changed=row["changed"])


# Nor by bitmaps, which have no order: each piece would read all that is left and sort it.
_BY_INDEX: Final = f"SELECT {BY_INDEX}, set_config('enable_bitmapscan', 'off', true)"


def of_push(push_id: str, *, after: str) -> str:
    """Return the condition that an event is of a push, and after another one; given as SQL.

    Not by equality: then `ORDER BY push_id, id` would be that by id alone, and a plan might read
    the events of all pushes in the order of their ids.
    """
    return (
        f"push_id IS NOT NULL AND (push_id, id) > ({push_id}::bigint, {after}::bigint)"
        f" AND (push_id, id) < ({push_id}::bigint + 1, 0)"
    )


# ---------------------------------------------------------------- evidence

# Locked against deletion, or the foreign key would fail the batch's ledger.
_ADD: Final = """
    INSERT INTO token_events (app_id, installation_id, token, kind, gateway, scope, outcome,
        reason, push_id, since)
    SELECT there.app_id, there.id, e.token, 'held', e.gateway, e.scope, e.outcome, e.reason, $1,
        least(coalesce(e.since, $2), now())
    FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::smallint[], $8::text[],
            $9::timestamptz[])
        AS e(installation_id, token, gateway, scope, outcome, reason, since)
    JOIN (
        SELECT id, app_id FROM installations WHERE id = ANY($3::bigint[])
        ORDER BY id FOR KEY SHARE
    ) AS there ON there.id = e.installation_id
"""


async def add(
    connection: "Driver", evidence: Iterable[Evidence], *, push_id: int, asked_at: datetime
) -> None:
    """Write evidence down; without a time of the gateway's own it is of the time we asked.

    A gateway's time to come is none: a token that is registered from now on is another one.
    """
    rows = [
        (e.installation_id, e.token, e.gateway.value, e.scope, int(e.outcome), e.reason, e.since)
        for e in evidence
    ]
    if rows:
        await connection.execute(_ADD, push_id, asked_at, *map(list, zip(*rows, strict=True)))


_ANSWERED: Final = """
    SELECT scope.key, sum((scope.value ->> 0)::bigint)::bigint,
        sum((scope.value ->> 1)::bigint)::bigint
    FROM batches, jsonb_each(answered) AS scope
    WHERE push_id = $1 AND answered IS NOT NULL
    GROUP BY 1
"""
_SETTLED: Final = "UPDATE pushes SET tokens_held = 0 WHERE id = $1"
_HELD: Final = "SELECT count(*) FROM token_events WHERE push_id = $1 AND kind = 'held'"


async def answered_of(engine: AsyncEngine, push_id: int) -> Weights:
    """Return by scope what the gateways said of the devices of a push."""
    async with driver(engine) as connection:
        rows = await connection.fetch(_ANSWERED, push_id)
    return {scope: Weight(accepted, blamed) for scope, accepted, blamed in rows}


async def count_held(engine: AsyncEngine, push_id: int) -> int:
    """Count the evidence of a push that nothing was done for."""
    async with driver(engine) as connection:
        count: int = await connection.fetchval(_HELD, push_id)
    return count


# A token registered after the evidence against it is another one, though it reads the same.
_STILL: Final = """
    i.token_retired_at IS NULL AND i.token_set_at < p.since
        AND (i.device_token = p.token
            OR p.token IN (SELECT value FROM jsonb_each_text(i.channel_uris)))
"""
# Installations are locked first, and events not before they are written to: who deletes an
# installation locks it, and then its events.
_STRIKE: Final = f"""
    WITH piece AS MATERIALIZED (
        SELECT * FROM token_events
        WHERE {of_push("$1", after="$2")} AND kind = 'held' AND gateway <> ALL($3::text[])
        ORDER BY push_id, id LIMIT $4
    ),
    there AS MATERIALIZED (
        SELECT i.id, p.id AS event, p.outcome = {int(OutcomeClass.TOKEN_SUSPECT)} AS suspect
        FROM installations i JOIN piece p ON p.installation_id = i.id
        WHERE (p.outcome = {int(OutcomeClass.TOKEN_DEAD)} OR $5::text[] IS NULL
                OR p.scope = ANY($5::text[]))
            AND {_STILL}
        ORDER BY i.id FOR UPDATE OF i
    ),
    struck AS (
        UPDATE installations i SET token_retired_at = now(),
            token_quarantined_until = CASE WHEN there.suspect
                THEN now() + make_interval(days => $6) END
        FROM there WHERE i.id = there.id
        RETURNING there.event, CASE WHEN there.suspect THEN 'quarantined' ELSE 'retired' END AS kind
    )
"""  # noqa: S608 - of our own numbers
_SUMMED: Final = """
    SELECT (SELECT max(id) FROM piece) AS last, (SELECT count(*) FROM struck) AS changed
"""
#: What comes of the evidence is written on it.
_APPLY: Final = f"""
    {_STRIKE},
    told AS (
        UPDATE token_events e SET kind = verdict.kind
        FROM (
            SELECT id, coalesce(max(kind), 'spared') AS kind FROM (
                SELECT id, NULL AS kind FROM piece UNION ALL SELECT event, kind FROM struck
            ) AS each GROUP BY id
        ) AS verdict
        WHERE e.id = verdict.id
    )
    {_SUMMED}
"""  # noqa: S608 - of constants
#: What comes of it is an event of its own: it was held for a reason, and that stays on record.
_OVERRULE: Final = f"""
    {_STRIKE},
    told AS (
        INSERT INTO token_events (app_id, installation_id, token, kind, gateway, scope, outcome,
            reason, push_id, since)
        SELECT app_id, installation_id, token, struck.kind, gateway, scope, outcome, reason,
            push_id, since
        FROM struck JOIN token_events e ON e.id = struck.event
    )
    {_SUMMED}
"""  # noqa: S608 - of constants


#: One at a time: who applies what another has just applied would call it spared.
_ALONE: Final = f"""
    {_BY_INDEX}, pg_try_advisory_xact_lock(hashtextextended('tokens of push ' || $1, 0)) AS alone
"""


async def apply(
    engine: AsyncEngine,
    push_id: int,
    *,
    after: int,
    held: Sequence[str],
    proven: Sequence[str],
    quarantine_days: int,
) -> Piece | None:
    """Apply a piece of a push's evidence, after this key; None while somebody else is at it.

    Args:
        engine: of the database.
        push_id: the push, which has no open batch.
        after: 0 to begin with, then `last` of the piece before.
        held: gateways whose evidence stays held.
        proven: scopes in which suspicion is enough.
        quarantine_days: how long a suspected token is out of use.
    """
    values = (push_id, after, held, PIECE, proven, quarantine_days)
    async with driver(engine) as connection, connection.transaction():
        row = await connection.fetchrow(_ALONE, str(push_id))
        if row is None or not row["alone"]:
            return None
        return _piece(await connection.fetchrow(_APPLY, *values))


async def overrule(engine: AsyncEngine, push_id: int, *, after: int, quarantine_days: int) -> Piece:
    """Apply a piece of what was held, whoever is proven: somebody has looked at it."""
    return await run_piece(engine, _OVERRULE, push_id, after, [], PIECE, None, quarantine_days)


_COUNT: Final = f"""
    SELECT count(DISTINCT i.id) FROM installations i JOIN token_events p ON p.installation_id = i.id
    WHERE p.push_id = $1 AND p.kind = 'held' AND {_STILL}
"""  # noqa: S608 - of constants


async def count_overruled(engine: AsyncEngine, push_id: int) -> int:
    """Return how many tokens `overrule` would take out of use."""
    async with driver(engine) as connection:
        count: int = await connection.fetchval(_COUNT, push_id)
    return count


async def mark_overruled(engine: AsyncEngine, push_id: int) -> None:
    """Note that nothing of the push waits for an operator any more."""
    async with driver(engine) as connection:
        await connection.execute(_SETTLED, push_id)


# ---------------------------------------------------------------- the history's end

_FORGET: Final = """
    DELETE FROM token_events WHERE id IN (
        SELECT id FROM token_events WHERE created_at < now() - make_interval(days => $1)
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""


async def forget(engine: AsyncEngine, *, days: int, limit: int) -> None:
    """Delete some of the events that are older than so many days."""
    async with driver(engine) as connection:
        await connection.execute(_FORGET, days, limit)
