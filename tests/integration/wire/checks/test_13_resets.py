"""Check 13: RST_STREAM with every code, at every moment of a response (RFC 9113 6.4, 8.1, 8.7)."""

from collections.abc import Callable

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, Frame, HeadersFrame, RstStreamFrame

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Unknown, Verdict
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks, windows_agree
from tests.integration.wire.peer import Peer, Wire
from tests.integration.wire.raw_peer import RawPeer, RawWire, answer_all, answer_on, settings
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1)
WAITING = Limits(max_connections=1, await_settings=True)
REFUSED = ErrorCode.REFUSED_STREAM
#: Every code there is, and some that nobody has named, with how we call them.
CODES = {**{int(code): code.name for code in ErrorCode}, 0xE: "0xe", 0xFFFFFFFF: "0xffffffff"}


def in_doubt(code: int) -> Verdict:
    """Only the code that says so says that nothing was done."""
    why = f"reset: {CODES[code]}"
    return NotProcessed(why) if code == REFUSED else Unknown(why)


def begun(code: int) -> Verdict:
    """Who has begun to answer has done something, whatever the code says."""
    return Unknown(f"reset: {CODES[code]}")


def complete(_code: int) -> Verdict:
    """An answer is an answer."""
    return Answered(400, (), b"")


def complete_with_body(_code: int) -> Verdict:
    """An answer is an answer, its body too."""
    return Answered(400, (), b"body")


Before = Callable[[RawWire, int], list[Frame]]

MOMENTS: dict[str, tuple[Before, Callable[[int], Verdict]]] = {
    "before any head": (lambda _wire, _one: [], in_doubt),
    "after an interim head": (lambda wire, one: [wire.head(one, 103)], in_doubt),
    "after the head": (lambda wire, one: [wire.head(one, 400)], begun),
    "within the body": (
        lambda wire, one: [wire.head(one, 400), wire.data(one, b"body")],
        begun,
    ),
    "after a head that ends": (lambda wire, one: [wire.head(one, 400, end=True)], complete),
    "after the end": (
        lambda wire, one: [wire.head(one, 400), wire.data(one, b"body", end=True)],
        complete_with_body,
    ),
    "after the trailers": (
        lambda wire, one: [
            wire.head(one, 400),
            wire.data(one, b"body"),
            wire.block(one, [("x-trailer", "late")], end=True),
        ],
        complete_with_body,
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_every_code(authority: Authority, open_pool: OpenPool, moment: str) -> None:
    """Each ends its own request alone; a second one, and what comes late, is ignored."""
    before, verdict = MOMENTS[moment]

    async def play(wire: RawWire) -> None:
        wire.greet()
        for code in CODES:
            one = (await wire.request()).stream_id
            reset = RstStreamFrame(one, code)
            wire.say(*before(wire, one), reset, reset, wire.head(one), wire.data(one, b"late"))
        await wire.settled()
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(len(CODES))), told, timeout_seconds=SECONDS)
            assert told.verdicts == {key: verdict(code) for key, code in enumerate(CODES)}
            await pool.send_many(calls(range(50)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(50))
        await peer.over()
        assert peer.wires[0].resets == []
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


@pytest.mark.parametrize("answer", [None, "head", "end"])
async def test_every_code_before_our_end(
    authority: Authority, open_pool: OpenPool, answer: str | None
) -> None:
    """Nobody acts on half a request, unless he has begun to answer; what was answered is."""

    async def play(wire: RawWire) -> None:
        # Of each body one octet goes.
        wire.greet(initial_window_size=1)
        await wire.until(lambda: len(wire.of(DataFrame)) == len(CODES))
        for code, head in zip(CODES, wire.of(HeadersFrame), strict=True):
            one = head.stream_id
            said = [] if answer is None else [wire.head(one, 400, end=answer == "end")]
            wire.say(*said, RstStreamFrame(one, code))
        await until(lambda: len(told.verdicts) == len(CODES))
        wire.say(settings(initial_window_size=65_535))
        await answer_on(wire)

    def verdict(code: int) -> Verdict:
        if answer is not None:
            return Answered(400, (), b"") if answer == "end" else begun(code)
        return in_doubt(code) if code == REFUSED else NotProcessed(f"{why(code)}, not sent in full")

    def why(code: int) -> str:
        return f"reset: {CODES[code]}"

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, WAITING), Told(), Told()
        async with nothing_leaks(pool):
            keys = range(len(CODES))
            await pool.send_many(calls(keys, b"x" * 4_000), told, timeout_seconds=SECONDS)
            assert told.verdicts == {key: verdict(code) for key, code in enumerate(CODES)}
            # All of the connection's window but what was sent is free again.
            left = 65_535 - len(CODES)
            await pool.send_many(calls([99], b"x" * left), after, timeout_seconds=SECONDS)
            assert after.own() == [99]
        await peer.over()
        # Where the answer came before our end, we end the stream as well.
        ours = [(2 * key + 1, ErrorCode.NO_ERROR) for key in keys] if answer == "end" else []
        assert peer.wires[0].resets == ours
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_resets_free_their_streams(authority: Authority, open_pool: OpenPool) -> None:
    """With one stream at a time, each reset makes room for the next request (5.1.2)."""

    async def play(wire: RawWire) -> None:
        wire.greet(max_concurrent_streams=1)
        for _ in range(3):
            for code in CODES:
                request = await wire.request()
                wire.say(RstStreamFrame(request.stream_id, code))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, WAITING), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(60)), told, timeout_seconds=SECONDS)
            assert told.keys(NotProcessed) == [7, 7 + len(CODES), 7 + 2 * len(CODES)]
            assert told.own() == list(range(3 * len(CODES), 60))
            assert len(told.keys(Unknown)) == 3 * len(CODES) - 3
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


