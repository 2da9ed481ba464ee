"""The tables: built forward, taken back, and always those of `storage.tables`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage import migrate
from pushsvc.storage.engine import create_engine
from pushsvc.storage.tables import metadata

pytestmark = pytest.mark.integration


@asynccontextmanager
async def of_its_own(
    servers: tuple[str, str], database: AsyncEngine, name: str
) -> AsyncIterator[AsyncEngine]:
    """Lend a database without tables."""
    async with database.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901 - it is the same one
        await connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
        await connection.execute(text(f"CREATE DATABASE {name}"))
    engine = create_engine(servers[0].replace("/pushsvc?", f"/{name}?"), connections=4)
    try:
        yield engine
    finally:
        await engine.dispose()


def differences(connection: Connection) -> list[object]:
    opts = {"compare_server_default": True, "include_name": _is_no_partition}
    context = MigrationContext.configure(connection, opts=opts)
    return list(compare_metadata(context, metadata))


def _is_no_partition(name: str | None, kind: str, _parents: object) -> bool:
    """Those of `batches` come and go by the day."""
    return not (kind == "table" and str(name).startswith("batches_"))


async def test_migrations_build_exactly_the_tables_of_the_code(database: AsyncEngine) -> None:
    """After the last migration the database is what `storage.tables` says, and nothing lacks."""
    async with database.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await migrate.pending(connection) == []


async def test_every_migration_goes_back(servers: tuple[str, str], database: AsyncEngine) -> None:
    """Forward, back to nothing, and forward again, on a database of its own."""
    async with of_its_own(servers, database, "migrations_test") as engine:
        await migrate.upgrade(engine)
        await migrate.downgrade(engine, "base")
        async with engine.connect() as connection:
            left = await connection.execute(
                text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            )
            assert list(left.scalars()) == ["alembic_version"]
            assert await migrate.current(connection) is None
        await migrate.upgrade(engine)
        async with engine.connect() as connection:
            assert await connection.run_sync(differences) == []


async def test_a_database_from_the_future_is_refused_with_a_remedy(
    servers: tuple[str, str], database: AsyncEngine
) -> None:
    """A level that this version does not know is named, and nothing is changed."""
    async with of_its_own(servers, database, "future_test") as engine:
        await migrate.upgrade(engine)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(migrate.UnknownRevisionError, match="9999"):
            await migrate.upgrade(engine)


async def test_what_installations_hold_gets_types_and_places(
    servers: tuple[str, str], database: AsyncEngine
) -> None:
    """Of what an older version has stored: the type that is most frequent, and the one place."""
    team = {"__type": "Pointer", "className": "Team", "objectId": "one"}
    place = {"__type": "GeoPoint", "latitude": 1.5, "longitude": -2}
    rows: list[dict[str, Any]] = [
        {"score": 1, "team": team, "home": place, "ACL": {}, "nothing": None},
        {"score": 2, "news": True, "tags": ["a"], "prefs": {"a": 1}},
        {"score": "high"},
    ]
    async with of_its_own(servers, database, "typed_test") as engine:
        await migrate.upgrade(engine, "0001")
        async with engine.begin() as connection:
            await connection.execute(_OLD_APP)
            for number, custom in enumerate(rows):
                row = {"object_id": f"old{number}", "custom": orjson.dumps(custom).decode()}
                await connection.execute(_OLD_INSTALLATION, row)
        await migrate.upgrade(engine)
        async with engine.connect() as connection:
            found = await connection.execute(
                text("SELECT field, type, target_class FROM class_fields")
            )
            types = {row.field: (row.type, row.target_class) for row in found}
            places = await connection.execute(
                text("SELECT latitude, longitude FROM installations ORDER BY object_id")
            )
            assert [tuple(row) for row in places] == [(1.5, -2.0), (None, None), (None, None)]
    assert types == {
        "score": ("Number", None),
        "team": ("Pointer", "Team"),
        "home": ("GeoPoint", None),
        "news": ("Boolean", None),
        "tags": ("Array", None),
        "prefs": ("Object", None),
    }


_OLD_APP = text("INSERT INTO apps (name, application_id) VALUES ('old', 'old')")
_OLD_INSTALLATION = text("""
    INSERT INTO installations (app_id, object_id, device_type, custom)
    SELECT id, :object_id, 'ios', CAST(:custom AS jsonb) FROM apps
""")
