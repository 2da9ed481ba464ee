"""Gateways in trouble, and pushes with a rate of their own, on the whole way."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from pushsvc import pipeline
from pushsvc.config import Settings
from pushsvc.delivery.pacing import OpenCircuit, key_of, open_circuits
from pushsvc.model import Lane, OutcomeClass
from pushsvc.simulators.script import Rule
from pushsvc.storage import batches, tables
from pushsvc.storage.credentials import list_credentials, revoke_credential
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
from tests.unit.delivery.standing_clock import StandingClock

pytestmark = pytest.mark.integration


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def circuits(site: Site) -> list[OpenCircuit]:
    """Return the open circuits of the app's credentials."""
    async with site.engine.connect() as connection:
        found = await list_credentials(connection, app_id=site.app.id)
    return await open_circuits(site.resources.queue.redis, [one.id for one in found])


async def rows(site: Site, push_id: int, *columns: str) -> list[tuple[Any, ...]]:
    """Return these columns of the push's batches, in their order."""
    async with site.engine.connect() as connection:
        found = await connection.execute(
            select(*(tables.batches.c[name] for name in columns))
            .where(tables.batches.c.push_id == push_id)
            .order_by(tables.batches.c.seq)
        )
        return [tuple(row) for row in found]


async def test_after_an_outage_everybody_gets_the_push(site: Site) -> None:
    """The circuit opens, tries a few, and closes; the other gateway has not noticed anything."""
    site.simulators.script.add(Rule(gateway="apns", scope="every", fault="e500", parameter=0xFF))
    numbers = [await site.install(apns_token()) for _ in range(30)]
    android = await site.install(fcm_token(), "android")

    async with working(site):
        push = await site.push()
        (circuit,) = await until(lambda: circuits(site))
        site.simulators.script.clear()
        await site.done(push)

    assert (circuit.trouble, circuit.reason) == ("failing", "InternalServerError")
    sent = dict.fromkeys([*numbers, android], (OutcomeClass.OK, ""))
    assert await site.ledger(push) == sent
    assert await circuits(site) == []


async def test_a_worker_whose_clock_is_wrong_gives_nobody_up(site: Site) -> None:
    """How long a device was tried is by the database's clock alone."""
    clock = StandingClock()
    clock.move(seconds=1e9)
    wrong = replace(site.resources, clock=clock)
    site.simulators.script.add(Rule(gateway="apns", scope="every", fault="e500", parameter=0xFF))
    await site.install(apns_token())
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    async with site.engine.begin() as connection:
        statement = "UPDATE batches SET first_tried_at = now() - interval '10 s'"
        await connection.execute(text(f"{statement} WHERE push_id = :id"), {"id": push.id})

    await pipeline.deliver_batch(wrong, push.id, 0)

    assert await rows(site, push.id, "attempt", "state") == [(1, 2), (2, 0)]


async def test_a_quota_lets_the_send_rate_fall_and_touches_no_token(site: Site) -> None:
    """429 with Retry-After: the project is left alone for so long, and then slower."""
    site.simulators.script.add(Rule(gateway="fcm", scope="next", fault="quota", parameter=1, n=30))
    tokens = [fcm_token() for _ in range(30)]
    numbers = [await site.install(token, "android") for token in tokens]

    async with working(site):
        push = await site.push()
        await until(lambda: _sent(site, 30))
        later = await site.push()
        await site.done(push)
        await site.done(later)

    refused, accepted = site.sent()[:30], site.sent()[30:]
    assert {entry.status for entry in refused} == {429}
    assert {entry.status for entry in accepted} == {200}
    assert accepted[0].time - refused[-1].time >= 0.9
    assert await site.ledger(push) == dict.fromkeys(numbers, (OutcomeClass.OK, ""))
    async with site.engine.connect() as connection:
        retired = select(tables.installations.c.token_retired_at).where(
            tables.installations.c.id.in_(numbers)
        )
        assert set((await connection.execute(retired)).scalars()) == {None}


async def _sent(site: Site, count: int) -> bool:
    return len(site.sent()) >= count


async def test_a_key_that_is_replaced_in_time_loses_only_what_was_asked(site: Site) -> None:
    """The rest waits, and goes with the other credential, whose circuit was never open."""
    site.simulators.script.add(Rule(gateway="apns", scope="every", fault="invalid_jwt"))
    numbers = [await site.install(apns_token()) for _ in range(30)]
    push = await site.push()

    async def held() -> list[tuple[Any, ...]]:
        return [row for row in await rows(site, push.id, "state", "attempt") if row == (0, 1)]

    async with working(site):
        await until(lambda: circuits(site))
        await until(held)
    site.simulators.script.clear()
    async with site.engine.begin() as connection:
        for one in await list_credentials(connection, app_id=site.app.id):
            await revoke_credential(connection, one.id)
        await connection.execute(
            text("UPDATE batches SET not_before = now() WHERE push_id = :id AND state = 0"),
            {"id": push.id},
        )
    await add_credentials(site.resources, site.app, site.simulators)
    async with working(site):
        await site.done(push)

    found = await site.ledger(push)
    asked = (OutcomeClass.CREDENTIAL, "InvalidProviderToken")
    assert sorted(found) == numbers
    assert list(found.values()).count(asked) == 20
    assert list(found.values()).count((OutcomeClass.OK, "")) == 10


