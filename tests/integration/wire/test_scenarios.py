"""What gateways do to their senders, played by the strict APNs, whose ledger knows the truth."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from pushsvc.delivery.wire import Answered, NotProcessed, Unknown
from tests.integration.wire.fate import nothing_leaks
from tests.integration.wire.sending import SECONDS, Told, until
from tests.integration.wire.simulated import (
    ONE,
    LocalApns,
    asking,
    distant_apns,
    fair,
    local_apns,
    plain,
)

pytestmark = pytest.mark.integration

#: The largest payload that APNs takes.
BIG = b'{"aps":{"alert":"%s"}}' % (b"x" * 4_000)


@pytest.fixture(scope="module")
def simulator_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates and keys, made once for these tests."""
    return tmp_path_factory.mktemp("simulators")


@pytest.fixture
async def apns(simulator_directory: Path) -> AsyncIterator[LocalApns]:
    """An APNs of this test alone."""
    async with local_apns(simulator_directory) as running:
        yield running


# One loop is enough for a test of many seconds.
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_rolling_goaway(simulator_directory: Path) -> None:
    """A GOAWAY every 1,000 requests, now with notice, now disowning: none lost, none twice."""
    tokens = plain(range(100_000))
    async with distant_apns(simulator_directory) as apns:
        await apns.script(
            {"scope": "every", "n": 2_000, "fault": "goaway_graceful"},
            {"scope": "every", "n": 1_000, "fault": "goaway_below"},
        )
        pool = apns.pool(replace(ONE, growth_spacing_seconds=0.0))
        waiting, rounds = tokens, 0
        async with nothing_leaks(pool):
            while waiting:
                told = Told()
                await pool.send_many(apns.calls(waiting), told, timeout_seconds=SECONDS)
                assert told.keys() == list(waiting)
                assert told.keys(Unknown) == []
                waiting = {key: tokens[key] for key in told.keys(NotProcessed)}
                rounds += 1
        assert await apns.deliveries() == dict.fromkeys(tokens.values(), 1)
        sums = await apns.sums()
        assert sums["wire"]["connections_opened"] > 90
        assert sums["wire"]["violations"] == 0
        assert pool.stats.not_processed > 0
        assert rounds > 1


async def test_limits_that_rise_and_fall(apns: LocalApns) -> None:
    """MAX_CONCURRENT_STREAMS 1, 1000, 1, 0, 1000 while requests run, five times over.

    The simulator refuses each stream beyond what the client has acknowledged, and none was.
    """
    slow = {key: asking("slow", 1, key)[key] for key in range(0, 5_000, 10)}
    swings = asking("settings_seq", 0, *range(5, 5_000, 1_000))
    tokens = plain(range(5_000)) | slow | swings
    pool, told = apns.pool(), Told()
    async with fair(apns, pool):
        await pool.send_many(apns.calls(tokens), told, timeout_seconds=SECONDS)
    assert told.keys(Answered) == apns.delivered(tokens) == list(tokens)
    assert apns.wire["streams_refused"] == 0
    assert apns.wire["connections_opened"] == 1
    # The limit was felt: without the swings all slow requests would have run side by side.
    assert 100 < apns.wire["max_concurrent_streams"] <= 1_000


@pytest.mark.parametrize("window", [0, 4 * 1024 * 1024])
async def test_three_thousand_error_replies(apns: LocalApns, window: int) -> None:
    """Their bodies are more than a first window; who grants no more stalls at the 2,427th."""
    tokens = asking("bad_token", 0, *range(3_000))
    pool, told = apns.pool(replace(ONE, connection_window_bytes=window)), Told()
    async with fair(apns, pool):
        await pool.send_many(apns.calls(tokens), told, timeout_seconds=SECONDS)
    answers = [told.verdicts[key] for key in tokens]
    assert {(answer.status, answer.body) for answer in answers if isinstance(answer, Answered)} == {
        (400, b'{"reason":"BadDeviceToken"}')
    }
    assert told.keys(Answered) == list(tokens)
    assert apns.wire["connections_opened"] == 1


async def test_a_blackhole(apns: LocalApns) -> None:
    """PING finds it in time; what was written is unknown, what comes later is answered."""
    limits = replace(ONE, ping_after_seconds=0.3, ping_deadline_seconds=0.3)
    pool, told = apns.pool(limits), Told()
    await pool.send_many(apns.calls(plain(range(10))), told, timeout_seconds=SECONDS)
    tokens = asking("never", 0, *range(10, 20)) | asking("blackhole", 0, 20)
    began = time.monotonic()
    await pool.send_many(apns.calls(tokens), told, timeout_seconds=SECONDS)
    elapsed = time.monotonic() - began
    assert told.keys(Unknown) == list(tokens)
    assert told.verdicts[20] == Unknown("no answer to PING")
    # Signs of life are looked for ten times a second; the rest is for a busy machine.
    assert elapsed < 0.3 + 0.3 + 0.2 + 0.5
    later = plain(range(30, 130))
    await pool.send_many(apns.calls(later), told, timeout_seconds=SECONDS)
    assert told.keys(Answered) == [*range(10), *later]
    assert apns.delivered(tokens) == list(tokens)
    assert apns.wire["connections_opened"] == 2


