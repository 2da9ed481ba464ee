"""Tokens go out of use on evidence, come into it again, and nothing mass-retires."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from pushsvc import hygiene, pipeline
from pushsvc.config import Settings
from pushsvc.delivery.evidence import LEAST_BLAMED
from pushsvc.hygiene import CLOCK_PIECES
from pushsvc.model import (
    Batch,
    Evidence,
    GatewayName,
    Ledger,
    OutcomeClass,
    Push,
    PushState,
    Standing,
    TokenEventKind as Kind,
    TokenState,
    Weight,
)
from pushsvc.storage import batches, token_events, token_undo
from pushsvc.storage.fields import parse_installation_fields
from pushsvc.storage.installations import SaveRequest
from pushsvc.storage.standing import installations_named
from pushsvc.storage.tables import installations as i, token_events as e
from pushsvc.storage.token_history import events_of
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, blocks_another, site as open_site, until

pytestmark = pytest.mark.integration

DEAD, SUSPECT, OK = OutcomeClass.TOKEN_DEAD, OutcomeClass.TOKEN_SUSPECT, OutcomeClass.OK
SCOPE = "apns:com.example.app"


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def install(site: Site, count: int) -> list[int]:
    return [await site.install(apns_token()) for _ in range(count)]


async def answered(
    site: Site,
    outcomes: Sequence[OutcomeClass],
    *,
    since: datetime | None = None,
    scope: str = SCOPE,
) -> Push:
    """A push to the channel `all` that is closed with these answers, one for each device."""
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    batch = await batches.lease_batch(
        site.engine, push.id, 0, lease_seconds=60, expires_at=None, badge=None
    )
    assert batch is not None
    assert len(outcomes) == batch.size
    await batches.finish_batch(
        site.engine, batch, await ledger(site, batch, outcomes, since, scope)
    )
    await pipeline.close_push(site.resources, push.id)
    found = await site.now(push)
    assert found.state is PushState.DONE
    return found


async def ledger(
    site: Site, batch: Batch, outcomes: Sequence[OutcomeClass], since: datetime | None, scope: str
) -> Ledger:
    async with site.engine.connect() as connection:
        ids = i.c.id.in_(batch.installation_ids)
        tokens = dict((await connection.execute(select(i.c.id, i.c.device_token).where(ids))).all())
    blamed = [
        Evidence(
            installation_id=number,
            token=tokens[number],
            gateway=GatewayName.APNS,
            scope=scope,
            outcome=outcome,
            reason="Unregistered" if outcome is DEAD else "BadDeviceToken",
            since=since,
        )
        for number, outcome in zip(batch.installation_ids, outcomes, strict=True)
        if outcome in {DEAD, SUSPECT}
    ]
    accepted = Weight(sum(outcome is OK for outcome in outcomes), 0)
    said = {SCOPE: accepted, scope: Weight(accepted.accepted * (scope == SCOPE), len(blamed))}
    return Ledger(
        outcomes=bytes(outcomes),
        counts={"ios": {one: list(outcomes).count(one) for one in set(outcomes)}},
        exceptions={},
        follow_ups=[],
        evidence=blamed,
        answered=said,
    )


async def standing(site: Site, number: int) -> Standing:
    async with site.engine.connect() as connection:
        name = (
            await connection.execute(select(i.c.object_id).where(i.c.id == number))
        ).scalar_one()
        found = await installations_named(connection, name, app_ids=[site.app.id])
    return found[site.app.id]


async def states(site: Site, numbers: Sequence[int]) -> list[TokenState]:
    return [(await standing(site, number)).token_state for number in numbers]


async def kinds(site: Site, number: int) -> list[Kind]:
    """What happened to the installation's token, oldest first."""
    async with site.engine.connect() as connection:
        events = await events_of(connection, number, before=None, limit=100)
    return [event.kind for event in reversed(events)]


async def change(site: Site, number: int, **values: Any) -> None:
    async with site.engine.begin() as connection:
        await connection.execute(update(i).where(i.c.id == number).values(values))


