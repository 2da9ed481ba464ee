"""The database's level: forward, back, and what is missing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
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
#: An index that is built beside saves waits so long for a transaction that is older: nothing queues
#: behind it.
BUILD_LOCK_TIMEOUT = "30s"


class BusyError(Exception):
    """The tables are in use without a pause; nothing was changed."""


class UnknownRevisionError(Exception):
    """There is no such migration here; the database may be newer than this version of pushsvc."""


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Bring the database forward to `revision`.

    What a step has in `CONCURRENTLY` is there before the step: indexes by name, each with the
    statement that builds it outside of a transaction.

    Raises:
        UnknownRevisionError: the revision, or the database's own, is not known here.
        BusyError: the tables are in use.
    """
    async with engine.connect() as connection:
        missing = await pending(connection)
    for before, indexes in _built_ahead(missing, revision):
        await _run(engine, command.upgrade, before)
        for name, statement in indexes.items():
            await _build(engine, name, statement)
    await _run(engine, command.upgrade, revision)


def _built_ahead(missing: list[str], revision: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield what is built ahead of steps up to a revision, and the level at which it is."""
    scripts = ScriptDirectory.from_config(_config())
    with _known():
        last = scripts.get_revision(revision)
    upto = missing.index(last.revision) + 1 if last.revision in missing else 0
    for step in missing[:upto]:
        script = scripts.get_revision(step)
        indexes: Mapping[str, str] | None = getattr(script.module, "CONCURRENTLY", None)
        if indexes:
            yield str(script.down_revision), indexes


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
    with _known():
        for _ in range(TRIES):
            if await _has_run(engine, migrate):
                return
            await asyncio.sleep(PAUSE_SECONDS)
    raise _busy()


@contextmanager
def _known() -> Iterator[None]:
    """Say what to do about a revision that there is not."""
    try:
        yield
    except CommandError as error:
        message = f"{error}. `pushsvc migrate --show` lists the revisions."
        raise UnknownRevisionError(message) from error


def _busy() -> BusyError:
    return BusyError(
        "Somebody has the tables in use without a pause, so no step was done by halves. Run it "
        "again when no backup, no long query and no other migration runs."
    )


# An index that is built beside saves: they go on, and so does everything else.

_IS_VALID = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


async def _build(engine: AsyncEngine, name: str, statement: str) -> None:
    """Build an index unless it is there; what an attempt that broke off has left goes first.

    Raises:
        BusyError: a transaction goes on that began before.
    """
    try:
        async with _alone(engine) as connection:
            valid = (await connection.execute(_IS_VALID, {"name": name})).scalar()
            if valid is False:
                await connection.execute(text(f"DROP INDEX CONCURRENTLY {name}"))
            if not valid:
                await connection.execute(text(statement))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise _busy() from error


@asynccontextmanager
async def _alone(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Lend a connection outside of a transaction, while nobody else migrates.

    It asks for its turn again and again: a build waits for everybody who waits in a statement.

    Raises:
        BusyError: others migrate all the time.
    """
    async with engine.connect() as plain:
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        try:
            await _take_turn(connection)
            await connection.execute(text(f"SET lock_timeout = '{BUILD_LOCK_TIMEOUT}'"))
            yield connection
        finally:
            # Its end is the end of its turn.
            await connection.invalidate()


async def _take_turn(connection: AsyncConnection) -> None:
    for _ in range(TRIES):
        mine = await connection.execute(
            text("SELECT pg_try_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK}
        )
        if mine.scalar():
            return
        await asyncio.sleep(PAUSE_SECONDS)
    raise _busy()


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
