"""Small deliveries go in volleys, and each fares as it would by itself."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from pushsvc import halting, pipeline
from pushsvc.config import Settings
from pushsvc.firing import HANDING_SECONDS
from pushsvc.model import (
    DEVICE_COUNT,
    Lane,
    OnUnknown,
    Push,
    PushState,
    Recipient,
    Source,
    Submission,
)
from pushsvc.storage import apps, batches, small_deliveries, tables
from pushsvc.storage.due import SMALL_DELIVERY
from pushsvc.storage.ids import new_object_id
from tests.integration.conftest import AppRow
from tests.integration.pushing import (
    Site,
    add_credentials,
    apns_token,
    site as open_site,
    working,
)

pytestmark = pytest.mark.integration


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def delivery(site: Site, *tokens: str, **changes: Any) -> Push:
    """Store a delivery to iOS devices with these tokens."""
    topic = site.simulators.endpoints.credentials.apns.topics[0]
    recipients = [Recipient(device_type="ios", token=t, app_identifier=topic) for t in tokens]
    asked: dict[str, Any] = {
        "source": Source.V1,
        "audience": {DEVICE_COUNT: len(tokens)},
        "content": {"data": {"alert": "Hello"}},
    } | changes
    stored = await pipeline.submit_delivery(
        site.resources, site.app, Submission(**asked), recipients=recipients
    )
    return stored.push


async def found(site: Site) -> set[int]:
    return set(await pipeline.find_deliveries(site.resources))


async def test_they_are_delivered_together_and_closed_each_with_its_own_counts(site: Site) -> None:
    """One volley takes all that wait; who comes second gets none of them."""
    tokens = [apns_token() for _ in range(5)]
    pushes = [await delivery(site, token, apns_token("fa170100")) for token in tokens]
    ids = [push.id for push in pushes]
    assert await found(site) >= set(ids)

    leased = await pipeline.lease_deliveries(site.resources, ids)
    late = await pipeline.lease_deliveries(site.resources, ids)
    await pipeline.fire_deliveries(site.resources, leased)

    assert [one.push.id for one in leased] == ids
    assert late == []
    for push, token in zip(pushes, tokens, strict=True):
        assert (await site.now(push)).state is PushState.DONE
        assert await site.outcomes(push) == {"sent": 1, "failed": 1}
        assert len(site.sent_to(token)) == 1


async def test_a_volley_is_of_those_that_waited_longest_and_of_so_many_devices(site: Site) -> None:
    """It is told whether there may be more; who is too large for the rest still goes, alone."""
    take = partial(small_deliveries.lease_next, site.engine, lease_seconds=10, now=0.0)
    while (await take())[1]:
        pass
    sizes = (1, 1, 3, 1)
    ids = [(await delivery(site, *[apns_token() for _ in range(n)])).id for n in sizes]

    taken = [await take(most_devices=2) for _ in range(4)]

    assert [([one.push.id for one in leased], more) for leased, more in taken] == [
        (ids[:2], True),
        ([ids[2]], True),
        ([ids[3]], False),
        ([], False),
    ]


async def test_one_that_cannot_be_begun_takes_nobody_with_it(site: Site) -> None:
    """All of them are given back, nothing of them in doubt, and go by themselves from then on."""
    token = apns_token()
    pushes = [await delivery(site, token), await delivery(site, apns_token())]
    async with site.engine.begin() as connection:
        spoilt = update(tables.pushes).where(tables.pushes.c.id == pushes[1].id)
        await connection.execute(spoilt.values(content={"data": 5}))

    leased = await pipeline.lease_deliveries(site.resources, [push.id for push in pushes])
    await pipeline.fire_deliveries(site.resources, leased)

    assert not {push.id for push in pushes} & await found(site)
    async with working(site):
        await site.done(pushes[0])
    assert await site.outcomes(pushes[0]) == {"sent": 1}
    assert len(site.sent_to(token)) == 1


async def test_what_its_worker_died_over_is_in_doubt_and_no_volley_s(site: Site) -> None:
    """The lease was all there was to begin with: a batch of it is taken over like any other."""
    token = apns_token()
    push = await delivery(site, token, on_unknown=OnUnknown.DROP)
    await pipeline.lease_deliveries(site.resources, [push.id])
    async with site.engine.begin() as connection:
        await connection.execute(
            text("UPDATE batches SET lease_until = now() - interval '1s' WHERE push_id = :id"),
            {"id": push.id},
        )

    async with working(site):
        await site.done(push)

    assert await site.outcomes(push) == {"unknown": 1}
    assert site.sent_to(token) == []


async def test_a_worker_that_slept_with_them_at_hand_sends_nothing_of_them(site: Site) -> None:
    """Others may have had them meanwhile, before this one can tell that its lease is over."""
    token = apns_token()
    push = await delivery(site, token)
    (leased,) = await pipeline.lease_deliveries(site.resources, [push.id])

    woken = replace(leased, asked_at=leased.asked_at - HANDING_SECONDS)
    await pipeline.fire_deliveries(site.resources, [woken])

    assert site.sent_to(token) == []
    async with working(site):
        await site.done(push)
    assert await site.outcomes(push) == {"sent": 1}


async def test_what_a_newer_version_has_stored_is_left_to_its_workers(site: Site) -> None:
    """A worker that cannot read a recipient takes no lease of it, and goes on with the rest."""
    push = await delivery(site, apns_token())
    told = {"id": push.id}
    async with site.engine.begin() as connection:
        await connection.execute(
            text(
                """UPDATE batches SET recipients = recipients #- '{0,token}' WHERE push_id = :id"""
            ),
            told,
        )

    async with working(site):
        other = await delivery(site, *[apns_token()] * (SMALL_DELIVERY + 1), lane=Lane.URGENT)
        await site.done(other)
    async with site.engine.begin() as connection:
        found = await connection.execute(
            text("SELECT leases FROM batches WHERE push_id = :id"), told
        )
        assert found.scalar_one() == 0
        await connection.execute(text("DELETE FROM pushes WHERE id = :id"), told)


