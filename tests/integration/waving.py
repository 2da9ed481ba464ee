"""Pushes that are planned by zone, and a clock for them: what is stored is moved into the past."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from pushsvc.model import Json, Lane, OutcomeClass, Push, Rules, Schedule, Source, Submission
from pushsvc.planning import localtime
from pushsvc.storage import pushes, tables, waves
from pushsvc.storage.waves import Wave
from tests.integration.pushing import Site

#: East to west, none with a summer time; the first is ahead of UTC by 9 hours.
TOKYO, KOLKATA, LAGOS, BOGOTA = "Asia/Tokyo", "Asia/Kolkata", "Africa/Lagos", "America/Bogota"
HOUR = timedelta(hours=1)


def clock_of(zone: str, *, ahead: timedelta = timedelta()) -> datetime:
    """What the clocks of a zone show now, or so long from now."""
    return (datetime.now(UTC) + ahead).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


async def store(
    site: Site,
    *,
    local_time: datetime | None = None,
    zoneless: str | None = None,
    expires_in: int | None = None,
    rules: Rules | None = None,
    content: Json | None = None,
    audience: Json | None = None,
    **fields: Any,
) -> Push:
    """Store a push to the channel `all` that is planned by zone."""
    now = datetime.now(UTC)
    due_at = now if local_time is None else localtime.moments(local_time)[0].at
    schedule = Schedule(
        due_at=due_at,
        expires_at=None if expires_in is None else due_at + timedelta(days=2, seconds=expires_in),
        push_time=now.isoformat() if local_time is None else local_time.isoformat(),
        expiration_interval=expires_in,
        local_time=local_time,
        zoneless=zoneless,
    )
    submission = Submission(
        source=Source.V1,
        audience=audience or {"channels": ["all"]},
        content=content or {"data": {"alert": "Hello"}},
        push_time=None if local_time is None else schedule.push_time,
        rules=rules,
        **fields,
    )
    async with site.engine.begin() as connection:
        stored = await pushes.insert_push(
            connection,
            submission,
            app_id=site.app.id,
            schedule=schedule,
            lane=Lane.BULK,
            push_hash="",
        )
    return stored.push


async def passes(site: Site, push: Push, time: timedelta) -> Push:
    """Let time pass for a push: all of its times lie so much further back. Return it as it is."""
    statement = text("""
        UPDATE pushes SET local_time = local_time - past, due_at = due_at - past,
            started_at = started_at - past, expires_at = expires_at - past
        FROM (SELECT CAST(:time AS interval) AS past) AS passed
        WHERE id = :id
    """)
    async with site.engine.begin() as connection:
        await connection.execute(statement, {"time": time, "id": push.id})
    return await site.now(push)


async def batches_of(site: Site, push: Push, *columns: str) -> list[tuple[Any, ...]]:
    """Return these columns of the push's batches, in their order."""
    batches = tables.batches.c
    statement = select(*(batches[name] for name in columns)).where(batches.push_id == push.id)
    async with site.engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(statement.order_by(batches.seq))]


async def zones_of(site: Site, push: Push) -> Mapping[str, list[int]]:
    """Return the installations that are in batches of each zone, in the order of the batches."""
    found: dict[str, list[int]] = {}
    for zone, ids in await batches_of(site, push, "zone", "installation_ids"):
        found.setdefault(zone, []).extend(ids)
    return found


async def settled(site: Site, push: Push) -> Mapping[int, OutcomeClass]:
    """Return what the plan has settled, or a worker since."""
    rows = await batches_of(site, push, "installation_ids", "outcomes")
    return {
        number: OutcomeClass(byte)
        for ids, outcomes in rows
        for number, byte in zip(ids, outcomes or bytes(len(ids)), strict=True)
    }


async def waves_of(site: Site, push: Push) -> list[Wave]:
    """Return the push's waves, as they are listed."""
    async with site.engine.connect() as connection:
        return list(await waves.list_waves(connection, push.id, after=None, limit=1000))
