"""A push is cancelled, paused, resumed and moved, wherever it is on its way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import event, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc import halting, pipeline, planner
from pushsvc.config import Settings
from pushsvc.errors import (
    ConfirmationRequiredError,
    InvalidExpirationError,
    NotFoundError,
    WrongStateError,
)
from pushsvc.halting import Named
from pushsvc.model import (
    BatchState,
    Halt,
    Lane,
    OnUnknown,
    OutcomeClass,
    PauseWhen,
    Push,
    PushState,
    Rules,
)
from pushsvc.stats import tally
from pushsvc.storage import batches, halts, plans, pushes, tables
from pushsvc.storage.due import due_pushes
from pushsvc.storage.engine import create_engine
from pushsvc.storage.ids import new_object_id
from tests.integration.conftest import AppRow
from tests.integration.pushing import (
    Site,
    apns_token,
    blocks_another,
    fcm_token,
    site as open_site,
    until,
    working,
)

pytestmark = pytest.mark.integration

O = OutcomeClass  # noqa: E741 - a table is read across
#: The simulated FCM takes 100 at a time on each of two connections, and here each takes a second.
SLOW: Final = "~slow-0a"
AT_ONCE: Final = 200
SLOW_DEVICES: Final = 250


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker; two devices make a batch."""
    small = settings.model_copy(update={"batch_size": 2, "fcm_ramp_seconds": 0})
    async with open_site(small, app_row.app, tmp_path) as opened:
        yield opened


