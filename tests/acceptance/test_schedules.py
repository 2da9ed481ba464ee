"""Pushes of one moment, and a worker that dies at it."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from pushsvc.model import OutcomeClass
from pushsvc.storage import tables
from tests.acceptance.service import DEADLINE_SECONDS, Service, service
from tests.integration.pushing import until

pytestmark = pytest.mark.acceptance

PUSHES = 200
#: Until they are due, when all are posted.
AHEAD_SECONDS = 6


async def schedule(running: Service, names: list[str], at: datetime) -> None:
    async def post(name: str) -> None:
        await running.push(
            devices=[{"object_id": name}],
            push_time=at.isoformat(),
        )

    for first in range(0, len(names), 20):
        await asyncio.gather(*map(post, names[first : first + 20]))


async def ends(running: Service) -> Any:
    """Return how many pushes are closed, and of their batches outcomes and whether a first one."""
    pushes, batches = tables.pushes.c, tables.batches.c
    async with running.engine.connect() as connection:
        closed = select(func.count()).where(pushes.app_id == running.app.id, pushes.state == "done")
        rows = select(batches.push_id, batches.outcomes, batches.installation_ids).where(
            pushes.id == batches.push_id, pushes.app_id == running.app.id
        )
        return await connection.scalar(closed), (await connection.execute(rows)).all()


async def test_a_worker_killed_at_the_moment_loses_nothing_and_fires_nothing_twice(
    servers: tuple[str, str], tmp_path: Path
) -> None:
    """kill -9 while it fires: each push has one end, and who got it twice is called resent."""
    async with service(servers, tmp_path, lease_seconds="2") as running:
        await running.start("api", "serve")
        await running.start("first", "worker", "--processes", "1")
        await running.start("second", "worker", "--processes", "1")
        tokens = await running.install(PUSHES)
        async with running.engine.connect() as connection:
            names = select(tables.installations.c.object_id).where(
                tables.installations.c.app_id == running.app.id
            )
            found = list((await connection.execute(names)).scalars())
        at = datetime.now(UTC) + timedelta(seconds=AHEAD_SECONDS)
        await schedule(running, found, at)
        assert datetime.now(UTC) < at, "they were posted too late to prove anything"
        await running.seen(PUSHES // 10)
        running.kill("first")
        assert await running.requests() < PUSHES, "the kill came too late to prove anything"

        async def all_closed() -> bool:
            return bool((await ends(running))[0] == PUSHES)

        await until(all_closed, seconds=DEADLINE_SECONDS)

        _, batches = await ends(running)
        sent = [ids[0] for _, outcomes, ids in batches if outcomes == bytes([OutcomeClass.OK])]
        resent = {
            tokens[ids[0]]
            for _, outcomes, ids in batches
            if outcomes == bytes([OutcomeClass.RESENT])
        }
        assert sorted(sent) == sorted(tokens)
        delivered = await running.delivered()
        assert set(delivered) == set(tokens.values())
        assert {token for token, n in delivered.items() if n > 1} <= resent
        assert await running.badges() == {1: PUSHES}
