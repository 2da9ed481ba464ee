"""Check 15: the connection ends, in every way and in every state of a request."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest
from hyperframe.frame import DataFrame, Frame, HeadersFrame, PingFrame, RstStreamFrame

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Unknown, Verdict
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import is_replaced, nothing_leaks
from tests.integration.wire.raw_peer import RawPeer, RawWire, answer_all, settings
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

#: The body of each request; windows of 10 octets leave it half written.
BODY = b"x" * 100

Ending = Callable[[RawWire], None]
State = Callable[[RawWire], Awaitable[object]]


def cut(wire: RawWire) -> None:
    """FIN without close_notify: what a killed process or a proxy leaves behind."""
    connection = wire._writer.get_extra_info("socket")
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_WR)


ENDINGS = [
    pytest.param(RawWire.close, id="close_notify"),
    pytest.param(cut, id="FIN"),
    pytest.param(RawWire.tear, id="RST"),
]


async def heard(wire: RawWire, *frames: Frame | bytes) -> None:
    """Say this in one write, and wait until the client has read it (a reset discards the rest)."""
    echo = PingFrame(0, b"read me!")
    before = len(wire.of(PingFrame))
    wire.say(echo, *frames)
    await wire.until(lambda: len(wire.of(PingFrame)) > before)


# -- States: what has happened when the end comes --------------------------------------------------


async def before_settings(wire: RawWire) -> None:
    """Requests may go out before SETTINGS; this one has."""
    await wire.request()


async def nothing_at_all(_wire: RawWire) -> None:
    """TLS stands, and nothing was said."""


async def no_stream_allowed(wire: RawWire) -> None:
    """SETTINGS, and no stream for the request that waits."""
    wire.greet(max_concurrent_streams=0)
    await wire.settled()


async def only_headers(wire: RawWire) -> None:
    """A request of which the stream's window let no octet of body go."""
    wire.greet(initial_window_size=0)
    await wire.next(HeadersFrame)
    await wire.settled()
    assert wire.of(DataFrame) == []


async def half_a_request(wire: RawWire) -> None:
    """A request of which ten octets of body went."""
    wire.greet(initial_window_size=10)
    assert (await wire.next(DataFrame)).data == BODY[:10]


async def half_a_request_and_a_head(wire: RawWire) -> None:
    """Half a request, to which the answer has begun."""
    await half_a_request(wire)
    await heard(wire, wire.head(1))


async def half_a_request_answered(wire: RawWire) -> None:
    """Half a request, and the whole answer."""
    await half_a_request(wire)
    await heard(wire, wire.head(1, 200, [("apns-id", "1")], end=True))


async def written(wire: RawWire) -> None:
    """A whole request."""
    wire.greet()
    await wire.request()


def answering(*frames: Callable[[RawWire], Frame | bytes]) -> State:
    """A whole request, and of its answer these frames."""

    async def state(wire: RawWire) -> None:
        await written(wire)
        await heard(wire, *[frame(wire) for frame in frames])

    return state


def head(wire: RawWire) -> Frame:
    """A response head."""
    return wire.head(1, 200, [("apns-id", "1")])


def half(frame: Callable[[RawWire], Frame]) -> Callable[[RawWire], bytes]:
    """The first octets of a frame."""
    return lambda wire: frame(wire).serialize()[:-2]


def unfinished_block(wire: RawWire) -> Frame:
    """HEADERS whose CONTINUATION does not come."""
    return HeadersFrame(1, wire.encoder.encode([(":status", "200")]), flags=["END_STREAM"])


def body(wire: RawWire) -> Frame:
    """A piece of a body."""
    return wire.data(1, b"{}")


def end(wire: RawWire) -> Frame:
    """The empty end of a body."""
    return wire.data(1, b"", end=True)


def trailers(wire: RawWire) -> Frame:
    """The end of an answer as trailers."""
    return wire.block(1, [("grpc-status", "0")], end=True)


class Case(NamedTuple):
    """A state, and what the end of the connection makes of the one request."""

    state: State
    verdict: type[Verdict]
    why: str = ""
    #: Nothing is sent before SETTINGS.
    patient: bool = True


