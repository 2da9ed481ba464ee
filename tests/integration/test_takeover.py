"""A batch whose worker died: what its journal settles stays so, and the rest is in doubt."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import func, select, update

from pushsvc import pipeline
from pushsvc.config import Settings
from pushsvc.delivery.dispatch import Sheet
from pushsvc.delivery.journal import Journal, keeping_journal, key_of
from pushsvc.model import (
    ACCEPTED,
    Answer,
    Batch,
    BatchState,
    Deferral,
    OnUnknown,
    OutcomeClass,
    Push,
)
from pushsvc.stats import tally
from pushsvc.storage import batches, pushes, tables
from pushsvc.storage.leases import LEASE_LIMIT
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, site as open_site, until, working

pytestmark = pytest.mark.integration

O = OutcomeClass  # noqa: E741 - a table is read across
GONE = Answer(O.TOKEN_DEAD, "Unregistered")
BUSY = Answer(O.RETRY_BACKOFF, "ServiceUnavailable", 0.0)
#: What the dead worker had settled of five devices.
SETTLED = (ACCEPTED, GONE, BUSY)


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


@dataclass(frozen=True, kw_only=True)
class Left:
    """A push with one batch, over which its worker died."""

    push: Push
    batch: Batch
    tokens: list[str]
    numbers: list[int]


async def leave_behind(site: Site, rule: OnUnknown, *, settled: Sequence[Answer] = SETTLED) -> Left:
    """Lease a batch of five devices, settle the first of them, and die."""
    tokens = [apns_token() for _ in range(5)]
    numbers = [await site.install(token) for token in tokens]
    push = await site.push(on_unknown=rule)
    await pipeline.plan_push(site.resources, push.id)
    batch = await batches.lease_batch(
        site.engine, push.id, 0, lease_seconds=0.1, expires_at=None, badge=None
    )
    assert batch is not None
    sheet = Sheet(batch.outcomes)
    async with keeping_journal(site.resources.queue.redis) as journal:
        journal.follow(batch, sheet)
        for place, answer in enumerate(settled):
            sheet.settle(place, answer)
        # It writes once more when it is ended, and hears of no end of the batch.
    return Left(push=push, batch=batch, tokens=tokens, numbers=numbers)


async def classes(site: Site, push: Push) -> dict[OutcomeClass, int]:
    async with site.engine.connect() as connection:
        return tally.total(await pushes.counts_of(connection, await site.now(push)))


async def test_what_the_journal_settles_is_not_sent_again(site: Site) -> None:
    """The retry goes on, the dead token is retired; the others were in doubt, and go once more."""
    left = await leave_behind(site, OnUnknown.RESEND)

    async with working(site):
        await site.done(left.push)

    ledger = await site.ledger(left.push)
    ends = [ledger[number][0] for number in left.numbers]
    assert ends == [O.OK, O.TOKEN_DEAD, O.OK, O.OK, O.OK]
    assert [len(site.sent_to(token)) for token in left.tokens] == [0, 0, 1, 1, 1]
    assert await classes(site, left.push) == {O.OK: 4, O.TOKEN_DEAD: 1, O.RESENT: 2}
    retired = select(tables.installations.c.id).where(
        tables.installations.c.token_retired_at.is_not(None),
        tables.installations.c.app_id == site.app.id,
    )
    async with site.engine.connect() as connection:
        assert list((await connection.execute(retired)).scalars()) == [left.numbers[1]]


async def test_a_push_that_drops_doubt_sends_no_such_message(site: Site) -> None:
    """What was not settled ends as unknown; what was, goes on as it would have."""
    left = await leave_behind(site, OnUnknown.DROP)

    async with working(site):
        await site.done(left.push)

    ledger = await site.ledger(left.push)
    assert {ledger[number] for number in left.numbers[3:]} == {(O.UNKNOWN, "WorkerLost")}
    assert [len(site.sent_to(token)) for token in left.tokens] == [0, 0, 1, 0, 0]
    assert await classes(site, left.push) == {O.OK: 2, O.TOKEN_DEAD: 1, O.UNKNOWN: 2}


async def test_without_a_journal_all_is_in_doubt(site: Site) -> None:
    """Redis lost it together with the worker: everybody is sent to, and counted as in doubt."""
    left = await leave_behind(site, OnUnknown.RESEND)
    assert await site.resources.queue.redis.delete(key_of(left.batch)) == 1

    async with working(site):
        await site.done(left.push)

    assert [len(site.sent_to(token)) for token in left.tokens] == [1] * 5
    assert await classes(site, left.push) == {O.OK: 5, O.RESENT: 5}


async def test_what_was_put_off_is_no_attempt_of_the_worker_that_died(site: Site) -> None:
    """A device that waits for its credential to be mended goes on waiting, and gets the push."""
    held = Answer(O.CREDENTIAL, "InvalidProviderToken", 0.0, deferral=Deferral.HELD)
    left = await leave_behind(site, OnUnknown.DROP, settled=[held])

    async with working(site):
        await site.done(left.push)

    assert (await site.ledger(left.push))[left.numbers[0]] == (O.OK, "")


async def test_what_cannot_be_written_down_ends_in_doubt(site: Site) -> None:
    """An answer that Postgres does not take keeps no push open for ever."""
    unwritable = Answer(O.REQUEST_BAD, "\0")
    left = await leave_behind(site, OnUnknown.RESEND, settled=[unwritable])
    row = tables.batches.c
    async with site.engine.begin() as connection:
        often = update(tables.batches).where(row.push_id == left.push.id)
        await connection.execute(often.values(state=BatchState.OPEN, leases=LEASE_LIMIT))

    await pipeline.deliver_batch(site.resources, left.push.id, 0)

    ledger = await site.ledger(left.push)
    assert {ledger[number] for number in left.numbers} == {(O.UNKNOWN, "WorkerLost")}


async def test_who_is_stopped_while_it_takes_over_decides_nothing(
    site: Site, tmp_path: Path
) -> None:
    """The batch is left to the next, who may read what the first one had settled."""
    left = await leave_behind(site, OnUnknown.DROP)
    row = tables.batches.c
    leased = update(tables.batches).where(row.push_id == left.push.id)
    async with site.engine.begin() as connection:
        await connection.execute(leased.values(state=BatchState.OPEN))
    asked = asyncio.Event()

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_unix_server(keep_silent, tmp_path / "redis.sock"),
        Redis(unix_socket_path=str(tmp_path / "redis.sock")) as silent,
    ):
        resources = replace(site.resources, journal=Journal(silent))
        work = asyncio.create_task(pipeline.deliver_batch(resources, left.push.id, 0))
        await asked.wait()
        work.cancel()
        await asyncio.wait([work])
    async with site.engine.begin() as connection:
        await connection.execute(leased.values(state=BatchState.OPEN))

    async with working(site):
        await site.done(left.push)

    assert await classes(site, left.push) == {O.OK: 2, O.TOKEN_DEAD: 1, O.UNKNOWN: 2}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(GONE, id="dead"),
        pytest.param(replace(GONE, invalid_since_ms=2**42), id="dead since later"),
        pytest.param(Answer(O.TOKEN_SUSPECT, "BadDeviceToken"), id="suspected"),
    ],
)
async def test_a_token_registered_between_the_leases_stays(site: Site, answer: Answer) -> None:
    """The answer is evidence of the time at which the dead worker asked."""
    left = await leave_behind(site, OnUnknown.DROP, settled=[ACCEPTED, answer])
    row = tables.installations.c
    async with site.engine.begin() as connection:
        anew = update(tables.installations).where(row.id == left.numbers[1])
        await connection.execute(anew.values(token_set_at=func.now()))

    async with working(site):
        await site.done(left.push)

    async with site.engine.connect() as connection:
        found = select(row.token_retired_at).where(row.id == left.numbers[1])
        assert (await connection.execute(found)).scalar_one() is None


async def test_a_page_is_there_while_its_batch_is_open(site: Site) -> None:
    """Written at a beat, again after Redis forgot it, and taken away with the batch's end."""
    redis = site.resources.queue.redis
    left = await leave_behind(site, OnUnknown.RESEND)
    key, sheet = key_of(left.batch), Sheet(left.batch.outcomes)

    async def there() -> bool:
        return bool(await redis.exists(key))

    async with keeping_journal(redis) as journal:
        journal.follow(left.batch, sheet)
        sheet.settle(0, ACCEPTED)
        await until(there)
        await redis.delete(key)
        sheet.settle(1, GONE)
        await until(there)
        assert set(await journal.read(left.batch)) == {0, 1}
        journal.leave(left.batch, closed=True)

    assert not await there()


async def test_a_batch_that_ends_before_a_beat_never_meets_redis(site: Site) -> None:
    """Small pushes pay nothing for the journal."""
    redis = site.resources.queue.redis
    left = await leave_behind(site, OnUnknown.RESEND)
    await redis.delete(key_of(left.batch))
    await redis.config_resetstat()

    async with keeping_journal(redis) as journal:
        sheet = Sheet(left.batch.outcomes)
        journal.follow(left.batch, sheet)
        sheet.settle(0, ACCEPTED)
        journal.leave(left.batch, closed=True)

    assert not {"cmdstat_set", "cmdstat_unlink"} & set(await redis.info("commandstats"))


async def test_a_journal_without_redis_disturbs_nobody(site: Site) -> None:
    """Nothing is raised; whoever takes over knows nothing."""
    left = await leave_behind(site, OnUnknown.RESEND)
    async with (
        Redis(unix_socket_path="/nonexistent/redis.sock") as nowhere,
        keeping_journal(nowhere) as journal,
    ):
        sheet = Sheet(left.batch.outcomes)
        journal.follow(left.batch, sheet)
        sheet.settle(0, ACCEPTED)
        assert await journal.read(left.batch) == {}