@pytest.fixture
async def large(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """The same with batches of usual size."""
    unpaced = settings.model_copy(update={"fcm_ramp_seconds": 0})
    async with open_site(unpaced, app_row.app, tmp_path) as opened:
        yield opened


def named(push: Push) -> Named:
    return Named(object_id=push.object_id, app_id=push.app_id, how="by a test")


async def cancel(site: Site, push: Push) -> Push:
    return await halting.cancel(site.resources, named(push))


async def pause(site: Site, push: Push) -> Push:
    return await halting.pause(site.resources, named(push))


async def resume(site: Site, push: Push, confirmed: int | None = None) -> Push:
    return await halting.resume(site.resources, named(push), confirm_recipients=confirmed)


async def planned(site: Site, devices: int = 3, **changes: Any) -> Push:
    """A push to so many devices that is in batches, and goes no further without a worker."""
    for _ in range(devices):
        await site.install(apns_token())
    push = await site.push(**changes)
    await pipeline.plan_push(site.resources, push.id)
    return push


async def classes(site: Site, push: Push) -> dict[OutcomeClass, int]:
    async with site.engine.connect() as connection:
        return tally.total(await pushes.counts_of(connection, await site.now(push)))


async def shift(site: Site, push: Push, **columns: Any) -> None:
    async with site.engine.begin() as connection:
        await connection.execute(
            update(tables.pushes).where(tables.pushes.c.id == push.id).values(**columns)
        )


async def crowd(site: Site, fault: str, count: int) -> set[str]:
    """Store Android devices with this fault, and return their tokens."""
    tokens = [fcm_token(fault) for _ in range(count)]
    rows = [
        {
            "app_id": site.app.id,
            "object_id": new_object_id(),
            "device_token": token,
            "device_type": "android",
            "channels": ["all"],
        }
        for token in tokens
    ]
    async with site.engine.begin() as connection:
        await connection.execute(insert(tables.installations), rows)
    return set(tokens)


# ---------------------------------------------------------------- before anything is sent


async def test_a_push_that_waits_is_cancelled_and_never_planned(site: Site) -> None:
    """It is over at once, with who did it, and a repeat changes nothing."""
    await site.install(apns_token())
    push = await site.push()

    cancelled = await cancel(site, push)
    await pipeline.plan_push(site.resources, push.id)

    assert (cancelled.state, cancelled.halt) == (PushState.CANCELLED, Halt.CANCEL)
    assert cancelled.halt_reason == "Cancelled by a test."
    assert cancelled.finished_at is not None
    assert await cancel(site, push) == cancelled == await site.now(push)
    assert await site.outcomes(push) == {}


async def test_a_push_that_is_planned_is_written_down_as_cancelled(site: Site) -> None:
    """By one job for all of its batches, those that wait for a time of theirs too."""
    push = await planned(site, 5)
    async with site.engine.begin() as connection:
        later = update(tables.batches).where(
            tables.batches.c.push_id == push.id, tables.batches.c.seq > 0
        )
        await connection.execute(later.values(not_before=func.now() + timedelta(hours=1)))

    on_its_way = await cancel(site, push)
    await pipeline.deliver_batch(site.resources, push.id, 0)

    closed = await site.now(push)
    assert (on_its_way.state, on_its_way.halt) == (PushState.SENDING, Halt.CANCEL)
    assert (closed.state, closed.halt) == (PushState.CANCELLED, Halt.CANCEL)
    assert closed.finished_at is not None
    assert await site.outcomes(push) == {"cancelled": 5}
    assert set((await site.ledger(push)).values()) == {(O.CANCELLED, "Cancelled")}
    assert not site.sent()


async def test_doubles_stay_doubles(site: Site) -> None:
    """What the plan had settled is not called cancelled; explicit devices are."""
    token = apns_token()
    for _ in range(2):
        await site.install(token, token_shared=True)
    devices = [{"token": apns_token(), "device_type": "ios"} for _ in range(3)]
    pushed = [
        await site.push(),
        await site.push(audience={"devices": devices}, lane=Lane.BULK),
    ]
    for push in pushed:
        await pipeline.plan_push(site.resources, push.id)
        await cancel(site, push)

    async with working(site):
        for push in pushed:
            await site.done(push)

    assert await site.outcomes(pushed[0]) == {"cancelled": 1, "deduplicated": 1}
    assert await site.outcomes(pushed[1]) == {"cancelled": 3}
    assert not site.sent()


async def test_planning_stops_at_the_next_piece(site: Site) -> None:
    """Who plans has lost the plan; what is in no batch yet never is."""
    push = await site.push()
    lease = await site.leased(push)
    await shift(site, push, batches_planned=1, devices_planned=1)

    await cancel(site, push)

    async with site.engine.begin() as connection:
        with pytest.raises(plans.LeaseLostError):
            await plans.record_piece(
                connection,
                push.id,
                lease=lease,
                planned_through=1,
                batch_count=1,
                devices=1,
                lease_seconds=30,
            )
    async with working(site):
        assert (await site.done(push)).state is PushState.CANCELLED


async def test_who_has_finished_a_plan_goes_on_waking_unless_it_is_called_off(site: Site) -> None:
    """With the last piece nobody has taken the plan over; who asks late is not cut off."""
    pushed = [await site.push() for _ in range(2)]
    for push in pushed:
        async with site.engine.begin() as connection:
            await plans.record_piece(
                connection,
                push.id,
                lease=await site.leased(push),
                planned_through=1,
                batch_count=0,
                devices=0,
                lease_seconds=30,
                is_last=True,
            )
    await cancel(site, pushed[1])

    assert [await planner.renew(site.resources, one.id, lease=1) for one in pushed] == [True, False]
    assert not await planner.renew(site.resources, pushed[0].id, lease=0)


async def test_a_paused_push_is_neither_planned_nor_leased(site: Site) -> None:
    """The clock does not even see it; resumed, it goes out as any other."""
    waiting, begun = await site.push(), await planned(site)
    for push in (waiting, begun):
        await pause(site, push)

    await pipeline.plan_push(site.resources, waiting.id)
    await pipeline.deliver_batch(site.resources, begun.id, 0)

    async with site.engine.connect() as connection:
        due = await due_pushes(connection, limit=1_000)
    open_ = await batches.open_batches(site.engine, Lane.BULK)
    assert waiting.id not in {one.id for one in due}
    assert begun.id not in {ref.push_id for ref in open_}
    assert (await site.now(waiting)).state is PushState.WAITING
    assert await site.outcomes(begun) == {}
    for push in (waiting, begun):
        assert (await resume(site, push)).halt is None
    async with working(site):
        for push in (waiting, begun):
            assert (await site.done(push)).state is PushState.DONE
            assert await site.outcomes(push) == {"sent": 3}


async def test_a_paused_push_ends_when_it_expires(site: Site) -> None:
    """Planned or not: nobody has to resume it for its devices to have their outcome."""
    soon = {"expiration_interval": 3_600}
    waiting, begun = await site.push(**soon), await planned(site, **soon)
    for push in (waiting, begun):
        await pause(site, push)
        await shift(site, push, expires_at=func.now() - timedelta(seconds=1))

    async with working(site):
        for push in (waiting, begun):
            closed = await site.done(push)
            assert (closed.state, closed.halt) == (PushState.DONE, None)
            assert await site.outcomes(push) == {"expired": 3}
    assert not site.sent()


async def test_a_pause_is_no_age(site: Site) -> None:
    """What was tried before it has as much time left after it."""
    push = await planned(site, 1)
    tried = datetime.now(UTC) - timedelta(minutes=10)
    async with site.engine.begin() as connection:
        of_push = tables.batches.c.push_id == push.id
        await connection.execute(
            update(tables.batches).where(of_push).values(first_tried_at=tried, attempt=2)
        )
    await pause(site, push)
    await shift(site, push, halted_at=func.now() - timedelta(hours=2))

    await resume(site, push)

    async with site.engine.connect() as connection:
        shifted = await connection.scalar(select(tables.batches.c.first_tried_at).where(of_push))
    assert shifted is not None
    assert abs(shifted - tried - timedelta(hours=2)) < timedelta(minutes=1)


# ---------------------------------------------------------------- on its way


async def test_a_cancelled_push_stops_and_says_what_got_out(large: Site) -> None:
    """What a gateway has is sent, and the rest is cancelled: what was to be retried, too."""
    await crowd(large, SLOW, SLOW_DEVICES)
    busy = await large.install(apns_token("fa170e09"))
    dead = await large.install(apns_token("fa170100"))

    async with working(large):
        push = await large.push()
        await until(lambda: handed(large, 3))
        await cancel(large, push)
        closed = await large.done(push)

    got = Counter(entry.token for entry in large.sent() if entry.delivered)
    assert (closed.state, closed.devices) == (PushState.CANCELLED, SLOW_DEVICES + 2)
    assert 0 < len(got) <= AT_ONCE
    assert set(got.values()) == {1}
    ledger = await large.ledger(push)
    assert ledger.pop(busy) == (O.CANCELLED, "InternalServerError")
    assert ledger.pop(dead) == (O.TOKEN_DEAD, "Unregistered")
    assert Counter(ledger.values()) == {
        (O.OK, ""): len(got),
        (O.CANCELLED, "Cancelled"): SLOW_DEVICES - len(got),
    }
    left = SLOW_DEVICES - len(got) + 1
    assert await large.outcomes(push) == {"sent": len(got), "failed": 1, "cancelled": left}


async def test_a_paused_push_goes_on_where_it_stopped(large: Site) -> None:
    """Nobody gets it twice, and to be paused was no attempt."""
    tokens = await crowd(large, SLOW, AT_ONCE - 50)

    async with working(large):
        push = await large.push()
        await until(lambda: handed(large, 1))
        await pause(large, push)
        await until(lambda: ended(large, push, 1))
        before = len(large.sent())
        halfway = await large.now(push)
        await resume(large, push)
        await large.done(push)

    assert 0 < before <= AT_ONCE
    assert (halfway.state, halfway.halt) == (PushState.SENDING, Halt.PAUSE)
    assert Counter(entry.token for entry in large.sent()) == dict.fromkeys(tokens, 1)
    assert await large.outcomes(push) == {"sent": len(tokens)}
    async with large.engine.connect() as connection:
        attempts = select(func.max(tables.batches.c.attempt)).where(
            tables.batches.c.push_id == push.id
        )
        assert await connection.scalar(attempts) == 1


async def handed(site: Site, devices: int) -> bool:
    return len(site.sent()) >= devices


async def ended(site: Site, push: Push, count: int) -> bool:
    """Tell whether so many batches of the push are written down."""
    statement = select(func.count()).where(
        tables.batches.c.push_id == push.id, tables.batches.c.state == BatchState.DONE
    )
    async with site.engine.connect() as connection:
        return bool((await connection.scalar(statement) or 0) >= count)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        pytest.param("fa170e09", O.CANCELLED, id="an error"),
        pytest.param("fa172100", O.UNKNOWN, id="no answer"),
    ],
)
async def test_what_waits_for_another_attempt_is_cancelled(
    site: Site, fault: str, outcome: OutcomeClass
) -> None:
    """There is none; but what may have arrived is not called cancelled, and not sent again."""
    number = await site.install(apns_token(fault))
    push = await site.push(on_unknown=OnUnknown.RESEND)
    await pipeline.plan_push(site.resources, push.id)
    await pipeline.deliver_batch(site.resources, push.id, 0)
    tried = len(site.sent())

    await cancel(site, push)
    async with working(site):
        await site.done(push)

    assert tried == len(site.sent()) == 1
    assert (await site.ledger(push))[number][0] is outcome


