"""Small pushes that are due go in volleys, and each fares as it would by itself."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import func, select, text, update

from pushsvc import loading, pipeline
from pushsvc.config import Settings
from pushsvc.model import Halt, Late, OnUnknown, Push, PushState
from pushsvc.storage import apps, claims, tables
from pushsvc.storage.due import FEW_DEVICES, due_pushes
from pushsvc.storage.ids import new_object_id
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


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def with_app(site: Site) -> Site:
    """The same service, seen by another app."""
    async with site.engine.begin() as connection:
        app = await apps.create_app(connection, name=f"test-{new_object_id()}")
    await add_credentials(site.resources, app, site.simulators)
    return replace(site, app=app)


async def install(site: Site, token: str, device_type: str = "ios") -> tuple[int, dict[str, str]]:
    """Store a device; return its key, and how a push names it."""
    name = new_object_id()
    return await site.install(token, device_type, object_id=name), {"object_id": name}


async def push_to(site: Site, *devices: Any, **changes: Any) -> Push:
    """Submit a push that has to be planned: one for now, to tokens, is stored with its batch."""
    due = {"push_time": (site.resources.clock.now() - timedelta(seconds=1)).isoformat()}
    return await site.push(audience={"devices": list(devices)}, **due | changes)


def explicit(site: Site, token: str) -> dict[str, str]:
    topic = site.simulators.endpoints.credentials.apns.topics[0]
    return {"device_type": "ios", "token": token, "app_identifier": topic}


async def claimed(site: Site, *wanted: Push) -> Sequence[claims.Claimed]:
    """Claim pushes, in this order."""
    found = await pipeline.claim(site.resources, [push.id for push in wanted])
    assert [one.push.id for one in found] == [push.id for push in wanted]
    return found


async def fire(site: Site, *wanted: Push) -> None:
    await pipeline.fire(site.resources, await claimed(site, *wanted))


async def alter(site: Site, push: Push, **values: Any) -> None:
    async with site.engine.begin() as connection:
        statement = update(tables.pushes).where(tables.pushes.c.id == push.id).values(values)
        await connection.execute(statement)


async def let_leases_run_out(site: Site, push: Push) -> None:
    past = func.now() - timedelta(seconds=1)
    batches = tables.batches
    async with site.engine.begin() as connection:
        await connection.execute(
            update(batches).where(batches.c.push_id == push.id).values(lease_until=past)
        )
    await alter(site, push, lease_until=past)


async def test_every_push_of_a_group_has_its_own_end(site: Site) -> None:
    """Of two apps, by every way to name a device: sent, dead, not there, expired, tried again."""
    other = await with_app(site)
    number, ios = await install(site, apns_token())
    _, android = await install(other, fcm_token(), "android")
    dead, dead_token = await install(site, apns_token("fa170100"))
    _, busy = await install(site, apns_token("fa170e02"))
    loose = apns_token()
    volley = [
        await push_to(site, ios, content={"data": {"alert": "To {{ objectId }}"}}),
        await push_to(other, android),
        await push_to(site, explicit(site, loose), explicit(site, loose)),
        await push_to(site, dead_token),
        await push_to(site, {"installation_id": "nobody"}, ios),
        expired := await push_to(site, ios, content={"data": {"badge": "Increment"}}),
        await push_to(site, busy),
    ]
    await alter(site, expired, expires_at=func.now() - timedelta(seconds=1))

    await fire(site, *[await site.now(push) for push in volley])

    assert [await site.outcomes(push) for push in volley] == [
        {"sent": 1},
        {"sent": 1},
        {"sent": 1, "deduplicated": 1},
        {"failed": 1},
        {"sent": 1, "failed": 1},
        {"expired": 1},
        {},
    ]
    states = [(await site.now(push)).state for push in volley]
    assert states == [PushState.DONE] * 6 + [PushState.SENDING]
    assert await site.badge(number) == 0
    assert len(site.sent_to(loose)) == 1
    async with site.engine.connect() as connection:
        retired = tables.installations.c.token_retired_at
        statement = select(retired).where(tables.installations.c.id == dead)
        assert await connection.scalar(statement) is not None
        rows = tables.batches.c
        statement = select(rows.attempt).where(rows.push_id == volley[-1].id).order_by(rows.seq)
        assert list((await connection.execute(statement)).scalars()) == [1, 2]


async def test_each_push_shows_its_own_badge(site: Site) -> None:
    """A device that is in several pushes of a volley gets the badge of each, in their order."""
    token = apns_token()
    number, device = await install(site, token)
    _, beside = await install(site, apns_token())
    counted = {"data": {"alert": "{{ badge }}", "badge": "Increment"}}
    volley = [
        await push_to(site, device, content=counted),
        await push_to(site, device, content={"data": {"alert": "{{ badge }}", "badge": 7}}),
        await push_to(site, beside, device, content=counted),
    ]

    await fire(site, *volley)

    assert await site.badge(number) == 8
    bodies = [orjson.loads(entry.payload)["aps"] for entry in site.sent_to(token)]
    assert sorted((one["badge"], one["alert"]) for one in bodies) == [
        (1, "1"),
        (7, "7"),
        (8, "8"),
    ]


async def test_what_dies_before_it_has_begun_is_fired_again_and_once(site: Site) -> None:
    """Nothing was sent, so nobody is in doubt; and who comes back late begins nothing."""
    token = apns_token()
    push = await push_to(site, explicit(site, token))
    late = await claimed(site, push)
    await let_leases_run_out(site, push)

    await claims.put_back(site.engine)
    await fire(site, push)

    assert await loading.begin(site.resources, await loading.load(site.resources, late)) is None
    assert (await site.now(push)).state is PushState.DONE
    assert await site.outcomes(push) == {"sent": 1}
    assert len(site.sent_to(token)) == 1


async def test_what_dies_after_it_has_begun_is_in_doubt(site: Site) -> None:
    """A push that drops doubt is not sent again; its batch is taken over like any other."""
    token = apns_token()
    push = await push_to(site, explicit(site, token), on_unknown=OnUnknown.DROP)
    volley = await loading.begin(
        site.resources, await loading.load(site.resources, await claimed(site, push))
    )
    assert volley is not None
    await let_leases_run_out(site, push)

    async with working(site):
        await site.done(push)

    assert await site.outcomes(push) == {"unknown": 1}
    assert site.sent_to(token) == []
    # Who had begun it comes back, and has nothing to write down any more.
    assert await volley.send() == []
    assert await site.outcomes(push) == {"unknown": 1}


async def test_one_that_cannot_be_written_takes_nobody_with_it(site: Site) -> None:
    """There is no partition for its day: the volley goes one by one, and each arrives."""
    volley = [await push_to(site, explicit(site, apns_token())) for _ in range(3)]
    odd = (30_000 << 32) + volley[1].id % (1 << 32)
    await alter(site, volley[1], id=odd)
    volley[1] = replace(volley[1], id=odd)

    await fire(site, *[await site.now(push) for push in volley])
    assert {(await site.now(push)).state for push in volley} == {PushState.PLANNING}
    hasty = site.resources.settings.model_copy(update={"lease_seconds": 3})
    async with working(replace(site, resources=replace(site.resources, settings=hasty))):
        ends = [await site.done(push) for push in volley]

    assert [await site.outcomes(push) for push in ends] == [{"sent": 1}] * 3


@pytest.mark.parametrize(
    "values",
    [
        {"halt": Halt.PAUSE},
        {"rate_per_minute": 60},
        {"late": Late.SKIP},
        {"expires_at": func.now() + timedelta(seconds=2)},
        {"content": {"data": {}, "validate_only": True}},
        {"audience": {"devices": [{"object_id": "x"}] * (FEW_DEVICES + 1)}},
        {"leases": 2},
        {"due_at": func.now() + timedelta(seconds=60)},
    ],
    ids=lambda values: next(iter(values)),
)
async def test_what_is_to_be_asked_about_goes_by_itself(site: Site, values: dict[str, Any]) -> None:
    """No volley takes it; where it is due, the clock wakes somebody for it."""
    push = await push_to(site, explicit(site, apns_token()))
    await alter(site, push, **values)

    assert await pipeline.claim(site.resources, [push.id]) == []
    async with site.engine.connect() as connection:
        due = await due_pushes(connection, limit=1_000)
    assert (push.id in {one.id for one in due}) == values.keys().isdisjoint({"due_at", "halt"})


async def test_what_a_newer_version_has_stored_holds_up_nobody(site: Site) -> None:
    """A worker that cannot read a push claims those beside it, and keeps no lease of it."""
    volley = [await push_to(site, explicit(site, apns_token())) for _ in range(3)]
    await alter(site, volley[1], source="later")

    taken = await pipeline.claim(site.resources, [push.id for push in volley])
    await pipeline.fire(site.resources, taken)
    assert await pipeline.claim(site.resources, [volley[1].id]) == []
    async with site.engine.connect() as connection:
        assert volley[1].id in {one.id for one in await due_pushes(connection, limit=1_000)}
    with pytest.raises(ValueError, match="later"):
        await pipeline.plan_push(site.resources, volley[1].id)

    await alter(site, volley[1], source=volley[1].source)
    assert [await site.outcomes(push) for push in volley] == [{"sent": 1}, {}, {"sent": 1}]
    await pipeline.plan_push(site.resources, volley[1].id)
    assert await site.outcomes(volley[1]) == {"sent": 1}


async def test_apps_take_turns(site: Site) -> None:
    """Whoever comes late stands behind one push of each other app, however many these have."""
    other = await with_app(site)
    first = [await push_to(site, explicit(site, apns_token())) for _ in range(4)]
    late = await push_to(other, explicit(other, apns_token()))

    due = await pipeline.find_due(site.resources)
    ours = [number for number in due if number in {p.id for p in [*first, late]}]
    assert ours == [first[0].id, late.id, *(push.id for push in first[1:])]

    # Also where so many are due that one does not look at all of them.
    found = await claims.look(site.engine, most=2)
    assert (other.app.id, late.id) in found


async def test_the_next_moment_is_known(site: Site) -> None:
    """Somebody who has nothing to do may sleep until then."""
    push = await push_to(site, explicit(site, apns_token()))
    await alter(site, push, due_at=func.now() + timedelta(seconds=0.5))
    seconds = await claims.next_seconds(site.engine)
    assert seconds is not None
    assert 0 < seconds <= 0.5


async def test_who_is_told_to_stop_hands_nothing_over(site: Site) -> None:
    """The volley is written down, and its devices go on elsewhere, nobody twice."""
    token = apns_token()
    push = await push_to(site, explicit(site, token))
    site.resources.stopping.set()
    await fire(site, push)
    assert site.sent_to(token) == []

    async with working(site):
        await site.done(push)

    assert await site.outcomes(push) == {"sent": 1}
    assert len(site.sent_to(token)) == 1


async def test_what_expires_while_its_volley_is_held_up_is_not_sent(site: Site) -> None:
    """It had seconds left when it was claimed; it ends as expired, in a batch of its own."""
    token = apns_token()
    mine = await claimed(site, push := await push_to(site, explicit(site, token)))
    await alter(site, push, expires_at=func.now() + timedelta(seconds=0.3))
    volley = await loading.begin(site.resources, await loading.load(site.resources, mine))
    assert volley is not None

    async def has_expired() -> bool:
        async with site.engine.connect() as connection:
            expires_at = tables.pushes.c.expires_at
            statement = select(expires_at < func.now()).where(tables.pushes.c.id == push.id)
            return bool(await connection.scalar(statement))

    await until(has_expired)
    await volley.send()
    async with working(site):
        await site.done(push)

    assert site.sent_to(token) == []
    assert await site.outcomes(push) == {"expired": 1}


async def test_a_gateway_that_hangs_holds_up_no_ledger_but_its_own(site: Site) -> None:
    """The others' pushes are closed while it does; when it is cut off, it is in doubt."""
    _, hanging = await install(site, fcm_token("~never"), "android")
    slow = await push_to(site, hanging, on_unknown=OnUnknown.DROP)
    quick = await push_to(site, explicit(site, apns_token()))
    work = asyncio.create_task(fire(site, slow, quick))

    async def is_written() -> bool:
        return await site.outcomes(quick) == {"sent": 1}

    await until(is_written)
    assert not work.done()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    assert await site.outcomes(slow) == {"unknown": 1}


