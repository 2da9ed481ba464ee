"""An app is emptied: all that it has goes, but its keys, credentials and settings."""

from typing import Final

from sqlalchemy import Executable, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import PushState
from pushsvc.storage.tables import (
    audiences,
    batches,
    campaigns,
    class_fields,
    installations,
    objects,
    pushes,
    relations,
    templates,
)

#: What has rows of an app, but for what goes with a push or an installation.
_TABLES: Final = (pushes, installations, objects, relations, audiences, templates, class_fields)
_OPEN: Final = (PushState.WAITING, PushState.PLANNING, PushState.SENDING)


async def empty_app(engine: AsyncEngine, app_id: int) -> None:
    """Delete all that belongs to the app, but its keys, credentials and settings.

    Step by step, each in a transaction of its own, and safe to repeat where one fails. Pushes on
    their way are ended first, so that no plan writes more batches; then their batches go, in the
    order in which workers lock them: a batch, then its push. What a worker has handed to a gateway
    by then arrives, and leaves no trace; its job finds nothing to write to.
    """
    of_app = select(pushes.c.id).where(pushes.c.app_id == app_id)
    steps: tuple[Executable, ...] = (
        # First, so that none starts another push.
        delete(campaigns).where(campaigns.c.app_id == app_id),
        update(pushes)
        .where(pushes.c.app_id == app_id, pushes.c.state.in_(_OPEN))
        .values(
            state=PushState.FAILED,
            error="The app was emptied.",
            finished_at=func.now(),
            lease_until=None,
        ),
        delete(batches).where(batches.c.push_id.in_(of_app)),
        *(delete(table).where(table.c.app_id == app_id) for table in _TABLES),
    )
    for step in steps:
        async with engine.begin() as connection:
            await connection.execute(step)
