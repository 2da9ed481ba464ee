"""A push is cancelled while workers send it: within two seconds the last message has left."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pushsvc.model import OutcomeClass
from tests.acceptance.service import Service, service
from tests.integration.pushing import until

pytestmark = pytest.mark.acceptance

DEVICES = 4_000
#: Each takes 300 ms, and a worker has some dozens out at a time: alone it would take long.
SLOW = "fa171203"
#: From the answer to the cancel on, and so from its commit at the latest.
STOPPED_SECONDS = 2.0
LEDGER_PAGE = 1_000


async def step(running: Service, push: str, name: str) -> dict[str, Any]:
    """Ask for a step of the push, and return the push."""
    headers = {"Authorization": f"Bearer {running.api_key}"}
    url = f"{running.api_url}/v1/pushes/{push}:{name}"
    async with running.session.post(url, headers=headers) as response:
        shown: dict[str, Any] = await response.json()
        assert response.status == 200, shown
        return shown


async def requests(running: Service) -> list[dict[str, Any]]:
    """Return all that the simulators got, with its time."""
    found: list[dict[str, Any]] = []
    after: Any = 0
    while after is not None:
        query = {"after": str(after), "limit": str(LEDGER_PAGE)}
        async with running.session.get(f"{running.control_url}/ledger", params=query) as response:
            page = await response.json()
        found += page["entries"]
        after = page["next"]
    return found


async def test_a_push_that_is_cancelled_stops_within_two_seconds(
    servers: tuple[str, str], tmp_path: Path
) -> None:
    """Two workers are at it; what they handed over is sent, all else cancelled, each told once."""
    async with service(servers, tmp_path) as running:
        await asyncio.gather(
            running.start("api", "serve"),
            *(running.start(name, "worker", "--processes", "1") for name in ("one", "two")),
        )
        tokens = await running.install(DEVICES, fault=SLOW)
        push = await running.push()
        await running.seen(DEVICES // 50)

        shown = await step(running, push, "cancel")
        cancelled_at = time.time()

        async def closed() -> bool:
            return bool((await running.show(push))["state"] == "cancelled")

        await until(closed)
        # Nothing comes after: all batches are written down, and no worker has any.
        last = await requests(running)
        ledger = Counter((await running.ledger(push)).values())
        counts = (await running.show(push))["counts"]

        assert shown["halt"] == "cancel"
        assert max(one["time"] for one in last) < cancelled_at + STOPPED_SECONDS
        delivered = Counter(one["token"] for one in last if one["delivered"])
        assert delivered.keys() < set(tokens.values()), "it stopped too late to prove anything"
        assert set(delivered.values()) == {1}
        sent = ledger[OutcomeClass.OK]
        assert (sent, counts["sent"]) == (len(delivered), len(delivered))
        assert ledger == {OutcomeClass.OK: sent, OutcomeClass.CANCELLED: counts["cancelled"]}
        assert sent + counts["cancelled"] == DEVICES