async def test_a_volley_that_loses_its_lease_waits_for_what_it_writes(site: Site) -> None:
    """Its worker does not end over a ledger that is half written."""
    settings = site.resources.settings.model_copy(update={"lease_seconds": 3})
    hasty = replace(site, resources=replace(site.resources, settings=settings))
    _, hanging = await install(site, fcm_token("~never"), "android")
    slow = await push_to(site, hanging, on_unknown=OnUnknown.DROP)
    quick = await push_to(site, explicit(site, apns_token()))
    batches = tables.batches.c

    async def is_writing() -> bool:
        async with site.engine.connect() as connection:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(await connection.scalar(waiting))

    async with asyncio.timeout(20), site.engine.begin() as locking:
        work = asyncio.create_task(fire(hasty, slow, quick))

        async def is_locked() -> bool:
            begun = select(batches.seq).where(batches.push_id == quick.id).with_for_update()
            return await locking.scalar(begun) is not None

        await until(is_locked)
        await until(is_writing)
        async with site.engine.begin() as connection:
            taken = update(tables.batches).where(batches.push_id == slow.id).values(leases=2)
            await connection.execute(taken)
        await asyncio.wait({work}, timeout=1.5)
        assert not work.done()
    await work

    assert (await site.now(quick)).state is PushState.DONE
    assert await site.outcomes(slow) == {}


async def test_a_worker_fires_at_the_moment(site: Site) -> None:
    """Pushes of one moment are taken up within half a second of it, and each arrives once."""
    token = apns_token()
    at = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    async with working(site):
        some = [await push_to(site, explicit(site, token), push_time=at) for _ in range(20)]
        ends = [await site.done(push) for push in some]

    assert len(site.sent_to(token)) == 20
    late = [push.started_at - push.due_at for push in ends if push.started_at]
    assert timedelta(0) <= min(late)
    assert max(late) < timedelta(seconds=0.5)


async def test_a_ring_is_for_what_is_due_as_well(site: Site) -> None:
    """A push by name for now is fired before the clock looks."""
    token = apns_token()
    _, device = await install(site, token)
    slow = site.resources.settings.model_copy(update={"clock_seconds": 60})
    async with working(replace(site, resources=replace(site.resources, settings=slow))):
        await site.done(await push_to(site, explicit(site, apns_token())))
        await site.done(await push_to(site, device))

    assert len(site.sent_to(token)) == 1
