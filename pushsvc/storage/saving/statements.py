"""The statements of a transaction that saves many installations, each for all of them at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import asyncpg
from sqlalchemy import ARRAY, Double, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from pushsvc.storage.engine import BY_INDEX, encode_json
from pushsvc.storage.fields import BADGE
from pushsvc.storage.installations import Installation, import_lock, installation_of, lock_key
from pushsvc.storage.saving.plan import INSTALLATION_ID, OBJECT_ID, TOKEN, Name, Plan, Stamp
from pushsvc.storage.tables import installations as i

Driver: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def lock(connection: AsyncConnection, names: Iterable[Name]) -> None:
    """Begin: no import of these apps, and nobody else who saves an id or token of these.

    What is looked up afterwards is what the locks' last holders left.
    """
    keys = {lock_key(*name) for name in names if name[1] != OBJECT_ID}
    apps = {import_lock(app_id) for app_id, _, _ in names}
    await connection.execute(_LOCK, {"apps": sorted(apps), "keys": sorted(keys)})


async def look_up(driver: Driver, names: Iterable[Name]) -> list[Installation]:
    """Return, locked, the installations that have one of these names; the oldest first."""
    asked: dict[str, tuple[list[int], list[str]]] = {kind: ([], []) for kind in _NAMED}
    for app_id, kind, name in names:
        asked[kind][0].append(app_id)
        asked[kind][1].append(name)
    arguments = [values for kind in _NAMED for values in asked[kind]]
    return [installation_of(dict(row)) for row in await driver.fetch(_LOOK_UP, *arguments)]


async def delete(driver: Driver, gone: Sequence[Installation]) -> None:
    """Delete installations."""
    if gone:
        await driver.execute(_DELETE, [one.id for one in gone])


async def insert(driver: Driver, plans: Sequence[Plan]) -> dict[Name, Stamp]:
    """Store new installations; return object id -> stamp."""
    if not plans:
        return {}
    rows = await driver.fetch(
        _INSERT,
        [plan.wanted.app_id for plan in plans],
        [plan.object_id for plan in plans],
        *_columns(plans),
        [plan.badge for plan in plans],
    )
    return dict(map(_stamped, rows))


async def update(driver: Driver, plans: Sequence[Plan]) -> dict[Name, Stamp]:
    """Write installations anew; return object id -> stamp."""
    if not plans:
        return {}
    rows = await driver.fetch(
        _UPDATE,
        [plan.wanted.app_id for plan in plans],
        [plan.target.id for plan in plans if plan.target],
        [plan.badge for plan in plans],
        [plan.registers for plan in plans],
        *_columns(plans),
    )
    return dict(map(_stamped, rows))


async def mark_shared(driver: Driver, plans: Sequence[Plan]) -> None:
    """Mark all installations that have a token which others keep, too."""
    shared = {(plan.wanted.app_id, plan.shared_token) for plan in plans if plan.shared_token}
    if shared:
        apps, tokens = zip(*shared, strict=True)
        await driver.execute(_MARK_SHARED, apps, tokens)


def _stamped(row: asyncpg.Record) -> tuple[Name, Stamp]:
    stamp = Stamp(id=row["id"], created_at=row["created_at"], updated_at=row["updated_at"])
    return (row["app_id"], OBJECT_ID, row["object_id"]), stamp


# ---------------------------------------------------------------- columns as arrays


def _as_it_is(value: Any) -> Any:
    return value


def _json(value: Any) -> str | None:
    return None if value is None else encode_json(value)


def _array_text(values: Sequence[str] | None) -> str | None:
    """Return a text[] as Postgres writes it: `unnest` takes arrays of one length apart only."""
    if values is None:
        return None
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


#: A column's type -> the type of the parameter that carries its values, how one is written, and
#: the cast that reads it; others are text.
_CARRIED: Final[Mapping[type[TypeEngine[Any]], tuple[str, Callable[[Any], Any], str]]] = {
    ARRAY: ("text[]", _array_text, "::text[]"),
    Double: ("float8[]", _as_it_is, ""),
    JSONB: ("jsonb[]", _json, ""),
}
_TEXT: Final = ("text[]", _as_it_is, "")


def _carried(column: str) -> tuple[str, Callable[[Any], Any], str]:
    kind = type(i.c[column].type)
    return next((how for base, how in _CARRIED.items() if issubclass(kind, base)), _TEXT)


#: Set by the statements themselves, or by nobody.
_OWN: Final = frozenset(
    {
        *("id", "app_id", "object_id", "created_at", "updated_at"),
        *("token_shared", "token_set_at", "token_retired_at", "token_quarantined_until"),
    }
)
#: column -> how its values are carried
_WRITTEN: Final = {c.name: _carried(c.name) for c in i.c if c.name not in _OWN}


def _columns(plans: Sequence[Plan]) -> list[list[Any]]:
    rows = [plan.row for plan in plans]
    return [[write(row.get(name)) for row in rows] for name, (_, write, _) in _WRITTEN.items()]


def _unnested(*first: tuple[str, str]) -> str:
    """Return the rows that the parameters carry: first these (name, type), then the columns."""
    carried = [*first, *((name, kind) for name, (kind, _, _) in _WRITTEN.items())]
    parameters = ", ".join(f"${n}::{kind}" for n, (_, kind) in enumerate(carried, start=1))
    return f"unnest({parameters}) AS r({', '.join(name for name, _ in carried)})"


# ---------------------------------------------------------------- the statements

# In ascending order, so that two transactions never wait for each other.
_LOCK: Final = text(f"""
    SELECT {BY_INDEX}, (
        SELECT count(pg_advisory_xact_lock_shared(key)) FROM unnest(CAST(:apps AS bigint[])) AS key
    ), (
        SELECT count(pg_advisory_xact_lock(key)) FROM unnest(CAST(:keys AS bigint[])) AS key
    )
