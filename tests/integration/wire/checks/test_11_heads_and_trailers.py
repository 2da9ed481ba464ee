"""Check 11: interim heads, trailers, heads alone; and what is no response (RFC 9113 8.1, 8.3)."""

import pytest
from hyperframe.frame import Frame

from pushsvc.delivery.wire import Answered, Limits, Unknown, Verdict
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks, windows_agree
from tests.integration.wire.peer import Peer, Wire
from tests.integration.wire.raw_peer import Fields, RawPeer, RawWire, answer_on
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1)

#: A head or trailers that end the stream or not, or a piece of body: (fields or octets, end).
Step = tuple[Fields | bytes, bool]
OK: Fields = [(":status", "200")]
EARLY: Fields = [(":status", "103"), ("link", "</style.css>; rel=preload"), ("link", "</x>")]
TRAILERS: Fields = [("grpc-status", "0"), ("grpc-message", "fine")]


def status(code: object) -> Fields:
    """A head of nothing else."""
    return [(":status", str(code))]


RESPONSES: dict[str, tuple[list[Step], Answered]] = {
    "a head alone": ([(status(500), True)], Answered(500, (), b"")),
    "a head, and an end without body": (
        [(status(500), False), (b"", True)],
        Answered(500, (), b""),
    ),
    "100 first": ([(status(100), False), (OK, True)], Answered(200, (), b"")),
    "102 first": ([(status(102), False), (status(503), True)], Answered(503, (), b"")),
    "103 with fields": ([(EARLY, False), (OK, False), (b"x", True)], Answered(200, (), b"x")),
    "an interim head nobody knows": ([(status(199), False), (OK, True)], Answered(200, (), b"")),
    "many interim heads": (
        [*[(status(100), False), (EARLY, False)] * 9, (status(410), False), (b"gone", True)],
        Answered(410, (), b"gone"),
    ),
    "an interim content-length is not the answer's": (
        [([*EARLY, ("content-length", "7")], False), (OK, False), (b"x", True)],
        Answered(200, (), b"x"),
    ),
    "trailers": ([(OK, False), (b"x", False), (TRAILERS, True)], Answered(200, (), b"x")),
    "trailers without body": ([(status(404), False), (TRAILERS, True)], Answered(404, (), b"")),
    "empty trailers": ([(OK, False), (b"x", False), ([], True)], Answered(200, (), b"x")),
    "all of it": (
        [(EARLY, False), (OK, False), (b"a", False), (b"b", False), (TRAILERS, True)],
        Answered(200, (), b"ab"),
    ),
    "204": ([(status(204), True)], Answered(204, (), b"")),
    "304 with the length of what it stands for": (
        [([(":status", "304"), ("content-length", "99")], True)],
        Answered(304, ((b"content-length", b"99"),), b""),
    ),
    "a status nobody knows": ([(status(799), False), (b"?", True)], Answered(799, (), b"?")),
    "a field often": (
        [([*OK, ("retry-after", "1"), ("retry-after", "2"), ("empty", "")], True)],
        Answered(200, ((b"retry-after", b"1"), (b"retry-after", b"2"), (b"empty", b"")), b""),
    ),
    **{
        f"{code} alone": ([(status(code), True)], Answered(code, (), b""))
        for code in (201, 301, 400, 401, 403, 405, 413, 429, 501, 502, 504, 599)
    },
}

MALFORMED: dict[str, tuple[list[Step], str]] = {
    "101": ([(status(101), False)], "status b'101'"),
    "an interim head ends": ([(status(103), True)], "ends with 1xx"),
    "two interim heads, then the end": ([(status(100), False), (EARLY, True)], "ends with 1xx"),
    "body after an interim head": ([(EARLY, False), (b"x", True)], "DATA before HEADERS"),
    "body without head": ([(b"x", True)], "DATA before HEADERS"),
    "trailers without head": ([(TRAILERS, True)], "no status"),
    "no fields at all": ([([], True)], "no status"),
    "trailers after an interim head": ([(EARLY, False), (TRAILERS, True)], "no status"),
    "trailers that do not end": ([(OK, False), (b"x", False), (TRAILERS, False)], "second head"),
    "a second head": ([(OK, False), (OK, True)], "second head"),
    "an interim head after the head": ([(OK, False), (EARLY, False)], "second head"),
    "a status in trailers": ([(OK, False), (b"x", False), (OK, True)], "second head"),
    "a pseudo-header in trailers": ([(OK, False), ([(":path", "/")], True)], "b':path'"),
    "a status behind a field": ([([("a", "b"), *OK], True)], "b':status'"),
    "two statuses": ([([*OK, *OK], True)], "b':status'"),
    "a request's pseudo-header": ([([*OK, (":method", "GET")], True)], "b':method'"),
    "no digits": ([(status("ok"), True)], "status b'ok'"),
    "two digits": ([(status(20), True)], "status b'20'"),
    "four digits": ([(status(2000), True)], "status b'2000'"),
    "an empty status": ([(status(""), True)], "status b''"),
    "a sign": ([(status("+20"), True)], "status b'+20'"),
    "an upper-case name": ([([*OK, ("Date", "today")], True)], "b'Date'"),
    "an upper-case trailer": ([(OK, False), ([("Date", "today")], True)], "b'Date'"),
    "an empty name": ([([*OK, ("", "x")], True)], "field name b''"),
    "connection": ([([*OK, ("connection", "close")], True)], "connection"),
    "transfer-encoding": ([([*OK, ("transfer-encoding", "chunked")], True)], "transfer-encoding"),
    "upgrade": ([([*OK, ("upgrade", "h2c")], True)], "upgrade"),
    "a line break": ([([*OK, ("x-a", "a\r\nb: c")], True)], "value of x-a"),
    "a NUL": ([([*OK, ("x-a", "a\0b")], True)], "value of x-a"),
    "a length that is none": ([([*OK, ("content-length", "many")], True)], "content-length"),
}