async def save(site: Site, number: int) -> None:
    """The device registers its token once more."""
    found = await standing(site, number)
    request = SaveRequest(
        fields=parse_installation_fields({"deviceToken": found.token}), object_id=found.object_id
    )
    await site.resources.saver.save(site.app.id, request)


def ignore(_: int) -> None:
    """Take a count."""


async def test_a_token_is_retired_if_it_was_registered_before_it_died(site: Site) -> None:
    """By the gateway's time, or else by when it was asked; what changed since is spared."""
    old, new, changed, unheard = await install(site, 4)
    now = datetime.now(UTC)
    await change(site, old, token_set_at=now - timedelta(days=2))
    await change(site, changed, token_set_at=now - timedelta(days=2))
    since = now - timedelta(days=1)
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    batch = await batches.lease_batch(
        site.engine, push.id, 0, lease_seconds=60, expires_at=None, badge=None
    )
    assert batch is not None
    written = await ledger(site, batch, [DEAD] * 3 + [OK], since, SCOPE)
    assert await batches.finish_batch(site.engine, batch, written)
    assert await states(site, [old]) == [TokenState.ACTIVE]
    assert await kinds(site, old) == [Kind.HELD]
    await change(site, changed, device_token=apns_token())

    await pipeline.close_push(site.resources, push.id)

    assert await states(site, [old, new, changed, unheard]) == [
        TokenState.RETIRED,
        *[TokenState.ACTIVE] * 3,
    ]
    assert await kinds(site, old) == [Kind.RETIRED]
    assert await kinds(site, new) == [Kind.SPARED]
    assert await kinds(site, changed) == [Kind.SPARED, Kind.REPLACED]
    without_a_time = await answered(site, [DEAD, OK, OK])
    assert await states(site, [new]) == [TokenState.RETIRED]
    assert without_a_time.tokens_held == 0


async def test_a_token_is_suspected_in_vain_where_nobody_got_through(site: Site) -> None:
    """Only a yes for the same app proves that it is the token which is wrong."""
    first, second = await install(site, 2)

    await answered(site, [SUSPECT, SUSPECT])
    await answered(site, [SUSPECT, OK], scope="apns:com.example.other")
    assert await states(site, [first, second]) == [TokenState.ACTIVE] * 2
    await answered(site, [SUSPECT, OK])

    assert await states(site, [first, second]) == [TokenState.QUARANTINED, TokenState.ACTIVE]
    assert await kinds(site, first) == [Kind.SPARED, Kind.SPARED, Kind.QUARANTINED]
    until = (await standing(site, first)).quarantined_until
    assert until is not None
    assert timedelta(days=6.9) < until - datetime.now(UTC) <= timedelta(days=7)


async def test_the_clock_releases_what_was_long_enough_in_quarantine(site: Site) -> None:
    """And nothing that is retired, nor before its time."""
    due, waiting, retired, _ = await install(site, 4)
    await answered(site, [SUSPECT, SUSPECT, DEAD, OK])
    await change(site, due, token_quarantined_until=func.now())

    await hygiene.tend(site.resources)

    assert await states(site, [due, waiting, retired]) == [
        TokenState.ACTIVE,
        TokenState.QUARANTINED,
        TokenState.RETIRED,
    ]
    assert await kinds(site, due) == [Kind.QUARANTINED, Kind.RELEASED]


async def test_a_device_that_registers_its_token_is_reachable_at_once(site: Site) -> None:
    """Out of quarantine and out of retirement; both stand in the history."""
    suspected, retired, _ = await install(site, 3)
    await answered(site, [SUSPECT, DEAD, OK])

    for number in (suspected, retired):
        await save(site, number)

    assert await states(site, [suspected, retired]) == [TokenState.ACTIVE] * 2
    assert (await kinds(site, suspected))[-1] is Kind.REGISTERED
    assert (await kinds(site, retired))[-1] is Kind.REGISTERED
    async with site.engine.connect() as connection:
        left = select(i.c.id).where(
            i.c.app_id == site.app.id, i.c.token_quarantined_until > func.now()
        )
        assert (await connection.execute(left)).first() is None