""")  # noqa: S608 - of our own names

#: A name's kind -> the column that holds it.
_NAMED: Final[Mapping[str, str]] = {
    OBJECT_ID: "object_id",
    INSTALLATION_ID: "installation_id",
    TOKEN: "device_token",
}
# One look into the index for each name, and no other plan, even one that was made when the table
# was empty and is kept while it grows. OFFSET 0 keeps the subquery apart. The array of one, which
# the planner takes for ten, makes the index of the name cheaper than one that begins with the app:
# on few rows they would be equal, and the other leads to all installations of the app.
_LOOK: Final = """
    SELECT i.id FROM unnest({apps}::bigint[], {names}::text[]) AS wanted(app, name), LATERAL (
        SELECT id FROM installations
        WHERE app_id = ANY(array_fill(wanted.app, ARRAY[1])) AND {column} = wanted.name OFFSET 0
    ) AS i
"""
_IDS: Final = " UNION ALL ".join(
    _LOOK.format(apps=f"${2 * n + 1}", names=f"${2 * n + 2}", column=column)
    for n, column in enumerate(_NAMED.values())
)
# In the order of their keys, as the batches of a push lock badges.
_LOOK_UP: Final = f"""
    SELECT i.id, i.app_id, i.object_id, i.created_at, i.updated_at,
        {", ".join(f"i.{name}" for name in _WRITTEN)}, b.badge AS {BADGE}
    FROM installations i JOIN badges b ON b.installation_id = i.id
    WHERE i.id = ANY(ARRAY({_IDS}))
    ORDER BY i.id FOR UPDATE
"""  # noqa: S608 - of our own column names

_DELETE: Final = "DELETE FROM installations WHERE id = ANY($1::bigint[])"

#: Parse's dates have milliseconds: what we show is what we store. The time is that of the write,
#: not of the transaction, which may have waited for its locks.
_NOW: Final = "date_trunc('milliseconds', statement_timestamp())"
_READ: Final = {name: f"r.{name}{cast}" for name, (_, _, cast) in _WRITTEN.items()}

#: Of the insert: app and object id come before the columns.
_AFTER_COLUMNS: Final = 2 + len(_WRITTEN) + 1
_INSERT: Final = f"""
    WITH stored AS (
        INSERT INTO installations (app_id, object_id, {", ".join(_READ)},
            created_at, updated_at, token_set_at)
        SELECT app_id, object_id, {", ".join(_READ.values())},
            {_NOW}, {_NOW}, statement_timestamp()
        FROM {_unnested(("app_id", "bigint[]"), ("object_id", "text[]"))}
        RETURNING id, app_id, object_id, created_at, updated_at
    ),
    badge AS (
        INSERT INTO badges (installation_id, badge)
        SELECT id, (${_AFTER_COLUMNS}::int[])[array_position($2, object_id)] FROM stored
    )
    SELECT * FROM stored
"""  # noqa: S608 - of our own column names

_UPDATE: Final = f"""
    WITH fresh AS MATERIALIZED (
        SELECT * FROM {
    _unnested(
        ("app_id", "bigint[]"), ("target", "bigint[]"), ("badge", "int[]"), ("registers", "bool[]")
    )
}
    ),
    badge AS (
        UPDATE badges b SET badge = r.badge FROM fresh r
        WHERE b.installation_id = r.target AND r.badge IS NOT NULL
    )
    UPDATE installations i
    SET {", ".join(f"{name} = {read}" for name, read in _READ.items())},
        updated_at = {_NOW},
        token_set_at = CASE WHEN r.registers THEN statement_timestamp() ELSE i.token_set_at END,
        token_retired_at = CASE WHEN r.registers THEN NULL ELSE i.token_retired_at END,
        token_quarantined_until = CASE WHEN r.registers THEN NULL
            ELSE i.token_quarantined_until END
    FROM fresh r WHERE i.id = r.target AND i.app_id = r.app_id
    RETURNING i.id, i.app_id, i.object_id, i.created_at, i.updated_at
"""  # noqa: S608 - of our own column names

_MARK_SHARED: Final = f"""
    UPDATE installations SET token_shared = true
    WHERE NOT token_shared
        AND id = ANY(ARRAY({_LOOK.format(apps="$1", names="$2", column="device_token")}))
"""  # noqa: S608 - of our own column names
