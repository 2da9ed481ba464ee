"""Many installations at once: whole sets in a handful of statements."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.storage.engine import encode_json
from pushsvc.storage.fields import BADGE, COLUMNS, CREATED_AT, OBJECT_ID, Fields
from pushsvc.storage.ids import new_object_id
from pushsvc.storage.installations import custom_of, import_lock
from pushsvc.storage.places import place_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """How many installations an import made, and how many it found and changed."""

    inserted: int
    updated: int


async def import_installations(
    connection: AsyncConnection, app_id: int, rows: Sequence[Fields]
) -> ImportResult:
    """Store installations; about a thousand to a call and its transaction.

    A row is the installation with its `installationId`, else the one with its `deviceToken`; the
    latter, too, if that one has no installation id yet. Fields that a row does not have stay as
    they are, and no installation is deleted. A new one keeps its `objectId` if that is free, and
    its `createdAt`. Of rows about one device the later wins.

    Args:
        connection: in a transaction of the caller's.
        app_id: the app they belong to.
        rows: from `parse_installation_row`.
    """
    distinct = _distinct(rows)
    await connection.execute(_LOCK, {"app_key": import_lock(app_id)})
    there = await _lookup(connection, app_id, distinct)
    new, known = _tell_apart(distinct, there)
    if new:
        await connection.execute(_INSERT, {"app_id": app_id, "rows": encode_json(new)})
    if known:
        rows_of_known = [{**row, "target": target} for target, row in known.items()]
        await connection.execute(_UPDATE, {"rows": encode_json(rows_of_known)})
    shared = _shared_tokens([*new, *known.values()], [t for t in there if t.id not in known])
    if shared:
        await connection.execute(_MARK_SHARED, {"app_id": app_id, "tokens": shared})
    return ImportResult(inserted=len(new), updated=len(rows) - len(new))


def _distinct(rows: Iterable[Fields]) -> list[dict[str, Any]]:
    """Merge rows about one device; those with a token alone into the one that has its id, too."""
    of_id: dict[str, dict[str, Any]] = {}
    of_token: dict[str, dict[str, Any]] = {}
    for row in rows:
        if "installationId" in row:
            of_id.setdefault(row["installationId"], {}).update(row)
        else:
            of_token.setdefault(row["deviceToken"], {}).update(row)
    for row in of_id.values():
        if row.get("deviceToken") in of_token:
            row.update(of_token.pop(row["deviceToken"]))
    return [*of_id.values(), *of_token.values()]


@dataclass(frozen=True, slots=True)
class _There:
    """An installation of before that shares an id or the token of a row."""

    id: int
    installation_id: str | None
    device_token: str | None
    object_id: str


async def _lookup(
    connection: AsyncConnection, app_id: int, rows: Sequence[Fields]
) -> Sequence[_There]:
    """Return, the oldest first, what the rows may be about."""
    named = {
        key: [row[name] for row in rows if name in row]
        for key, name in (
            ("installation_ids", "installationId"),
            ("tokens", "deviceToken"),
            ("object_ids", OBJECT_ID),
        )
    }
    found = await connection.execute(_LOOKUP, {"app_id": app_id, **named})
    return [_There(*row) for row in found]


def _tell_apart(
    rows: Sequence[Fields], there: Sequence[_There]
) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
    """Return rows of new installations, and of known ones by their keys."""
    of_id = {one.installation_id: one.id for one in there if one.installation_id}
    any_of_token = {one.device_token: one.id for one in reversed(there)}
    anonymous_of_token = {
        one.device_token: one.id for one in reversed(there) if one.installation_id is None
    }
    taken = {one.object_id for one in there}
    new: list[dict[str, Any]] = []
    known: dict[int, dict[str, Any]] = {}
    for row in rows:
        token = row.get("deviceToken")
        if "installationId" in row:
            target = of_id.get(row["installationId"]) or anonymous_of_token.get(token)
        else:
            target = any_of_token.get(token)
        if target is not None and target not in known:
            known[target] = _row(row)
            continue
        object_id = row.get(OBJECT_ID)
        if object_id is None or object_id in taken:
            object_id = new_object_id()
        taken.add(object_id)
        new.append({**_row(row), "object_id": object_id})
    return new, known


def _shared_tokens(rows: Iterable[Mapping[str, Any]], others: Iterable[_There]) -> list[str]:
    """Return the tokens that more than one installation has."""
    tokens = [row["device_token"] for row in rows if "device_token" in row]
    counted = Counter([*tokens, *(one.device_token for one in others if one.device_token)])
    return sorted(token for token, n in counted.items() if n > 1)


def _row(fields: Fields) -> dict[str, Any]:
    row = {column: fields[name] for name, column in COLUMNS.items() if name in fields}
    custom = custom_of(fields)
    return {
        **row,
        **place_of(custom),
        "custom": custom,
        "badge": fields.get(BADGE),
        "created_at": fields.get(CREATED_AT),
    }


_LOCK: Final = text("SELECT pg_advisory_xact_lock(:app_key)")

# One look into an index for each value, and no other plan: OFFSET 0 keeps the subquery apart, so
# that a planner without statistics, in the middle of a first import, cannot take to scanning. For
# the array of one see `saving.statements`.
_LOOK: Final = """
    SELECT i.id, i.installation_id, i.device_token, i.object_id
    FROM unnest(CAST(:{values} AS text[])) AS wanted, LATERAL (
        SELECT * FROM installations
        WHERE app_id = ANY(array_fill(CAST(:app_id AS bigint), ARRAY[1])) AND {column} = wanted
        OFFSET 0
    ) AS i
