"""Badges: changed with the lease of a batch, read, or as they would be."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import BadgeChange
from pushsvc.storage.engine import driver

if TYPE_CHECKING:
    Driver = asyncpg.Connection[asyncpg.Record]

#: What a badge is after a number was added to it, and after it was set to one; `by` is the number.
ADDED: Final = "least(greatest(badge::bigint + {by}::bigint, 0), 2147483647)::integer"
REPLACED: Final = "{by}::integer"

_CHANGE: Final = """
    UPDATE badges SET badge = {} WHERE installation_id = ANY($1) RETURNING installation_id, badge
"""
_ADD: Final = _CHANGE.format(ADDED.format(by="$2"))
_SET: Final = _CHANGE.format(REPLACED.format(by="$2"))

#: What `_ADD` would come to.
_WOULD_ADD: Final = f"""
    SELECT installation_id, {ADDED.format(by="$2")} FROM badges WHERE installation_id = ANY($1)
"""  # noqa: S608 - of constants

_READ: Final = "SELECT installation_id, badge FROM badges WHERE installation_id = ANY($1)"


async def change(connection: "Driver", ids: Sequence[int], badge: BadgeChange) -> dict[int, int]:
    """Change the badges of these installations, in the caller's transaction; return them."""
    if badge.increment is not None:
        rows = await connection.fetch(_ADD, ids, badge.increment)
    else:
        rows = await connection.fetch(_SET, ids, badge.absolute)
    return {row[0]: row[1] for row in rows}


async def read(connection: "Driver", ids: Sequence[int]) -> dict[int, int]:
    """Return the badges of these installations."""
    return {row[0]: row[1] for row in await connection.fetch(_READ, ids)}


async def after(connection: "Driver", ids: Sequence[int], badge: BadgeChange) -> dict[int, int]:
    """Return the badges that these installations would have after the change."""
    if badge.absolute is not None:
        return dict.fromkeys(ids, badge.absolute)
    rows = await connection.fetch(_WOULD_ADD, ids, badge.increment)
    return {row[0]: row[1] for row in rows}


async def badges_after(
    engine: AsyncEngine, ids: Sequence[int], badge: BadgeChange
) -> dict[int, int]:
    """Return the same over a connection of its own."""
    async with driver(engine) as connection:
        return await after(connection, ids, badge)
