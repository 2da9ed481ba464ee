"""What commands work with: settings, servers, the database at the right level, an app by name."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc import config, log
from pushsvc.cli.failures import CommandError
from pushsvc.config import Settings, SettingsError
from pushsvc.delivery.gateways import proxy_of
from pushsvc.model import App
from pushsvc.resources import Resources, located, open_resources
from pushsvc.storage import apps, migrate
from pushsvc.storage.engine import DATABASE_ERRORS, create_engine

T = TypeVar("T")


def settings(**options: Any) -> Settings:
    """Read the settings, under the options that were given, and set up the log.

    Raises:
        SettingsError: one is unknown, or cannot be what it is.
    """
    read = config.load(**options)
    _check_url("database_url", read.database_url)
    _check_url("redis_url", read.redis_url)
    # Told here it is told once, and not by each process that would go through it.
    proxy_of(read)
    log.configure(level=read.log_level, form=read.log_format)
    return read


def run(work: Callable[[Resources], Awaitable[T]], read: Settings | None = None) -> T:
    """Do a command's work with the servers there and the database at this version's level."""

    async def begin(found: Settings) -> T:
        await require_level(found)
        async with open_resources(found) as resources:
            return await work(resources)

    with located(read or settings()) as found:
        return asyncio.run(begin(found))


@asynccontextmanager
async def reached(read: Settings) -> AsyncIterator[AsyncEngine]:
    """Open an engine for a few statements, and make sure that the database answers.

    Raises:
        CommandError: it does not; says which database it is, and what to do.
    """
    assert read.database_url
    engine = create_engine(read.database_url, connections=1)
    try:
        await _first_connection(engine, read)
        yield engine
    finally:
        await engine.dispose()


async def _first_connection(engine: AsyncEngine, read: Settings) -> None:
    try:
        async with engine.connect():
            pass
    except DATABASE_ERRORS as error:
        message = (
            f"The database {shown_url(read.database_url)} cannot be reached: "
            f"{str(error) or type(error).__name__}. Check PUSHSVC_DATABASE_URL; `pushsvc doctor` "
            "tells more."
        )
        raise CommandError(message, code="database", field="database_url") from error


async def require_level(read: Settings) -> None:
    """Refuse to work on a database that lacks migrations, or has some we do not know.

    Raises:
        CommandError: says what to run.
        UnknownRevisionError: the database is newer than this version.
    """
    async with reached(read) as engine, engine.connect() as connection:
        missing = await migrate.pending(connection)
    if missing:
        message = (
            f"The database lacks {len(missing)} migration(s), the first is {missing[0]}. "
            "Run `pushsvc migrate`."
        )
        raise CommandError(message, code="migrations")


async def app(connection: AsyncConnection, name: str, *, field: str = "--app") -> App:
    """Return the app with this name or application id.

    Raises:
        CommandError: there is none; lists those there are.
    """
    found = await apps.find_app(connection, name)
    if found is None:
        known = ", ".join(one.name for one in await apps.list_apps(connection))
        there = f"There are: {known}." if known else "Make one with `pushsvc app create NAME`."
        message = f"There is no app {name!r}. {there}"
        raise CommandError(message, code="unknown_app", status=2, field=field)
    return found


def environment(read: Settings) -> dict[str, str]:
    """Return the environment in which a child reads exactly these settings.

    What a file and options have set stands in it, so the child is given an empty file.
    """
    prefix = config.PREFIX
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
    given = {f"{prefix}{name.upper()}": _text(value) for name, value in read if value is not None}
    return {**kept, **given, config.FILE_VARIABLE: os.devnull}


def shown_url(url: str | None) -> str:
    """Return a server's URL without its password."""
    if url is None:
        return "(embedded)"
    scheme, _, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    user = credentials.partition(":")[0]
    return f"{scheme}://{user}{at}{place.partition('?')[0]}"


def _check_url(name: str, url: str | None) -> None:
    """Refuse what the drivers would stumble over: a port that is no number, half a bracket."""
    try:
        _ = urlsplit(url or "").port
    except ValueError as error:
        message = f"Setting {name} ({config.PREFIX}{name.upper()}) is not a URL: {error}."
        raise SettingsError(message) from error


def _text(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
