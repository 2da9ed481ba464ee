"""Devices: what each message of a batch needs to know of where it goes."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import WINDOWS_DEVICE_TYPES, Batch, Device, Json, Recipient
from pushsvc.storage.channel_uri import chosen
from pushsvc.storage.engine import driver
from pushsvc.storage.fields import BADGE, COLUMNS, DEVICE_TYPES, VALUE_CHARACTERS

if TYPE_CHECKING:
    import asyncpg

    Driver = asyncpg.Connection[asyncpg.Record]

#: As `device_at` reads them.
_DEVICE: Final = """
    id, device_type, device_token, channel_uris, app_identifier, locale_identifier, push_type,
    token_retired_at IS NOT NULL AS is_retired
"""
# Without an address where the token was retired. The ids come as text: of an array the driver asks
# each element whether it is one, too, which costs more than the rest of it.
_LOAD: Final = """
    SELECT id, device_type, CASE WHEN token_retired_at IS NULL THEN device_token END,
        app_identifier, locale_identifier, push_type,
        CASE WHEN token_retired_at IS NULL THEN channel_uris END
    FROM installations WHERE id = ANY($1::text::bigint[])
"""
# Of several apps, by the names that pushes have for them. One look into the index for each name,
# and no other plan: see `saving/statements.py`.
_LOOK: Final = """
    SELECT i.* FROM unnest({apps}::bigint[], {names}::text[]) AS named(app, name), LATERAL (
        SELECT * FROM installations
        WHERE app_id = ANY(array_fill(named.app, ARRAY[1])) AND {column} = named.name OFFSET 0
    ) AS i
"""
_LOAD_NAMED: Final = f"""
    SELECT {_DEVICE}, app_id, object_id, installation_id FROM (
        {_LOOK.format(apps="$1", names="$2", column="object_id")}
        UNION ALL
        {_LOOK.format(apps="$3", names="$4", column="installation_id")}
    ) AS found
"""  # noqa: S608 - of constants

_MOMENT: Final = "to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#: Parse's name of a field that is no custom one -> how it is read.
_READ: Final[Mapping[str, str]] = {
    **COLUMNS,
    "objectId": "object_id",
    "createdAt": _MOMENT.format(column="created_at"),
    "updatedAt": _MOMENT.format(column="updated_at"),
    BADGE: "(SELECT badge FROM badges WHERE installation_id = id)",
}
_SPECIAL: Final = "CASE WHEN length(to_jsonb({0})::text) <= $3 THEN to_jsonb({0}) END"
_FIELDS: Final = """
    SELECT id, ARRAY[{special}]::jsonb[], (
        SELECT jsonb_object_agg(name, custom -> name) FROM unnest($2::text[]) AS name
        WHERE length((custom -> name)::text) <= $3
    ) FROM installations WHERE id = ANY($1)