async def test_a_batch_that_a_worker_died_over_stays_in_doubt(site: Site) -> None:
    """Cancelled or paused: it is taken over, nothing is sent, and what may have arrived is told."""
    pushed = [await planned(site, 1), await site.push()]
    await pipeline.plan_push(site.resources, pushed[1].id)
    for push in pushed:
        assert await batches.lease_batch(
            site.engine, push.id, 0, lease_seconds=0.01, expires_at=None, badge=None
        )
    await cancel(site, pushed[0])
    await pause(site, pushed[1])

    async with working(site):
        await site.done(pushed[0])
        await until(lambda: ended(site, pushed[1], 1))

    assert await classes(site, pushed[0]) == {O.UNKNOWN: 1}
    assert await classes(site, pushed[1]) == {O.RESENT: 1}
    assert not site.sent()


async def test_batches_that_begin_together_read_their_push_once(
    site: Site, servers: tuple[str, str]
) -> None:
    """Each has it, and one of them has asked for it."""
    push = await site.push()
    engine = create_engine(servers[0], connections=2)
    asked: list[Any] = []
    event.listen(engine.sync_engine, "checkout", lambda *lent: asked.append(lent))
    resources = replace(site.resources, engine=engine)

    async def take() -> Push | None:
        async with halting.taken(resources, push.id) as found:
            return found

    try:
        found = await asyncio.gather(*(take() for _ in range(5)))
    finally:
        await engine.dispose()

    assert [one and one.id for one in found] == [push.id] * 5
    assert len(asked) == 1


