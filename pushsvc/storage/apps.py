"""Apps and their keys. Only hashes of keys are stored; the caller shows a new key once."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ARRAY, RowMapping, Text, cast, insert, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import func

from pushsvc.model import App, AppSettings, Json
from pushsvc.storage.ids import new_application_id, new_key
from pushsvc.storage.tables import api_keys, apps

#: Shown of a key's random part, or of a key we did not make, if it is long enough to lose them.
HINT_CHARACTERS = 4
HINT_SHARE = 4


#: What our api keys begin with, so that people and scanners know them.
API_PREFIX = "psk"


class KeyKind(StrEnum):
    """Parse's keys, each sent in a header of its own, and ours."""

    MASTER = "master"
    REST = "rest"
    JAVASCRIPT = "javascript"
    CLIENT = "client"
    WINDOWS = "windows"
    API = "api"


class Scope(StrEnum):
    """What an api key may do; `admin` may all."""

    SEND = "send"
    READ = "read"
    ADMIN = "admin"


class AppExistsError(Exception):
    """An app of this name or application id exists already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as stored: its hash, never the key."""

    id: int
    app_id: int
    kind: KeyKind
    scopes: tuple[Scope, ...]
    key_hash: bytes
    hint: str
    created_at: datetime
    revoked_at: datetime | None


def hash_key(key: str) -> bytes:
    """Return the SHA-256 of a key: fast is safe here, our keys hold 256 random bits."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def hint_of(key: str) -> str:
    """Return what people may see of a key to tell it from others."""
    prefix, _, secret = key.partition("_")
    if not secret or prefix not in {*KeyKind, API_PREFIX}:
        prefix, secret = "", key
    shown = secret[: min(HINT_CHARACTERS, len(secret) // HINT_SHARE)]
    return f"{prefix}_{shown}" if prefix else shown


async def create_app(
    connection: AsyncConnection, *, name: str, application_id: str | None = None
) -> App:
    """Store a new app.

    Raises:
        AppExistsError: the name or the application id is taken.
    """
    statement = (
        insert(apps)
        .values(name=name, application_id=application_id or new_application_id())
        .returning(apps)
    )
    try:
        row = (await connection.execute(statement)).mappings().one()
    except IntegrityError as error:
        message = f"There is an app of that name or application id already: {name}."
        raise AppExistsError(message) from error
    return _app(row)


async def ensure_app(connection: AsyncConnection, application_id: str) -> App:
    """Return the app with this application id, which is its name, too, if it must be made.

    Of two who do so at once the second waits for the first: the row is locked.

    Raises:
        AppExistsError: another app has that name.
    """
    statement = (
        upsert(apps)
        .values(name=application_id, application_id=application_id)
        .on_conflict_do_nothing()
    )
    await connection.execute(statement)
    found = select(apps).where(apps.c.application_id == application_id).with_for_update()
    row = (await connection.execute(found)).mappings().first()
    if row is None:
        message = f"There is an app of the name {application_id}, with another application id."
        raise AppExistsError(message)
    return _app(row)


async def change_settings(
    connection: AsyncConnection, app: App, changes: Mapping[str, Any]
) -> AppSettings:
    """Change some of the app's settings, those given as None back to their default."""
    kept = {name: value for name, value in changes.items() if value is not None}
    stored = apps.c.settings.op("-")(cast(list(changes), ARRAY(Text))).op("||")(cast(kept, JSONB))
    statement = (
        update(apps).where(apps.c.id == app.id).values(settings=stored).returning(apps.c.settings)
    )
    return _settings((await connection.execute(statement)).scalar_one())


async def list_apps(connection: AsyncConnection) -> list[App]:
    """Return all apps in the order they were made."""
    rows = (await connection.execute(select(apps).order_by(apps.c.id))).mappings()
    return [_app(row) for row in rows]


async def find_app(connection: AsyncConnection, name: str) -> App | None:
    """Return the app with this name or application id."""
    statement = select(apps).where((apps.c.name == name) | (apps.c.application_id == name))
    row = (await connection.execute(statement)).mappings().first()
    return _app(row) if row else None


