"""The frequency cap: who has had enough messages of the app's campaigns, asked of the ledger.

It is asked in the transaction that leases a batch, and one lease of an app at a time, so that two
runs that go on at once see each other: what is leased counts as if it had arrived.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Final

import asyncpg

from pushsvc.model import HOLDOUT, BatchState, OutcomeClass, Push
from pushsvc.storage.engine import BY_INDEX

if TYPE_CHECKING:
    Driver = asyncpg.Connection[asyncpg.Record]

#: What a device has got, or may have got.
CONTACTS: Final = frozenset({OutcomeClass.OK, OutcomeClass.UNKNOWN, OutcomeClass.RESENT})


def _marks(classes: frozenset[OutcomeClass]) -> bytes:
    return bytes(byte in classes for byte in range(256))


#: The ledger's bytes to 1 where the device counts: when its batch is done, and before.
_COUNTS: Final = _marks(CONTACTS)
_MAY_COUNT: Final = _marks(CONTACTS | {OutcomeClass.OPEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """A device that got messages of `count` pushes of the app's campaigns gets no more."""

    app_id: int
    count: int
    seconds: int


def cap_of(push: Push) -> Cap | None:
    """Return the cap that is asked for the push's batches; what is only looked at has none."""
    asked = None if push.rules is None or push.validate_only else push.rules.cap
    if asked is None:
        return None
    return Cap(app_id=push.app_id, count=asked.count, seconds=asked.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The batch whose devices are looked up."""

    push_id: int
    zone: str
    ids: Sequence[int]
    outcomes: bytes


# Transactions of one app take turns from here to their commit. What follows is looked up by
# indexes, and planned once: to plan it again for each batch would take longer than to do it.
_ALONE: Final = f"""
    SELECT pg_advisory_xact_lock(hashtextextended('caps of app ' || $1::bigint, 0)), {BY_INDEX},
        set_config('plan_cache_mode', 'force_generic_plan', true)
"""

_RUNS: Final = """
    SELECT array_agg(id) FROM pushes
    WHERE app_id = $1 AND campaign_id IS NOT NULL AND id <> $2
        AND (finished_at IS NULL OR finished_at > now() - make_interval(secs => $3))
"""

# What may have sent: a follow-up is no first try, and a lease that ran out has been one.
_COUNTING: Final = f"""
    variant IS DISTINCT FROM '{HOLDOUT}' AND CASE WHEN state = 2
        THEN finished_at > now() - make_interval(secs => $2)
        ELSE leases > 0 OR badges_applied END
"""
_OF_ZONE: Final = f"""
    SELECT push_id, state, installation_ids, outcomes
    FROM unnest($1::bigint[]) AS run CROSS JOIN LATERAL (
        SELECT push_id, state, installation_ids, outcomes FROM batches
        WHERE push_id = run AND zone = $3 AND last_id >= $4 AND first_id <= $5 AND {_COUNTING}
    ) AS counting
"""  # noqa: S608 - of constants

_MOVED: Final = """
    SELECT installation_id, zone FROM moves
    WHERE installation_id = ANY($1) AND left_at > now() - make_interval(secs => $2)
"""
_OF_MOVED: Final = f"""
    SELECT push_id, state, ARRAY[number], substr(outcomes, place, 1)
    FROM unnest($3::bigint[], $4::text[]) AS moved (number, left_zone)
    CROSS JOIN unnest($1::bigint[]) AS run CROSS JOIN LATERAL (
        SELECT push_id, state, outcomes, array_position(installation_ids, number) AS place
        FROM batches WHERE push_id = run AND zone = left_zone
            AND last_id >= number AND first_id <= number AND {_COUNTING}
    ) AS counting
    WHERE place IS NOT NULL
"""  # noqa: S608 - of constants


async def capped(connection: "Driver", cap: Cap, asked: Asked) -> bytes | None:
    """Return the batch's outcomes with `CAPPED` for who had enough; None where nobody had.

    The transaction must go on to lease the batch, and holds off those of the app's other capped
    batches until it ends.
    """
    mine = {i for i, byte in zip(asked.ids, asked.outcomes, strict=True) if not byte}
    if not mine:
        return None
    await connection.execute(_ALONE, cap.app_id)
    runs = await connection.fetchval(_RUNS, cap.app_id, asked.push_id, cap.seconds)
    if not runs:
        return None
    rows = await connection.fetch(_OF_ZONE, runs, cap.seconds, asked.zone, min(mine), max(mine))
    rows += await _rows_of_moved(connection, cap, asked, runs=runs)
    full = _full(rows, mine, count=cap.count)
    if not full:
        return None
    settled = bytearray(asked.outcomes)
    for place, number in enumerate(asked.ids):
        if number in full:
            settled[place] = OutcomeClass.CAPPED
    return bytes(settled)


async def _rows_of_moved(
    connection: "Driver", cap: Cap, asked: Asked, *, runs: Sequence[int]
) -> "list[asyncpg.Record]":
    """Find devices that have moved since in the batches of the zones that they came from.

    Or in those of no zone, where it is one that we do not know.
    """
    moved = await connection.fetch(_MOVED, asked.ids, cap.seconds)
    places = {(number, zone) for number, left in moved for zone in (left, "")}
    numbers = [number for number, zone in places if zone != asked.zone]
    zones = [zone for _, zone in places if zone != asked.zone]
    if not numbers:
        return []
    return await connection.fetch(_OF_MOVED, runs, cap.seconds, numbers, zones)


def _full(rows: "Sequence[asyncpg.Record]", mine: set[int], *, count: int) -> set[int]:
    """Return who of `mine` got messages of so many pushes."""
    reached: dict[int, set[int]] = {}
    for push_id, state, ids, outcomes in rows:
        reached.setdefault(push_id, set()).update(mine.intersection(_counted(state, ids, outcomes)))
    if count == 1:
        return set().union(*reached.values())
    pushes = Counter[int]()
    for devices in reached.values():
        pushes.update(devices)
    return {number for number, times in pushes.items() if times >= count}


def _counted(state: int, ids: Sequence[int], outcomes: bytes | None) -> Iterator[int]:
    """Return those of a batch that count, at the speed of bytes: there are thousands."""
    marks = _COUNTS if state == BatchState.DONE else _MAY_COUNT
    return compress(ids, (outcomes or bytes(len(ids))).translate(marks))