@pytest.mark.parametrize("stream_id", [5, 2, 2**31 - 1])
async def test_a_reset_of_nothing(
    authority: Authority, open_pool: OpenPool, stream_id: int
) -> None:
    """A stream that was never opened cannot be reset: that ends the connection (6.4)."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        one, two = await wire.requests(2)
        wire.answer_own(one)
        wire.say(RstStreamFrame(stream_id, REFUSED))
        await wire.until(wire.ended.is_set)
        assert wire.goaways == [ErrorCode.PROTOCOL_ERROR]
        assert two.stream_id < 5

    async with RawPeer(play, answer_all).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(2)), told, timeout_seconds=SECONDS)
            assert told.own() == [0]
            assert told.verdicts[1] == Unknown(f"PROTOCOL_ERROR: frame on idle stream {stream_id}")
            await pool.send_many(calls(range(9)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(9))
        await peer.over()
        assert len(peer.wires) == 2


async def test_a_strict_peer(authority: Authority, open_pool: OpenPool) -> None:
    """Resets as h2 writes them, before and within answers; the windows agree at the end."""

    async def play(wire: Wire) -> None:
        codes = list(ErrorCodes)
        while request := await wire.request_or_end():
            key, stream_id = int(request.fields[b"apns-id"]), request.stream_id
            if key % 3 == 2:
                wire.answer(stream_id, fields=[(b"apns-id", b"%d" % key)])
                continue
            if key % 3 == 1:
                wire.h2.send_headers(stream_id, [(b":status", b"200")])
                wire.h2.send_data(stream_id, b"begun")
            wire.reset(stream_id, codes[key % len(codes)])

    async with Peer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            keys = range(90)
            await pool.send_many(calls(keys, b"x" * 2_000), told, timeout_seconds=SECONDS)
            assert told.own() == [key for key in keys if key % 3 == 2]
            refused = [key for key in keys if key % 14 == REFUSED and key % 3 == 0]
            assert told.keys(NotProcessed) == refused
            assert len(told.keys(Unknown)) == 60 - len(refused)
            await until(lambda: windows_agree(pool, peer.wires[0]))
        assert len(peer.wires) == 1
