"""Workers are replaced under load, one after the other: nothing is lost, nothing is sent twice."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import update

from pushsvc.model import OutcomeClass
from pushsvc.storage import tables
from tests.acceptance.service import DEADLINE_SECONDS, Service, service
from tests.integration.pushing import until

pytestmark = pytest.mark.acceptance

DEVICES = 3_000
#: The simulated FCM takes 100 messages at a time on each of two connections, and here each takes
#: 200 ms: a batch is under way when its worker is stopped, most of it not handed over.
BATCH = "1000"
SLOW = "~slow-02"


async def install(running: Service, gateway: str) -> dict[int, str]:
    """Store Android devices whose gateway takes its time; return key -> token."""
    tokens = await running.install(DEVICES)
    table = tables.installations
    async with running.engine.begin() as connection:
        rows = await connection.execute(
            update(table)
            .where(table.c.id.in_(tokens))
            .values(device_type="android", device_token=table.c.device_token + ":" + gateway + SLOW)
            .returning(table.c.id, table.c.device_token)
        )
        return {row[0]: row[1] for row in rows}


async def requests(running: Service) -> int:
    async with running.session.get(f"{running.control_url}/stats") as response:
        return int((await response.json())["gateways"]["fcm"]["requests"])


async def seen(running: Service, at_least: int) -> None:
    async def reached() -> bool:
        return await requests(running) >= at_least

    await until(reached, seconds=DEADLINE_SECONDS)


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
