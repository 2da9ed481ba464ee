"""Check 12: bodies in pieces, absent, larger than anybody wants, and not of JSON."""

import gzip

import pytest
from hyperframe.frame import DataFrame, Frame, WindowUpdateFrame

from pushsvc.delivery.wire import Answered, Limits, Unknown, Verdict
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks, windows_agree
from tests.integration.wire.peer import Peer, Wire
from tests.integration.wire.raw_peer import Fields, RawPeer, RawWire, answer_on
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

#: So much of a body is wanted here, and the connection has no more window than it must.
MOST = 1_000
SMALL = Limits(max_connections=1, max_body_bytes=MOST, connection_window_bytes=0)
REASON = b'{"reason":"BadDeviceToken"}'
STATED: Fields = [("content-length", f"{len(REASON)}")]
NOTHING: Fields = [("content-length", "0")]

#: The fields of a head, and the DATA after it; its last piece ends the stream, as does a head
#: without any.
Response = tuple[Fields, list[bytes]]


def octets(body: bytes) -> list[bytes]:
    """Each octet alone."""
    return [body[at : at + 1] for at in range(len(body))]


WHOLE: dict[str, Response] = {
    "in one": ([], [REASON]),
    "in two": ([], [REASON[:9], REASON[9:]]),
    "in octets": ([], octets(REASON)),
    "with nothing between": ([], [b"", REASON[:9], b"", b"", REASON[9:], b""]),
    "as long as stated": (STATED, [REASON]),
    "as long as stated, in octets": (STATED, octets(REASON)),
    "absent": ([], []),
    "absent, as stated": (NOTHING, []),
    # The status decides what became of a message: nothing is lost with such a body.
    "absent, though stated": (STATED, []),
    "empty": ([], [b""]),
    "empty, as stated": (NOTHING, [b""]),
    "as large as may be": ([], [b"x" * MOST]),
    "as large as may be, in pieces": ([], [b"x" * (MOST - 1), b"x"]),
    "HTML": ([("content-type", "text/html")], [b"<h1>502", b" Bad Gateway</h1>"]),
    "JSON without its end": ([], [REASON[:-1]]),
    "JSON that says nothing": ([], [b"null"]),
    "white space": ([], [b" \r\n"]),
    "no text": ([], [bytes(range(256))]),
    "half a character": ([], [b"\xc3"]),
    "what looks like frames": ([], [b"\x00\x00\x04\x03", b"\x00\x00\x00\x00\x01" + bytes(4)]),
    "compressed": ([("content-encoding", "gzip")], [gzip.compress(REASON, mtime=0)]),
}

LARGE: dict[str, Response] = {
    "one octet too many": ([], [b"x" * (MOST + 1), b""]),
    "one octet too many, alone": ([], [b"x" * MOST, b"x", b""]),
    "a full frame": ([], [b"x" * 16_384, b""]),
    "in octets": ([], [b"x" * (MOST - 9), *octets(b"x" * 20), b""]),
    "many frames": ([], [b"x" * 16_000] * 3 + [b""]),
    "stated": ([("content-length", "16010")], [b"x" * 16_000, b"x" * 10]),
}

MISSTATED: dict[str, Response] = {
    "longer than stated": ([("content-length", "26")], [REASON]),
    "shorter than stated": ([("content-length", "28")], [REASON]),
    "shorter than stated, in octets": ([("content-length", "28")], octets(REASON)),
    "longer than nothing": (NOTHING, [REASON]),
}


def frames(wire: RawWire, stream_id: int, response: Response) -> list[Frame]:
    """A response of status 400 as frames."""
    fields, pieces = response
    return [
        wire.head(stream_id, 400, fields, end=not pieces),
        *[wire.data(stream_id, piece) for piece in pieces[:-1]],
        *[wire.data(stream_id, piece, end=True) for piece in pieces[-1:]],
    ]


def answered(response: Response) -> Answered:
    """What is to come of it."""
    fields = tuple((name.encode(), value.encode()) for name, value in response[0])
    return Answered(400, fields, b"".join(response[1])[:MOST])


