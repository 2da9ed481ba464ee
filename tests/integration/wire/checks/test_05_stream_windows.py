"""Check 5: INITIAL_WINDOW_SIZE 0 and more, and less than was sent."""

import pytest
from hyperframe.frame import (
    DataFrame,
    Frame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Verdict
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks, windows_agree
from tests.integration.wire.peer import Peer, Wire
from tests.integration.wire.raw_peer import RawPeer, RawWire, answer_all, answer_on, raw, settings
from tests.integration.wire.sending import SECONDS, OpenPool, Told, call, calls, until

pytestmark = pytest.mark.integration

WAITING = Limits(max_connections=1, await_settings=True)
SETTINGS, WINDOW_UPDATE = 0x4, 0x8
LARGEST = 2**31 - 1


def sizes(wire: RawWire) -> dict[int, int]:
    """How much of each request's body has come."""
    found = dict.fromkeys((head.stream_id for head in wire.of(HeadersFrame)), 0)
    for frame in wire.of(DataFrame):
        found[frame.stream_id] += len(frame.data)
    return found


async def after(wire: RawWire, *frames: Frame | bytes) -> dict[int, int]:
    """What has come of each body once the client has obeyed these frames."""
    wire.say(*frames)
    await wire.settled()
    return sizes(wire)


def initial(octets: int) -> Frame:
    """SETTINGS with an INITIAL_WINDOW_SIZE."""
    return settings(initial_window_size=octets)


async def test_none_then_growing(authority: Authority, open_pool: OpenPool) -> None:
    """At 0 only heads and empty bodies go; then exactly what each window allows."""

    async def play(wire: RawWire) -> None:
        wire.greet(initial_window_size=0)
        assert await after(wire) == {1: 0, 3: 0, 5: 0, 7: 0}
        assert wire.of(DataFrame) == []
        assert (await wire.request()).stream_id == 7
        assert await after(wire, initial(1)) == {1: 1, 3: 1, 5: 1, 7: 0}
        assert await after(wire, initial(7)) == {1: 7, 3: 7, 5: 7, 7: 0}
        # Of the connection's window there was always enough.
        assert await after(wire, WindowUpdateFrame(0, 1_000)) == {1: 7, 3: 7, 5: 7, 7: 0}
        assert await after(wire, WindowUpdateFrame(3, 3)) == {1: 7, 3: 10, 5: 7, 7: 0}
        assert (await wire.request()).stream_id == 3
        assert await after(wire, initial(9)) == {1: 9, 3: 10, 5: 9, 7: 0}
        assert await after(wire, initial(10)) == {1: 10, 3: 10, 5: 10, 7: 0}
        requests = await wire.requests(2)
        assert [request.body for request in requests] == [b"0123456789"] * 2
        for stream_id in (1, 3, 5, 7):
            wire.answer(stream_id, fields=[("apns-id", f"{stream_id // 2}")])
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, later = open_pool(peer.port, WAITING), Told(), Told()
        async with nothing_leaks(pool):
            first = [*calls(range(3), b"0123456789"), call(3, b"")]
            await pool.send_many(first, told, timeout_seconds=SECONDS)
            assert told.own() == [0, 1, 2, 3]
            await pool.send_many(calls([4], b"0123456789"), later, timeout_seconds=SECONDS)
            assert later.own() == [4]
        await peer.over()
        assert [len(frame.data) for frame in peer.wires[0].of(DataFrame)[-1:]] == [10]
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_less_than_was_sent(authority: Authority, open_pool: OpenPool) -> None:
    """A window below zero must be filled first, by SETTINGS or WINDOW_UPDATE, to the octet."""
    steps: list[tuple[Frame, int]] = [
        (initial(400), 1_000),  # -600
        (WindowUpdateFrame(1, 600), 1_000),  # 0
        (WindowUpdateFrame(1, 1), 1_001),
        (initial(401), 1_002),
        (initial(0), 1_002),  # -401
        (initial(300), 1_002),  # -101
        (WindowUpdateFrame(0, 100_000), 1_002),
        (WindowUpdateFrame(1, 100), 1_002),  # -1
        (initial(302), 1_003),
        (initial(0), 1_003),  # -302
        (initial(65_535), 5_000),
    ]

    async def play(wire: RawWire) -> None:
        wire.greet(initial_window_size=1_000)
        assert await after(wire) == {1: 1_000}
        for frame, sent in steps:
            assert await after(wire, frame) == {1: sent}
        request = await wire.request()
        assert request.body == bytes(range(250)) * 20
        wire.answer_own(request)
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, later = open_pool(peer.port, WAITING), Told(), Told()
        async with nothing_leaks(pool):
            body = bytes(range(250)) * 20
            await pool.send_many(calls([1], body), told, timeout_seconds=SECONDS)
            await pool.send_many(calls(range(2, 52)), later, timeout_seconds=SECONDS)
            assert (told.own(), later.own()) == ([1], list(range(2, 52)))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_the_acknowledgement_first(authority: Authority, open_pool: OpenPool) -> None:
    """SETTINGS are acknowledged before they are made use of (RFC 9113 6.5.3).

    A server may hold us to the old window until it reads our acknowledgement; h2 does.
    """

    async def play(wire: RawWire) -> None:
        wire.greet(initial_window_size=0)
        await wire.settled()
        wire.say(initial(10))
        wire.answer_own(await wire.request())
        # The client's own SETTINGS, and an ACK for each of ours.
        await wire.until(lambda: len(wire.of(SettingsFrame)) == 3)
        ack, data = wire.of(SettingsFrame)[-1], wire.of(DataFrame)[0]
        assert wire.frames.index(ack) < wire.frames.index(data)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, WAITING), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            assert told.own() == [1]
        await peer.over()


