"""How often pushes were opened: hour by hour, and runs of campaigns by more than that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import Rules, rules_of
from pushsvc.storage.tables import opens


@dataclass(frozen=True, slots=True)
class Opened:
    """What a device tells: the push by its public id, or by the hash of its alert."""

    app_id: int
    push_id: str | None
    push_hash: str | None
    #: None for now
    at: datetime | None
    #: the id that the device gave itself, where it tells that
    installation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRun:
    """An open of a campaign's run, counted with its push."""

    push_id: int
    hour: datetime
    #: as the device told it; empty where it did not
    push_hash: str
    #: of an installation of the app, where the device told one: its key, its type and its zone
    installation: int | None
    device_type: str | None
    zone: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOpen:
    """The same, with what it counts under; each empty where that is not known."""

    push_id: int
    hour: datetime
    variant: str
    device_type: str
    zone: str


@dataclass(frozen=True, slots=True)
class HourOfOpens:
    """The opens of one hour."""

    hour: datetime
    opens: int


# A hash means a push that devices may have: none that waits for its time with the same alert. One
# in local time is due again and again, and begun since the first time.
# A device may tell a time that is wrong: no push is opened before it was made, nor in the future.
# The order of the rows is that of their locks, so that two processes do not wait in a circle.
# Each push is looked up once, whoever tells of it. A campaign may have thousands of runs with one
# hash, and a hash may be none of ours: OFFSET keeps Postgres from a walk through all pushes of the
# app in search of one that has it.
_ADD: Final = text("""
    WITH told AS (
        SELECT * FROM unnest(
            CAST(:apps AS bigint[]), CAST(:ids AS text[]), CAST(:hashes AS text[]),
            CAST(:installations AS text[]), CAST(:moments AS timestamptz[])
        ) AS told (app_id, push_id, push_hash, installation_id, at)
    ), named AS MATERIALIZED (
        SELECT names.*, push.*
        FROM (SELECT DISTINCT app_id, push_id, push_hash FROM told) AS names
        CROSS JOIN LATERAL (
            SELECT found.id, found.created_at, found.campaign_id FROM (
                SELECT id, created_at, campaign_id, 1 AS rank FROM pushes
                WHERE object_id = names.push_id AND app_id = names.app_id
                UNION ALL
                (
                    SELECT id, created_at, campaign_id, 2 AS rank FROM pushes
                    WHERE app_id = names.app_id AND push_hash = names.push_hash
                        AND (due_at <= now() OR started_at IS NOT NULL)
                    ORDER BY id DESC LIMIT 1
                )
                UNION ALL
                SELECT id, created_at, campaign_id, 2 AS rank FROM (
                    SELECT id, created_at, campaign_id, app_id, due_at, started_at
                    FROM pushes
                    WHERE variant_hashes @> ARRAY[names.push_hash] OFFSET 0
                ) AS of_variants
                WHERE app_id = names.app_id AND (due_at <= now() OR started_at IS NOT NULL)
            ) AS found
            ORDER BY found.rank, found.id DESC LIMIT 1
        ) AS push
    ), opened AS MATERIALIZED (
        SELECT named.id AS push_id, named.app_id, campaign_id, push_hash, installation_id,
            date_trunc(
                'hour', least(now(), greatest(coalesce(told.at, now()), named.created_at)), 'UTC'
            ) AS hour
        FROM told JOIN named USING (app_id, push_id, push_hash)
    ), added AS (
        INSERT INTO opens (push_id, hour, opens)
        SELECT push_id, hour, count(*) FROM opened GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (push_id, hour) DO UPDATE SET opens = opens.opens + excluded.opens
    )
    SELECT opened.push_id, hour, push_hash, device.id AS installation, device_type,
        time_zone AS zone
    FROM opened LEFT JOIN LATERAL (
        SELECT id, device_type, time_zone FROM installations AS i
        WHERE i.app_id = opened.app_id AND i.installation_id = opened.installation_id LIMIT 1
    ) AS device ON true
    WHERE campaign_id IS NOT NULL
""")


async def add_opens(connection: AsyncConnection, told: Sequence[Opened]) -> Sequence[OpenedRun]:
    """Count these opens, each for the push it names or else the newest one with its hash.

    Of those whose time has come. That is the hash of the push's alert, or of one of its variants'.
    What names no push of its app is not counted. Returns those of campaigns' runs, for
    `add_run_opens`.
    """
    parameters = {
        "apps": [one.app_id for one in told],
        # Nothing has an empty id or hash.
        "ids": [one.push_id or "" for one in told],
        "hashes": [one.push_hash or "" for one in told],
        "installations": [one.installation_id for one in told],
        "moments": [one.at for one in told],
    }
    rows = await connection.execute(_ADD, parameters)
    return [OpenedRun(**row) for row in rows.mappings()]


_RULES: Final = text("SELECT id, rules FROM pushes WHERE id = ANY(:ids) AND rules IS NOT NULL")


async def rules_of_runs(
    connection: AsyncConnection, push_ids: Iterable[int]
) -> Mapping[int, Rules]:
    """Return the rules of those of these pushes that have some."""
    rows = await connection.execute(_RULES, {"ids": list(push_ids)})
    return {row.id: rules_of(row.rules) for row in rows}


_PLACE: Final = text("""
    INSERT INTO run_opens (push_id, hour, variant, device_type, zone, opens)
    SELECT push_id, hour, variant, device_type, zone, count(*)
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:hours AS timestamptz[]), CAST(:variants AS text[]),
        CAST(:types AS text[]), CAST(:zones AS text[])
    ) AS placed (push_id, hour, variant, device_type, zone)
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (push_id, hour, variant, device_type, zone)
    DO UPDATE SET opens = run_opens.opens + excluded.opens
""")


async def add_run_opens(connection: AsyncConnection, placed: Sequence[PlacedOpen]) -> None:
    """Count opens that are counted with their pushes by variant, device type and zone, too."""
    parameters = {
        "ids": [one.push_id for one in placed],
        "hours": [one.hour for one in placed],
        "variants": [one.variant for one in placed],
        "types": [one.device_type for one in placed],
        "zones": [one.zone for one in placed],
    }
    await connection.execute(_PLACE, parameters)


async def opens_of(connection: AsyncConnection, push_ids: Sequence[int]) -> Mapping[int, int]:
    """Return how often each of these pushes was opened."""
    statement = (
        select(opens.c.push_id, func.sum(opens.c.opens).label("n"))
        .where(opens.c.push_id.in_(push_ids))
        .group_by(opens.c.push_id)
    )
    found = {row.push_id: int(row.n) for row in await connection.execute(statement)}
    return {push_id: found.get(push_id, 0) for push_id in push_ids}


async def hours_of(
    connection: AsyncConnection, push_id: int, *, after: datetime | None, limit: int
) -> list[HourOfOpens]:
    """Return the hours in which a push was opened, oldest first, from the one after `after`."""
    statement = select(opens.c.hour, opens.c.opens).where(opens.c.push_id == push_id)
    if after is not None:
        statement = statement.where(opens.c.hour > after)
    rows = await connection.execute(statement.order_by(opens.c.hour).limit(limit))
    return [HourOfOpens(row.hour, row.opens) for row in rows]
