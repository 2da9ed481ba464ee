"""The run of a campaign: variants, a holdout, quiet hours, and an audience that has grown."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from pushsvc import halting, pipeline
from pushsvc.config import Settings
from pushsvc.model import (
    HOLDOUT,
    Halt,
    Late,
    OutcomeClass as C,
    Push,
    PushState,
    QuietHours,
    QuietThen,
    Rules,
    Variant,
)
from pushsvc.planning import variants
from pushsvc.storage import tables
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, site as open_site, working
from tests.integration.waving import (
    HOUR,
    KOLKATA,
    LAGOS,
    batches_of,
    clock_of,
    passes,
    settled,
    store,
    waves_of,
)

pytestmark = pytest.mark.integration

A: dict[str, Any] = {"data": {"alert": "of a"}}
B: dict[str, Any] = {"data": {"alert": "of b", "badge": "Increment"}}


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


def rules(**fields: Any) -> Rules:
    """Rules of a run with two variants and a holdout."""
    given: dict[str, Any] = {
        "salt": 7,
        "variants": (
            Variant(name="a", weight=45, content=A, push_hash="a"),
            Variant(name="b", weight=45, content=B, push_hash="b"),
        ),
        "holdout": 10,
    }
    return Rules(**{**given, **fields})


def quiet(zone: str, then: QuietThen) -> Rules:
    """Quiet hours that a zone has now, for an hour yet; nothing else."""
    hours = QuietHours(
        start=clock_of(zone, ahead=-HOUR).time(), end=clock_of(zone, ahead=HOUR).time(), then=then
    )
    return rules(variants=(), holdout=0, quiet_hours=hours)


async def not_before(site: Site, push: Push, seq: int) -> float:
    """Return in how many seconds a batch may be leased."""
    statement = text("""
        SELECT extract(epoch FROM not_before - now())::float8 FROM batches
        WHERE push_id = :id AND seq = :seq
    """)
    async with site.engine.connect() as connection:
        found: float = await connection.scalar(statement, {"id": push.id, "seq": seq})
    return found


async def test_each_device_gets_its_variant_and_the_holdout_nothing(site: Site) -> None:
    """Content and badge are the variant's; a batch has devices of one variant and one zone."""
    tokens, zones = {}, {}
    for place in range(60):
        token, zone = apns_token(), (KOLKATA, LAGOS)[place % 2]
        number = await site.install(token, time_zone=zone)
        tokens[number], zones[number] = token, zone
    of = {
        number: name for name, ids in variants.split(rules(), [*tokens]).items() for number in ids
    }
    assert set(of.values()) == {"a", "b", HOLDOUT}

    async with working(site):
        push = await site.done(await store(site, rules=rules(), content=A))

    alerts = {entry.token: entry.payload for entry in site.sent()}
    for number, name in of.items():
        sent = alerts.get(tokens[number])
        assert (sent is None) == (name == HOLDOUT)
        assert sent is None or f"of {name}".encode() in sent
        assert await site.badge(number) == (name == "b")
    assert await settled(site, push) == {
        number: C.HOLDOUT if name == HOLDOUT else C.OK for number, name in of.items()
    }
    found = await batches_of(site, push, "zone", "variant", "installation_ids")
    assert {(zone, name) for zone, name, _ in found} == {(zones[n], of[n]) for n in of}
    assert all(of[number] == name for _, name, ids in found for number in ids)
    assert {one.zone: one.devices for one in await waves_of(site, push)} == {KOLKATA: 30, LAGOS: 30}


async def test_quiet_hours_put_a_batch_off_until_they_end(site: Site) -> None:
    """By the zone of its devices, as no attempt; those of other zones go."""
    waits = await site.install(apns_token(), time_zone=KOLKATA)
    goes = await site.install(apns_token(), time_zone=LAGOS)
    push = await store(site, rules=quiet(KOLKATA, QuietThen.DEFER), rate_per_minute=60_000)
    await pipeline.plan_push(site.resources, push.id)
    for seq, *_ in await batches_of(site, push, "seq"):
        await pipeline.deliver_batch(site.resources, push.id, seq)

    assert await settled(site, push) == {waits: C.OPEN, goes: C.OK}
    rows = await batches_of(site, push, "state", "leases", "attempt", "paced", "seq")
    (seq,) = [row[4] for row in rows if row[:4] == (0, 0, 1, False)]
    assert await not_before(site, push, seq) == pytest.approx(3600, abs=60)
    # In the morning.
    async with site.engine.begin() as connection:
        for statement in (
            "UPDATE batches SET not_before = now() WHERE push_id = :id AND state = 0",
            "UPDATE pushes SET rules = jsonb_set(rules, '{quiet_hours}', 'null') WHERE id = :id",
        ):
            await connection.execute(text(statement), {"id": push.id})
    async with working(site):
        push = await site.done(push)
    assert await site.outcomes(push) == {"sent": 2}


