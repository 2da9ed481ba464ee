"""Check 14: GOAWAY in every shape (RFC 9113 section 6.8)."""

import asyncio

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Unknown
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import is_replaced, nothing_leaks
from tests.integration.wire.peer import Peer, Request, Wire, answer_all
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

#: Six requests, on the streams 1 to 11.
KEYS = range(6)
MOST = 2**31 - 1
NO_ERROR, CALM, INTERNAL = (
    ErrorCodes.NO_ERROR,
    ErrorCodes.ENHANCE_YOUR_CALM,
    ErrorCodes.INTERNAL_ERROR,
)

Word = tuple[int, ErrorCodes]


def limits(streams: int = len(KEYS)) -> Limits:
    """One connection, and so many requests on it at a time."""
    return Limits(
        max_connections=1,
        max_streams=streams,
        growth_spacing_seconds=0.05,
        await_settings=True,
        backoff_first_seconds=0.01,
    )


def answer(wire: Wire, request: Request) -> None:
    """200 with the request's own apns-id."""
    wire.answer(request.stream_id, fields=[(b"apns-id", request.fields[b"apns-id"])])


async def left_in_good_order(wire: Wire) -> None:
    """Wait until the client has gone, and see that it said so."""
    await wire.until(wire.ended.is_set)
    assert wire.goaways == [NO_ERROR]
    assert wire.resets == []


@pytest.mark.parametrize(
    ("words", "last"),
    [
        pytest.param([(0, NO_ERROR)], 0, id="last 0"),
        pytest.param([(5, NO_ERROR)], 5, id="mid"),
        pytest.param([(6, NO_ERROR)], 6, id="an even last"),
        pytest.param([(11, NO_ERROR)], 11, id="the last of all"),
        pytest.param([(MOST, NO_ERROR)], MOST, id="max"),
        pytest.param([(MOST, NO_ERROR), (5, NO_ERROR)], 5, id="graceful pair"),
        pytest.param([(7, NO_ERROR), (7, NO_ERROR)], 7, id="said twice"),
        pytest.param([(7, NO_ERROR), (3, NO_ERROR)], 3, id="lowering"),
        pytest.param([(3, NO_ERROR), (7, NO_ERROR)], 3, id="raising"),
        pytest.param([(3, NO_ERROR), (MOST, NO_ERROR)], 3, id="raising to max"),
        pytest.param([(5, CALM)], 5, id="with an error"),
        pytest.param([(0, INTERNAL)], 0, id="with an error, last 0"),
        pytest.param([(MOST, NO_ERROR), (5, CALM)], 5, id="notice, then an error"),
    ],
)
async def test_above_the_last_id_nothing_was_done(
    authority: Authority, open_pool: OpenPool, words: list[Word], last: int
) -> None:
    """Above the lowest last id: not processed, at once. Up to it: answered. Then we leave."""

    async def leave(wire: Wire) -> None:
        requests = await wire.requests(len(KEYS))
        for last_id, code in words:
            wire.say(GoAwayFrame(0, last_id, code, b"moving"))
        for request in requests:
            if request.stream_id <= last:
                answer(wire, request)

    accepted = [key for key in KEYS if 2 * key + 1 <= last]
    async with Peer(leave, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits()), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(KEYS), told, timeout_seconds=SECONDS)
            assert told.own() == accepted
            assert told.keys(NotProcessed) == [key for key in KEYS if key not in accepted]
            refusals = {told.verdicts[key] for key in told.keys(NotProcessed)}
            assert refusals <= {NotProcessed(f"GOAWAY {code.name} moving") for _, code in words}
            await left_in_good_order(peer.wires[0])
            assert pool.stats.goaways == len(words)
            await until(lambda: not pool.stats.draining)
            # One that never answered counts as a failed connect: the next one waits a little.
            assert pool.stats.connect_failures == (0 if accepted else 1)
            await is_replaced(pool)
        assert len(peer.wires) == 2


async def test_answers_above_a_last_id_are_ignored(
    authority: Authority, open_pool: OpenPool
) -> None:
    """A peer that raises its last id and answers after all: the first word counted."""

    async def change_its_mind(wire: Wire) -> None:
        requests = await wire.requests(len(KEYS))
        wire.say(GoAwayFrame(0, 3, 0), GoAwayFrame(0, 11, 0))
        for request in reversed(requests):
            answer(wire, request)

    async with Peer(change_its_mind, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits()), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(KEYS), told, timeout_seconds=SECONDS)
            assert told.own() == [0, 1]
            assert told.keys(NotProcessed) == [2, 3, 4, 5]
            await left_in_good_order(peer.wires[0])
            await is_replaced(pool)


