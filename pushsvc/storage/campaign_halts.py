"""What stops the push of a campaign's run and what lets it go on: the row is locked before."""

from typing import Any

from sqlalchemy import func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import Halt, Push, PushState
from pushsvc.storage.pushes import COLUMNS, as_push
from pushsvc.storage.tables import pushes


async def lock_push(connection: AsyncConnection, *, object_id: str) -> Push | None:
    """Return a push as it is and stays until the transaction ends."""
    mine = pushes.c.object_id == object_id
    statement = select(*COLUMNS).where(mine).with_for_update(key_share=True)
    row = (await connection.execute(statement)).mappings().first()
    return as_push(row) if row else None


async def end_unsent(connection: AsyncConnection, push: Push, *, reason: str) -> None:
    """Cancel a locked push of which nothing is planned: it is over."""
    await _change(
        connection,
        push,
        **_halt(Halt.CANCEL, reason),
        state=PushState.CANCELLED,
        lease_until=None,
        finished_at=func.now(),
    )


async def cancel(connection: AsyncConnection, push: Push, *, reason: str) -> None:
    """Cancel a locked push on its way."""
    await _change(connection, push, **_halt(Halt.CANCEL, reason))


async def pause(connection: AsyncConnection, push: Push, *, reason: str) -> None:
    """Pause a locked push."""
    await _change(connection, push, **_halt(Halt.PAUSE, reason))


async def resume(connection: AsyncConnection, push: Push, *, confirmed: int | None = None) -> None:
    """Let a locked push go on that is paused; `confirmed`: to so many devices, should they be."""
    values: dict[str, Any] = {"halt": None, "halt_reason": None, "halted_at": None}
    if confirmed is not None and push.rules is not None:
        values["rules"] = pushes.c.rules.op("||")(literal({"max_recipients": confirmed}, JSONB))
    await _change(connection, push, **values)


def _halt(halt: Halt, reason: str) -> dict[str, Any]:
    return {"halt": halt, "halt_reason": reason, "halted_at": func.now()}


async def _change(connection: AsyncConnection, push: Push, **values: Any) -> None:
    await connection.execute(update(pushes).where(pushes.c.id == push.id).values(**values))