async def test_what_expires_in_quiet_hours_ends_in_time(site: Site) -> None:
    """It waits for its end instead, and is expired then."""
    number = await site.install(apns_token(), time_zone=KOLKATA)
    push = await store(site, rules=quiet(KOLKATA, QuietThen.DEFER))
    await pipeline.plan_push(site.resources, push.id)
    async with site.engine.begin() as connection:
        statement = "UPDATE pushes SET expires_at = now() + interval '1 minute' WHERE id = :id"
        await connection.execute(text(statement), {"id": push.id})
    await pipeline.deliver_batch(site.resources, push.id, 0)
    assert await not_before(site, push, 0) == pytest.approx(60, abs=5)
    async with site.engine.begin() as connection:
        for statement in (
            "UPDATE pushes SET expires_at = now() WHERE id = :id",
            "UPDATE batches SET not_before = now() WHERE push_id = :id",
        ):
            await connection.execute(text(statement), {"id": push.id})
    await pipeline.deliver_batch(site.resources, push.id, 0)

    assert await settled(site, push) == {number: C.EXPIRED}


async def test_a_run_that_waited_for_a_yes_is_not_late(site: Site) -> None:
    """It goes to all of them, although it is one that skips what is late."""
    numbers = [await site.install(apns_token(), time_zone=KOLKATA) for _ in range(2)]
    push = await store(site, rules=rules(variants=(), holdout=0, max_recipients=1), late=Late.SKIP)
    await pipeline.plan_push(site.resources, push.id)
    push = await passes(site, push, HOUR)
    assert push.halt is Halt.PAUSE

    named = halting.Named(app_id=site.app.id, object_id=push.object_id, how="")
    await halting.resume(site.resources, named, confirm_recipients=2)
    await pipeline.plan_push(site.resources, push.id)

    assert await settled(site, push) == dict.fromkeys(numbers, C.OPEN)


async def test_only_what_is_sent_has_a_turn_at_the_rate_of_a_run(site: Site) -> None:
    """Not the holdout; and what its wave's end comes before is there in time to expire."""
    numbers = [await site.install(apns_token(), time_zone=KOLKATA) for _ in range(40)]
    push = await store(site, rules=rules(holdout=90), rate_per_minute=60)
    await pipeline.plan_push(site.resources, push.id)
    of = await settled(site, push)
    sent = [number for number in numbers if of[number] is C.OPEN]
    rows = await batches_of(site, push, "variant", "paced", "seq")
    waits = {seq: await not_before(site, push, seq) for _, _, seq in rows}
    assert 0 < len(sent) < 40
    assert max(waits.values()) < len(sent)
    assert all(waits[seq] < 0 for name, paced, seq in rows if name == HOLDOUT and not paced)

    async with site.engine.begin() as connection:
        statement = """
            UPDATE batches SET paced = false, not_before = now(),
                expires_at = now() + interval '9 seconds'
            WHERE push_id = :id
        """
        await connection.execute(text(statement), {"id": push.id})
        await connection.execute(
            text("UPDATE pushes SET paced_until = now() + interval '1 hour' WHERE id = :id"),
            {"id": push.id},
        )
    for name, _, seq in rows:
        await pipeline.deliver_batch(site.resources, push.id, seq)
        wait = await not_before(site, push, seq)
        assert wait < 0 if name == HOLDOUT else wait == pytest.approx(9, abs=5)
    assert len([1 for (state,) in await batches_of(site, push, "state") if state == 2]) == len(
        [name for name, *_ in rows if name == HOLDOUT]
    )


async def test_quiet_hours_drop_where_the_run_says_so(site: Site) -> None:
    """Nothing is sent, and no badge moves; who has no zone is left out by the plan."""
    quiet_one = await site.install(apns_token(), time_zone=KOLKATA)
    goes = await site.install(apns_token(), time_zone=LAGOS)
    zoneless = await site.install(apns_token())
    push = await store(site, rules=quiet(KOLKATA, QuietThen.DROP), content=B)
    async with working(site):
        push = await site.done(push)

    assert await settled(site, push) == {
        quiet_one: C.QUIET_HOURS,
        goes: C.OK,
        zoneless: C.NO_TIME_ZONE,
    }
    assert await site.outcomes(push) == {"sent": 1, "excluded": 2}
    badges = [await site.badge(number) for number in (quiet_one, goes, zoneless)]
    assert badges == [0, 1, 0]


async def test_a_run_whose_audience_has_grown_is_paused_before_anything_is_sent(
    site: Site,
) -> None:
    """And so is its campaign; the reason says how many there are, and what to do."""
    for _ in range(3):
        await site.install(apns_token(), time_zone=KOLKATA)
    async with site.engine.begin() as connection:
        statement = insert(tables.campaigns).values(
            object_id=f"c{site.app.id}",
            app_id=site.app.id,
            name="sale",
            definition={},
            state="active",
        )
        result = await connection.execute(statement.returning(tables.campaigns.c.id))
        campaign_id = result.scalar_one()
    fits = await store(site, rules=rules(max_recipients=3))
    push = await store(site, rules=rules(max_recipients=2), campaign_id=campaign_id)
    for one in (fits, push):
        await pipeline.plan_push(site.resources, one.id)

    assert (await site.now(fits)).state is PushState.SENDING
    push = await site.now(push)
    assert (push.state, push.halt, push.batches) == (PushState.WAITING, Halt.PAUSE, 0)
    assert push.halted_at is not None
    assert "3 devices" in (push.halt_reason or "")
    assert "confirm_recipients" in (push.halt_reason or "")
    async with site.engine.connect() as connection:
        columns = tables.campaigns.c
        found = await connection.execute(
            text("SELECT state, state_reason FROM campaigns WHERE id = :id"), {"id": campaign_id}
        )
        assert columns
        assert tuple(found.one()) == ("paused", push.halt_reason)
    assert datetime.now(UTC) - push.halted_at < timedelta(minutes=1)
