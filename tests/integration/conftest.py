"""Real servers for the tests of this folder: one PostgreSQL and one Redis for the whole run."""

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.config import Settings
from pushsvc.model import App
from pushsvc.resources import Resources, open_resources
from pushsvc.storage import apps, migrate
from pushsvc.storage.apps import KeyKind, Scope
from pushsvc.storage.engine import create_engine
from pushsvc.storage.sealing import new_secret_key
from tests.integration.embedded_fixtures import session_servers


@dataclass(frozen=True, kw_only=True)
class AppRow:
    """An app of one test alone, with its keys in clear."""

    app: App
    master_key: str
    rest_key: str
    api_key: str


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[str, str]]:
    """The URLs of a PostgreSQL and a Redis that live as long as the run."""
    with session_servers() as urls:
        yield urls


@pytest.fixture(scope="session")
def secret_key() -> str:
    """The key under which the run's credentials are sealed."""
    return new_secret_key()


@pytest.fixture
async def database(servers: tuple[str, str]) -> AsyncIterator[AsyncEngine]:
    """The migrated database."""
    engine = create_engine(servers[0], connections=20)
    async with engine.connect() as connection:
        level = await migrate.pending(connection)
    if level:
        await migrate.upgrade(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
def settings(servers: tuple[str, str], secret_key: str, database: AsyncEngine) -> Settings:  # noqa: ARG001 - migrated
    """Settings of a service on the run's servers, on a free port."""
    return Settings(
        database_url=servers[0],
        redis_url=servers[1],
        secret_key=SecretStr(secret_key),
        port=0,
        clock_seconds=0.05,
    )


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    """What a process of the service holds open."""
    async with open_resources(settings) as opened:
        yield opened


@pytest.fixture
async def app_row(database: AsyncEngine) -> AppRow:
    """A fresh app with a master, a REST and an admin api key."""
    async with database.begin() as connection:
        app = await apps.create_app(connection, name=f"test-{uuid.uuid4().hex}")
        _, master_key = await apps.create_key(connection, app, kind=KeyKind.MASTER)
        _, rest_key = await apps.create_key(connection, app, kind=KeyKind.REST)
        _, api_key = await apps.create_key(connection, app, kind=KeyKind.API, scopes=[Scope.ADMIN])
    return AppRow(app=app, master_key=master_key, rest_key=rest_key, api_key=api_key)