CASES = {
    "before SETTINGS": Case(before_settings, Unknown, patient=False),
    "half written": Case(half_a_request, NotProcessed, "not sent in full"),
    "only HEADERS written": Case(only_headers, NotProcessed, "not sent in full"),
    "half written, answer begun": Case(half_a_request_and_a_head, Unknown),
    "half written, answered": Case(half_a_request_answered, Answered),
    "written": Case(written, Unknown),
    "frame header cut": Case(answering(lambda w: head(w).serialize()[:5]), Unknown),
    "within the head": Case(answering(half(head)), Unknown),
    "before CONTINUATION": Case(answering(unfinished_block), Unknown),
    "after the head": Case(answering(head), Unknown),
    "within DATA": Case(answering(head, half(body)), Unknown),
    "within the body": Case(answering(head, body), Unknown),
    "within the last DATA": Case(answering(head, body, half(end)), Unknown),
    "within trailers": Case(answering(head, body, half(trailers)), Unknown),
    "after END_STREAM": Case(answering(head, body, end), Answered),
    "after trailers": Case(answering(head, body, trailers), Answered),
}


def limits(*, patient: bool = True) -> Limits:
    """One connection at a time."""
    return Limits(max_connections=1, await_settings=patient, backoff_first_seconds=0.01)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_end(
    authority: Authority, open_pool: OpenPool, case: Case, ending: Ending
) -> None:
    """Written in full and not answered: unknown. Not in full: not processed. Then another one."""

    async def play(wire: RawWire) -> None:
        await case.state(wire)
        ending(wire)

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits(patient=case.patient)), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1], BODY), told, timeout_seconds=SECONDS)
            verdict = told.verdicts[1]
            assert type(verdict) is case.verdict
            if isinstance(verdict, Answered):
                assert (verdict.status, verdict.header(b"apns-id")) == (200, b"1")
            else:
                lost = "connection lost: " if ending is RawWire.tear else "end of connection"
                assert verdict.why.startswith(lost)
                assert verdict.why.endswith(case.why)
            await until(lambda: not pool.stats.connections)
            await is_replaced(pool)
        assert len(peer.wires) == 2


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("state", [nothing_at_all, no_stream_allowed])
async def test_the_end_before_any_request(
    authority: Authority, open_pool: OpenPool, state: State, ending: Ending
) -> None:
    """Nothing was written, so nothing is lost: the next connection carries all of it."""

    async def play(wire: RawWire) -> None:
        await state(wire)
        ending(wire)

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits()), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(5)), told, timeout_seconds=SECONDS)
            assert told.own() == [0, 1, 2, 3, 4]
            assert pool.stats.connect_failures == 1
        assert len(peer.wires) == 2
        assert peer.wires[0].of(HeadersFrame) == []


@pytest.mark.parametrize("ending", ENDINGS)
async def test_the_end_of_streams_in_every_state(
    authority: Authority, open_pool: OpenPool, ending: Ending
) -> None:
    """One end, and each stream gets what its own state says."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        await wire.requests(4)
        wire.say(settings(initial_window_size=10))
        await wire.settled()
        narrow.set()
        await wire.until(lambda: len(wire.of(DataFrame)) == 6)
        answered = wire.head(1, fields=[("apns-id", "0")], end=True)
        refused = RstStreamFrame(7, ErrorCode.REFUSED_STREAM)
        await heard(wire, answered, wire.head(3), refused, wire.head(9))
        ending(wire)

    narrow = asyncio.Event()
    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits()), Told()
        async with nothing_leaks(pool):
            whole = asyncio.create_task(
                pool.send_many(calls(range(4), BODY), told, timeout_seconds=SECONDS)
            )
            await narrow.wait()
            await pool.send_many(calls([4, 5], BODY), told, timeout_seconds=SECONDS)
            await whole
            kinds = [type(told.verdicts[key]) for key in range(6)]
            assert kinds == [Answered, Unknown, Unknown, NotProcessed, Unknown, NotProcessed]
            await is_replaced(pool)