async def test_only_the_last_of_two_entries(authority: Authority, open_pool: OpenPool) -> None:
    """Of a setting that stands twice in one frame only the last is in force (RFC 9113 6.5.3)."""

    async def play(wire: RawWire) -> None:
        wire.greet(initial_window_size=0)
        assert await after(wire) == {1: 0}
        twice = raw(SETTINGS, 0, 0, b"\x00\x04\x00\x00\xff\xff\x00\x04\x00\x00\x00\x03")
        assert await after(wire, twice) == {1: 3}
        wire.say(initial(10))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, WAITING), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1], b"0123456789"), told, timeout_seconds=SECONDS)
            assert told.own() == [1]
        await peer.over()


async def test_windows_that_never_rest(authority: Authority, open_pool: OpenPool) -> None:
    """Up, down and below zero under two hundred bodies; h2 faults an octet too many."""

    async def resize(wire: Wire, octets: int) -> None:
        wire.settings(initial_window_size=octets)
        settled = wire.h2.local_settings
        await wire.until(lambda: settled.initial_window_size == octets or wire.ended.is_set())
        assert not wire.ended.is_set()

    async def play(wire: Wire) -> None:
        await wire.until(lambda: wire.h2.open_inbound_streams == 100)
        for octets in (1, 0, 700, 3, 900, 0, 2_000, 1_500, 10, 4_096, 65_535, 0, LARGEST):
            await resize(wire, octets)
        while request := await wire.request_or_end():
            wire.answer(request.stream_id, fields=[(b"apns-id", request.fields[b"apns-id"])])

    async with Peer(play, initial={3: 100, 4: 0}).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, WAITING), Told()
        async with nothing_leaks(pool):
            keys = list(range(200))
            await pool.send_many(calls(keys, b"x" * 600), told, timeout_seconds=SECONDS)
            assert told.own() == keys
            await until(lambda: windows_agree(pool, peer.wires[0]))
        assert len(peer.wires) == 1


@pytest.mark.parametrize(
    ("update", "code"),
    [(0, ErrorCode.PROTOCOL_ERROR), (LARGEST, ErrorCode.FLOW_CONTROL_ERROR)],
)
async def test_an_update_that_cannot_be(
    authority: Authority, open_pool: OpenPool, update: int, code: ErrorCode
) -> None:
    """Zero, or a window above 2^31-1, resets the one stream; the connection goes on."""

    async def play(wire: RawWire) -> None:
        wire.greet(initial_window_size=1)
        assert await after(wire) == {1: 1}
        # The connection's window holds back what the stream's would let go.
        assert await after(wire, WindowUpdateFrame(1, 90_000)) == {1: 65_535}
        octets = update.to_bytes(4, "big")
        await after(wire, raw(WINDOW_UPDATE, 0, 1, octets), WindowUpdateFrame(0, 90_000))
        assert (sizes(wire)[1], wire.resets) == (65_535, [(1, code)])
        wire.say(initial(65_535))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, later = open_pool(peer.port, WAITING), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([0], b"x" * 99_999), told, timeout_seconds=SECONDS)
            verdict = told.verdicts[0]
            assert isinstance(verdict, NotProcessed)
            assert verdict.why.endswith(", not sent in full")
            await pool.send_many(calls(range(50)), later, timeout_seconds=SECONDS)
            assert later.own() == list(range(50))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


