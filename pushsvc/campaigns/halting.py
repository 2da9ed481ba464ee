"""A campaign's run that is under way, stopped and let go on with the campaign."""

from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.halting import require_confirmed
from pushsvc.model import Campaign, Halt, Push
from pushsvc.storage import halts, under_way


async def pause_runs(connection: AsyncConnection, campaign: Campaign, *, reason: str) -> int:
    """Pause what is under way; return how many runs that are. The campaign is locked."""
    number = 0
    async for push in _locked(connection, campaign):
        number += 1
        if push.halt is None:
            await halts.pause(connection, push, reason=reason)
    return number


async def resume_runs(
    connection: AsyncConnection, campaign: Campaign, *, confirmed: int | None
) -> None:
    """Let go on what is paused; `confirmed`: to so many devices. The campaign is locked.

    Raises:
        ConfirmationRequiredError: it is of more than that.
    """
    async for push in _locked(connection, campaign):
        if push.halt is Halt.PAUSE:
            require_confirmed(push, confirmed)
            await halts.resume(connection, push, confirmed=confirmed)


async def cancel_runs(connection: AsyncConnection, campaign: Campaign, *, reason: str) -> None:
    """Call off what is under way. The campaign is locked."""
    async for push in _locked(connection, campaign):
        if push.halt is Halt.CANCEL:
            continue
        step = halts.cancel if push.batches else halts.end_unsent
        await step(connection, push, reason=reason)


async def _locked(connection: AsyncConnection, campaign: Campaign) -> AsyncIterator[Push]:
    """Yield the pushes of runs that are still under way when they are locked."""
    for seen in await under_way.runs(connection, campaign.id):
        push = await halts.lock_push(connection, object_id=seen.object_id)
        if push is not None and push.state in under_way.OPEN:
            yield push