async def test_nothing_mass_retires(site: Site) -> None:
    """A push that blames too many is held, and an operator applies it, or takes it back."""
    numbers = await install(site, LEAST_BLAMED + 2)
    outcomes = [DEAD] * LEAST_BLAMED + [SUSPECT, OK]

    push = await answered(site, outcomes)

    assert push.tokens_held == LEAST_BLAMED + 1
    assert set(await states(site, numbers)) == {TokenState.ACTIVE}
    assert await kinds(site, numbers[0]) == [Kind.HELD]

    counts: list[int] = []
    await hygiene.overrule(site.resources, push.id, told=counts.append)
    assert sum(counts) == LEAST_BLAMED + 1
    assert (await site.now(push)).tokens_held == 0
    assert (await states(site, numbers))[-3:] == [
        TokenState.RETIRED,
        TokenState.QUARANTINED,
        TokenState.ACTIVE,
    ]
    await hygiene.overrule(site.resources, push.id, told=counts.append)
    assert sum(counts) == LEAST_BLAMED + 1

    await hygiene.restore(site.resources, token_undo.OfPush(push.id), told=ignore)
    assert set(await states(site, numbers)) == {TokenState.ACTIVE}
    assert await kinds(site, numbers[0]) == [Kind.HELD, Kind.RETIRED, Kind.RESTORED]


async def test_an_operator_restores_by_installation_by_push_or_since_a_time(site: Site) -> None:
    """And only what went out of use by that; a dry run counts the same."""
    first, second, third, _ = await install(site, 4)
    one = await answered(site, [DEAD, OK, OK, OK])
    between = datetime.now(UTC)
    await answered(site, [SUSPECT, DEAD, OK])
    numbers = [first, second, third]

    async def restored(choice: token_undo.Choice) -> list[bool]:
        count = await token_undo.count(site.engine, choice)
        before = await states(site, numbers)
        await hygiene.restore(site.resources, choice, told=ignore)
        after = await states(site, numbers)
        changed = [was is not now for was, now in zip(before, after, strict=True)]
        assert sum(changed) == count
        return changed

    assert await restored(token_undo.OfInstallation(third)) == [False, False, True]
    assert await restored(token_undo.OfApp(site.app.id, between)) == [False, True, False]
    assert await restored(token_undo.OfPush(one.id)) == [True, False, False]
    assert await restored(token_undo.OfPush(one.id)) == [False] * 3
    assert await kinds(site, third) == [Kind.RETIRED, Kind.RESTORED]
    await answered(site, [DEAD, OK, OK, OK])
    assert await restored(token_undo.OfPush(one.id)) == [False] * 3


async def test_what_died_over_the_close_is_done_by_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces that are applied stay so; the clock goes on, some at a time, and then closes."""
    monkeypatch.setattr(token_events, "PIECE", 1)
    numbers = await install(site, CLOCK_PIECES + 2)
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    batch = await batches.lease_batch(
        site.engine, push.id, 0, lease_seconds=60, expires_at=None, badge=None
    )
    assert batch is not None
    written = await ledger(site, batch, [DEAD] * len(numbers), None, SCOPE)
    await batches.finish_batch(site.engine, batch, written)
    assert await hygiene.settle(site.resources, push.id, pieces=1) is None
    assert await states(site, numbers[:2]) == [TokenState.RETIRED, TokenState.ACTIVE]

    await pipeline.tick(site.resources)
    assert (await site.now(push)).state is PushState.SENDING
    await pipeline.tick(site.resources)

    assert (await site.now(push)).state is PushState.DONE
    assert set(await states(site, numbers)) == {TokenState.RETIRED}
    assert await kinds(site, numbers[0]) == [Kind.RETIRED]


async def test_many_that_close_one_push_apply_its_evidence_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody closes it before the last of it is applied."""
    monkeypatch.setattr(token_events, "PIECE", 1)
    numbers = await install(site, 12)
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    batch = await batches.lease_batch(
        site.engine, push.id, 0, lease_seconds=60, expires_at=None, badge=None
    )
    assert batch is not None
    written = await ledger(site, batch, [DEAD] * len(numbers), None, SCOPE)
    await batches.finish_batch(site.engine, batch, written)

    async def close() -> None:
        while (await site.now(push)).state is not PushState.DONE:
            await pipeline.close_push(site.resources, push.id)
        assert set(await states(site, numbers)) == {TokenState.RETIRED}

    await asyncio.gather(*(close() for _ in range(4)))

    assert [await kinds(site, number) for number in numbers] == [[Kind.RETIRED]] * len(numbers)


