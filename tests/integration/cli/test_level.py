"""Migrations from the command line, on a database of the test alone."""

import asyncio
import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import make_url, text

from pushsvc.cli import session
from pushsvc.config import Settings
from tests.integration.cli.conftest import Pushsvc

pytestmark = pytest.mark.integration


async def execute(settings: Settings, statement: str) -> None:
    async with session.reached(settings) as engine, engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text(statement))


@pytest.fixture
def own(settings: Settings) -> Iterator[Settings]:
    """Settings with an empty database of the run's server."""
    assert settings.database_url
    name = f"level_{uuid.uuid4().hex[:12]}"
    asyncio.run(execute(settings, f"CREATE DATABASE {name}"))
    url = make_url(settings.database_url).set(database=name)
    yield settings.model_copy(update={"database_url": url.render_as_string(hide_password=False)})
    asyncio.run(execute(settings, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def on_own(pushsvc: Pushsvc, own: Settings) -> Pushsvc:
    """Commands on that database."""
    return lambda *arguments: pushsvc(*arguments, PUSHSVC_DATABASE_URL=own.database_url)


@pytest.mark.parametrize("command", [("serve",), ("worker",), ("app", "list")])
def test_nothing_works_on_a_database_that_lacks_migrations(
    on_own: Pushsvc, command: tuple[str, ...]
) -> None:
    """The error says what to run."""
    ended = on_own(*command, "--json")

    assert (ended.status, ended.error["code"]) == (1, "migrations")
    assert "Run `pushsvc migrate`." in ended.err


def test_the_database_is_brought_forward_and_back(on_own: Pushsvc) -> None:
    """`migrate` goes to the head and, told so, back; `--show` changes nothing."""
    before = on_own("migrate", "--show", "--json").json
    assert (before["level"], bool(before["pending"])) == (None, True)

    forward = on_own("migrate", "--json").json
    assert (forward["from"], forward["level"]) == (None, before["pending"][-1])
    assert on_own("migrate", "--show", "--json").json == {
        "level": forward["level"],
        "pending": [],
    }
    assert "already" in on_own("migrate").out
    assert on_own("app", "list").status == 0

    assert on_own("migrate", "--to", "base", "--json").json["level"] is None


def test_an_unknown_revision_is_refused(on_own: Pushsvc) -> None:
    """A revision that is not there is named, with the way to the list."""
    ended = on_own("migrate", "--to", "nonsense", "--json")

    assert (ended.status, ended.error["code"]) == (1, "migrations")
    assert "nonsense" in ended.err


@pytest.mark.parametrize("command", [("serve",), ("worker",), ("migrate",)])
def test_a_newer_database_is_left_alone(
    own: Settings, on_own: Pushsvc, command: tuple[str, ...]
) -> None:
    """A database that a newer version has migrated is not worked on by this one."""
    on_own("migrate")
    asyncio.run(execute(own, "UPDATE alembic_version SET version_num = 'fffffff'"))

    ended = on_own(*command, "--json")

    assert (ended.status, ended.error["code"]) == (1, "migrations")
    assert "newer" in ended.err