async def test_a_tcp_reset_with_all_read(apns: LocalApns) -> None:
    """What was read and not answered is unknown, whether it was delivered or not; no more is."""
    quick, taken, lost = plain(range(100)), asking("never", 0, *range(100, 300)), range(300, 400)
    pool, told = apns.pool(), Told()
    tokens = quick | taken | asking("never_n", 0, *lost)
    sending = asyncio.create_task(pool.send_many(apns.calls(tokens), told, timeout_seconds=SECONDS))
    await until(lambda: len(apns.entries()) == len(tokens) and len(told.verdicts) == len(quick))
    reset = asking("tcp_rst", 1, 400)
    await pool.send_many(apns.calls(reset), told, timeout_seconds=SECONDS)
    await sending
    later = plain(range(500, 600))
    await pool.send_many(apns.calls(later), told, timeout_seconds=SECONDS)
    assert told.keys(Answered) == [*quick, *later]
    assert told.keys(Unknown) == [*taken, *lost, *reset]
    assert apns.delivered(tokens | reset | later) == [*quick, *taken, *reset, *later]


async def test_a_tcp_reset_in_full_flight(apns: LocalApns) -> None:
    """Thousands on their way: no verdict contradicts the ledger.

    Answered was delivered and answered; not processed was not delivered; what was delivered
    and not told so is unknown, and so is no more than was open.
    """
    apns.script(scope="connection", n=500, fault="tcp_rst", parameter=1)
    tokens = plain(range(5_000)) | asking("slow", 1, *range(0, 5_000, 7))
    pool, told = apns.pool(), Told()
    async with fair(apns, pool):
        await pool.send_many(apns.calls(tokens), told, timeout_seconds=SECONDS)
    assert told.keys() == list(range(5_000))
    entries = apns.entries()
    answered = {token for token, entry in entries.items() if entry.answered}
    assert {tokens[key] for key in told.keys(Answered)} <= answered
    delivered = set(apns.delivered(tokens))
    assert delivered <= {*told.keys(Answered), *told.keys(Unknown)}
    assert delivered.isdisjoint(told.keys(NotProcessed))
    unanswered = {key for key, token in tokens.items() if token in entries} - {*told.keys(Answered)}
    assert unanswered <= {*told.keys(Unknown)}
    resets = [entry for entry in entries.values() if entry.fault == "tcp_rst"]
    assert len(resets) >= 3
    assert len(unanswered) <= len(told.keys(Unknown)) <= 1_000 * len(resets)


async def test_a_window_that_shrinks(apns: LocalApns) -> None:
    """INITIAL_WINDOW_SIZE falls to 0: bodies wait for it to come back, and then all go."""
    tokens = plain(range(400)) | asking("window_shrink", 2, 100, 200)
    pool, told = apns.pool(replace(ONE, max_streams=50)), Told()
    async with fair(apns, pool):
        await pool.send_many(apns.calls(tokens), told, timeout_seconds=SECONDS)
    assert told.keys(Answered) == apns.delivered(tokens) == list(range(400))
    assert apns.wire["connections_opened"] == 1


async def test_a_connection_without_window(apns: LocalApns) -> None:
    """200 bodies of 1 KB, and a window of 64 KB that is not refilled for a while: they wait."""
    tokens = asking("window_starved", 3, 0) | plain(range(1, 200))
    pool, told = apns.pool(), Told()
    async with fair(apns, pool):
        await pool.send_many(
            apns.calls(tokens, b'{"aps":{"alert":"%s"}}' % (b"x" * 1_000)),
            told,
            timeout_seconds=SECONDS,
        )
    assert told.keys(Answered) == apns.delivered(tokens) == list(range(200))
    assert apns.wire["connections_opened"] == 1


async def test_a_table_that_shrinks(apns: LocalApns) -> None:
    """HEADER_TABLE_SIZE falls to 0 and rises again: our table follows, block by block."""
    tokens = plain(range(2_000)) | asking("table_size", 1, 500, 1_000)
    pool, told = apns.pool(replace(ONE, max_streams=50)), Told()
    async with fair(apns, pool):
        await pool.send_many(apns.calls(tokens), told, timeout_seconds=SECONDS)
    assert told.keys(Answered) == apns.delivered(tokens) == list(range(2_000))
    assert apns.wire["connections_opened"] == 1


async def test_a_gateway_that_reads_no_more_for_a_while(apns: LocalApns) -> None:
    """Its socket fills, requests wait with their sender, and all are answered in the end."""
    tokens = plain(range(1_500)) | asking("stall_read", 4, 100)
    pool, told = apns.pool(), Told()
    async with fair(apns, pool):
        await pool.send_many(apns.calls(tokens, BIG), told, timeout_seconds=SECONDS)
    assert told.keys(Answered) == apns.delivered(tokens) == list(range(1_500))
    assert apns.wire["connections_opened"] == 1
