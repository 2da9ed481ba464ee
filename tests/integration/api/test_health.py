"""`/livez`, `/readyz` and `/healthz`."""

import uuid
from collections.abc import AsyncIterator

import aiohttp
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.config import Settings
from pushsvc.storage import migrate
from pushsvc.storage.engine import create_engine
from pushsvc.storage.sealing import new_secret_key
from tests.integration.api.conftest import Api, running

#: The discard port: nobody listens there.
NO_REDIS = "redis://127.0.0.1:9/0"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
async def test_a_service_that_can_work_says_so(api: Api, path: str) -> None:
    """Without a key."""
    answer = await api.call("GET", path)

    assert (answer.status, answer.body["status"]) == (200, "ok")


async def ask(settings: Settings, path: str) -> tuple[int, dict[str, str]]:
    with running(settings) as url:
        async with aiohttp.ClientSession() as session, session.get(url + path) as response:
            body = await response.json()
            return response.status, body.get("checks", body)


async def test_without_redis_it_is_ready_and_says_what_lacks(servers: tuple[str, str]) -> None:
    """Pushes are stored, and delivered when Redis is back: a balancer must not take it away."""
    settings = Settings(
        database_url=servers[0],
        redis_url=NO_REDIS,
        secret_key=SecretStr(new_secret_key()),
        port=0,
    )

    status, checks = await ask(settings, "/readyz")

    assert (status, checks) == (200, {"database": "ok", "redis": "Redis cannot be reached."})


@pytest.fixture
async def other_database(servers: tuple[str, str], database: AsyncEngine) -> AsyncIterator[str]:
    """The URL of a database of its own on the run's server, without any table."""
    name = f"test_{uuid.uuid4().hex}"
    async with database.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text(f"CREATE DATABASE {name}"))
        url = make_url(servers[0]).set(database=name)
        yield url.render_as_string(hide_password=False)
        await plain.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.mark.parametrize("newer", [False, True])
async def test_it_is_ready_at_a_newer_level_and_not_at_an_older(
    servers: tuple[str, str], other_database: str, *, newer: bool
) -> None:
    """After a migration the old version serves until it is replaced; the reply says what to do."""
    if newer:
        engine = create_engine(other_database, connections=2)
        await migrate.upgrade(engine)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await engine.dispose()
    settings = Settings(
        database_url=other_database,
        redis_url=servers[1],
        secret_key=SecretStr(new_secret_key()),
        port=0,
    )

    status, checks = await ask(settings, "/readyz")

    assert (status, checks["redis"]) == (200 if newer else 503, "ok")
    assert ("9999" if newer else "Run `pushsvc migrate`") in checks["database"]


async def test_requests_on_a_database_without_tables_are_told_to_wait(
    servers: tuple[str, str], other_database: str
) -> None:
    """503: it is for the operator to migrate, and the caller did nothing wrong."""
    settings = Settings(
        database_url=other_database,
        redis_url=servers[1],
        secret_key=SecretStr(new_secret_key()),
        port=0,
    )
    with running(settings) as url:
        headers = {"X-Parse-Application-Id": "any"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{url}/parse/installations", headers=headers) as response,
        ):
            body = await response.json()
            assert (response.status, body["code"]) == (503, 100)
            assert "pushsvc migrate" in body["error"]
