"""The devices that a case pushes to, and what it tells them."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rich.progress import Progress
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.schema import CreateIndex, DropIndex

from bench.place import Place
from pushsvc.model import App, GatewayName
from pushsvc.simulators.credentials import open_credentials
from pushsvc.storage import apps
from pushsvc.storage.apps import KeyKind, Scope
from pushsvc.storage.credentials import add_credential
from pushsvc.storage.sealing import Seal
from pushsvc.storage.tables import installations

TOPIC: Final = "com.example.bench"
CHANNEL: Final = "all"
#: Devices beside the others, in a channel of their own: enough batches for every process, and for
#: every connection that each has to Postgres.
WARM_CHANNEL: Final = "warm"
WARM_DEVICES: Final = 40_000
#: Devices in one statement, so that progress shows.
SEED_ROWS: Final = 50_000
#: More devices than this are written without indexes, which are built afterwards.
LARGE: Final = 2_000_000

PLAIN: Final = {
    "alert": "The Giants won against the Mets 2-3.",
    "alert-fr": "Les Giants ont battu les Mets 2-3.",
    "alert-de": "Die Giants haben gegen die Mets 2-3 gewonnen.",
}
TEMPLATED: Final = {
    "alert": "{{ firstName | default('Friend') }}, the {{ team }} won against the Mets 2-3.",
    "alert-fr": "{{ firstName | default('Ami') }}, les {{ team }} ont battu les Mets 2-3.",
    "alert-de": "{{ firstName | default('Freund') }}, {{ team }} hat gegen die Mets gewonnen.",
}

# As long as the tokens that APNs and FCM hand out.
_SEED: Final = text("""
    WITH new AS (
        INSERT INTO installations (app_id, object_id, installation_id, device_token, device_type,
            app_identifier, locale_identifier, time_zone, channels, custom)
        SELECT :app_id, 'b' || lpad(to_hex(n), 9, '0'), 'bench-' || n,
            CASE WHEN n % CAST(:of AS integer) < CAST(:android AS integer)
                THEN left(md5(n::text), 22) || '\\:APA91b' || repeat(md5('t' || n::text), 4)
                ELSE md5(n::text) || md5('t' || n::text) END,
            CASE WHEN n % CAST(:of AS integer) < CAST(:android AS integer)
                THEN 'android' ELSE 'ios' END, :topic,
            (ARRAY['en-US', 'fr-FR', 'de-DE'])[1 + n % 3], 'Europe/Paris',
            ARRAY[:channel, 'c' || n % 100],
            CASE WHEN CAST(:named AS boolean) THEN jsonb_build_object(
                'firstName', 'Ann ' || n % 1000, 'team', 'Giants') ELSE '{}'::jsonb END
        FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n
        RETURNING id
    )
    INSERT INTO badges (installation_id) SELECT id FROM new
""")
_FIELDS: Final = text("""
    INSERT INTO class_fields (app_id, class_name, field, type) VALUES
        (:app_id, '_Installation', 'firstName', 'String'),
        (:app_id, '_Installation', 'team', 'String')
""")


class Platform(StrEnum):
    """What the devices are."""

    IOS = "ios"
    ANDROID = "android"
    #: one by one
    MIXED = "mixed"


#: Of so many devices in a row these are Android's.
_ANDROID: Final = {Platform.IOS: (1, 0), Platform.ANDROID: (1, 1), Platform.MIXED: (2, 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a push says."""

    #: whether each device's badge goes up by one
    badge: bool = True
    #: whether it has texts in two languages more
    locales: bool = False
    #: whether the texts have variables
    templates: bool = False

    def body(self) -> dict[str, Any]:
        """Return it as it is posted."""
        texts = TEMPLATED if self.templates else PLAIN
        data: dict[str, Any] = dict(texts) if self.locales else {"alert": texts["alert"]}
        if self.badge:
            data["badge"] = "Increment"
        return data

    def __str__(self) -> str:
        said = [name for name in self.__dataclass_fields__ if getattr(self, name)]
        return ", ".join(said) or "plain"


WITH_BADGE: Final = Content()


def android_of(platform: Platform, devices: int) -> int:
    """Return how many of so many devices are Android's: those of `_SEED`, from 1 on."""
    of, android = _ANDROID[platform]
    return sum(n % of < android for n in range(1, devices + 1))


async def seed(
    engine: AsyncEngine,
    place: Place,
    devices: int,
    *,
    progress: Progress,
    platform: Platform = Platform.IOS,
    named: bool = False,
    warm: bool = False,
) -> str:
    """Write an app, its credentials and its devices; return an api key.

    `named` devices have the fields that texts with variables ask for. With `warm` there are some
    more, of the same kind, in `WARM_CHANNEL`.
    """
    task = progress.add_task("write devices", total=devices)
    async with engine.begin() as connection:
        app = await apps.create_app(connection, name="bench")
        _, key = await apps.create_key(connection, app, kind=KeyKind.API, scopes=[Scope.ADMIN])
        await connection.execute(_FIELDS, {"app_id": app.id})
    await _add_credentials(engine, place, app)
    of, android = _ANDROID[platform]
    parameters = {"app_id": app.id, "topic": TOPIC, "named": named}
    parameters |= {"of": of, "android": android}
    async with _without_indexes(engine) if devices >= LARGE else nullcontext():
        for first, last in _pieces(devices, warm=warm):
            channel = CHANNEL if first <= devices else WARM_CHANNEL
            piece = {"first": first, "last": last, "channel": channel}
            async with engine.begin() as connection:
                await connection.execute(_SEED, parameters | piece)
            progress.update(task, completed=last)
    await settle(engine)
    return key


@asynccontextmanager
async def _without_indexes(engine: AsyncEngine) -> AsyncIterator[None]:
    """Build indexes that are no constraint afterwards: row by row they cost a multiple."""
    async with engine.begin() as connection:
        for index in installations.indexes:
            await connection.execute(DropIndex(index))
    yield
    for index in installations.indexes:
        async with engine.begin() as connection:
            await connection.execute(CreateIndex(index))


def _pieces(devices: int, *, warm: bool) -> Iterator[tuple[int, int]]:
    """Yield the first and last of what one statement writes."""
    for first in range(1, devices + 1, SEED_ROWS):
        yield first, min(first + SEED_ROWS - 1, devices)
    if warm:
        yield devices + 1, devices + WARM_DEVICES


async def settle(engine: AsyncEngine) -> None:
    """Do what autovacuum does within a minute of such an import."""
    async with engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901 - it is the same one
        await connection.execute(text("VACUUM ANALYZE"))
        await connection.execute(text("CHECKPOINT"))


async def _add_credentials(engine: AsyncEngine, place: Place, app: App) -> None:
    directory = place.directory / "credentials"
    directory.mkdir()
    made = open_credentials(directory, token_uri=f"{place.sink.url}/token")
    seal = Seal(place.environment["PUSHSVC_SECRET_KEY"])
    apns = {"key_id": made.apns.key_id, "team_id": made.apns.team_id, "topics": [TOPIC]}
    account = made.fcm.service_account
    async with engine.begin() as connection:
        await add_credential(
            connection, seal, app=app, gateway=GatewayName.APNS, public=apns, secret=made.apns.p8
        )
        await add_credential(
            connection,
            seal,
            app=app,
            gateway=GatewayName.FCM,
            public={"project_id": account["project_id"]},
            secret=json.dumps(account),
        )


def new_p8() -> str:
    """Return a fresh key in the form of Apple's .p8 files."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