async def test_what_is_to_be_asked_about_goes_by_itself(site: Site) -> None:
    """Large ones, those of the bulk lane, those that expire soon, and what is halted."""
    soon = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    large = [apns_token() for _ in range(SMALL_DELIVERY + 1)]
    halted = await delivery(site, apns_token())
    await halting.pause(
        site.resources, halting.Named(object_id=halted.object_id, app_id=site.app.id, how="here")
    )
    alone = [
        await delivery(site, *large, lane=Lane.URGENT),
        await delivery(site, apns_token(), lane=Lane.BULK),
        await delivery(site, apns_token(), expiration_time=soon),
    ]

    ids = {push.id for push in alone}
    assert not {halted.id, *ids} & await found(site)
    open_ones = {
        ref.push_id for lane in Lane for ref in await batches.open_batches(site.engine, lane)
    }
    assert ids <= open_ones
    assert await pipeline.lease_deliveries(site.resources, [halted.id, *ids]) == []


async def test_apps_take_turns(site: Site) -> None:
    """Nobody's thousands hide another's: with more than one looks at, each app's first are seen."""
    mine = [await delivery(site, apns_token()) for _ in range(5)]
    async with site.engine.begin() as connection:
        app = await apps.create_app(connection, name=f"test-{new_object_id()}")
    await add_credentials(site.resources, app, site.simulators)
    other = await delivery(replace(site, app=app), apns_token())

    ids = [push.id for push in [*mine, other]]
    seen = [n for n in await small_deliveries.look(site.engine, most=3) if n in ids]

    assert seen.index(other.id) <= 1
    assert set(seen) == set(ids)


async def test_a_worker_hears_of_one_at_once_and_finds_it_without_redis(site: Site) -> None:
    """The bell only wakes: what it forgot the clock finds."""
    async with working(site):
        heard = await delivery(site, apns_token())
        await site.done(heard)
        quiet = await delivery(site, apns_token())
        await site.resources.queue.redis.flushall()
        await site.done(quiet)

    assert await site.outcomes(heard) == await site.outcomes(quiet) == {"sent": 1}
