"""Check 7: bodies far beyond 65,535 octets in all are received, for all are credited."""

import pytest
from hyperframe.frame import DataFrame, WindowUpdateFrame

from pushsvc.delivery.wire import Answered, Limits
from pushsvc.delivery.wire.errors import ErrorCode
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks, windows_agree
from tests.integration.wire.peer import Peer, Wire
from tests.integration.wire.raw_peer import RawPeer, RawWire
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

#: Only what the protocol gives from the start: 65,535 octets on the connection.
LEAST = Limits(max_connections=1, connection_window_bytes=0)
WINDOW = 65_535
#: Half a window spent is granted again (as much as a server must be able to wait for).
HALF = WINDOW // 2 + 1


async def test_three_thousand_errors(authority: Authority, open_pool: OpenPool) -> None:
    """Three thousand error bodies in a row, where aioapns stops after 2,427."""

    async def play(wire: RawWire) -> None:
        wire.greet()
        left = WINDOW
        while request := await wire.request_or_end():
            own = request.fields[b"apns-id"].decode()
            body = b'{"reason":"BadDeviceToken"}'
            while left < len(body):
                left += (await wire.next(WindowUpdateFrame)).window_increment
            left -= len(body)
            wire.answer(request.stream_id, 400, body, [("apns-id", own)])

    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, LEAST), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(3_000)), told, timeout_seconds=SECONDS)
            assert told.verdicts == {
                key: Answered(400, ((b"apns-id", b"%d" % key),), b'{"reason":"BadDeviceToken"}')
                for key in range(3_000)
            }
        await peer.over()
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


@pytest.mark.parametrize("limits", [LEAST, Limits(max_connections=1)])
async def test_a_strict_peer(authority: Authority, open_pool: OpenPool, limits: Limits) -> None:
    """h2 sends no more than it was granted, and gets to send all."""

    async def play(wire: Wire) -> None:
        for request in await wire.requests(100):
            stream_id = request.stream_id
            await wire.until(lambda: wire.h2.outbound_flow_control_window >= 2_000)
            wire.answer(stream_id, 400, request.fields[b"apns-id"].rjust(2_000, b"."))

    async with Peer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(100)), told, timeout_seconds=SECONDS)
            assert told.verdicts == {
                key: Answered(400, (), (b"%d" % key).rjust(2_000, b".")) for key in range(100)
            }
            await until(lambda: windows_agree(pool, peer.wires[0]))
        assert len(peer.wires) == 1


class Account:
    """What a server sent in DATA frames, and what the client granted again."""

    def __init__(self, wire: RawWire) -> None:
        self._wire = wire
        self._sent = 0

    async def send(self, octets: int, pad: int | None = None) -> int:
        """Answer the next request with a body; the answer is what the client owes then."""
        request = await self._wire.request()
        flags = ["END_STREAM"] if pad is None else ["END_STREAM", "PADDED"]
        body = DataFrame(request.stream_id, b"x" * octets, flags=flags, pad_length=pad or 0)
        self._sent += body.flow_controlled_length
        self._wire.say(self._wire.head(request.stream_id, 400), body)
        return await self.owed()

    async def owed(self) -> int:
        """Octets sent and not granted again."""
        await self._wire.settled()
        updates = [update for update in self._wire.of(WindowUpdateFrame) if not update.stream_id]
        return self._sent - sum(update.window_increment for update in updates)


@pytest.mark.parametrize("pad", [None, 0, 255])
async def test_every_octet_is_credited_once(
    authority: Authority, open_pool: OpenPool, pad: int | None
) -> None:
    """Both sides count the same, padding too: half a window is granted at exactly that octet."""
    extra = 0 if pad is None else pad + 1

    async def play(wire: RawWire) -> None:
        wire.greet(max_concurrent_streams=1)
        account = Account(wire)
        owed = await account.owed()
        for _ in range(70):
            before, owed = owed, await account.send(999, pad)
            due = before + 999 + extra
            assert owed == (due if due < HALF else 0)
        while owed + 16_000 < HALF - 1:
            owed = await account.send(16_000)
        assert await account.send(HALF - 1 - owed) == HALF - 1
        assert await account.send(1) == 0
        done.append(True)
        while request := await wire.request_or_end():
            wire.answer(request.stream_id, 400)

    done: list[bool] = []
    async with RawPeer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, LEAST), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(90)), told, timeout_seconds=SECONDS)
            assert told.keys(Answered) == list(range(90))
        await peer.over()
        assert done
        assert (len(peer.wires), peer.wires[0].goaways) == (1, [ErrorCode.NO_ERROR])


async def test_one_body_of_many_windows(authority: Authority, open_pool: OpenPool) -> None:
    """A single body larger than the windows of connection and stream, if we want one so large."""
    limits = Limits(max_connections=1, connection_window_bytes=0, max_body_bytes=1_000_000)
    body = bytes(range(250)) * 4_000

    async def play(wire: Wire) -> None:
        request = await wire.request()
        wire.h2.send_headers(request.stream_id, [(b":status", b"200")])
        for at in range(0, len(body), 10_000):
            await wire.until(lambda: wire.h2.local_flow_control_window(1) >= 10_000)
            piece = body[at : at + 10_000]
            wire.h2.send_data(request.stream_id, piece, end_stream=at + 10_000 >= len(body))
            wire.flush()

    async with Peer(play).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            assert told.verdicts == {1: Answered(200, (), body)}
            await until(lambda: windows_agree(pool, peer.wires[0]))
        assert len(peer.wires) == 1
