"""The scripts that pace credentials, on a real Redis with a clock of ours; and without one."""

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from heapq import heappop, heappush
from math import ceil
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from pushsvc.clock import SystemClock
from pushsvc.delivery import pacing_scripts as scripts
from pushsvc.delivery.circuit import FAILURES_IN_A_ROW, Heard, Trouble
from pushsvc.delivery.pacing import Asking, Pace, Pacing, Rate, key_of, open_circuits
from pushsvc.delivery.retry import Limits, Tried, wait_seconds
from pushsvc.model import Answer, Deferral, GatewayName, OutcomeClass
from tests.unit.delivery.standing_clock import StandingClock

pytestmark = pytest.mark.integration

START = 1_700_000_000.0
_credentials = itertools.count(900_000_000)

BROKEN = Heard(failures=FAILURES_IN_A_ROW, trouble=Trouble.FAILING, reason="http_503")
WORKS = Heard(alive=1)


@pytest.fixture
async def redis(servers: tuple[str, str]) -> AsyncIterator["Redis"]:
    """The run's Redis."""
    client = Redis.from_url(servers[1])
    yield client
    await client.aclose()


class Bucket:
    """One credential, asked at moments of our choice: seconds after the start."""

    def __init__(self, redis: "Redis", *, per_second: float = 0.0, ramp: float = 0.0) -> None:
        self.redis = redis
        self.key = key_of(next(_credentials))
        self.per_second = per_second
        self.ramp = ramp

    async def _run(self, script: str, at: float, *arguments: Any) -> Any:
        return await self.redis.register_script(script)(
            keys=[self.key], args=[START + at, *arguments]
        )

    async def take(
        self, n: int, *, at: float, how: tuple[str, str] = ("charge", "defer"), owed: int = 0
    ) -> tuple[int, float, int, str]:
        """Return how many go, the wait of the next, 1 for a probe, and the kind of a pause."""
        said = await self._run(scripts.ACQUIRE, at, n, owed, *how, self.per_second, self.ramp, 30)
        return said[0], round(float(said[1]), 3), said[3], said[4].decode()

    async def slow_down(self, *, at: float, seconds: float = 0.0) -> None:
        """Have the gateway want less."""
        await self._run(scripts.SLOW_DOWN, at, seconds, "quota")

    async def open(
        self, *, at: float, kind: str = "failing", by: str = "probe"
    ) -> tuple[float, int]:
        """Return the pause, and whether it is a new one."""
        said = await self._run(scripts.OPEN, at, kind, "http_503", 1, 60, 20, by)
        return float(said[0]), said[1]

    async def close(self, *, at: float) -> None:
        """Have a probe go well."""
        await self._run(scripts.CLOSE, at)


async def test_what_exceeds_the_rate_gets_a_time_after_all_others(redis: "Redis") -> None:
    """A second's worth goes at once; each batch that comes later has the turn behind the last."""
    bucket = Bucket(redis, per_second=100)

    assert await bucket.take(150, at=0) == (100, 0.01, 0, "")
    assert await bucket.take(100, at=0) == (0, 0.51, 0, "")
    assert await bucket.take(100, at=1) == (0, 0.51, 0, "")
    # 350 were given a time, and 300 more can go until the fourth second.
    assert await bucket.take(50, at=4) == (50, 0.0, 0, "")
    assert await bucket.take(50, at=4) == (50, 0.0, 0, "")
    assert await bucket.take(1, at=4) == (0, 0.01, 0, "")


async def test_the_urgent_go_at_once_and_the_others_have_less(redis: "Redis") -> None:
    """They are counted, with what went unasked; who has a time already is not."""
    bucket = Bucket(redis, per_second=100)

    assert await bucket.take(150, at=0, how=("charge", ""), owed=30) == (150, 0.0, 0, "")
    assert await bucket.take(500, at=0, how=("", "")) == (500, 0.0, 0, "")
    assert await bucket.take(1, at=0) == (0, 0.81, 0, "")


