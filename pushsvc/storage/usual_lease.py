"""The lease of the usual batch, in one statement: claimed, its badges changed, and leased."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import asyncpg

from pushsvc.storage import badges
from pushsvc.storage.claim import CLAIM, Terms

if TYPE_CHECKING:
    Driver = asyncpg.Connection[asyncpg.Record]

_IN_TIME: Final = "coalesce(claim.seconds_left > 0, true)"
_LEASED: Final = """
    UPDATE batches SET state = 1, leases = batches.leases + 1, badges_applied = {applied},
        lease_until = now() + make_interval(secs => $5)
    FROM claim WHERE batches.push_id = $1 AND batches.seq = $2
"""
_KEEPING: Final = f"""
    WITH claim AS MATERIALIZED ({CLAIM} FOR UPDATE SKIP LOCKED),
    leased AS ({_LEASED.format(applied="batches.badges_applied")})
    SELECT * FROM claim
"""  # noqa: S608 - of constants

# Devices that are settled already may have to keep their badges; and of whom badges were changed,
# they are read. As arrays the badges cost the worker a fifth of what they do as rows.
_CHANGING: Final = f"""
    WITH claim AS MATERIALIZED (
        {CLAIM} AND NOT badges_applied AND outcomes IS NULL FOR UPDATE SKIP LOCKED
    ),
    changed AS (
        UPDATE badges SET badge = {{badge}} WHERE installation_id = ANY(
            (SELECT installation_ids FROM claim WHERE {_IN_TIME})::bigint[]
        ) RETURNING installation_id, badge
    ),
    leased AS ({_LEASED.format(applied=_IN_TIME)})
    SELECT claim.*, ids, badges FROM claim, (
        SELECT array_agg(installation_id) AS ids, array_agg(badge) AS badges FROM changed
    ) AS changed
"""  # noqa: S608 - of constants
_ADDING: Final = _CHANGING.format(badge=badges.ADDED.format(by="$6"))
_SETTING: Final = _CHANGING.format(badge=badges.REPLACED.format(by="$6"))


async def lease(
    connection: "Driver", push_id: int, seq: int, *, terms: Terms
) -> "tuple[asyncpg.Record, Mapping[int, int]] | None":
    """Lease a batch and change its badges; return its row, and the badges that were changed.

    None where it is not to be had, and, of a push that changes badges, where it is not a usual one.
    """
    named = (push_id, seq, terms.expires_at, terms.halt, terms.seconds)
    if terms.badge is None:
        row = await connection.fetchrow(_KEEPING, *named)
        return None if row is None else (row, {})
    if terms.badge.increment is not None:
        row = await connection.fetchrow(_ADDING, *named, terms.badge.increment)
    else:
        row = await connection.fetchrow(_SETTING, *named, terms.badge.absolute)
    if row is None:
        return None
    return row, dict(zip(row["ids"] or (), row["badges"] or (), strict=True))