async def verdicts(
    authority: Authority, open_pool: OpenPool, responses: dict[str, Response]
) -> tuple[dict[str, Verdict], list[tuple[int, int]]]:
    """What becomes of one request for each response, and what was reset; all on one connection."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        for response in responses.values():
            request = await wire.request()
            wire.say(*frames(wire, request.stream_id, response))
            await wire.settled()
        await answer_on(wire)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told, after = open_pool(peer.port, SMALL), Told(), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(len(responses))), told, timeout_seconds=SECONDS)
            await pool.send_many(calls(range(50)), after, timeout_seconds=SECONDS)
            assert after.own() == list(range(50))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])
        found = {name: told.verdicts[key] for key, name in enumerate(responses)}
        return found, peer.wires[0].resets


async def test_whole_bodies(authority: Authority, open_pool: OpenPool) -> None:
    """In whatever pieces and of whatever content, a body is told as it came."""
    found, resets = await verdicts(authority, open_pool, WHOLE)
    assert found == {name: answered(response) for name, response in WHOLE.items()}
    assert resets == []


async def test_large_bodies(authority: Authority, open_pool: OpenPool) -> None:
    """The start is kept and the status counts; we ask for no more, and ignore what still comes."""
    found, resets = await verdicts(authority, open_pool, LARGE)
    assert found == {name: answered(response) for name, response in LARGE.items()}
    assert resets == [(2 * at + 1, ErrorCode.CANCEL) for at in range(len(LARGE))]


async def test_a_large_body_that_is_over(authority: Authority, open_pool: OpenPool) -> None:
    """What its last frame makes too large is cut, but there is nothing left to reset (5.1)."""
    response: Response = ([], [b"x" * (MOST + 1)])
    found, resets = await verdicts(authority, open_pool, {"over": response})
    assert found == {"over": answered(response)}
    assert resets == []


async def test_misstated_bodies(authority: Authority, open_pool: OpenPool) -> None:
    """A body of another length than stated is no response (8.1.1): its request is in doubt."""
    found, resets = await verdicts(authority, open_pool, MISSTATED)
    assert set(found.values()) == {Unknown("malformed response: content-length")}
    assert resets == [(2 * at + 1, ErrorCode.PROTOCOL_ERROR) for at in range(len(MISSTATED))]


async def test_what_is_not_wanted_is_credited(authority: Authority, open_pool: OpenPool) -> None:
    """Bodies far too large, twenty windows of them: what was dropped is granted again too."""
    response: Response = ([], [b"x" * 16_000] * 4)

    async def play(wire: RawWire) -> None:
        wire.greet()
        left = 65_535
        while request := await wire.request_or_end():
            for frame in frames(wire, request.stream_id, response):
                while left < 16_000:
                    left += (await wire.next(WindowUpdateFrame)).window_increment
                left -= len(frame.data) if isinstance(frame, DataFrame) else 0
                wire.say(frame)

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, SMALL), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(20)), told, timeout_seconds=SECONDS)
            assert told.verdicts == dict.fromkeys(range(20), answered(response))
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_a_strict_peer(authority: Authority, open_pool: OpenPool) -> None:
    """Bodies in pieces, too large or absent as h2 writes them; the windows agree at the end."""

    async def play(wire: Wire) -> None:
        while request := await wire.request_or_end():
            stream_id = request.stream_id
            size = int(request.fields[b"apns-id"]) % 5 * 400
            wire.h2.send_headers(stream_id, [(b":status", b"400")], end_stream=not size)
            for start in range(0, size, 400):
                wire.h2.send_data(stream_id, b"x" * 400, end_stream=start + 400 >= size)
            wire.flush()

    async with Peer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, SMALL), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(50)), told, timeout_seconds=SECONDS)
            assert told.verdicts == {
                key: Answered(400, (), b"x" * min(key % 5 * 400, MOST)) for key in range(50)
            }
            await until(lambda: windows_agree(pool, peer.wires[0]))
        assert len(peer.wires) == 1