# ---------------------------------------------------------------- who comes first


async def driver_of(connection: AsyncConnection) -> Any:
    """Return the bare driver of a connection, in its transaction, which begins with a statement."""
    await connection.execute(text("SELECT 1"))
    return (await connection.get_raw_connection()).driver_connection


@pytest.mark.parametrize("first", ["cancel", "plan", "close"])
async def test_cancel_and_the_workers_agree_on_who_was_first(site: Site, first: str) -> None:
    """The second one waits for the row, and finds the state changed."""
    push = await planned(site, 1) if first == "close" else await site.push()

    async with site.engine.begin() as connection:
        second: asyncio.Task[Any]
        if first == "cancel":
            found = await halts.lock_push(connection, object_id=push.object_id)
            assert found is not None
            await halts.end_unsent(connection, found, reason="first")
            second = asyncio.create_task(pipeline.plan_push(site.resources, push.id))
            await second
        elif first == "plan":
            assert await plans.lease_plan(await driver_of(connection), push.id, lease_seconds=30)
            second = asyncio.create_task(cancel(site, push))
            await until(lambda: blocks_another(connection))
        else:
            done = update(tables.batches).where(tables.batches.c.push_id == push.id)
            await connection.execute(done.values(state=BatchState.DONE, counts={}))
            assert await pushes.close_push(await driver_of(connection), push.id, tokens_held=0)
            second = asyncio.create_task(cancel(site, push))
            await until(lambda: blocks_another(connection))

    if first == "close":
        with pytest.raises(WrongStateError):
            await second
        assert (await site.now(push)).state is PushState.DONE
    else:
        await second
        assert (await site.now(push)).state is PushState.CANCELLED
        assert await site.outcomes(push) == {}


# ---------------------------------------------------------------- each step, each state

WAITING, PAUSED, SENDING, CANCELLED, DONE = "waiting", "paused", "sending", "cancelled", "done"
Step = Callable[[Site, Push], Any]


async def move(site: Site, push: Push) -> Push:
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    return await halting.reschedule(site.resources, named(push), {"push_time": later})


