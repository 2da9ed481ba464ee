"""Workers are replaced under load, one after the other: nothing is lost, nothing is sent twice."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from pushsvc.model import OutcomeClass
from pushsvc.storage import tables
from tests.acceptance.service import Service, service

pytestmark = pytest.mark.acceptance

DEVICES = 3_000
#: The simulated FCM takes 100 messages at a time on each of two connections, and here each takes
#: 200 ms: a batch is under way when its worker is stopped, most of it not handed over.
BATCH = "1000"
SLOW = "~slow-02"


async def install(running: Service) -> dict[int, str]:
    """Store Android devices whose gateway takes its time; return key -> token."""
    table = tables.installations.c
    slow = func.concat("fcm", table.id, ":token", SLOW)
    statement = (
        update(tables.installations)
        .where(table.id.in_(await running.install(DEVICES)))
        .values(device_type="android", device_token=slow)
        .returning(table.id, table.device_token)
    )
    async with running.engine.begin() as connection:
        return {row[0]: row[1] for row in await connection.execute(statement)}


async def not_handed(running: Service, push: str) -> int:
    """Return how many devices a worker that stopped has left to others."""
    columns = tables.batches.c
    statement = (
        select(func.sum(func.jsonb_array_length(columns.exceptions["NotSent"])))
        .join(tables.pushes)
        .where(tables.pushes.c.object_id == push)
    )
    async with running.engine.connect() as connection:
        return (await connection.execute(statement)).scalar_one() or 0


async def test_workers_replaced_under_load_lose_and_double_nothing(
    servers: tuple[str, str], tmp_path: Path
) -> None:
    """Twice a new one comes and an old one goes: each device got its message, and got it once."""
    # Paced, most of it would have a later turn, and there would be little to hand over.
    unpaced = {"fcm_ramp_seconds": "0"}
    async with service(servers, tmp_path, knobs=(), batch_size=BATCH, **unpaced) as running:
        await asyncio.gather(
            running.start("api", "serve"),
            *(running.start(name, "worker", "--processes", "1") for name in ("old", "new")),
        )
        tokens = await install(running)
        push = await running.push()

        await running.seen(DEVICES // 10, "fcm")
        assert await running.stop("old") == 0
        assert await running.requests("fcm") < DEVICES, "it stopped too late to prove anything"
        await running.start("newer", "worker", "--processes", "1")
        assert await running.stop("new") == 0

        shown = await running.done(push)
        assert shown["counts"]["sent"] == DEVICES
        assert await running.ledger(push) == dict.fromkeys(tokens, OutcomeClass.OK)
        assert await not_handed(running, push) > 0, "nothing was left to hand over"
        assert await running.delivered("fcm") == dict.fromkeys(tokens.values(), 1)
