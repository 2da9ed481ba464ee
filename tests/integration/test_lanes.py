"""Whoever is slow holds up nobody else; and a worker that is stopped leaves its work to others."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from pushsvc import pipeline
from pushsvc.config import Settings
from pushsvc.model import BatchState, Lane, OnUnknown, OutcomeClass
from pushsvc.storage import apps, batches, tables
from pushsvc.storage.due import due_pushes
from pushsvc.storage.ids import new_object_id
from pushsvc.worker import run_worker
from tests.integration.conftest import AppRow
from tests.integration.pushing import (
    Site,
    add_credentials,
    apns_token,
    fcm_token,
    site as open_site,
    until,
    working,
)

pytestmark = pytest.mark.integration

PLACES = 2


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service of few places, each batch one device, whose workers do not wait when stopped."""
    few = settings.model_copy(
        update={
            "batch_size": 1,
            "bulk_jobs": PLACES,
            "park_after_seconds": 0.1,
            "shutdown_seconds": 0,
        }
    )
    async with open_site(few, app_row.app, tmp_path) as opened:
        yield opened


def with_settings(site: Site, **changes: object) -> Site:
    settings = site.resources.settings.model_copy(update=changes)
    return replace(site, resources=replace(site.resources, settings=settings))


async def with_app(site: Site) -> Site:
    """The same service, seen by another app."""
    async with site.engine.begin() as connection:
        app = await apps.create_app(connection, name=f"test-{new_object_id()}")
    await add_credentials(site.resources, app, site.simulators)
    return replace(site, app=app)


async def hang(site: Site, *, devices: int) -> Sequence[str]:
    """Push to Android devices whose gateway never answers."""
    tokens = [fcm_token("~never") for _ in range(devices)]
    for token in tokens:
        await site.install(token, "android", channels=["hanging"])
    await site.push(audience={"channels": ["hanging"]}, on_unknown=OnUnknown.DROP)
    return tokens


async def in_flight(site: Site, tokens: Sequence[str], count: int) -> None:
    """Wait until the gateway has the messages to so many of these."""

    async def reached() -> bool:
        return sum(bool(site.sent_to(token)) for token in tokens) >= count

    await until(reached)


@pytest.mark.parametrize("another_app", [False, True])
async def test_a_gateway_that_hangs_holds_up_no_other(site: Site, *, another_app: bool) -> None:
    """More batches hang than the lane has places; what is pushed then goes out all the same."""
    other = await with_app(site) if another_app else site
    await other.install(apns_token())

    async with working(site):
        tokens = await hang(site, devices=PLACES * 3)
        await in_flight(site, tokens, len(tokens))
        push = await other.done(await other.push())

        assert await other.outcomes(push) == {"sent": 1}


async def test_what_is_urgent_has_places_of_its_own(site: Site) -> None:
    """Every place of the bulk lane is held, and nothing may be parked."""
    full = with_settings(site, parked_jobs=0)
    await full.install(apns_token())

    async with working(full):
        tokens = await hang(full, devices=PLACES * 2)
        await in_flight(full, tokens, PLACES)
        push = await full.done(await full.push(lane=Lane.URGENT))

        assert await full.outcomes(push) == {"sent": 1}
        assert sum(bool(full.sent_to(token)) for token in tokens) == PLACES


async def test_what_hangs_when_a_worker_is_stopped_is_written_down(site: Site) -> None:
    """A second signal ends the waiting; what was handed over is in doubt, the rest waits."""
    patient = with_settings(site, shutdown_seconds=60, parked_jobs=1)
    stop, cut = asyncio.Event(), asyncio.Event()
    worker = asyncio.create_task(run_worker(patient.resources.settings, stop=stop, cut=cut))
    tokens = await hang(patient, devices=PLACES + 3)
    await in_flight(patient, tokens, PLACES + 1)
    stop.set()
    # In flight, beside a place or in one: it is awaited.
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(worker), 0.3)
    cut.set()
    await worker

    columns = tables.batches.c
    of_app = tables.pushes.c.app_id == site.app.id
    statement = select(columns.state, columns.outcomes).join(tables.pushes).where(of_app)
    async with site.engine.connect() as connection:
        rows = (await connection.execute(statement)).all()
    done = [row.outcomes for row in rows if row.state == BatchState.DONE]
    assert done == [bytes([OutcomeClass.UNKNOWN])] * (PLACES + 1)
    assert [row.state for row in rows if row.state != BatchState.DONE] == [BatchState.OPEN] * 2


async def test_what_is_not_parked_yet_when_a_worker_is_stopped_is_awaited(site: Site) -> None:
    """A place that gets free by parking is no end of the work."""
    patient = with_settings(site, shutdown_seconds=60, park_after_seconds=0.3)
    stop, cut = asyncio.Event(), asyncio.Event()
    worker = asyncio.create_task(run_worker(patient.resources.settings, stop=stop, cut=cut))
    await in_flight(patient, await hang(patient, devices=1), 1)
    stop.set()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(worker), 0.6)
    cut.set()
    await worker


async def test_the_clock_sees_every_push_whatever_stands_before_it(site: Site) -> None:
    """Of a backlog longer than a look it takes a few batches of each push; apps take turns."""
    for _ in range(batches.LOOK_OF_EACH + 1):
        await site.install(apns_token())
    first, last = await site.push(), await site.push()
    for push in (first, last):
        await pipeline.plan_push(site.resources, push.id)

    found = await batches.open_batches(site.engine, Lane.BULK, look=batches.LOOK_OF_EACH)

    of_each = batches.LOOK_OF_EACH
    assert [ref.push_id for ref in found] == [first.id] * of_each + [last.id] * of_each
    assert {(ref.app_id, ref.devices) for ref in found} == {(site.app.id, 1)}

    other = await with_app(site)
    await other.install(apns_token())
    late = await other.push()
    await pipeline.plan_push(site.resources, late.id)
    few = await batches.open_batches(site.engine, Lane.BULK, look=1, most=2)
    assert [ref.push_id for ref in few] == [first.id, late.id]


async def test_a_plan_that_is_stopped_is_another_workers_at_once(site: Site) -> None:
    """It gives its lease back, and the other goes on where it stopped."""
    await site.install(apns_token())
    push = await site.push()
    site.resources.stopping.set()
    await pipeline.plan_push(site.resources, push.id)
    async with site.engine.connect() as connection:
        due = await due_pushes(connection, limit=10)
    assert push.id in {one.id for one in due}

    site.resources.stopping.clear()
    await pipeline.plan_push(site.resources, push.id)
    assert (await site.now(push)).devices == 1
