"""A Parse Server outlives what happens to the service and on its way; nobody is sent twice."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.acceptance.faulty import Fault
from tests.acceptance.parse_devices import Device, expected, some
from tests.acceptance.parse_server import counts
from tests.acceptance.shop import Shop, Site, site

pytestmark = [pytest.mark.acceptance, pytest.mark.asyncio(loop_scope="module")]

#: Longer than anything here lasts; and shorter.
PATIENT_MS, HASTY_MS = 50_000, 1_500
#: Enough for a second and more, so that a kill comes into the middle.
MANY: Final = 600
BEGUN: Final = 60
#: What ends before the service has the request, or after; an answer that never comes is for hasty
#: ones alone.
PASSING: Final = [fault for fault in Fault if fault is not Fault.SLOW]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(
    servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """One service for all; a lease runs out soon, so that what was killed is taken over."""
    async with site(servers, tmp_path_factory.mktemp("faults"), lease_seconds="5") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def patient(place: Site) -> AsyncIterator[Shop]:
    """A shop that waits for the service to come back, and has nothing sent again in doubt."""
    async with place.shop(timeoutMs=PATIENT_MS, onUnknown="drop") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hasty(place: Site) -> AsyncIterator[Shop]:
    """A shop that gives up soon."""
    async with place.shop(timeoutMs=HASTY_MS) as opened:
        yield opened


def a_few() -> list[Device]:
    return [*some(4), *some(1, fault="fa170400")]


async def test_what_passes_is_not_noticed(patient: Shop, place: Site) -> None:
    """A call that failed twice is made again, whatever became of it: one message each."""
    for fault in PASSING:
        devices = await patient.install(a_few(), fault)
        with place.road.doing(fault, path="/v1/deliveries", times=2):
            push = await patient.parse.push(channels=[fault], data={"alert": fault})
            await patient.agreed(push, devices)
            assert place.road.struck == 2


async def test_a_service_that_comes_back_is_waited_for(patient: Shop, place: Site) -> None:
    """Where nothing listens, the call is made once something does."""
    devices = await patient.install(a_few(), "down")
    async with place.road.closed():
        push = await patient.parse.push(channels=["down"], data={"alert": "Down"})
        await patient.parse.started(push)
    await patient.agreed(push, devices)


async def test_what_does_not_pass_fails_devices_and_nothing_else(hasty: Shop, place: Site) -> None:
    """At the deadline all rows are failures that prune nobody, and the next push goes through."""
    for fault in Fault:
        devices = await hasty.install(a_few(), f"hasty-{fault}")
        with place.road.doing(fault):
            push = await hasty.parse.announce(channels=[f"hasty-{fault}"], data={"alert": fault})
            status = await hasty.parse.settled(push, len(devices))
        assert counts(status).failed.total() == len(devices)
        await _not_twice(hasty, devices)
        await hasty.pruned(devices)
        after = await hasty.install(a_few(), f"after-{fault}")
        push = await hasty.parse.push(channels=[f"after-{fault}"], data={"alert": "After"})
        await hasty.agreed(push, after)


async def test_what_was_accepted_without_an_answer_counts_once(place: Site) -> None:
    """In mode accept its rows are failures at first, and in the end what came of them."""
    async with place.shop(mode="accept", timeoutMs=HASTY_MS) as shop:
        devices = await shop.install(a_few(), "doubt")
        with place.road.doing(Fault.RESET_AFTER, path="/v1/deliveries"):
            push = await shop.parse.push(channels=["doubt"], data={"alert": "Doubt"})
            await shop.parse.ended(push)
        assert counts(await shop.parse.counted_for_good(push)) == expected(devices)
        await shop.received_once(devices)


async def test_a_killed_service_goes_on_where_it_was(patient: Shop) -> None:
    """API and worker die by kill -9 amid a push; all devices are counted, none is sent twice."""
    devices = await patient.install(some(MANY), "killed")
    service = patient.service
    push = await _begun(patient, "killed")
    service.kill("api")
    service.kill("worker")
    await service.start("api", "serve")
    await service.start("worker", "worker", "--processes", "1")
    status = await patient.parse.settled(push, MANY)
    had = await _not_twice(patient, devices)
    in_doubt = await patient.in_doubt(push)
    assert counts(status).failed.total() == in_doubt
    assert MANY - in_doubt <= sum(had.values()) <= MANY


async def test_a_killed_parse_server_comes_back(patient: Shop) -> None:
    """It forgets what it was at, as it does; nobody is sent twice, and it pushes again."""
    devices = await patient.install(some(MANY), "forgotten")
    await _begun(patient, "forgotten")
    await patient.parse.kill()
    await patient.parse.start()
    await _not_twice(patient, devices)
    after = await patient.install(a_few(), "remembered")
    push = await patient.parse.push(channels=["remembered"], data={"alert": "Again"})
    await patient.agreed(push, after)
    await _not_twice(patient, devices)


async def _begun(shop: Shop, channel: str) -> str:
    """Push to a channel, and wait until the first of its devices have been sent to."""
    before = await shop.service.requests()
    push = await shop.parse.push(channels=[channel], data={"alert": channel})
    await shop.service.seen(before + BEGUN)
    return push


async def _not_twice(shop: Shop, devices: Sequence[Device]) -> dict[str, int]:
    had: dict[str, Any] = await shop.had(devices)
    assert max(had.values()) <= 1
    return had