"""
_LOOKUP: Final = text(
    " UNION ".join(
        _LOOK.format(values=values, column=column)
        for values, column in (
            ("installation_ids", "installation_id"),
            ("tokens", "device_token"),
            ("object_ids", "object_id"),
        )
    )
    + " ORDER BY id"
)

_TYPES: Final[Mapping[str, str]] = {
    "channels": "text[]",
    "channel_uris": "jsonb",
    "latitude": "double precision",
    "longitude": "double precision",
}
_NAMES: Final = (*COLUMNS.values(), "latitude", "longitude")
_RECORD: Final = ", ".join(
    (
        *(f"{name} {_TYPES.get(name, 'text')}" for name in _NAMES),
        "target bigint, object_id text, custom jsonb, badge int, created_at timestamptz",
    )
)
_ROWS: Final = f"SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r({_RECORD})"  # noqa: S608 - of our own column names
_NOW: Final = "date_trunc('milliseconds', clock_timestamp())"

_INSERT: Final = text(f"""
    WITH fresh AS ({_ROWS}),
    stored AS (
        INSERT INTO installations
            (app_id, object_id, {", ".join(_NAMES)}, custom, created_at, updated_at)
        SELECT :app_id, object_id, {", ".join(_NAMES)}, custom,
            coalesce(created_at, {_NOW}), {_NOW}
        FROM fresh
        RETURNING id, object_id
    )
    INSERT INTO badges (installation_id, badge)
    SELECT stored.id, coalesce(fresh.badge, 0) FROM stored JOIN fresh USING (object_id)
""")  # noqa: S608 - of our own column names

_KEPT: Final = ", ".join(f"{name} = coalesce(r.{name}, i.{name})" for name in _NAMES)

# An old file that repeats a token is no sign of life; another token is.
_CHANGED: Final = " OR ".join(
    f"coalesce(r.{name}, i.{name}) IS DISTINCT FROM i.{name}"
    for name in ("device_token", "channel_uris")
)

# The badges are locked in the order of their keys, as the batches of a push do it.
_UPDATE: Final = text(f"""
    WITH fresh AS ({_ROWS}),
    stored AS (
        UPDATE installations i
        SET {_KEPT}, custom = i.custom || r.custom, updated_at = {_NOW},
            token_set_at = CASE WHEN {_CHANGED} THEN clock_timestamp() ELSE i.token_set_at END,
            token_retired_at = CASE WHEN {_CHANGED} THEN NULL ELSE i.token_retired_at END,
            token_quarantined_until = CASE WHEN {_CHANGED} THEN NULL
                ELSE i.token_quarantined_until END
        FROM fresh r WHERE i.id = r.target
    ),
    locked AS (
        SELECT b.installation_id FROM badges b JOIN fresh r ON b.installation_id = r.target
        WHERE r.badge IS NOT NULL
        ORDER BY b.installation_id FOR UPDATE OF b
    )
    UPDATE badges b SET badge = r.badge
    FROM fresh r JOIN locked ON locked.installation_id = r.target
    WHERE b.installation_id = r.target
""")  # noqa: S608 - of our own column names

_MARK_SHARED: Final = text("""
    UPDATE installations SET token_shared = true
    WHERE app_id = :app_id AND NOT token_shared AND device_token = ANY(CAST(:tokens AS text[]))
""")
