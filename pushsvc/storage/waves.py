"""The waves of a push that is planned by zone: of each zone what is to come and what is planned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import OutcomeClass

# From one zone to the next along an index, however many devices each has.
_PRESENT: Final = text("""
    WITH RECURSIVE zones AS (
        (
            SELECT time_zone FROM installations
            WHERE app_id = :app_id AND time_zone IS NOT NULL
                AND (device_token IS NOT NULL OR channel_uris IS NOT NULL)
                AND token_retired_at IS NULL
            ORDER BY time_zone LIMIT 1
        )
        UNION ALL
        SELECT (
            SELECT time_zone FROM installations
            WHERE app_id = :app_id AND time_zone > zones.time_zone
                AND (device_token IS NOT NULL OR channel_uris IS NOT NULL)
                AND token_retired_at IS NULL
            ORDER BY time_zone LIMIT 1
        ) FROM zones WHERE zones.time_zone IS NOT NULL
    )
    SELECT time_zone FROM zones WHERE time_zone IS NOT NULL
""")

_FORESEE: Final = text("""
    INSERT INTO waves (push_id, zone, due_at)
    SELECT :push_id, zone, due_at
    FROM unnest(CAST(:zones AS text[]), CAST(:moments AS timestamptz[])) AS wave (zone, due_at)
    ON CONFLICT (push_id, zone) DO UPDATE SET due_at = excluded.due_at
    WHERE waves.devices = 0 AND waves.due_at <> excluded.due_at
""")

_ADD: Final = text("""
    INSERT INTO waves (push_id, zone, due_at, devices)
    SELECT :push_id, zone, due_at, devices
    FROM unnest(CAST(:zones AS text[]), CAST(:moments AS timestamptz[]), CAST(:sizes AS bigint[]))
        AS wave (zone, due_at, devices)
    ON CONFLICT (push_id, zone) DO UPDATE
    SET due_at = excluded.due_at, devices = waves.devices + excluded.devices
""")

_FORGET_EMPTY: Final = text("""
    DELETE FROM waves WHERE push_id = :push_id AND devices = 0
        AND (CAST(:before AS timestamptz) IS NULL OR due_at < :before)
""")

# Of the plan's own batches: a follow-up has devices of these. No join: Postgres takes each array
# for ten ids, and would hold every one against every other.
_PLANNED: Final = text("""
    SELECT array_agg(id) FROM (
        SELECT unnest(installation_ids) AS id FROM batches
        WHERE push_id = :push_id AND attempt = 1 AND first_id <= :last AND last_id >= :first
        INTERSECT SELECT unnest(CAST(:ids AS bigint[]))
    ) AS planned
""")

_LIST: Final = text("""
    SELECT zone, due_at, devices FROM waves
    WHERE push_id = :push_id
        AND (CAST(:at AS timestamptz) IS NULL OR (due_at, zone) > (:at, CAST(:zone AS text)))
    ORDER BY due_at, zone LIMIT :limit
""")

_COUNTS: Final = text("""
    SELECT zone, class.key AS class, sum(class.value::text::bigint)::bigint AS n
    FROM batches, jsonb_each(batches.counts) AS type, jsonb_each(type.value) AS class
    WHERE batches.push_id = :push_id AND zone = ANY(CAST(:zones AS text[]))
    GROUP BY 1, 2
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """The devices of one zone."""

    #: IANA name; empty: devices that have none
    zone: str
    due_at: datetime
    #: in batches, so far
    devices: int
    counts: Mapping[OutcomeClass, int]


async def present_zones(connection: AsyncConnection, app_id: int) -> Sequence[str]:
    """Return the zones that devices of the app have which a push may go to."""
    return (await connection.execute(_PRESENT, {"app_id": app_id})).scalars().all()


async def foresee(
    connection: AsyncConnection, push_id: int, moments: Mapping[str, datetime]
) -> None:
    """Note zones whose devices are to come; those of which some are in batches stay as they are."""
    parameters = {"push_id": push_id, "zones": [*moments], "moments": [*moments.values()]}
    await connection.execute(_FORESEE, parameters)


async def add(
    connection: AsyncConnection,
    push_id: int,
    devices: Mapping[str, int],
    *,
    moments: Mapping[str, datetime],
) -> None:
    """Count devices that are in batches now; in one transaction with these."""
    parameters = {
        "push_id": push_id,
        "zones": [*devices],
        "moments": [moments[zone] for zone in devices],
        "sizes": [*devices.values()],
    }
    await connection.execute(_ADD, parameters)


async def forget_empty(
    connection: AsyncConnection, push_id: int, *, before: datetime | None
) -> None:
    """Drop what was foreseen and did not come, as far as it was due before then."""
    await connection.execute(_FORGET_EMPTY, {"push_id": push_id, "before": before})


async def planned(connection: AsyncConnection, push_id: int, ids: Sequence[int]) -> frozenset[int]:
    """Return which of these installations are in batches of the push."""
    parameters = {"push_id": push_id, "ids": ids, "first": min(ids), "last": max(ids)}
    found: list[int] | None = (await connection.execute(_PLANNED, parameters)).scalar_one()
    return frozenset(found or ())


async def list_waves(
    connection: AsyncConnection,
    push_id: int,
    *,
    after: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[Wave]:
    """Return waves in the order of their moments, with what came of them so far."""
    at, zone = after or (None, None)
    parameters: dict[str, Any] = {"push_id": push_id, "at": at, "zone": zone, "limit": limit}
    rows = (await connection.execute(_LIST, parameters)).all()
    counts: dict[str, dict[OutcomeClass, int]] = {}
    parameters = {"push_id": push_id, "zones": [row.zone for row in rows]}
    for row in await connection.execute(_COUNTS, parameters):
        counts.setdefault(row.zone, {})[OutcomeClass(int(row[1]))] = row.n
    return [
        Wave(zone=row.zone, due_at=row.due_at, devices=row.devices, counts=counts.get(row.zone, {}))
        for row in rows
    ]
