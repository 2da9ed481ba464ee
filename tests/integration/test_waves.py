"""A push in local time goes out zone by zone, and each device gets it once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, text, update

from pushsvc import pipeline
from pushsvc.config import Settings
from pushsvc.model import Late, OutcomeClass as C, PushState
from pushsvc.planning import localtime
from pushsvc.storage import plans, tables
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, site as open_site, until, working
from tests.integration.waving import (
    BOGOTA,
    HOUR,
    KOLKATA,
    LAGOS,
    TOKYO,
    batches_of,
    clock_of,
    passes,
    settled,
    store,
    waves_of,
    zones_of,
)

pytestmark = pytest.mark.integration


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def move(site: Site, number: int, zone: str) -> None:
    """Save an installation with another zone."""
    table = tables.installations
    statement = update(table).where(table.c.id == number)
    async with site.engine.begin() as connection:
        await connection.execute(statement.values(time_zone=zone, updated_at=func.now()))


async def test_each_zone_gets_the_push_when_its_clock_shows_the_time(site: Site) -> None:
    """What is past goes at once, the next zone a second later, and the others wait for theirs."""
    tokens = {zone: apns_token() for zone in (TOKYO, KOLKATA, LAGOS)}
    for zone, token in tokens.items():
        await site.install(token, time_zone=zone)
    wall = clock_of(KOLKATA, ahead=timedelta(seconds=1.5))
    due_at = localtime.moment_of(wall, KOLKATA)

    async with working(site):
        push = await store(site, local_time=wall)

        async def two_are_sent() -> bool:
            return len(site.sent()) >= 2

        await until(two_are_sent)
        assert datetime.now(UTC) >= due_at
        assert [entry.token for entry in site.sent()] == [tokens[TOKYO], tokens[KOLKATA]]
        push = await site.now(push)
        assert push.state is PushState.PLANNING
        assert push.due_at > datetime.now(UTC) + timedelta(minutes=10)
        waves = {one.zone: one for one in await waves_of(site, push)}
        assert waves[LAGOS].due_at == localtime.moment_of(wall, LAGOS)
        assert waves[LAGOS].devices == 0
        assert (waves[KOLKATA].due_at, waves[KOLKATA].devices) == (due_at, 1)

        await passes(site, push, 26 * HOUR)
        push = await site.done(push)

    assert push.devices == 3
    assert await site.outcomes(push) == {"sent": 3}
    assert len(site.sent_to(tokens[LAGOS])) == 1
    waves = {one.zone: one for one in await waves_of(site, push)}
    assert waves.keys() == {TOKYO, KOLKATA, LAGOS}
    assert waves[LAGOS].counts == {C.OK: 1}


async def test_who_registers_before_its_wave_is_in(site: Site) -> None:
    """The audience of a wave is found when it starts; who comes to a zone later has missed it."""
    first = await site.install(apns_token(), time_zone=KOLKATA)
    push = await store(site, local_time=clock_of(KOLKATA))
    await pipeline.plan_push(site.resources, push.id)
    await site.install(apns_token(), time_zone=TOKYO)
    late = await site.install(apns_token(), time_zone=LAGOS)
    await passes(site, push, 10 * HOUR)

    await pipeline.plan_push(site.resources, push.id)

    assert await zones_of(site, push) == {KOLKATA: [first], LAGOS: [late]}


async def test_a_device_that_moved_after_its_wave_gets_nothing_twice(site: Site) -> None:
    """It is in the batches of its first zone alone, whatever is left of them."""
    moved = await site.install(apns_token(), time_zone=KOLKATA)
    stays = await site.install(apns_token(), time_zone=LAGOS)
    sooner = await site.install(apns_token(), time_zone=BOGOTA)
    push = await store(site, local_time=clock_of(KOLKATA))
    await pipeline.plan_push(site.resources, push.id)
    await move(site, moved, LAGOS)
    await move(site, sooner, LAGOS)
    await passes(site, push, 24 * HOUR)

    await pipeline.plan_push(site.resources, push.id)

    assert await zones_of(site, push) == {KOLKATA: [moved], LAGOS: [stays, sooner]}
    assert (await site.now(push)).state is PushState.SENDING


async def test_devices_without_a_zone_are_left_out_or_go_by_another(site: Site) -> None:
    """Also those whose zone nobody knows; the ledger says which."""
    none = await site.install(apns_token())
    odd = await site.install(apns_token(), time_zone="Mars/Olympus")
    there = await site.install(apns_token(), time_zone=KOLKATA)
    skipping = await store(site, local_time=clock_of(KOLKATA))
    await pipeline.plan_push(site.resources, skipping.id)
    going = await store(site, local_time=clock_of(KOLKATA), zoneless=LAGOS)
    await pipeline.plan_push(site.resources, going.id)

    assert await settled(site, skipping) == {
        none: C.NO_TIME_ZONE,
        odd: C.NO_TIME_ZONE,
        there: C.OPEN,
    }
    assert await zones_of(site, going) == {KOLKATA: [there]}
    await passes(site, going, 10 * HOUR)
    await pipeline.plan_push(site.resources, going.id)
    assert await zones_of(site, going) == {KOLKATA: [there], "": [none, odd]}


async def test_late_zones_are_skipped_where_the_push_says_so(site: Site) -> None:
    """Their devices are excluded, change no badge, and have their outcome without a gateway."""
    late = await site.install(apns_token(), time_zone=TOKYO)
    there = await site.install(apns_token(), time_zone=KOLKATA)
    push = await store(
        site,
        local_time=clock_of(KOLKATA),
        late=Late.SKIP,
        content={"data": {"alert": "Hello", "badge": "Increment"}},
    )
    async with working(site):
        await until(lambda: _done(site, push.id, 2))

    assert await settled(site, push) == {late: C.LATE, there: C.OK}
    assert (await site.badge(late), await site.badge(there)) == (0, 1)
    assert len(site.sent()) == 1


async def _done(site: Site, push_id: int, count: int) -> bool:
    async with site.engine.connect() as connection:
        statement = "SELECT count(*) FROM batches WHERE push_id = :id AND state = 2"
        return bool((await connection.execute(text(statement), {"id": push_id})).scalar() == count)


async def test_a_push_after_an_outage_is_skipped_where_it_says_so(site: Site) -> None:
    """Of any push, in local time or not, to installations or explicit devices."""
    number = await site.install(apns_token())
    push = await site.push(late=Late.SKIP)
    named = await site.push(
        late=Late.SKIP,
        audience={"devices": [{"token": apns_token(), "device_type": "ios"}]},
    )
    for one in (push, named):
        await passes(site, one, HOUR)
        await pipeline.plan_push(site.resources, one.id)

    assert await settled(site, push) == {number: C.LATE}
    assert await batches_of(site, named, "outcomes") == [(bytes([C.LATE]),)]


async def test_each_wave_expires_by_its_own_moment(site: Site) -> None:
    """An interval counts from there; what is past already is not sent."""
    past = await site.install(apns_token(), time_zone=TOKYO)
    there = await site.install(apns_token(), time_zone=KOLKATA)
    wall = clock_of(KOLKATA)
    push = await store(site, local_time=wall, expires_in=3600)
    async with working(site):
        await until(lambda: _done(site, push.id, 2))

    assert await settled(site, push) == {past: C.EXPIRED, there: C.OK}
    found = dict(await batches_of(site, push, "zone", "expires_at"))
    assert found == {zone: localtime.moment_of(wall, zone) + HOUR for zone in (TOKYO, KOLKATA)}
    (entry,) = site.sent()
    assert entry.expiration == str(int(found[KOLKATA].timestamp()))


async def test_doubles_are_doubles_in_whichever_zone(site: Site) -> None:
    """Of installations with one token the first to have its wave gets it, or else the next."""
    token, other = apns_token(), apns_token()
    later = await site.install(token, token_shared=True, time_zone=LAGOS)
    first = await site.install(token, token_shared=True, time_zone=KOLKATA)
    double = await site.install(token, token_shared=True, time_zone=KOLKATA)
    zoneless = await site.install(other, token_shared=True)
    there = await site.install(other, token_shared=True, time_zone=KOLKATA)
    push = await store(site, local_time=clock_of(KOLKATA))
    await pipeline.plan_push(site.resources, push.id)
    await passes(site, push, 10 * HOUR)
    await pipeline.plan_push(site.resources, push.id)

    assert await settled(site, push) == {
        later: C.DEDUPLICATED,
        first: C.OPEN,
        double: C.DEDUPLICATED,
        zoneless: C.NO_TIME_ZONE,
        there: C.OPEN,
    }


async def test_who_missed_its_wave_keeps_nobody_from_a_message(site: Site) -> None:
    """Neither a double that has moved to a zone that is through, nor one whose wave was late."""
    token, other = apns_token(), apns_token()
    moved = await site.install(token, token_shared=True, time_zone=BOGOTA)
    there = await site.install(token, token_shared=True, time_zone=LAGOS)
    late = await site.install(other, token_shared=True, time_zone=LAGOS)
    last = await site.install(other, token_shared=True, time_zone=BOGOTA)
    wall = clock_of(KOLKATA)
    push = await store(site, local_time=wall, late=Late.SKIP)
    await pipeline.plan_push(site.resources, push.id)
    await move(site, moved, TOKYO)
    wait = localtime.moment_of(wall, LAGOS) - datetime.now(UTC)
    await passes(site, push, wait)
    await pipeline.plan_push(site.resources, push.id)

    assert await settled(site, push) == {there: C.OPEN, late: C.OPEN}
    skipped = await store(site, local_time=clock_of(KOLKATA), late=Late.SKIP)
    await pipeline.plan_push(site.resources, skipped.id)
    await passes(site, skipped, wait + HOUR)
    await pipeline.plan_push(site.resources, skipped.id)
    await passes(site, skipped, 5 * HOUR)
    await pipeline.plan_push(site.resources, skipped.id)

    assert await settled(site, skipped) == {
        moved: C.LATE,
        there: C.LATE,
        late: C.LATE,
        last: C.OPEN,
    }


async def test_of_named_devices_those_that_get_it_are_the_first(site: Site) -> None:
    """An installation that is left out has no double, nor has its token when it is named."""
    shared, of_none, of_later = apns_token(), apns_token(), apns_token()
    await site.install(shared)
    await site.install(shared, time_zone=KOLKATA)
    await site.install(of_none)
    await site.install(of_later, time_zone=LAGOS)
    objects = text("SELECT object_id FROM installations WHERE app_id = :app_id ORDER BY id")
    async with site.engine.connect() as connection:
        names = (await connection.execute(objects, {"app_id": site.app.id})).scalars().all()
    explicit = [{"token": token, "device_type": "ios"} for token in (of_none, of_later)]
    audience = {"devices": [*({"object_id": name} for name in names), *explicit]}

    async def planned(zoneless: str | None) -> dict[str, bytes | None]:
        push = await store(site, local_time=clock_of(KOLKATA), zoneless=zoneless, audience=audience)
        await pipeline.plan_push(site.resources, push.id)
        await passes(site, push, 10 * HOUR)
        await pipeline.plan_push(site.resources, push.id)
        rows = await batches_of(site, push, "zone", "installation_ids", "outcomes")
        return {zone or ("none" if ids else "named"): outcomes for zone, ids, outcomes in rows}

    assert await planned(None) == {
        "none": bytes([C.NO_TIME_ZONE] * 2),
        "named": bytes([C.NO_TIME_ZONE] * 2),
        KOLKATA: None,
        LAGOS: None,
    }
    assert await planned(LAGOS) == {
        KOLKATA: None,
        "none": bytes([C.DEDUPLICATED, C.OPEN]),
        "named": bytes([C.DEDUPLICATED] * 2),
        LAGOS: None,
    }


async def test_named_devices_go_by_their_zones_too(site: Site) -> None:
    """Each in its wave; a device that is no installation has no zone."""
    numbers = [await site.install(apns_token(), time_zone=zone) for zone in (KOLKATA, LAGOS)]
    async with site.engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT object_id FROM installations WHERE id = ANY(:ids)"), {"ids": numbers}
        )
        names = list(rows.scalars())
    devices = [{"object_id": name} for name in names]
    token = {"token": apns_token(), "device_type": "ios"}
    push = await store(site, local_time=clock_of(KOLKATA), audience={"devices": [*devices, token]})
    await pipeline.plan_push(site.resources, push.id)
    assert await zones_of(site, push) == {KOLKATA: numbers[:1], "": []}
    await passes(site, push, 10 * HOUR)
    await pipeline.plan_push(site.resources, push.id)

    assert await zones_of(site, push) == {KOLKATA: numbers[:1], "": [], LAGOS: numbers[1:]}
    assert (await site.now(push)).devices == 3


class EndsAtTheSecond(asyncio.Event):
    """A process that is told to end after the first piece of a plan."""

    asked = 0

    def is_set(self) -> bool:
        """Tell so."""
        self.asked += 1
        return self.asked > 1


async def test_a_plan_that_breaks_off_in_a_wave_goes_on_where_it_stood(
    settings: Settings, app_row: AppRow, tmp_path: Path
) -> None:
    """Behind the last piece that is written, and every device is in one batch."""
    small = settings.model_copy(update={"batch_size": 1})
    async with open_site(small, app_row.app, tmp_path) as site:
        many = text("""
            INSERT INTO installations
                (app_id, object_id, device_token, device_type, channels, time_zone)
            SELECT :app_id, :name || n, :name || n, 'ios', '{all}', :zone
            FROM generate_series(1, 110) AS n
        """)
        # So that they are of several pieces: these end with a part of the ids.
        skip = text("""
            SELECT setval(pg_get_serial_sequence('installations', 'id'),
                nextval(pg_get_serial_sequence('installations', 'id')) + 8192)
        """)
        for name in "abc":
            async with site.engine.begin() as connection:
                await connection.execute(skip)
                parameters = {"app_id": site.app.id, "name": name, "zone": KOLKATA}
                await connection.execute(many, parameters)
        push = await store(site, local_time=clock_of(KOLKATA))
        ends = replace(site.resources, stopping=EndsAtTheSecond())
        await pipeline.plan_push(ends, push.id)
        broken_off = await site.now(push)
        await pipeline.plan_push(site.resources, push.id)

        assert 0 < broken_off.devices < 330
        assert broken_off.planned_through > 0
        found = (await zones_of(site, push))[KOLKATA]
        assert len(found) == len(set(found)) == 330
        assert [one.devices for one in await waves_of(site, push)] == [330]


async def test_who_lost_the_lease_of_an_earlier_stage_writes_nothing(site: Site) -> None:
    """No number of a lease comes twice, and each leg may be begun as often as a plan."""
    await site.install(apns_token(), time_zone=KOLKATA)
    push = await store(site, local_time=clock_of(KOLKATA))
    lease = await site.leased(push)
    async with site.engine.begin() as connection:
        await plans.release_plan(connection, push.id, lease=lease)
    await pipeline.plan_push(site.resources, push.id)
    await passes(site, push, 2 * HOUR)
    assert plans.times_begun(await site.leased(push)) == 1
    async with site.engine.begin() as connection:
        with pytest.raises(plans.LeaseLostError):
            await plans.record_piece(
                connection,
                push.id,
                lease=lease,
                planned_through=1,
                batch_count=1,
                devices=1,
                lease_seconds=60,
            )
