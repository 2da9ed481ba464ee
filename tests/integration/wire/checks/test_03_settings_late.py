"""Check 3: the server's SETTINGS come late, not at all, or not first."""

import pytest
from hyperframe.frame import (
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from pushsvc.delivery.wire import Limits, NotProcessed, Unknown
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks
from tests.integration.wire.raw_peer import (
    Play,
    RawPeer,
    RawWire,
    acknowledged,
    answer_all,
    answer_on,
    settings,
)
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

WAITING = Limits(max_connections=1, await_settings=True)
#: Four requests are sent before SETTINGS are in.
FOUR = Limits(max_connections=1, streams_before_settings=4)


def impatient(*, await_settings: bool, play: Play | None = None) -> Limits:
    """The next connection comes soon; of a silent peer SETTINGS are soon missed."""
    return Limits(
        max_connections=1,
        await_settings=await_settings,
        streams_before_settings=4,
        connect_timeout_seconds=0.4 if play is silence else SECONDS,
        backoff_first_seconds=0.01,
    )


def opened_before_ack(wire: RawWire) -> tuple[int, int]:
    """How many requests were begun before our SETTINGS were acknowledged, and after."""
    ack = wire.frames.index(next(frame for frame in wire.of(SettingsFrame) if frame.flags))
    heads = [at for at, frame in enumerate(wire.frames) if isinstance(frame, HeadersFrame)]
    return sum(at < ack for at in heads), sum(at > ack for at in heads)


async def test_late_and_awaited(authority: Authority, open_pool: OpenPool) -> None:
    """Nothing is opened until SETTINGS are in, and then no more than they allow (APNs)."""

    async def play(wire: RawWire) -> None:
        await wire.next(SettingsFrame)
        await until(lambda: pool.stats.connections == pool.stats.waiting == 1)
        wire.say(settings(max_concurrent_streams=3), acknowledged())
        first = await wire.requests(3)
        assert opened_before_ack(wire) == (0, 3)
        for request in first:
            wire.answer_own(request)
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, WAITING), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(50)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(50))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


@pytest.mark.parametrize("allowed", [None, 1_000, 5, 4, 2, 1])
async def test_late_and_not_awaited(
    authority: Authority, open_pool: OpenPool, allowed: int | None
) -> None:
    """A few requests go out before; SETTINGS then say how many may be open, fewer or more."""

    async def play(wire: RawWire) -> None:
        first = await wire.requests(4)
        values = {} if allowed is None else {"max_concurrent_streams": allowed}
        wire.greet(**values)
        await wire.settled()
        assert opened_before_ack(wire)[0] == 4
        assert len(wire.of(HeadersFrame)) == min(20, max(4, allowed or 1_000))
        for request in first:
            wire.answer_own(request)
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, FOUR), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(20)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(20))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_never_acknowledged_ours(authority: Authority, open_pool: OpenPool) -> None:
    """A server that never acknowledges our SETTINGS may use its table, and is understood."""

    async def play(wire: RawWire) -> None:
        wire.encoder.header_table_size = 4_096
        wire.say(settings())
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, FOUR), Told()
        async with nothing_leaks(pool):
            for start in (0, 100, 0):
                told = Told()
                keys = range(start, start + 100)
                await pool.send_many(calls(keys), told, timeout_seconds=SECONDS)
                assert told.own() == list(keys)
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def silence(wire: RawWire) -> None:
    """Read, and never say a word."""
    await wire.until(wire.ended.is_set)


async def farewell(wire: RawWire) -> None:
    """End without SETTINGS once the client has greeted."""
    await wire.next(WindowUpdateFrame)
    wire.close()


async def farewell_to_four(wire: RawWire) -> None:
    """End without SETTINGS once four requests have come."""
    await wire.requests(4)
    wire.close()


@pytest.mark.parametrize("play", [silence, farewell])
async def test_absent_and_awaited(authority: Authority, open_pool: OpenPool, play: Play) -> None:
    """Without SETTINGS nothing is sent: the connection is closed, and another one is used."""
    limits = impatient(await_settings=True, play=play)
    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(20)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(20))
            assert pool.stats.connect_failures == 1
        await peer.over()
        assert peer.wires[0].of(HeadersFrame) == []
        assert (len(peer.wires), peer.wires[0].goaways) == (2, [])


@pytest.mark.parametrize(
    ("play", "why"), [(silence, "no SETTINGS in time"), (farewell_to_four, "end of connection")]
)
async def test_absent_and_not_awaited(
    authority: Authority, open_pool: OpenPool, play: Play, why: str
) -> None:
    """What was sent before is in doubt, what was not goes over another connection."""
    limits = impatient(await_settings=False, play=play)
    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(20)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(4, 20))
            assert {told.verdicts[key] for key in range(4)} == {Unknown(why)}
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (2, [])


async def test_absent_everywhere(authority: Authority, open_pool: OpenPool) -> None:
    """A gateway without a word is no gateway: the calls are given back, to be sent again."""
    async with RawPeer(farewell).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, impatient(await_settings=True)), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(20)), told, timeout_seconds=SECONDS)
            given_back = NotProcessed("no connection: end of connection")
            assert told.verdicts == dict.fromkeys(range(20), given_back)
        await peer.over()
        assert len(peer.wires) == 3


@pytest.mark.parametrize(
    ("first", "code"),
    [
        pytest.param(acknowledged(), ErrorCode.PROTOCOL_ERROR, id="SETTINGS ACK"),
        pytest.param(PingFrame(0, b"12345678"), ErrorCode.PROTOCOL_ERROR, id="PING"),
        pytest.param(WindowUpdateFrame(0, 1), ErrorCode.PROTOCOL_ERROR, id="WINDOW_UPDATE"),
        pytest.param(GoAwayFrame(0, 0, 0), ErrorCode.PROTOCOL_ERROR, id="GOAWAY"),
        pytest.param(
            HeadersFrame(1, b"\x88", flags=["END_HEADERS", "END_STREAM"]),
            ErrorCode.PROTOCOL_ERROR,
            id="an answer",
        ),
        pytest.param(DataFrame(1, b"x"), ErrorCode.PROTOCOL_ERROR, id="DATA"),
        pytest.param(RstStreamFrame(1, 7), ErrorCode.PROTOCOL_ERROR, id="REFUSED_STREAM"),
        pytest.param(ExtensionFrame(0xFA, 0), ErrorCode.PROTOCOL_ERROR, id="unknown"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n", ErrorCode.FRAME_SIZE_ERROR, id="HTTP/1.1"),
    ],
)
async def test_not_first(
    authority: Authority, open_pool: OpenPool, first: Frame | bytes, code: ErrorCode
) -> None:
    """Whatever else comes first ends the connection, answers too; another one is used."""

    async def play(wire: RawWire) -> None:
        await wire.request()
        wire.say(first, settings(), acknowledged())
        await wire.until(wire.ended.is_set)
        assert wire.goaways == [code]

    limits = impatient(await_settings=False)
    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            verdict = told.verdicts[1]
            assert isinstance(verdict, Unknown)
            assert verdict.why.startswith(f"{code.name}: ")
            await pool.send_many(calls(range(2, 12)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(2, 12))
        await peer.over()
        assert len(peer.wires) == 2