@pytest.mark.parametrize(
    ("step", "taken"),
    [
        pytest.param(cancel, {WAITING, PAUSED, SENDING, CANCELLED}, id="cancel"),
        pytest.param(pause, {WAITING, PAUSED, SENDING}, id="pause"),
        pytest.param(resume, {WAITING, PAUSED, SENDING}, id="resume"),
        pytest.param(move, {WAITING, PAUSED}, id="move"),
    ],
)
async def test_each_step_is_taken_where_it_can_be(site: Site, step: Step, taken: set[str]) -> None:
    """Elsewhere it is refused with a word on why, and changes nothing."""
    states = {name: await site.push() for name in (WAITING, PAUSED, CANCELLED)}
    states[SENDING] = await planned(site, 1)
    states[DONE] = await site.push()
    await shift(site, states[DONE], state=PushState.DONE, finished_at=func.now())
    await pause(site, states[PAUSED])
    await cancel(site, states[CANCELLED])
    for name, push in states.items():
        before = await site.now(push)
        if name in taken:
            await step(site, push)
            continue
        with pytest.raises(WrongStateError, match=before.state.value):
            await step(site, push)
        assert await site.now(push) == before
    with pytest.raises(NotFoundError):
        await step(site, Push(**{**_fields(states[WAITING]), "object_id": "unknown123"}))


def _fields(push: Push) -> dict[str, Any]:
    return {name: getattr(push, name) for name in Push.__slots__}


async def test_a_push_moves_with_its_expiry(site: Site) -> None:
    """One that counts from its time goes along, a moment stays, and null takes it away."""
    counted = await site.push(expiration_interval=60)
    fixed = await site.push(expiration_time=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    later = datetime.now(UTC) + timedelta(hours=2)
    to_later = {"push_time": later.isoformat()}

    moved = await halting.reschedule(site.resources, named(counted), to_later)
    with pytest.raises(InvalidExpirationError):
        await halting.reschedule(site.resources, named(fixed), to_later)
    freed = await halting.reschedule(
        site.resources, named(fixed), {**to_later, "expiration_time": None}
    )
    back = await halting.reschedule(site.resources, named(fixed), {"push_time": None})

    assert moved.due_at == later
    assert moved.expires_at == later + timedelta(seconds=60)
    assert (freed.due_at, freed.expires_at) == (later, None)
    assert back.due_at < later


# ---------------------------------------------------------------- runs that pause themselves


async def run_of_a_campaign(site: Site, rules: Rules) -> Push:
    """A run of which 2 of 4 devices have dead tokens, 1 is sent to, and 1 is open."""
    async with site.engine.begin() as connection:
        row = {"app_id": site.app.id, "object_id": new_object_id(), "name": new_object_id()}
        made = insert(tables.campaigns).values(**row, definition={}, state="active")
        campaign_id = await connection.scalar(made.returning(tables.campaigns.c.id))
    for fault in ("fa170100", "fa170100", "00000000", "00000000"):
        await site.install(apns_token(fault))
    push = await site.push(campaign_id=campaign_id, rules=rules)
    await pipeline.plan_push(site.resources, push.id)
    await pipeline.deliver_batch(site.resources, push.id, 0)
    return push


async def test_a_run_of_which_too_much_fails_pauses_itself_once(site: Site) -> None:
    """And its campaign; resumed, it is not paused again for the same."""
    rule = PauseWhen(failed_share=None, invalid_share=0.4, after_devices=2)
    push = await run_of_a_campaign(site, Rules(salt=1, pause_when=rule))

    for _ in range(2):
        await halting.guard(site.resources, limit=100)

    paused = await site.now(push)
    assert paused.halt is Halt.PAUSE
    assert paused.halt_reason is not None
    assert "2 of the first 2 devices" in paused.halt_reason
    async with site.engine.connect() as connection:
        campaign = (
            await connection.execute(
                select(tables.campaigns.c.state, tables.campaigns.c.state_reason).where(
                    tables.campaigns.c.id == push.campaign_id
                )
            )
        ).one()
    assert campaign == ("paused", paused.halt_reason)
    await resume(site, push)
    async with working(site):
        assert (await site.done(push)).state is PushState.DONE
    assert await site.outcomes(push) == {"sent": 2, "failed": 2}


async def test_a_run_that_is_too_large_goes_on_when_somebody_says_yes(site: Site) -> None:
    """To as many as there are, and to no fewer."""
    push = await site.push(rules=Rules(salt=1, max_recipients=10))
    async with site.engine.begin() as connection:
        found = await halts.lock_push(connection, object_id=push.object_id)
        assert found is not None
        await halts.pause(connection, found, reason="too many", unconfirmed=25)

    for confirmed in (None, 24):
        with pytest.raises(ConfirmationRequiredError, match="25"):
            await resume(site, push, confirmed)
    resumed = await resume(site, push, 30)

    assert resumed.halt is None
    assert resumed.rules is not None
    assert (resumed.rules.max_recipients, resumed.rules.unconfirmed) == (30, None)