async def test_evidence_of_an_installation_that_is_gone_does_no_harm(site: Site) -> None:
    """The ledger is written, and nothing of the installation is left."""
    gone, there = await install(site, 2)
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    batch = await batches.lease_batch(
        site.engine, push.id, 0, lease_seconds=60, expires_at=None, badge=None
    )
    assert batch is not None
    written = await ledger(site, batch, [DEAD, DEAD], None, SCOPE)
    async with site.engine.begin() as connection:
        await connection.execute(i.delete().where(i.c.id == gone))

    assert await batches.finish_batch(site.engine, batch, written)
    await pipeline.close_push(site.resources, push.id)

    assert await states(site, [there]) == [TokenState.RETIRED]


async def test_a_device_may_be_deleted_while_its_evidence_is_applied(site: Site) -> None:
    """Whoever comes first, the other waits: none is ended to let the other one go on."""
    (number,) = await install(site, 1)
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    batch = await batches.lease_batch(
        site.engine, push.id, 0, lease_seconds=60, expires_at=None, badge=None
    )
    assert batch is not None
    written = await ledger(site, batch, [DEAD], None, SCOPE)
    assert await batches.finish_batch(site.engine, batch, written)

    async with site.engine.begin() as connection:
        await connection.execute(select(i.c.id).where(i.c.id == number).with_for_update())
        closing = asyncio.create_task(pipeline.close_push(site.resources, push.id))
        await until(lambda: blocks_another(connection))
        await connection.execute(i.delete().where(i.c.id == number))
    await closing

    assert (await site.now(push)).state is PushState.DONE


async def test_evidence_of_a_time_to_come_is_of_now(site: Site) -> None:
    """A gateway whose clock is wrong does not speak of tokens that are registered later."""
    number, *_ = await install(site, 2)
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    batch = await batches.lease_batch(
        site.engine, push.id, 0, lease_seconds=60, expires_at=None, badge=None
    )
    assert batch is not None
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    written = await ledger(site, batch, [DEAD, OK], tomorrow, SCOPE)
    assert await batches.finish_batch(site.engine, batch, written)
    await change(site, number, token_set_at=func.now())

    await pipeline.close_push(site.resources, push.id)

    assert await states(site, [number]) == [TokenState.ACTIVE]


async def test_a_save_that_leaves_the_token_alone_is_no_event(site: Site) -> None:
    """Nor is the first token; another one is, and says which it took the place of."""
    number = await site.install(apns_token())
    former = (await standing(site, number)).token
    await change(site, number, device_token=former, channels=["b"], token_set_at=func.now())
    await change(site, number, custom={"a": 1})
    assert await kinds(site, number) == []

    await change(site, number, device_token=apns_token())
    await change(site, number, channel_uris={"_Default": "https://a"})
    await change(site, number, channel_uris={"_Default": "https://b"})

    async with site.engine.connect() as connection:
        events = await events_of(connection, number, before=None, limit=9)
    assert [(event.kind, event.token) for event in events] == [
        (Kind.REPLACED, "https://a"),
        (Kind.REPLACED, former),
    ]


async def test_old_events_are_forgotten(site: Site) -> None:
    """What is older than `token_history_days`, by the clock."""
    number = await site.install(apns_token())
    days = site.resources.settings.token_history_days
    rows = [{"created_at": text(f"now() - interval '{age} days'")} for age in (days - 1, days + 1)]
    async with site.engine.begin() as connection:
        for row in rows:
            values = {"app_id": site.app.id, "installation_id": number, "kind": "replaced", **row}
            await connection.execute(insert(e).values(values))

    await hygiene.tend(site.resources)

    assert await kinds(site, number) == [Kind.REPLACED]