"""


async def load_devices(
    engine: AsyncEngine, batch: Batch, *, fields: Collection[str] = ()
) -> list[Device]:
    """Return the batch's devices that are still there, in any order, with these fields of each.

    A device whose token was retired has none. Values that are too long for any text are left out.
    """
    if batch.recipients:
        return [named_at(place, recipient) for place, recipient in enumerate(batch.recipients)]
    ids = batch.installation_ids
    async with driver(engine) as connection:
        rows = await connection.fetch(_LOAD, f"{{{','.join(map(str, ids))}}}")
        values = await _values(connection, ids, sorted(fields)) if fields else {}
    if BADGE in fields:
        add_badges(values, batch.badges)
    return _devices(batch, rows, values) if rows else []


def _devices(
    batch: Batch, rows: Sequence["asyncpg.Record"], values: Mapping[int, dict[str, Any]]
) -> list[Device]:
    """Return the devices of rows as `_LOAD` has them: column by column, with no code for each."""
    numbers, kinds, tokens, apps, locales, push_types, channels = zip(*rows, strict=True)
    if any(channels):
        kinds_of = zip(kinds, push_types, tokens, channels, strict=True)
        addresses = [address_of(k, p, token=t, channels=c) for k, p, t, c in kinds_of]
    else:
        addresses = [token or "" for token in tokens]
    place_of = dict(zip(batch.installation_ids, count(), strict=False))
    places, badges = map(place_of.__getitem__, numbers), map(batch.badges.get, numbers)
    fields = map(values.get, numbers)
    columns = (places, kinds, addresses, apps, locales, badges, push_types, fields)
    return list(map(_device_of, zip(*columns, strict=True)))


#: What `Device._make` does, without a call of Python's for each.
_device_of: Final[Callable[[Iterable[Any]], Device]] = partial(tuple.__new__, Device)


async def load_named(
    engine: AsyncEngine, names: Iterable[tuple[int, Json]]
) -> Sequence["asyncpg.Record"]:
    """Return the installations that are named, each in its app, by object or installation id."""
    pairs = list(names)
    objects = [(app, one["object_id"]) for app, one in pairs if "object_id" in one]
    ours = [(app, one["installation_id"]) for app, one in pairs if "installation_id" in one]
    if not objects and not ours:
        return []
    async with driver(engine) as connection:
        return await connection.fetch(
            _LOAD_NAMED,
            [app for app, _ in objects],
            [name for _, name in objects],
            [app for app, _ in ours],
            [name for _, name in ours],
        )


async def load_values(
    engine: AsyncEngine, ids: Sequence[int], fields: Collection[str]
) -> dict[int, dict[str, Any]]:
    """Return these fields of installations; values that are too long for any text are left out."""
    async with driver(engine) as connection:
        return await _values(connection, ids, sorted(fields))


def add_badges(values: dict[int, dict[str, Any]], badges: Mapping[int, int]) -> None:
    """Put badges among the values as the messages have them.

    Another push may have changed those in the table meanwhile.
    """
    for number, badge in badges.items():
        values.setdefault(number, {})[BADGE] = badge


def device_at(
    place: int, row: "asyncpg.Record", *, badge: int | None, values: dict[str, Any] | None
) -> Device:
    """Return the device of an installation's row, at its place in a batch."""
    _, device_type, token, channels, app_identifier, locale, push_type, retired, *_ = row
    return Device(
        place,
        device_type,
        "" if retired else address_of(device_type, push_type, token=token, channels=channels),
        app_identifier,
        locale,
        badge,
        push_type,
        values,
    )


def named_at(place: int, recipient: Recipient) -> Device:
    """Return the device of an explicit recipient; its fields are those it was named with."""
    r = recipient
    fields = {
        "objectId": r.id,
        "deviceType": r.device_type,
        "deviceToken": r.token,
        "appIdentifier": r.app_identifier,
        "localeIdentifier": r.locale,
        "timeZone": r.time_zone,
        "pushType": r.push_type,
        BADGE: r.badge,
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    return Device(
        place, r.device_type, r.token, r.app_identifier, r.locale, r.badge, r.push_type, fields
    )


async def _values(
    connection: "Driver", ids: Sequence[int], names: Sequence[str]
) -> dict[int, dict[str, Any]]:
    special = [name for name in names if name in _READ]
    custom = [name for name in names if name not in _READ]
    columns = ", ".join(_SPECIAL.format(_READ[name]) for name in special)
    rows = await connection.fetch(_FIELDS.format(special=columns), ids, custom, VALUE_CHARACTERS)
    return {
        number: {
            name: value
            for name, value in ((own or {}) | dict(zip(special, read, strict=False))).items()
            if value is not None
        }
        for number, read, own in rows
    }


def address_of(
    device_type: str,
    push_type: str | None,
    *,
    token: str | None,
    channels: Mapping[str, str] | None,
) -> str:
    """Return where to send: a token, or for a Windows device its channel; empty for nowhere.

    The push type wins over the device type where it names a way to send, as it does for the
    message's form.
    """
    token = token or ""
    if not channels:
        return token
    kind = push_type if push_type in DEVICE_TYPES else device_type
    return chosen(channels, token) if kind in WINDOWS_DEVICE_TYPES else token