async def test_after_a_silence_the_rate_climbs(redis: "Redis") -> None:
    """From a tenth to all of it; what fits into a second goes at once all the same."""
    bucket = Bucket(redis, per_second=100, ramp=60)

    assert (await bucket.take(100, at=0))[0] == 100
    assert (await bucket.take(100, at=10))[0] == 100
    waits = [(await bucket.take(1, at=at))[1] for at in (10, 60, 120)]
    assert waits[0] == pytest.approx(1 / (100 * (0.1 + 0.9 / 6)), abs=0.001)
    assert waits[1:] == [0.0, 0.0]


async def test_turns_are_given_as_the_rate_will_be(redis: "Redis") -> None:
    """A backlog that comes at the start of the climb is over soon after it."""
    bucket = Bucket(redis, per_second=100, ramp=60)
    await bucket.take(100, at=0)

    # Half a minute's worth and more is gone in the minute of the climb.
    assert (await bucket.take(3300, at=0))[1] == pytest.approx(0.1, abs=0.05)
    assert (await bucket.take(1000, at=0))[1] == pytest.approx(60, abs=1)
    assert (await bucket.take(1, at=0))[1] == pytest.approx(70, abs=1)
    # Nobody asks for as long as there are turns; the rate climbs no second time.
    await bucket.take(50_000, at=0)
    assert (await bucket.take(1, at=400))[1] == pytest.approx(155, abs=15)
    await bucket.slow_down(at=400)
    assert (await bucket.take(1, at=400))[1] < 240


async def test_a_gateway_that_wants_less_gets_half_and_then_more_again(redis: "Redis") -> None:
    """Once a second at most; without trouble the rate is back after two minutes."""
    bucket = Bucket(redis, per_second=100)
    await bucket.take(100, at=0)
    for _ in range(3):
        await bucket.slow_down(at=0)

    assert (await bucket.take(1, at=0))[1] == pytest.approx(1 / 50, abs=0.001)
    assert (await bucket.take(1000, at=120))[0] == 100


async def test_a_gateway_without_a_rate_gets_one_when_it_wants_less(redis: "Redis") -> None:
    """Nothing is counted before; then 10,000 a second are all there is."""
    bucket = Bucket(redis)

    assert await bucket.take(1_000_000, at=0) == (1_000_000, 0.0, 0, "")
    await bucket.slow_down(at=0)
    assert (await bucket.take(1_000_000, at=0))[0] == 5_000


async def test_retry_after_pauses_the_credential_for_all_lanes(redis: "Redis") -> None:
    """Nobody asks meanwhile; it ends by itself."""
    bucket = Bucket(redis, per_second=100)
    await bucket.slow_down(at=0, seconds=30)

    for how in (("charge", "defer"), ("charge", ""), ("", "")):
        assert await bucket.take(10, at=10, how=how) == (0, 20.0, 0, "throttled")
    assert await bucket.take(10, at=30) == (10, 0.0, 0, "")


async def test_an_open_circuit_lets_few_try_after_its_pause(redis: "Redis") -> None:
    """One at a time in the fleet; failure doubles the pause, success lets everybody in."""
    bucket = Bucket(redis)

    assert await bucket.open(at=0) == (1.0, 1)
    # Others of the fleet have seen the same outage.
    assert await bucket.open(at=0.5) == (0.5, 0)
    assert await bucket.take(500, at=0.75) == (0, 0.25, 0, "failing")
    assert await bucket.take(500, at=1) == (20, 0.0, 1, "failing")
    assert await bucket.take(500, at=1) == (0, 1.0, 0, "failing")
    # What was sent before the circuit opened says nothing new, and ends no probe.
    assert await bucket.open(at=1.5, by="") == (0.0, 0)
    assert await bucket.take(500, at=1.5) == (0, 1.0, 0, "failing")
    assert await bucket.open(at=2) == (2.0, 1)
    assert await bucket.take(500, at=4) == (20, 0.0, 1, "failing")
    await bucket.close(at=5)
    assert await bucket.take(500, at=5) == (500, 0.0, 0, "")
    assert await bucket.open(at=6) == (1.0, 1)