async def test_a_push_with_a_rate_has_the_times_of_its_batches_in_the_plan(site: Site) -> None:
    """One after another at the rate; the first one goes, and nobody is woken for the others."""
    for _ in range(5):
        await site.install(apns_token())
    push = await site.push(rate_per_minute=12)

    await pipeline.plan_push(site.resources, push.id)

    planned = await rows(site, push.id, "not_before", "installation_ids", "paced")
    assert [len(ids) for _, ids, _ in planned] == [2, 2, 1]
    assert all(paced for *_, paced in planned)
    waits = [(at - planned[0][0]).total_seconds() for at, *_ in planned]
    assert waits == pytest.approx([0, 10, 20], abs=0.01)


async def test_what_missed_its_turn_gets_a_new_one_behind_the_others(site: Site) -> None:
    """After a downtime there is no burst; what has been asked about is retried at once."""
    for _ in range(6):
        await site.install(apns_token())
    push = await site.push(rate_per_minute=12)
    await pipeline.plan_push(site.resources, push.id)
    async with site.engine.begin() as connection:
        for statement in (
            "UPDATE batches SET not_before = not_before - interval '1 hour' WHERE push_id = :id",
            "UPDATE batches SET attempt = 2 WHERE push_id = :id AND seq = 2",
            "UPDATE pushes SET paced_until = now() + interval '1 minute' WHERE id = :id",
        ):
            await connection.execute(text(statement), {"id": push.id})

    for seq in range(3):
        await pipeline.deliver_batch(site.resources, push.id, seq)

    (first, state_1), (second, state_2), (_, retried) = await rows(
        site, push.id, "not_before", "state"
    )
    assert (state_1, state_2, retried) == (0, 0, 2)
    assert (second - first).total_seconds() == pytest.approx(10, abs=0.01)
    assert len(site.sent()) == 2


async def test_a_turn_that_a_push_does_not_live_to_see_comes_when_it_expires(site: Site) -> None:
    """At its end the push is closed, however much of it had to wait, or missed its turn."""
    for _ in range(4):
        await site.install(apns_token())
    push = await site.push(rate_per_minute=1, expiration_interval=30)

    await pipeline.plan_push(site.resources, push.id)

    planned = await rows(site, push.id, "not_before")
    waits = [(at - planned[0][0]).total_seconds() for (at,) in planned]
    assert waits == pytest.approx([0, 30, 30, 30], abs=1)
    statements = (
        "UPDATE batches SET not_before = now() - interval '6 s' WHERE push_id = :id",
        "UPDATE pushes SET expires_at = now() + interval '1 s' WHERE id = :id",
    )
    async with site.engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement), {"id": push.id})
    async with working(site):
        push = await site.done(push)
    assert await site.outcomes(push) == {"expired": 4}


async def test_waiting_for_turns_does_not_count_and_being_held_does(site: Site) -> None:
    """So what is held again and again by a credential out of order comes to its end."""
    await site.install(apns_token())
    push = await site.push(rate_per_minute=60)
    await pipeline.plan_push(site.resources, push.id)
    statements = (
        "UPDATE batches SET paced = false WHERE push_id = :id",
        "UPDATE batches SET first_tried_at = now() - interval '14 min' WHERE push_id = :id",
        "UPDATE pushes SET paced_until = now() + interval '1 hour' WHERE id = :id",
    )
    async with site.engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement), {"id": push.id})

    await pipeline.deliver_batch(site.resources, push.id, 0)

    ((first, turn),) = await rows(site, push.id, "first_tried_at", "not_before")
    assert (turn - first).total_seconds() == pytest.approx(14 * 60, abs=5)


async def test_a_time_that_a_credential_has_granted_is_not_asked_for_again(site: Site) -> None:
    """A follow-up that comes when it should is reserved; the plan's own batches are not."""
    number = await site.install(apns_token())
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    found = {}
    for name, columns in {
        "in time": "badges_applied = true, paced = true, not_before = now() - interval '4 s'",
        "too late": "badges_applied = true, paced = true, not_before = now() - interval '6 s'",
        "of the plan": "badges_applied = false, paced = true, not_before = now()",
    }.items():
        statement = f"UPDATE batches SET state = 0, {columns} WHERE push_id = :id"
        async with site.engine.begin() as connection:
            await connection.execute(text(statement), {"id": push.id})
        batch = await batches.lease_batch(
            site.engine, push.id, 0, lease_seconds=30, expires_at=None, badge=None
        )
        assert batch is not None
        found[name] = batch.paced

    assert found == {"in time": True, "too late": False, "of the plan": False}
    assert number
    assert push.lane is Lane.BULK


async def test_more_than_the_rate_is_put_off_once(
    settings: Settings, app_row: AppRow, tmp_path: Path
) -> None:
    """The first second's worth goes at once, the rest when it is their turn; none is an attempt."""
    slow = settings.model_copy(update={"apns_rate_per_minute": 600})
    async with open_site(slow, app_row.app, tmp_path) as site:
        for _ in range(15):
            await site.install(apns_token())
        async with working(site):
            push = await site.done(await site.push())
            found = await rows(site, push.id, "attempt", "paced", "first_tried_at", "exceptions")

        assert await site.outcomes(push) == {"sent": 15}
        assert len(site.sent()) == 15
        assert found == [(1, False, None, {"Paced": list(range(10, 15))}), (1, True, None, {})]
        async with site.engine.connect() as connection:
            credential, *_ = await list_credentials(connection, app_id=site.app.id)
        assert await site.resources.queue.redis.exists(key_of(credential.id))
