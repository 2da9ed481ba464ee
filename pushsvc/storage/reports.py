"""What reports are made of: ledgers added up where they lie, reasons and opens."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from pushsvc.model import (
    Counts,
    Dimension,
    FailedBatch,
    OpenTally,
    OutcomeClass,
    Tally,
    Value,
)

if TYPE_CHECKING:
    Driver = asyncpg.Connection[asyncpg.Record]

#: Rows of batches read at once: at most some 10 KB each.
_PAGE: Final = 250

# Each device once: by the counts of its batch, or as open in one that is not finished. Carried
# devices are in no counts, and in the batch that they went on to.
_TALLIES: Final = """
    SELECT grouping(push_id, variant, device_type, zone, hour) AS rest,
        push_id, variant, device_type, zone, hour, class, sum(n)::bigint AS n
    FROM (
        SELECT push_id, variant, type.key AS device_type, zone,
            date_trunc('hour', finished_at, 'UTC') AS hour, class.key::integer AS class,
            class.value::bigint AS n
        FROM batches, jsonb_each(counts) AS type, jsonb_each(type.value) AS class
        WHERE push_id = ANY($1) AND state = 2
        UNION ALL
        SELECT push_id, variant, NULL, zone, NULL, 0,
            cardinality(installation_ids) + coalesce(jsonb_array_length(recipients), 0)
        FROM batches WHERE push_id = ANY($1) AND state <> 2
    ) AS ends
    GROUP BY GROUPING SETS (
        (push_id, class), (variant, class), (device_type, class), (zone, class), (hour, class)
    )
"""
#: A column of the above is grouped by where the others' bits of `rest` are set.
_COLUMNS: Final = (
    (0b01111, Dimension.RUN, "push_id"),
    (0b10111, Dimension.VARIANT, "variant"),
    (0b11011, Dimension.PLATFORM, "device_type"),
    (0b11101, Dimension.ZONE, "zone"),
    (0b11110, Dimension.HOUR, "hour"),
)
_COLUMN_OF: Final = {rest: (dimension, column) for rest, dimension, column in _COLUMNS}


async def tallies(connection: "Driver", push_ids: Sequence[int]) -> list[Tally]:
    """Add up the ledgers of these pushes, by each dimension."""
    found = []
    for row in await connection.fetch(_TALLIES, push_ids):
        dimension, column = _COLUMN_OF[row["rest"]]
        found.append(Tally(dimension, row[column], OutcomeClass(row["class"]), row["n"]))
    return found


_FAILED: Final = """
    SELECT push_id, seq, variant, zone, date_trunc('hour', finished_at, 'UTC') AS hour, outcomes,
        exceptions
    FROM batches
    WHERE push_id = $1 AND seq > $2 AND state = 2
        AND EXISTS (SELECT FROM jsonb_each(counts) AS type WHERE type.value ?| $3::text[])
    ORDER BY seq LIMIT $4
"""
_IN_COMMON: Final = {
    Dimension.RUN: "push_id",
    Dimension.VARIANT: "variant",
    Dimension.ZONE: "zone",
    Dimension.HOUR: "hour",
}


async def failed_batches(
    connection: "Driver", push_id: int, classes: Sequence[OutcomeClass]
) -> AsyncIterator[FailedBatch]:
    """Yield the finished batches of a push that have ends of these classes."""
    wanted, seq = [str(int(one)) for one in classes], -1
    while True:
        rows = await connection.fetch(_FAILED, push_id, seq, wanted, _PAGE)
        for row in rows:
            yield FailedBatch(
                of={dimension: row[column] for dimension, column in _IN_COMMON.items()},
                outcomes=row["outcomes"],
                exceptions=row["exceptions"] or {},
            )
        if len(rows) < _PAGE:
            return
        seq = rows[-1]["seq"]


# What told no installation is of a device that is not known, and so of no zone that is. What the
# version before this one has counted told none, either. Where a push's batches are dropped, nobody
# knows how many were sent to of a variant or a zone, so that its opens are of no known one, either.
_OPENS: Final = """
    WITH told AS (SELECT * FROM opens WHERE push_id = ANY($1)),
    placed AS (SELECT * FROM run_opens WHERE push_id = ANY($1)),
    by_device AS (
        SELECT CASE WHEN push_id <> ALL($2) THEN nullif(variant, '') END AS variant,
            nullif(device_type, '') AS device_type,
            CASE WHEN push_id <> ALL($2) AND device_type <> '' THEN zone END AS zone, opens
        FROM placed
        UNION ALL
        SELECT NULL, NULL, NULL,
            (SELECT sum(opens) FROM told JOIN pushes ON pushes.id = push_id
                WHERE campaign_id IS NOT NULL) - coalesce((SELECT sum(opens) FROM placed), 0)
    )
    SELECT 'run' AS dimension, push_id, NULL::timestamptz AS hour, NULL AS word,
        sum(opens)::bigint AS n
    FROM told GROUP BY push_id
    UNION ALL
    SELECT 'hour', NULL, hour, NULL, sum(opens)::bigint FROM told GROUP BY hour
    UNION ALL
    SELECT CASE grouping(variant, device_type, zone)
            WHEN 3 THEN 'variant' WHEN 5 THEN 'platform' ELSE 'zone' END,
        NULL, NULL, coalesce(variant, device_type, zone), sum(opens)::bigint
    FROM by_device WHERE opens > 0
    GROUP BY GROUPING SETS ((variant), (device_type), (zone))
"""


async def opened(
    connection: "Driver", push_ids: Sequence[int], *, dropped: Sequence[int]
) -> list[OpenTally]:
    """Add up the opens of these pushes; by device only those of campaigns' runs.

    Of those that are `dropped`, the batches are no longer there.
    """
    return [
        OpenTally(Dimension(row["dimension"]), _value(row), row["n"])
        for row in await connection.fetch(_OPENS, push_ids, dropped)
    ]


def _value(row: Any) -> Value:
    value: Value = next(
        (row[name] for name in ("push_id", "hour", "word") if row[name] is not None), None
    )
    return value


_PUSHES: Final = "SELECT id, counts FROM pushes WHERE id = ANY($1) AND counts IS NOT NULL"


async def kept_counts(connection: "Driver", push_ids: Sequence[int]) -> Mapping[int, Counts]:
    """Return the counts of those of these pushes that have ended: they are kept with the push."""
    return {
        row["id"]: {
            device_type: {OutcomeClass(int(number)): n for number, n in classes.items()}
            for device_type, classes in row["counts"].items()
        }
        for row in await connection.fetch(_PUSHES, push_ids)
    }


async def now(connection: "Driver") -> datetime:
    """Return the moment of the connection's transaction."""
    moment: datetime = await connection.fetchval("SELECT now()")
    return moment