async def test_an_outage_that_shows_in_several_ways_is_one(redis: "Redis") -> None:
    """Pauses grow all the same; a refused credential is another matter."""
    bucket = Bucket(redis)
    at, pauses = 0.0, []
    for kind in ("failing", "unreached", "silent", "failing", "refused"):
        pauses.append((await bucket.open(at=at, kind=kind))[0])
        at += pauses[-1]

    assert pauses == [1, 2, 4, 8, 1]


async def test_the_probe_of_a_worker_that_died_goes_to_another(redis: "Redis") -> None:
    """After a while; and pauses grow to their most, and no further."""
    bucket = Bucket(redis)
    at, pauses = 0.0, []
    for _ in range(8):
        pauses.append((await bucket.open(at=at))[0])
        at += pauses[-1]
        assert (await bucket.take(1, at=at))[2] == 1

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert (await bucket.take(1, at=at + 29))[2] == 0
    assert (await bucket.take(1, at=at + 30))[2] == 1


@pytest.mark.parametrize("probe_seconds", [0, 20])
async def test_an_outage_of_an_hour_makes_few_follow_ups(
    redis: "Redis", probe_seconds: float
) -> None:
    """Whether it refuses or hangs: each batch comes back ever later, and not much too late."""
    bucket = Bucket(redis)
    limits = Limits(attempts=5, seconds=7200, hold_seconds=7200)
    await bucket.open(at=0)
    asks = [(number / 10, number) for number in range(10)]
    follow_ups = Counter[int]()
    probed = None
    while (now := asks[0][0]) < 3600:
        _, number = heappop(asks)
        if number == probed:
            await bucket.open(at=now)
            probed = None
        _, seconds, probe, _ = await bucket.take(1000, at=now)
        if probe:
            probed = number
            heappush(asks, (now + probe_seconds, number))
            continue
        held = Answer(OutcomeClass.RETRY_SAFE, "", seconds * 1.125, deferral=Deferral.HELD)
        tried = Tried(attempt=1, age=now)
        wait = wait_seconds(held, tried, limits, gateway=GatewayName.FCM, jitter=0)
        assert wait is not None
        follow_ups[number] += 1
        heappush(asks, (now + ceil(wait), number))

    assert max(follow_ups.values()) <= 36
    assert max(asks)[0] <= 3600 + 330


@pytest.fixture
def clock() -> StandingClock:
    """A clock that the test moves."""
    return StandingClock()


@pytest.fixture
def pace(redis: "Redis", clock: StandingClock) -> Pace:
    """The pace of a credential that nobody has used."""
    return Pacing(redis, clock=clock).of(next(_credentials), Rate(), narrow=frozenset())


async def test_many_failures_without_a_good_answer_open_the_circuit(
    redis: "Redis", clock: StandingClock
) -> None:
    """For every worker, and operators see it; another credential is not concerned."""
    number = next(_credentials)
    one, other = (Pacing(redis, clock=clock).of(number, Rate(), narrow=frozenset()) for _ in "ab")
    await one.tell(Heard(alive=500, failures=500), probe=False)
    assert (await other.acquire(10, Asking.URGENT)).count == 10

    await one.tell(BROKEN, probe=False)
    assert await open_circuits(redis, [number]) == []
    clock.move(seconds=1)
    await one.tell(BROKEN, probe=False)

    grant = await other.acquire(10, Asking.URGENT)
    assert grant.held is not None
    assert grant.count == 0
    assert (grant.held.outcome, grant.held.reason, grant.held.deferral) == (
        OutcomeClass.RETRY_SAFE,
        "CircuitOpen: http_503",
        Deferral.HELD,
    )
    (found,) = await open_circuits(redis, [number, number + 1_000_000])
    assert (found.trouble, found.reason) == ("failing", "http_503")
    assert found.next_probe == pytest.approx(found.since + 1)


