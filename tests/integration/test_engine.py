"""The connection pool."""

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage.engine import PASSING_ERRORS, create_engine, driver

pytestmark = pytest.mark.integration

TOKEN = "ab" * 32


async def test_an_error_does_not_tell_the_parameters(database: AsyncEngine) -> None:
    """Errors are logged, and a parameter may be a device token."""
    statement = text("SELECT 1 / (length(:token) - 64)")

    async with database.connect() as connection:
        with pytest.raises(DBAPIError, match="division by zero") as caught:
            await connection.execute(statement, {"token": TOKEN})

    assert TOKEN not in str(caught.value)


async def test_connections_that_the_server_closed_are_replaced(
    servers: tuple[str, str], database: AsyncEngine
) -> None:
    """A restart fails what runs, and nothing that is begun afterwards."""
    engine = create_engine(servers[0], connections=3)
    backend = text("SELECT pg_backend_pid()")
    async with engine.connect() as one, engine.connect() as other:
        pids = [(await connection.execute(backend)).scalar_one() for connection in (one, other)]
    async with database.connect() as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 10000) FROM unnest(CAST(:pids AS int[])) AS pid"
            ),
            {"pids": pids},
        )

    async with engine.connect() as one, engine.connect() as other:
        again = [(await connection.execute(backend)).scalar_one() for connection in (one, other)]

    await engine.dispose()
    assert not set(pids) & set(again)


async def test_the_server_is_asked_to_keep_idle_connections_alive(servers: tuple[str, str]) -> None:
    """By a socket of this machine it has nothing to do, and shows no number."""
    engine = create_engine(servers[0], connections=1)
    asked = text("SELECT source FROM pg_settings WHERE name = 'tcp_keepalives_idle'")
    async with engine.connect() as connection:
        assert (await connection.execute(asked)).scalar_one() == "client"
    await engine.dispose()


async def test_whoever_is_refused_a_connection_can_try_again(servers: tuple[str, str]) -> None:
    """As while the server starts; the adapter's own error would have ended the whole worker."""
    elsewhere = make_url(servers[0]).set(database="not_there")
    engine = create_engine(elsewhere.render_as_string(hide_password=False), connections=1)
    with pytest.raises(PASSING_ERRORS, match="does not exist"):
        async with driver(engine):
            pass
    await engine.dispose()