def frames(wire: RawWire, stream_id: int, steps: list[Step]) -> list[Frame]:
    """The steps of one response as frames."""
    return [
        wire.data(stream_id, what, end=end)
        if isinstance(what, bytes)
        else wire.block(stream_id, what, end=end)
        for what, end in steps
    ]


async def verdicts(
    authority: Authority, open_pool: OpenPool, responses: dict[str, list[Step]]
) -> tuple[dict[str, Verdict], list[tuple[int, int]]]:
    """What becomes of one request per response, all open at once; and what was reset.

    The frames of all are mixed; a response that is malformed must not harm its neighbours, nor
    the connection, which then serves more.
    """

    async def play(wire: RawWire) -> None:
        wire.greet()
        ids = [request.stream_id for request in await wire.requests(len(responses))]
        left = [
            frames(wire, one, steps) for one, steps in zip(ids, responses.values(), strict=True)
        ]
        while any(left):
            wire.say(*[response.pop(0) for response in left if response])
        await wire.settled()
        # Whatever else may come of streams that are closed is ignored.
        for stream_id in ids:
            wire.say(wire.head(stream_id, 200), wire.data(stream_id, b"late", end=True))
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, ONE), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(len(responses))), told, timeout_seconds=SECONDS)
            await pool.send_many(calls(range(50)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(50))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])
        return {name: told.verdicts[key] for key, name in enumerate(responses)}, peer.wires[
            0
        ].resets


async def test_responses(authority: Authority, open_pool: OpenPool) -> None:
    """Interim heads and trailers change nothing of an answer, and neither needs a body."""
    steps = {name: steps for name, (steps, _) in RESPONSES.items()}
    found, resets = await verdicts(authority, open_pool, steps)
    assert found == {name: answer for name, (_, answer) in RESPONSES.items()}
    assert resets == []


async def test_malformed_responses(authority: Authority, open_pool: OpenPool) -> None:
    """What is no response leaves its request in doubt and resets its stream, that one only."""
    steps = {name: steps for name, (steps, _) in MALFORMED.items()}
    found, resets = await verdicts(authority, open_pool, steps)
    for name, (_, why) in MALFORMED.items():
        verdict = found[name]
        assert isinstance(verdict, Unknown), name
        assert verdict.why.startswith("malformed response: "), name
        assert why in verdict.why, name
    expected = [(2 * at + 1, ErrorCode.PROTOCOL_ERROR) for at in range(len(MALFORMED))]
    assert sorted(resets) == expected


async def test_in_turn(authority: Authority, open_pool: OpenPool) -> None:
    """The same, one after another, well formed and malformed in turn on one connection."""
    both: dict[str, list[Step]] = {name: steps for name, (steps, _) in RESPONSES.items()}
    both |= {name: steps for name, (steps, _) in MALFORMED.items()}
    names = sorted(both)

    async def play(wire: RawWire) -> None:
        wire.greet(max_concurrent_streams=1)
        for name in names:
            request = await wire.request()
            wire.say(*frames(wire, request.stream_id, both[name]))

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, Limits(max_connections=1, await_settings=True)), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(len(names))), told, timeout_seconds=SECONDS)
            for key, name in enumerate(names):
                if name in RESPONSES:
                    assert told.verdicts[key] == RESPONSES[name][1], name
                else:
                    assert type(told.verdicts[key]) is Unknown, name
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_a_strict_peer(authority: Authority, open_pool: OpenPool) -> None:
    """Interim heads, bodies and trailers as h2 writes them; the windows agree at the end."""

    async def play(wire: Wire) -> None:
        while request := await wire.request_or_end():
            stream_id = request.stream_id
            for _ in range(2):
                wire.h2.send_headers(stream_id, [(b":status", b"103"), (b"link", b"</x>")])
            own = request.fields[b"apns-id"]
            wire.h2.send_headers(stream_id, [(b":status", b"200"), (b"apns-id", own)])
            wire.h2.send_data(stream_id, own)
            wire.h2.send_headers(stream_id, [(b"x-trailer", own)], end_stream=True)
            wire.flush()

    async with Peer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(100)), told, timeout_seconds=SECONDS)
            assert told.verdicts == {
                key: Answered(200, ((b"apns-id", b"%d" % key),), b"%d" % key) for key in range(100)
            }
            await until(lambda: windows_agree(pool, peer.wires[0]))
        assert len(peer.wires) == 1
