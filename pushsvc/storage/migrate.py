"""The database's level: forward, back, and what is missing."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

#: Two that migrate at once take turns: an arbitrary number for pg_advisory_xact_lock.
MIGRATION_LOCK = 0x70757368
#: A migration waits no longer for a busy table: every query queues behind it. Shorter than
#: `deadlock_timeout` (1 s), so that it is never somebody's work that is ended.
LOCK_TIMEOUT = "500ms"
#: It lets them pass, and begins again, so often: half a minute.
TRIES = 40
PAUSE_SECONDS = 0.25
LOCK_NOT_AVAILABLE = "55P03"


class BusyError(Exception):
    """The tables are in use without a pause; nothing was changed."""


class UnknownRevisionError(Exception):
    """There is no such migration here; the database may be newer than this version of pushsvc."""


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Bring the database forward to `revision`.

    Raises:
        UnknownRevisionError: the revision, or the database's own, is not known here.
        BusyError: the tables are in use.
    """
    await _run(engine, command.upgrade, revision)


async def downgrade(engine: AsyncEngine, revision: str) -> None:
    """Bring the database back to `revision`; `base` empties it.

    Raises:
        UnknownRevisionError: the revision, or the database's own, is not known here.
        BusyError: the tables are in use.
    """
    await _run(engine, command.downgrade, revision)


async def current(connection: AsyncConnection) -> str | None:
    """Return the database's level; None where it was never migrated."""
    return await connection.run_sync(
        lambda plain: MigrationContext.configure(plain).get_current_revision()
    )


async def pending(connection: AsyncConnection) -> list[str]:
    """Return the revisions the database lacks, oldest first.

    Raises:
        UnknownRevisionError: the database is at a level that this version does not know.
    """
    level = await current(connection)
    scripts = ScriptDirectory.from_config(_config())
    known = [script.revision for script in reversed(list(scripts.walk_revisions()))]
    if level is None:
        return known
    if level not in known:
        message = (
            f"The database is at migration {level}, which this version of pushsvc does not know. "
            "Run the version that made it, or a newer one."
        )
        raise UnknownRevisionError(message)
    return known[known.index(level) + 1 :]


async def _run(engine: AsyncEngine, step: Callable[..., Any], revision: str) -> None:
    def migrate(connection: Connection) -> None:
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        config = _config()
        config.attributes["connection"] = connection
        step(config, revision)

    async with engine.connect() as connection:
        await pending(connection)
    try:
        for _ in range(TRIES):
            if await _has_run(engine, migrate):
                return
            await asyncio.sleep(PAUSE_SECONDS)
    except CommandError as error:
        message = f"{error}. `pushsvc migrate --show` lists the revisions."
        raise UnknownRevisionError(message) from error
    message = (
        "Somebody has the tables in use without a pause, so nothing was changed. Run it again when "
        "no backup, no long query and no other migration runs."
    )
    raise BusyError(message)


async def _has_run(engine: AsyncEngine, step: Callable[[Connection], None]) -> bool:
    """Run the steps in one transaction; False, and nothing is changed, where a lock is taken."""
    try:
        async with engine.begin() as connection:
            await connection.run_sync(step)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        return False
    return True


def _config() -> Config:
    """Find the steps beside the package: in it when installed, next to it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "migrations"
    config = Config()
    config.set_main_option(
        "script_location", str(inside if inside.exists() else package.parent / "migrations")
    )
    config.set_main_option("path_separator", "os")
    return config
