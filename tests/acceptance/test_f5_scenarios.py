"""The ten scenarios that any sender of pushes must survive, by number, on real processes.

Each docstring has the scenario's own words. All share one stage: API, three workers, simulators.
With F5_FULL=1 they have their full size (`make test-delivery`); else one that fits beside others.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from pushsvc.storage import migrate
from pushsvc.storage.engine import create_engine
from tests.acceptance.scene import Scene, some
from tests.chaos import senders
from tests.chaos.fleet import ONCE, STALE, Device, Fleet
from tests.chaos.gateways import Gateways
from tests.chaos.ledgers import OK, UNKNOWN
from tests.chaos.stage import WORKERS, Stage, staged
from tests.integration.embedded_fixtures import private_data_directory
from tests.integration.pushing import until

pytestmark = [pytest.mark.acceptance, pytest.mark.asyncio(loop_scope="module")]

logger = logging.getLogger(__name__)

FULL = os.environ.get("F5_FULL") == "1"
#: Devices of a scenario that says no number, and how long a gateway is away.
DEVICES = 20_000 if FULL else 2_000
AWAY_SECONDS = 60 if FULL else 4
#: A provider token is expired for the simulators at this age. A second one may come at any time,
#: for here a token can be new and 25 minutes old.
TOKEN_AGE_SECONDS = 1_500
#: What a worker may hold, whatever a gateway does.
RSS_LIMIT_MB = 300
GATEWAY_CONNECTIONS = 2


@dataclass(frozen=True, kw_only=True)
class Theatre:
    """The stage, and the credentials that every scene has."""

    stage: Stage
    told: dict[str, Any]

    async def scene(self, devices: list[Device]) -> Scene:
        """Begin a scene with these devices, and simulators that know of nothing."""
        await self.stage.gateways.reset()
        return await Scene.of(self.stage, self.told, devices)

    async def restart_workers(self) -> None:
        """Kill all workers, and wait until others are there."""
        for worker in self.stage.workers:
            worker.kill()
        await asyncio.gather(*(worker.ready() for worker in self.stage.workers))

    async def peak_rss_mb(self) -> float:
        """Return the most memory that any worker has held."""
        for worker in self.stage.workers:
            worker.look()
        return max(worker.peak_rss_mb for worker in self.stage.workers)

    @property
    def gateways(self) -> Gateways:
        """The simulators."""
        return self.stage.gateways

    async def seen(self, gateway: str, requests: int) -> None:
        """Wait until a gateway has had so many requests."""

        async def reached() -> bool:
            count: int = (await self.gateways.stats(gateway))["requests"]
            return count >= requests

        await until(reached)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theatre() -> AsyncIterator[Theatre]:
    """One stage for all scenarios."""
    knobs = (
        f"apns_token_age_seconds={TOKEN_AGE_SECONDS}",
        "apns_token_update_seconds=0",
        "ledger_entries=1000",
    )
    settings = {
        "PUSHSVC_BATCH_SIZE": "200",
        "PUSHSVC_GATEWAY_CONNECTIONS": str(GATEWAY_CONNECTIONS),
    }
    with private_data_directory() as directory:
        async with staged(directory, logger.info, settings=settings, knobs=knobs) as stage:
            told = senders.make(0)
            senders.write(stage.gateways.directory, [told], token_uri=stage.gateways.token_uri)
            await stage.simulate()
            engine = create_engine(stage.environment["PUSHSVC_DATABASE_URL"], connections=2)
            await migrate.upgrade(engine)
            await engine.dispose()
            await stage.serve()
            yield Theatre(stage=stage, told=told)


def mixed(count: int) -> list[Device]:
    """Return devices of all three kinds, with the faults of the storm."""
    return list(Fleet.of(count, count * 6 // 5).apps[0][:count])


def sound(count: int) -> list[Device]:
    """Return as many of all three kinds without a fault."""
    return [*some(count // 2), *some(count // 3, "android"), *some(count // 6, "winrt")]


async def test_1_mixed_tokens(theatre: Theatre) -> None:
    """100 k mixed tokens, 5 % dead, 1 % 503-once: totals reconcile exactly."""
    scene = await theatre.scene(mixed(100_000 if FULL else 3_000))
    await scene.push()
    await scene.closed()

    found = await scene.verdict()
    devices = scene.fleet.apps[0]
    dead = {device.token for device in devices if device.dead}
    assert any(device.fault == ONCE[device.device_type] for device in devices)
    # Gone says the gateway of some others too, but as of a time before they registered.
    failed = len(dead) + sum(device.fault == STALE for device in devices)
    assert found.outcomes == {"sent": len(devices) - failed, "failed": failed}
    assert found.figures["delivered_twice"] == 0
    assert (await scene.database()).retired == dead


async def test_2_rolling_goaway(theatre: Theatre) -> None:
    """Rolling GOAWAY every 1 000 requests: 0 loss, 0 duplicates."""
    scene = await theatre.scene([*some(DEVICES), *some(DEVICES // 2, "android")])
    every = 1_000 if FULL else 100
    # Of two rules that strike the same request the first one wins.
    for gateway in ("apns", "fcm"):
        rules = [
            {"gateway": gateway, "scope": "every", "n": n, "fault": fault}
            for n, fault in ((every, "goaway_graceful"), (every * 3 // 2, "goaway_below"))
        ]
        await theatre.gateways.command(gateway, "/script", rules)
    await scene.push()
    await scene.closed()

    found = await scene.verdict()
    assert found.outcomes == {"sent": scene.fleet.size(0)}
    assert found.figures["delivered_twice"] == found.figures["possible_duplicates"] == 0
    faults = (await theatre.gateways.stats("apns"))["faults"]
    assert faults["goaway_graceful"] >= DEVICES // every - 1
    assert faults["goaway_below"] > 0


async def test_3_a_simulator_is_killed(theatre: Theatre) -> None:
    """kill -9 of a simulator process mid-load: AMBIGUOUS count == ledger difference."""
    scene = await theatre.scene(some(DEVICES))
    push = await scene.push(drop=True)
    await theatre.seen("apns", DEVICES // 4)
    theatre.gateways.processes["apns"].kill()
    await theatre.gateways.processes["apns"].ready()
    await scene.closed()

    found = await scene.verdict()
    ends = (await scene.database()).pushes[scene.callers.accepted[push.number].object_id].ends
    sent = {token for token, end in ends.items() if end.final == [OK]}
    unknown = {token for token, end in ends.items() if end.final == [UNKNOWN]}
    # The verdict says that what was sent was delivered; so the ledgers differ in the unknown alone.
    assert len(sent) + len(unknown) == DEVICES
    assert found.figures["delivered"] - len(sent) <= len(unknown)
    assert found.figures["delivered_twice"] == 0
    assert sent


async def test_4_provider_token_expires(theatre: Theatre) -> None:
    """JWT expiry mid-load: exactly 1 new JWT across all connections/workers."""
    scene = await theatre.scene(some(DEVICES // 4))
    await scene.push()
    await scene.closed()
    left = 3
    await theatre.stage.ask(
        "UPDATE provider_tokens SET issued_at = date_trunc('second', now())"
        f" - make_interval(secs => {TOKEN_AGE_SECONDS - left})"
    )
    await theatre.stage.flush_redis()
    await theatre.restart_workers()
    before = (await theatre.gateways.stats("apns"))["provider_tokens"]
    for _ in range(4 * left):
        await scene.push()
        await asyncio.sleep(0.5)
    await scene.closed()

    found = await scene.verdict()
    assert (await theatre.gateways.stats("apns"))["verdicts"]["403 ExpiredProviderToken"] > 0
    # The one that was aged, and the one after it.
    assert (await theatre.gateways.stats("apns"))["provider_tokens"] == before + 2
    assert set(found.outcomes) == {"sent"}
    assert found.figures["delivered_twice"] == 0


async def test_5_limit_of_streams_changes(theatre: Theatre) -> None:
    """MCS 1->1000->1."""
    scene = await theatre.scene(some(DEVICES))
    rule = {"gateway": "apns", "scope": "every", "n": 100, "fault": "settings_seq"}
    await theatre.gateways.command("apns", "/script", rule)
    await scene.push()
    await scene.closed()

    found = await scene.verdict()
    assert found.outcomes == {"sent": DEVICES}
    assert found.figures["delivered_twice"] == found.figures["possible_duplicates"] == 0
    assert (await theatre.gateways.stats("apns"))["faults"]["settings_seq"] >= DEVICES // 100


async def test_6_a_gateway_is_away(theatre: Theatre) -> None:
    """Provider outage 60 s: memory bounded, other providers unaffected, recovery with jitter."""
    scene = await theatre.scene([*some(DEVICES), *some(DEVICES // 4, "android")])
    begun = asyncio.get_running_loop().time()
    storm = {"gateway": "apns", "storm": "refuse", "seconds": 3_600}
    await theatre.gateways.command("apns", "/storm", storm)
    await scene.push()

    async def others_are_served() -> bool:
        return (await scene.outcomes())["sent"] == DEVICES // 4

    async def apns_is_retried() -> bool:
        moments: int = await theatre.stage.ask(
            "SELECT count(DISTINCT not_before) FROM batches WHERE state <> 2 AND attempt > 1"
        )
        return moments > 1

    await until(others_are_served)
    await until(apns_is_retried)
    assert (await theatre.gateways.stats("apns"))["refusing"] == ["apns"]
    await asyncio.sleep(begun + AWAY_SECONDS - asyncio.get_running_loop().time())
    await theatre.gateways.command("apns", "/storm", None, method="DELETE")
    await scene.closed()

    found = await scene.verdict()
    assert found.outcomes == {"sent": scene.fleet.size(0)}
    assert found.figures["delivered_twice"] == found.figures["possible_duplicates"] == 0
    assert await theatre.peak_rss_mb() < RSS_LIMIT_MB


async def test_7_slow_reader(theatre: Theatre) -> None:
    """Slow-loris reader: memory stays bounded, the others go on, everyone is sent to once."""
    scene = await theatre.scene([*some(DEVICES), *some(DEVICES // 4, "android")])
    rule = {"gateway": "apns", "scope": "every", "n": DEVICES // 4, "fault": "stall_read"}
    await theatre.gateways.command("apns", "/script", rule | {"parameter": AWAY_SECONDS})
    await scene.push()
    await scene.closed()

    found = await scene.verdict()
    assert set(found.outcomes) == {"sent"}
    assert (await theatre.gateways.stats("apns"))["faults"]["stall_read"] > 0
    assert await theatre.peak_rss_mb() < RSS_LIMIT_MB


async def test_8_fcm_quota(theatre: Theatre) -> None:
    """FCM 429 with Retry-After: send rate falls, no token deleted."""
    scene = await theatre.scene(some(DEVICES, "android"))
    rule = {"gateway": "fcm", "scope": "every", "n": 1, "fault": "quota", "parameter": 2}
    await theatre.gateways.command("fcm", "/script", rule)
    await scene.push()
    await theatre.seen("fcm", 1)
    await scene.push()
    await scene.tried()
    # What was on its way when the first answers came; after it a few that try, of two pushes.
    assert (await theatre.gateways.stats("fcm"))["requests"] < 1.2 * DEVICES
    await theatre.gateways.command("fcm", "/script", None, method="DELETE")
    await scene.closed()

    found = await scene.verdict()
    assert found.outcomes == {"sent": 2 * DEVICES}
    assert not (await scene.database()).retired


async def test_9_wrong_project(theatre: Theatre) -> None:
    """Wrong project 404/403: no token deleted."""
    scene = await theatre.scene(some(DEVICES, "android"))
    for fault in ("not_found", "perm_denied"):
        rule = {"gateway": "fcm", "scope": "every", "n": 2, "fault": fault, "seconds": 3}
        await theatre.gateways.command("fcm", "/script", rule)
    await scene.push()
    await theatre.seen("fcm", 10)
    assert not (await scene.database()).retired
    await scene.closed()

    await scene.verdict()
    assert not (await scene.database()).retired


async def test_10_cold_start(theatre: Theatre) -> None:
    """Cold start burst 5 000 -> connections <= configured max."""
    scene = await theatre.scene(some(5_000))
    await theatre.restart_workers()
    await theatre.gateways.reset()
    await scene.push()
    await scene.closed()

    found = await scene.verdict()
    assert found.outcomes == {"sent": 5_000}
    assert (await theatre.gateways.stats("apns"))["wire"][
        "connections_opened"
    ] <= GATEWAY_CONNECTIONS * WORKERS
