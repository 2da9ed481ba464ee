"""What became of the pushes that were taken: planned, and sent to devices that lack nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update

from pushsvc import pipeline
from pushsvc.model import OutcomeClass, PushState
from pushsvc.storage import tables
from tests.integration.api.parse_fuzz.calls import GOOD
from tests.integration.pushing import (
    Site,
    apns_token,
    fcm_token,
    wns_channel,
)

AT_ONCE = 8
WELL = {OutcomeClass.OK, OutcomeClass.DEDUPLICATED, OutcomeClass.VALIDATED}
CHANNELS = ["news", GOOD]
#: Known only when a device's payload is made, and so told in the ledger.
TOLD_LATER = ("TooLarge",)


async def install(site: Site) -> dict[int, str]:
    """Store a device of each gateway; key -> type."""
    return {
        await site.install(apns_token(), channels=CHANNELS): "ios",
        await site.install(fcm_token(), "android", channels=CHANNELS): "android",
        await site.install(wns_channel(), "winrt", channels=CHANNELS): "winrt",
    }


async def flaws(site: Site, devices: Mapping[int, str]) -> list[str]:
    """Plan and deliver every push of the app now, and return what went wrong with which."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with turns:
            await _deliver(site, number)

    raised = await asyncio.gather(*map(one, await _made_due(site)), return_exceptions=True)
    found = [repr(error)[:2_000] for error in raised if error is not None]
    return [*found, *await _unclosed(site), *await _refused(site, devices)]


async def _deliver(site: Site, push_id: int) -> None:
    """Take one push its whole way, as a worker does."""
    await pipeline.plan_push(site.resources, push_id)
    columns = tables.batches.c
    async with site.engine.connect() as connection:
        seqs = await connection.execute(select(columns.seq).where(columns.push_id == push_id))
    for seq in seqs.scalars():
        await pipeline.deliver_batch(site.resources, push_id, seq)


async def _made_due(site: Site) -> list[int]:
    columns = tables.pushes.c
    async with site.engine.begin() as connection:
        numbers = await connection.execute(
            update(tables.pushes)
            .where(columns.app_id == site.app.id, columns.state == PushState.WAITING)
            .values(due_at=func.now(), expires_at=None)
            .returning(columns.id)
        )
        return list(numbers.scalars())


async def _unclosed(site: Site) -> list[str]:
    columns = tables.pushes.c
    statement = select(columns.audience, columns.content, columns.state, columns.error).where(
        columns.app_id == site.app.id, columns.state.not_in((PushState.DONE, PushState.CANCELLED))
    )
    async with site.engine.connect() as connection:
        rows = await connection.execute(statement)
        return [_told(f"{row.state} {row.error}", row) for row in rows]


async def _refused(site: Site, devices: Mapping[int, str]) -> list[str]:
    """Return the pushes that a device which lacks nothing was not sent."""
    pushes, batches = tables.pushes.c, tables.batches.c
    statement = (
        select(
            pushes.audience,
            pushes.content,
            batches.installation_ids,
            batches.outcomes,
            batches.exceptions,
        )
        .join(tables.batches, pushes.id == batches.push_id)
        .where(pushes.app_id == site.app.id)
    )
    found: dict[str, str] = {}
    async with site.engine.connect() as connection:
        for row in await connection.execute(statement):
            reasons = {p: r for r, places in (row.exceptions or {}).items() for p in places}
            for place, number in enumerate(row.installation_ids):
                outcome, reason = OutcomeClass(row.outcomes[place]), reasons.get(place, "")
                if number not in devices or outcome in WELL:
                    continue
                if not any(told in reason for told in TOLD_LATER):
                    what = f"{devices[number]}: {outcome.name} {reason}"
                    found.setdefault(what, _told(what, row))
    return list(found.values())


def _told(what: str, row: Any) -> str:
    return f"{what}: {row.audience} {row.content}"[:2_000]
