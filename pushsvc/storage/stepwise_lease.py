"""The lease of any batch, in a transaction of several statements.

Devices are left out or were settled by the plan; badges are only read, or are what they would be.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import asyncpg

from pushsvc.storage import badges, leaving
from pushsvc.storage.claim import CLAIM, Terms

if TYPE_CHECKING:
    Driver = asyncpg.Connection[asyncpg.Record]

_CLAIM: Final = f"{CLAIM} FOR UPDATE SKIP LOCKED"
_LEASE: Final = """
    UPDATE batches SET state = 1, leases = leases + 1, badges_applied = $4,
        outcomes = coalesce($5, outcomes), lease_until = now() + make_interval(secs => $3)
    WHERE push_id = $1 AND seq = $2
"""


async def lease(
    connection: "Driver", push_id: int, seq: int, *, terms: Terms
) -> "tuple[asyncpg.Record, bytes | None, Mapping[int, int]] | None":
    """Lease a batch in the caller's transaction, and change or read its badges.

    Returns its row, the outcomes that were settled here, and its devices' badges. None where it is
    not to be had.
    """
    row = await connection.fetchrow(_CLAIM, push_id, seq, terms.expires_at, terms.halt)
    if row is None:
        return None
    in_time = row["seconds_left"] is None or row["seconds_left"] > 0
    settled = None
    if in_time and not row["leases"]:
        settled = await leaving.settled(
            connection, push_id, row, outcome=terms.left_out, cap=terms.cap
        )
    changes = terms.badge is not None and in_time
    ids = leaving.not_left_out(row["installation_ids"], settled or row["outcomes"] or b"")
    found = await _badges(connection, row, ids, terms=terms) if changes and ids else {}
    applied = changes or row["badges_applied"]
    await connection.execute(_LEASE, push_id, seq, terms.seconds, applied, settled)
    return row, settled, found


async def _badges(
    connection: "Driver", row: "asyncpg.Record", ids: Sequence[int], *, terms: Terms
) -> Mapping[int, int]:
    assert terms.badge is not None
    if terms.validate_only:
        return await badges.after(connection, ids, terms.badge)
    if row["badges_applied"]:
        return await badges.read(connection, ids)
    return await badges.change(connection, ids, terms.badge)
