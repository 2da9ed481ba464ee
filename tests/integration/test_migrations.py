"""The tables: built forward, taken back, and always those of `storage.tables`."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage import migrate
from pushsvc.storage.engine import create_engine
from pushsvc.storage.tables import metadata

pytestmark = pytest.mark.integration


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def test_migrations_build_exactly_the_tables_of_the_code(database: AsyncEngine) -> None:
    """After the last migration the database is what `storage.tables` says, and nothing lacks."""
    async with database.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await migrate.pending(connection) == []


async def test_every_migration_goes_back(servers: tuple[str, str], database: AsyncEngine) -> None:
    """Forward, back to nothing, and forward again, on a database of its own."""
    async with database.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901 - it is the same one
        await connection.execute(text("DROP DATABASE IF EXISTS migrations_test"))
        await connection.execute(text("CREATE DATABASE migrations_test"))
    engine = create_engine(servers[0].replace("/pushsvc?", "/migrations_test?"), connections=2)
    try:
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
    finally:
        await engine.dispose()


async def test_a_database_from_the_future_is_refused_with_a_remedy(
    servers: tuple[str, str], database: AsyncEngine
) -> None:
    """A level that this version does not know is named, and nothing is changed."""
    async with database.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901 - it is the same one
        await connection.execute(text("DROP DATABASE IF EXISTS future_test"))
        await connection.execute(text("CREATE DATABASE future_test"))
    engine = create_engine(servers[0].replace("/pushsvc?", "/future_test?"), connections=2)
    try:
        await migrate.upgrade(engine)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(migrate.UnknownRevisionError, match="9999"):
            await migrate.upgrade(engine)
    finally:
        await engine.dispose()
