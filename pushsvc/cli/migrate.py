"""`pushsvc migrate`: the database's level, forward and back."""

import asyncio
from typing import Annotated, Final

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.cli import session
from pushsvc.cli.display import result
from pushsvc.cli.options import Json
from pushsvc.config import Settings
from pushsvc.resources import located
from pushsvc.storage import migrate as storage

#: Alembic's word for this version's level.
HEAD: Final = "head"
#: What people read for a database that was never migrated.
EMPTY: Final = "empty"

app = typer.Typer(add_completion=False)


@app.command()
def migrate(
    *,
    to: Annotated[
        str, typer.Option(help="Revision to go to. An older one loses what came with the newer.")
    ] = HEAD,
    show: Annotated[
        bool, typer.Option("--show", help="Only show the level and what is missing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the database to this version's level, or to another one."""
    with located(session.settings()) as found:
        if show:
            level, missing = asyncio.run(_show(found))
            lacks = f"lacks {', '.join(missing)}" if missing else "lacks nothing"
            told = f"The database is at {level or EMPTY} and {lacks}."
            result({"level": level, "pending": missing}, told, as_json=as_json)
        else:
            before, after = asyncio.run(bring(found, to))
            told = f"The database went from {before or EMPTY} to {after or EMPTY}."
            if before == after:
                told = f"The database is at {after or EMPTY} already."
            result({"from": before, "level": after}, told, as_json=as_json)


async def bring(read: Settings, revision: str = HEAD) -> tuple[str | None, str | None]:
    """Bring the database to a revision; return the levels before and after.

    Raises:
        UnknownRevisionError: there is no such revision, or the database's own is not known here.
        BusyError: its tables are in use.
    """
    async with session.reached(read) as engine:
        before, missing = await _level(engine)
        if revision == HEAD or any(one.startswith(revision) for one in missing):
            await storage.upgrade(engine, revision)
        else:
            await storage.downgrade(engine, revision)
        after, _ = await _level(engine)
    return before, after


async def _show(read: Settings) -> tuple[str | None, list[str]]:
    async with session.reached(read) as engine:
        return await _level(engine)


async def _level(engine: AsyncEngine) -> tuple[str | None, list[str]]:
    async with engine.connect() as connection:
        return await storage.current(connection), await storage.pending(connection)
