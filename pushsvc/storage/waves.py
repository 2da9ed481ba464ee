"""The waves of a push that is planned by zone: of each zone what is to come and what is planned."""

from collections.abc import Collection, Mapping, Sequence
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

# Of the plan's own batches: a follow-up has devices of these. Only those that have one between
# their first and last are read. No join: Postgres takes each array for ten ids, and would hold
# every one against every other.
_OF_PLAN: Final = """
    SELECT unnest(installation_ids) AS id FROM batches
    WHERE push_id = :push_id AND attempt = 1
        AND width_bucket(last_id, {ids}) > width_bucket(first_id - 1, {ids})
        AND coalesce(get_byte(outcomes, 0) <> ALL(CAST(:but AS integer[])), true)
"""
_PLANNED: Final = text(f"""
    SELECT array_agg(id) FROM (
        {_OF_PLAN.format(ids="CAST(:ids AS bigint[])")}
        INTERSECT SELECT unnest(CAST(:ids AS bigint[]))
    ) AS planned
""")  # noqa: S608 - of constants
_DOUBLES: Final = text(f"""
    WITH asked AS MATERIALIZED (
        SELECT id, app_id, device_token FROM installations
        WHERE id = ANY(CAST(:ids AS bigint[])) AND device_token IS NOT NULL
    ), twins AS MATERIALIZED (
        SELECT id, device_token FROM installations
        JOIN (SELECT DISTINCT app_id, device_token FROM asked) AS token USING (app_id, device_token)
    ), sent AS (
        SELECT id, max(device_token) AS device_token FROM (
            SELECT id, device_token FROM twins
            UNION ALL
            SELECT id, NULL FROM (
                {_OF_PLAN.format(ids="(SELECT array_agg(id ORDER BY id) FROM twins)")}
            ) AS of_plan
        ) AS either
        GROUP BY id HAVING count(*) > count(device_token) AND count(device_token) > 0
    )
    SELECT id FROM (
        SELECT id, is_asked,
            row_number() OVER (PARTITION BY device_token ORDER BY is_asked, id) AS place
        FROM (
            SELECT id, device_token, true AS is_asked FROM asked
            UNION ALL
            SELECT id, device_token, false FROM sent
        ) AS either
    ) AS placed
    WHERE is_asked AND place > 1
""")  # noqa: S608 - of constants
#: Whole batches of devices that the plan leaves out.
_LEFT_OUT: Final = [OutcomeClass.HOLDOUT, OutcomeClass.NO_TIME_ZONE, OutcomeClass.LATE]

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
    return await _planned(connection, push_id, ids, but=())


async def sent_to(
    connection: AsyncConnection, push_id: int, ids: Collection[int]
) -> frozenset[int]:
    """Return which of these installations are in batches of the push, and not left out there."""
    return await _planned(connection, push_id, ids, but=_LEFT_OUT)


async def _planned(
    connection: AsyncConnection, push_id: int, ids: Collection[int], *, but: Sequence[OutcomeClass]
) -> frozenset[int]:
    parameters = {"push_id": push_id, "ids": sorted(ids), "but": but}
    found: list[int] | None = (await connection.execute(_PLANNED, parameters)).scalar_one()
    return frozenset(found or ())


async def doubles(connection: AsyncConnection, push_id: int, ids: Sequence[int]) -> frozenset[int]:
    """Return which of these installations have the token of an earlier one of them.

    Or of one that is in the push's batches already, and not left out there.
    """
    parameters = {"push_id": push_id, "ids": ids, "but": _LEFT_OUT}
    return frozenset((await connection.execute(_DOUBLES, parameters)).scalars())


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