async def get_app(connection: AsyncConnection, app_id: int) -> App:
    """Return the app with this key, which something refers to."""
    row = (await connection.execute(select(apps).where(apps.c.id == app_id))).mappings().one()
    return _app(row)


async def app_with_keys(
    connection: AsyncConnection, application_id: str
) -> tuple[App, list[Key]] | None:
    """Return the app and its keys that are not revoked."""
    row = (
        (await connection.execute(select(apps).where(apps.c.application_id == application_id)))
        .mappings()
        .first()
    )
    if row is None:
        return None
    statement = select(api_keys).where(
        api_keys.c.app_id == row["id"], api_keys.c.revoked_at.is_(None)
    )
    keys = (await connection.execute(statement)).mappings()
    return _app(row), [_key(key) for key in keys]


async def app_of_key(connection: AsyncConnection, key: str) -> tuple[App, Key] | None:
    """Return whose api key this is, unless it is revoked.

    The lookup is by hash, so its time says nothing of the key's characters.
    """
    statement = select(api_keys).where(
        api_keys.c.key_hash == hash_key(key),
        api_keys.c.kind == KeyKind.API,
        api_keys.c.revoked_at.is_(None),
    )
    row = (await connection.execute(statement)).mappings().first()
    if row is None:
        return None
    app = (await connection.execute(select(apps).where(apps.c.id == row["app_id"]))).mappings()
    return _app(app.one()), _key(row)


async def create_key(
    connection: AsyncConnection,
    app: App,
    *,
    kind: KeyKind,
    scopes: Sequence[Scope] = (),
    key: str | None = None,
) -> tuple[Key, str]:
    """Store a key, a new one unless `key` is given; return it with its clear text."""
    clear = key or new_key(API_PREFIX if kind is KeyKind.API else kind.value)
    statement = (
        insert(api_keys)
        .values(
            app_id=app.id,
            kind=kind,
            scopes=[scope.value for scope in scopes],
            key_hash=hash_key(clear),
            hint=hint_of(clear),
        )
        .returning(api_keys)
    )
    row = (await connection.execute(statement)).mappings().one()
    return _key(row), clear


async def hold_keys(connection: AsyncConnection, app: App, given: Mapping[KeyKind, str]) -> None:
    """Make the app's Parse keys exactly these: others are revoked, and new ones stored."""
    there = [key for key in await list_keys(connection, app) if key.revoked_at is None]
    hashes = {kind: hash_key(key) for kind, key in given.items()}
    kept: set[KeyKind] = set()
    for key in there:
        if key.kind not in kept and hashes.get(key.kind) == key.key_hash:
            kept.add(key.kind)
        elif key.kind is not KeyKind.API:
            await revoke_key(connection, key.id)
    for kind in (kind for kind in given if kind not in kept):
        await create_key(connection, app, kind=kind, key=given[kind])


async def list_keys(connection: AsyncConnection, app: App) -> list[Key]:
    """Return the app's keys, revoked ones too."""
    statement = select(api_keys).where(api_keys.c.app_id == app.id).order_by(api_keys.c.id)
    return [_key(row) for row in (await connection.execute(statement)).mappings()]


async def revoke_key(connection: AsyncConnection, key_id: int) -> bool:
    """Revoke a key at once; return whether there was one to revoke."""
    statement = (
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    return (await connection.execute(statement)).rowcount == 1


def _app(row: RowMapping) -> App:
    return App(
        id=row["id"],
        application_id=row["application_id"],
        name=row["name"],
        settings=_settings(row["settings"]),
    )


def _settings(stored: Json) -> AppSettings:
    """Return the settings, of which those that were never set are not stored."""
    classes = stored.get("client_writes")
    return AppSettings(
        client_push=stored.get("client_push"),
        rest_push=stored.get("rest_push"),
        client_writes=None if classes is None else frozenset(classes),
        time_zone=stored.get("time_zone"),
    )


def _key(row: RowMapping) -> Key:
    values: dict[str, Any] = dict(row)
    values["kind"] = KeyKind(row["kind"])
    values["scopes"] = tuple(Scope(scope) for scope in row["scopes"])
    return Key(**values)
