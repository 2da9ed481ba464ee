"""The moment at which the provider token of each APNs key was made: one for the whole fleet."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage.engine import driver

# The row's lock lets one at a time decide. Who waits for it sees what the other has decided.
_CLAIM: Final = """
    INSERT INTO provider_tokens AS present (name, issued_at)
    VALUES ($1, date_trunc('second', now()))
    ON CONFLICT (name) DO UPDATE SET issued_at = excluded.issued_at
    WHERE present.issued_at <= now() - make_interval(secs => $3)
        OR (present.issued_at = to_timestamp($2)
            AND present.issued_at <= now() - make_interval(secs => $4))
"""

_PRESENT: Final = """
    SELECT extract(epoch FROM issued_at)::bigint FROM provider_tokens WHERE name = $1
"""


async def claim_moment(
    engine: AsyncEngine,
    name: str,
    *,
    refused: float | None,
    refresh_seconds: float,
    least_seconds: float,
) -> int:
    """Return the moment at which the token of this name is made, in epoch seconds.

    That is now if there was none, if the last is older than `refresh_seconds`, or if the last is
    the one that was `refused` and older than `least_seconds`; else it stays the last one.
    """
    async with driver(engine) as connection:
        await connection.execute(_CLAIM, name, refused, refresh_seconds, least_seconds)
        moment: int = await connection.fetchval(_PRESENT, name)
    return moment
