"""Who of a batch is left out at its lease, by quiet hours or the cap, before badges change."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import asyncpg

from pushsvc.model import OUTCOME_OF, Outcome, OutcomeClass
from pushsvc.storage import caps

if TYPE_CHECKING:
    Driver = asyncpg.Connection[asyncpg.Record]

_EXCLUDED: Final = frozenset(c for c, said in OUTCOME_OF.items() if said is Outcome.EXCLUDED)


async def settled(
    connection: "Driver",
    push_id: int,
    row: "asyncpg.Record",
    *,
    outcome: OutcomeClass | None,
    cap: caps.Cap | None,
) -> bytes | None:
    """Return the outcomes of a claimed batch with those left out; None where there are no more.

    With an outcome all of its devices are. The cap is asked before a device is tried: of
    follow-ups never again.
    """
    ids = row["installation_ids"]
    outcomes = row["outcomes"] or bytes(len(ids) or len(row["recipients"] or ()))
    if outcome is not None:
        return outcomes.replace(bytes([OutcomeClass.OPEN]), bytes([outcome]))
    if cap is None or not ids or row["badges_applied"]:
        return None
    asked = caps.Asked(push_id=push_id, zone=row["zone"] or "", ids=ids, outcomes=outcomes)
    return await caps.capped(connection, cap, asked)


def not_left_out(ids: Sequence[int], outcomes: bytes) -> Sequence[int]:
    """Return the installations that no rule leaves out."""
    if not ids or not outcomes.strip(b"\0"):
        return ids
    return [number for number, byte in zip(ids, outcomes, strict=True) if byte not in _EXCLUDED]
