"""Tokens that come into use again: by the clock, or because an operator says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import TokenEventKind
from pushsvc.storage.engine import driver
from pushsvc.storage.token_events import PIECE, Piece, of_push, run_piece


@dataclass(frozen=True, slots=True)
class OfInstallation:
    """The token of one installation."""

    installation_id: int


@dataclass(frozen=True, slots=True)
class OfPush:
    """What went out of use by evidence of a push, and by nothing else since."""

    push_id: int


@dataclass(frozen=True, slots=True)
class OfApp:
    """What of an app went out of use since a moment."""

    app_id: int
    since: datetime


Choice = OfInstallation | OfPush | OfApp

#: Where to look in order (from $1, at most $2), and what of it comes into use again.
_CHOSEN: Final[Mapping[type, tuple[str, str]]] = {
    OfInstallation: (
        "SELECT id, id AS mark FROM installations WHERE id > $1 AND id = $3 LIMIT $2",
        "i.token_retired_at IS NOT NULL",
    ),
    OfPush: (
        f"""
        SELECT installation_id AS id, id AS mark FROM token_events
        WHERE {of_push("$3", after="$1")} AND kind IN ('retired', 'quarantined')
        ORDER BY push_id, id LIMIT $2
        """,  # noqa: S608 - of constants
        "i.token_retired_at IS NOT NULL AND last.push_id = $3",
    ),
    OfApp: (
        """
        SELECT id, id AS mark FROM installations
        WHERE app_id = $3 AND id > $1 AND token_retired_at >= $4
        ORDER BY app_id, id LIMIT $2
        """,
        "i.token_retired_at >= $4",
    ),
}
_DUE: Final = """
    SELECT id, id AS mark FROM installations WHERE token_quarantined_until <= now() AND id > $1
    ORDER BY token_quarantined_until LIMIT $2 FOR UPDATE SKIP LOCKED
"""
#: With what last took the token out of use; there is none where an older version did.
_THERE: Final = """
    WITH candidates AS MATERIALIZED ({candidates}),
    there AS MATERIALIZED (
        SELECT i.id, i.app_id, i.token_retired_at IS NOT NULL AS retired,
            coalesce(last.token, i.device_token) AS token, last.gateway, last.push_id
        FROM installations i
        LEFT JOIN LATERAL (
            SELECT e.token, e.gateway, e.push_id FROM token_events e
            WHERE (e.installation_id, e.id) >= (i.id, 0)
                AND (e.installation_id, e.id) < (i.id + 1, 0)
                AND e.kind IN ('retired', 'quarantined')
            ORDER BY e.installation_id DESC, e.id DESC LIMIT 1
        ) AS last ON true
        WHERE i.id IN (SELECT id FROM candidates) AND {condition}
        {lock}
    )
"""
_FREE: Final = """
    {there},
    freed AS (
        UPDATE installations i SET token_retired_at = NULL, token_quarantined_until = NULL
        FROM there WHERE i.id = there.id
    ),
    told AS (
        INSERT INTO token_events (app_id, installation_id, token, kind, gateway, push_id)
        SELECT app_id, id, token, '{kind}', gateway, push_id FROM there WHERE retired
    )
    SELECT max(mark) AS last, (SELECT count(*) FROM there WHERE retired) AS changed
    FROM candidates
"""
_LOCK: Final = "ORDER BY i.id FOR UPDATE OF i"


def _free(candidates: str, condition: str, kind: TokenEventKind) -> str:
    there = _THERE.format(candidates=candidates, condition=condition, lock=_LOCK)
    return _FREE.format(there=there, kind=kind)


_RESTORE: Final = {
    choice: _free(*chosen, TokenEventKind.RESTORED) for choice, chosen in _CHOSEN.items()
}
_RELEASE: Final = _free(_DUE, "i.token_quarantined_until <= now()", TokenEventKind.RELEASED)
_IS_DUE: Final = """
    SELECT EXISTS (SELECT 1 FROM installations WHERE token_quarantined_until <= now())
"""
_COUNTED: Final = "{there} SELECT count(*) FROM there"
_COUNT: Final = {
    choice: _COUNTED.format(
        there=_THERE.format(candidates=candidates, condition=condition, lock="")
    )
    for choice, (candidates, condition) in _CHOSEN.items()
}


async def count(engine: AsyncEngine, choice: Choice) -> int:
    """Return how many tokens would come into use again."""
    async with driver(engine) as connection:
        n: int = await connection.fetchval(_COUNT[type(choice)], 0, None, *_values(choice))
    return n


async def restore(engine: AsyncEngine, choice: Choice, *, after: int) -> Piece:
    """Take a piece of what an operator has chosen into use again, after this key."""
    return await run_piece(engine, _RESTORE[type(choice)], after, PIECE, *_values(choice))


async def release(engine: AsyncEngine, *, limit: int) -> int:
    """Take tokens into use again whose days in quarantine are over; return how many."""
    async with driver(engine) as connection:
        if not await connection.fetchval(_IS_DUE):
            return 0
    return (await run_piece(engine, _RELEASE, 0, limit)).changed


def _values(choice: Choice) -> tuple[object, ...]:
    return tuple(getattr(choice, name) for name in choice.__slots__)