async def test_a_probe_that_was_not_made_is_given_back(
    redis: "Redis", clock: StandingClock
) -> None:
    """A worker that is to stop has told nothing of the gateway; the next one tries it."""
    number = next(_credentials)
    pace = Pacing(redis, clock=clock).of(number, Rate(), narrow=frozenset())
    clock.move(seconds=1)
    await pace.tell(BROKEN, probe=False)
    await cast(Awaitable[int], redis.hset(key_of(number), "until", "0"))

    for _ in range(2):
        assert (await pace.acquire(10, Asking.URGENT)).probe
        await pace.tell(Heard(), probe=True)


async def test_few_failures_and_those_beside_good_answers_open_nothing(
    pace: Pace, clock: StandingClock
) -> None:
    """Tokens that a gateway stumbles over do not stop the others."""
    few = Heard(failures=FAILURES_IN_A_ROW - 1, trouble=Trouble.SILENT, reason="reset")
    clock.move(seconds=10)
    for heard in (few, WORKS, few):
        await pace.tell(heard, probe=False)

    assert (await pace.acquire(10, Asking.IN_TURN)).count == 10


async def test_many_small_batches_of_which_nothing_is_heard_are_a_stall(
    redis: "Redis", clock: StandingClock
) -> None:
    """Each alone is too small to tell; what is settled meanwhile shows that others get through."""
    pacing = Pacing(redis, clock=clock)
    number = next(_credentials)
    pace = pacing.of(number, Rate(), narrow=frozenset())
    clock.move(seconds=pace.stall_seconds)
    for who in range(FAILURES_IN_A_ROW - 1):
        pace.waits(who, 1)
    assert not pace.stalls()
    pace.waits("another", 1)
    pace.settled()
    assert not pace.stalls()
    clock.move(seconds=pace.stall_seconds)
    assert pace.stalls()

    await pacing.close()
    (found,) = await open_circuits(redis, [number])
    assert found.trouble == "silent"
    pace.waits("another", 0)
    assert not pace.stalls()


async def test_a_refused_credential_is_held_as_such(pace: Pace) -> None:
    """Its devices fail in the end as the gateway's refusal has it."""
    refused = Heard(failures=20, trouble=Trouble.REFUSED, reason="InvalidProviderToken")
    await pace.tell(refused, probe=False)

    held = (await pace.acquire(1, Asking.URGENT)).held

    assert held is not None
    assert (held.outcome, held.reason) == (
        OutcomeClass.CREDENTIAL,
        "CircuitOpen: InvalidProviderToken",
    )
    assert held.retry_after == pytest.approx(30, abs=1)


async def test_without_redis_all_is_allowed_but_what_we_have_seen_fail(
    clock: StandingClock,
) -> None:
    """Unknown state is no error; our own last pause holds."""
    redis = Redis.from_url("redis://127.0.0.1:1")
    pace = Pacing(redis, clock=clock).of(next(_credentials), Rate(per_minute=1), narrow=frozenset())

    assert (await pace.acquire(1000, Asking.IN_TURN)).count == 1000
    clock.move(seconds=5)
    await pace.tell(BROKEN, probe=False)
    assert (await pace.acquire(1000, Asking.IN_TURN)).count == 0
    clock.move(seconds=1)
    assert (await pace.acquire(1000, Asking.IN_TURN)).count == 1000
    await redis.aclose()


async def test_the_scripts_go_by_the_clock_of_redis(redis: "Redis") -> None:
    """All workers share it, whatever their machines say; a Redis that forgot them learns them."""
    number = next(_credentials)
    pacing = Pacing(redis, clock=SystemClock())
    pace = pacing.of(number, Rate(per_minute=60), narrow=frozenset())
    await redis.script_flush()

    assert (await pace.acquire(3, Asking.IN_TURN)).count == 1
    seconds, _ = await redis.time()
    (at,) = await cast(Awaitable[list[bytes]], redis.hmget(key_of(number), ["at"]))
    assert abs(float(at) - seconds) < 5