@pytest.mark.parametrize("ending", ["close", "tear"])
@pytest.mark.parametrize(
    ("word", "refused", "doubtful"),
    [
        pytest.param((5, NO_ERROR), [3, 4, 5], [0, 1, 2], id="mid"),
        pytest.param((1, INTERNAL), [1, 2, 3, 4, 5], [0], id="all but one, error"),
        pytest.param((5, CALM), [3, 4, 5], [0, 1, 2], id="mid, error"),
        pytest.param((MOST, INTERNAL), [], [0, 1, 2, 3, 4, 5], id="max, error"),
    ],
)
async def test_goaway_and_the_end(
    authority: Authority,
    open_pool: OpenPool,
    word: Word,
    refused: list[int],
    doubtful: list[int],
    ending: str,
) -> None:
    """What GOAWAY accepted and the end of the connection swallowed is unknown; the rest is not."""
    last_id, code = word

    async def vanish(wire: Wire) -> None:
        first = await wire.request()
        answer(wire, first)
        await told_first.wait()
        await wire.requests(len(KEYS))
        # Streams 3 to 13 are the six.
        last = min(last_id + 2, MOST)
        wire.say(GoAwayFrame(0, last, code, b"crash"))
        if ending == "tear":
            # A TCP reset discards what the client has not read.
            await until(lambda: pool.stats.goaways)
        getattr(wire, ending)()

    told_first = asyncio.Event()
    async with Peer(vanish, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits()), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([99]), told, timeout_seconds=SECONDS)
            told_first.set()
            await pool.send_many(calls(KEYS), told, timeout_seconds=SECONDS)
            assert told.own() == [99]
            assert told.keys(NotProcessed) == refused
            assert told.keys(Unknown) == doubtful
            for key in doubtful:
                assert f"after GOAWAY {code.name} crash" in str(told.verdicts[key])
            await is_replaced(pool)


async def test_the_replacement_does_not_wait(authority: Authority, open_pool: OpenPool) -> None:
    """While the old connection finishes its streams, another one carries what follows."""

    async def slow(wire: Wire) -> None:
        requests = await wire.requests(3)
        wire.say(GoAwayFrame(0, MOST, 0))
        wire.say(GoAwayFrame(0, requests[-1].stream_id, 0))
        await elsewhere.wait()
        for request in requests:
            answer(wire, request)

    async def another(wire: Wire) -> None:
        for _ in range(17):
            answer(wire, await wire.request())
        both.append((pool.stats.connections, pool.stats.draining))
        elsewhere.set()
        await answer_all(wire)

    elsewhere = asyncio.Event()
    both: list[tuple[int, int]] = []
    async with Peer(slow, another).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits(3)), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(20)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(20))
            assert both == [(1, 1)]
            await left_in_good_order(peer.wires[0])
            assert (pool.stats.opened, pool.stats.connect_failures) == (2, 0)


async def test_a_body_goes_on_after_goaway(authority: Authority, open_pool: OpenPool) -> None:
    """An accepted request whose body waits for its window is still sent; a refused one is not."""

    async def leave(wire: Wire) -> None:
        await wire.until(lambda: len(wire._bodies) == 2)
        wire.say(GoAwayFrame(0, 1, 0))
        wire.h2.increment_flow_control_window(1_000, 1)
        wire.flush()
        request = await wire.request()
        assert (request.stream_id, request.body) == (1, b"x" * 100)
        answer(wire, request)

    async with Peer(leave, answer_all, initial={4: 10}).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits(2)), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(2), b"x" * 100), told, timeout_seconds=SECONDS)
            assert told.own() == [0]
            assert told.verdicts[1] == NotProcessed("GOAWAY NO_ERROR")
            await left_in_good_order(peer.wires[0])
            await is_replaced(pool)


async def test_goaway_on_an_idle_connection(authority: Authority, open_pool: OpenPool) -> None:
    """With nothing under way we leave at once; the next request goes elsewhere."""

    async def leave(wire: Wire) -> None:
        answer(wire, await wire.request())
        wire.say(GoAwayFrame(0, 1, 0))

    async with Peer(leave, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits()), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            assert told.own() == [1]
            await left_in_good_order(peer.wires[0])
            await is_replaced(pool)
            assert pool.stats.connect_failures == 0


async def test_long_debug_data_is_cut(authority: Authority, open_pool: OpenPool) -> None:
    """A reason of 16 KB is kept as a kilobyte, and what is no text does no harm."""

    async def talk(wire: Wire) -> None:
        await wire.request()
        wire.say(GoAwayFrame(0, 0, 0xBAD, b"\xff" + b"x" * 16_000))

    async with Peer(talk, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits()), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            (verdict,) = told.verdicts.values()
            assert isinstance(verdict, NotProcessed)
            assert verdict.why.startswith("GOAWAY 0xbad \\xffxxx")
            assert len(verdict.why) < 1_100
            await is_replaced(pool)


async def test_an_answer_before_goaway_stands(authority: Authority, open_pool: OpenPool) -> None:
    """A peer that has answered and then says it did nothing has answered."""

    async def muddle(wire: Wire) -> None:
        answer(wire, await wire.request())
        wire.say(GoAwayFrame(0, 0, 0))

    async with Peer(muddle, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits()), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            assert told.keys(Answered) == [1]
            await left_in_good_order(peer.wires[0])
            await is_replaced(pool)
