"""What a push survives: a killed worker, a Redis that forgets, a stop in the middle."""

import asyncio
import signal
from pathlib import Path

import pytest

from pushsvc.model import OutcomeClass
from tests.acceptance.service import EXIT_SECONDS, Service, service

pytestmark = pytest.mark.acceptance

DEVICES = 4_000
#: Small enough that a kill hits some batches, large enough that a batch is many messages.
BATCH = "200"


async def assert_everyone_has_one_outcome(
    running: Service, push: str, tokens: dict[int, str], *, sent: int
) -> None:
    """The ledger names each device once, the counts equal it, and the gateway agrees."""
    shown = await running.done(push)
    ledger = await running.ledger(push)
    delivered = await running.delivered()
    assert set(ledger) == set(tokens)
    assert list(ledger.values()).count(OutcomeClass.OK) == sent
    assert shown["devices"] == len(tokens)
    assert shown["counts"]["sent"] == sent
    assert sum(n for name, n in shown["counts"].items() if name != "open") == len(tokens)
    for number, outcome in ledger.items():
        if outcome is OutcomeClass.OK:
            assert delivered[tokens[number]] >= 1
    # A badge is changed in the transaction of the lease, so no takeover changes it again.
    assert await running.badges() == {1: len(tokens)}


async def test_a_worker_killed_in_the_middle_loses_nobody(
    servers: tuple[str, str], tmp_path: Path
) -> None:
    """kill -9: another worker takes over; who got it twice is one the ledger calls resent."""
    async with service(servers, tmp_path, batch_size=BATCH, lease_seconds="2") as running:
        await running.start("api", "serve")
        await running.start("first", "worker", "--processes", "1")
        tokens = await running.install(DEVICES)
        push = await running.push()
        await running.seen(DEVICES // 8)

        running.kill("first")
        assert await running.requests() < DEVICES, "the kill came too late to prove anything"
        await running.start("second", "worker", "--processes", "1")

        await assert_everyone_has_one_outcome(running, push, tokens, sent=DEVICES)
        resent = await running.resent(push)
        twice = {token for token, n in (await running.delivered()).items() if n > 1}
        assert twice <= {tokens[number] for number in resent}
        assert (await running.show(push))["possible_duplicates"] == len(resent)


async def test_redis_flushed_in_the_middle_loses_nobody(
    servers: tuple[str, str], tmp_path: Path
) -> None:
    """FLUSHALL: Postgres is the record, and nothing is sent twice."""
    async with service(servers, tmp_path, batch_size=BATCH) as running:
        await running.start("api", "serve")
        await running.start("worker", "worker", "--processes", "1")
        tokens = await running.install(DEVICES)
        push = await running.push()
        await running.seen(DEVICES // 8)

        await running.redis.flushall()
        assert await running.requests() < DEVICES, "the flush came too late to prove anything"

        await assert_everyone_has_one_outcome(running, push, tokens, sent=DEVICES)
        assert set((await running.delivered()).values()) == {1}


async def test_ctrl_c_drains_and_ends_in_time(servers: tuple[str, str], tmp_path: Path) -> None:
    """`up` ends within 10 s with status 0; the next one goes on, and nothing is sent twice."""
    async with service(servers, tmp_path, batch_size=BATCH) as running:
        async with running.up() as first:
            tokens = await running.install(DEVICES)
            push = await running.push()
            await running.seen(DEVICES // 8)

            first.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(first.wait(), EXIT_SECONDS) == 0
            assert await running.requests() < DEVICES, "Ctrl-C came too late to prove anything"

        async with running.up():
            await assert_everyone_has_one_outcome(running, push, tokens, sent=DEVICES)
            assert set((await running.delivered()).values()) == {1}


async def test_two_workers_share_a_push(servers: tuple[str, str], tmp_path: Path) -> None:
    """`worker --processes 2` sends to everybody once, with one provider token for both."""
    async with service(servers, tmp_path, batch_size=BATCH) as running:
        await running.start("api", "serve")
        await running.start("workers", "worker", "--processes", "2")
        tokens = await running.install(DEVICES)
        push = await running.push()

        await assert_everyone_has_one_outcome(running, push, tokens, sent=DEVICES)
        assert set((await running.delivered()).values()) == {1}
        assert (await running.stats())["provider_tokens"] == 1
