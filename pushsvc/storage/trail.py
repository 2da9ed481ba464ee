"""One device of a push found again: its batches, by the ranges of their ids."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import Attempt, BatchState, OutcomeClass, Standing
from pushsvc.storage.engine import driver

# CASE, so that only arrays that may have the id are read: a push of a million devices has a
# thousand of them. Rows of older versions have no range.
_HAS: Final = """
    CASE WHEN {id} BETWEEN first_id AND last_id OR first_id IS NULL
        THEN array_position(installation_ids, {id}) END
"""

_FOUND: Final = """
    SELECT attempt, seq, place, state, not_before, finished_at,
        CASE WHEN outcomes IS NULL THEN 0 ELSE get_byte(outcomes, place) END,
        (SELECT key FROM jsonb_each(exceptions) WHERE value @> to_jsonb(place) LIMIT 1),
        zone, variant
"""

_OF_INSTALLATION: Final = f"""
    {_FOUND}
    FROM batches CROSS JOIN LATERAL (SELECT {_HAS.format(id="$2::bigint")} - 1) AS found (place)
    WHERE push_id = $1 AND place IS NOT NULL ORDER BY seq
"""

_OF_TOKEN: Final = f"""
    {_FOUND}, recipient ->> 'device_type'
    FROM batches CROSS JOIN LATERAL (
        SELECT recipient, number::integer - 1
        FROM jsonb_array_elements(recipients) WITH ORDINALITY AS one (recipient, number)
    ) AS found (recipient, place)
    WHERE push_id = $1 AND recipient ->> 'token' = $2 ORDER BY seq, place
"""  # noqa: S608 - of constants

#: More installations than can have one token by any mishap, so that a look has an end.
_SHARERS: Final = 10

_FIRST_WITH_TOKEN: Final = f"""
    SELECT object_id FROM (
        SELECT id, object_id FROM installations
        WHERE app_id = $2 AND device_token = $3 AND id < $4 ORDER BY id LIMIT {_SHARERS}
    ) AS sharer
    WHERE EXISTS (
        SELECT FROM batches
        WHERE push_id = $1 AND {_HAS.format(id="sharer.id")} IS NOT NULL
    )
    ORDER BY id LIMIT 1
"""  # noqa: S608 - of constants
_ANY_ID: Final = 2**63 - 1


async def attempts_of(engine: AsyncEngine, push_id: int, *, installation: int) -> list[Attempt]:
    """Return what came of an installation in each batch of the push that it is in, in order."""
    async with driver(engine) as connection:
        rows = await connection.fetch(_OF_INSTALLATION, push_id, installation)
    return [_attempt(row) for row in rows]


async def explicit_device(
    engine: AsyncEngine, push_id: int, *, token: str
) -> tuple[Standing, Sequence[Attempt]] | None:
    """Return the push's explicit device with this token, and its attempts.

    A token that the push names twice is one device: what was left out as its double is not shown,
    unless all of it was.
    """
    async with driver(engine) as connection:
        rows = await connection.fetch(_OF_TOKEN, push_id, token)
    if not rows:
        return None
    found = [_attempt(row) for row in rows]
    tried = [one for one in found if one.outcome is not OutcomeClass.DEDUPLICATED]
    return Standing(device_type=rows[0][10], token=token), tried or found[:1]


async def first_with_token(
    engine: AsyncEngine, push_id: int, *, app_id: int, token: str, before: int | None
) -> str | None:
    """Return the push's first installation with this token: of its doubles it gets the message."""
    async with driver(engine) as connection:
        found: str | None = await connection.fetchval(
            _FIRST_WITH_TOKEN, push_id, app_id, token, _ANY_ID if before is None else before
        )
    return found


def _attempt(row: Any) -> Attempt:
    number, seq, place, state, due_at, finished_at, byte, reason, zone, variant = row[:10]
    return Attempt(
        number=number,
        seq=seq,
        place=place,
        state=BatchState(state),
        due_at=due_at,
        finished_at=finished_at,
        outcome=OutcomeClass(byte),
        reason=reason or "",
        zone=zone,
        variant=variant,
    )