@pytest.mark.parametrize(
    "last",
    [
        pytest.param((WindowUpdateFrame(1, 65_534), initial(3)), id="a stream's window"),
        pytest.param((initial(LARGEST + 1),), id="the setting"),
    ],
)
async def test_settings_that_cannot_be(
    authority: Authority, open_pool: OpenPool, last: tuple[Frame, ...]
) -> None:
    """SETTINGS that take a window above 2^31-1 end the connection; half sent is not processed."""

    async def play(wire: RawWire) -> None:
        wire.greet(initial_window_size=1)
        assert await after(wire) == {1: 1}
        # Now the connection's window holds the body back, and the stream's is never used up.
        assert await after(wire, WindowUpdateFrame(1, LARGEST - 1)) == {1: 65_535}
        wire.say(*last)
        await wire.until(wire.ended.is_set)
        assert wire.goaways == [ErrorCode.FLOW_CONTROL_ERROR]

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, WAITING), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1], b"x" * 100_000), told, timeout_seconds=SECONDS)
            verdict = told.verdicts[1]
            assert isinstance(verdict, NotProcessed)
            assert verdict.why.startswith("FLOW_CONTROL_ERROR: ")
            await pool.send_many(calls(range(2, 52)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(2, 52))
        await peer.over()
        assert len(peer.wires) == 2


REFUSED = NotProcessed("reset: REFUSED_STREAM")
FAILED = NotProcessed("reset: INTERNAL_ERROR, not sent in full")
LATE = NotProcessed("deadline, not sent in full")


@pytest.mark.parametrize(
    ("end", "verdict", "resets"),
    [
        pytest.param("refuse", REFUSED, [], id="REFUSED_STREAM"),
        pytest.param("reset", FAILED, [], id="INTERNAL_ERROR"),
        pytest.param("wait", LATE, [(1, ErrorCode.CANCEL)], id="deadline"),
        pytest.param("answer", Answered(413, (), b""), [(1, ErrorCode.NO_ERROR)], id="answer"),
    ],
)
async def test_the_end_of_a_held_request(
    authority: Authority,
    open_pool: OpenPool,
    end: str,
    verdict: Verdict,
    resets: list[tuple[int, int]],
) -> None:
    """A request that ends while its body is held back leaves nothing; the connection goes on."""

    async def play(wire: RawWire) -> None:
        wire.greet(initial_window_size=4)
        assert await after(wire) == {1: 4}
        words: dict[str, tuple[Frame, ...]] = {
            "refuse": (RstStreamFrame(1, ErrorCode.REFUSED_STREAM),),
            "reset": (RstStreamFrame(1, ErrorCode.INTERNAL_ERROR),),
            "answer": (wire.head(1, 413, end=True),),
            "wait": (),
        }
        wire.say(*words[end])
        await until(lambda: told.verdicts)
        # A window for what is gone brings nothing, and is no offence.
        await after(wire, WindowUpdateFrame(1, 100), initial(65_535))
        assert (sizes(wire)[1], wire.resets) == (4, resets)
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, later = open_pool(peer.port, WAITING), Told(), Told()
        async with nothing_leaks(pool):
            seconds = 0.3 if end == "wait" else SECONDS
            await pool.send_many(calls([1], b"x" * 65_535), told, timeout_seconds=seconds)
            assert told.verdicts == {1: verdict}
            # All of the connection's window but what was sent is free again.
            await pool.send_many(calls([2], b"x" * 65_531), later, timeout_seconds=SECONDS)
            assert later.own() == [2]
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])
