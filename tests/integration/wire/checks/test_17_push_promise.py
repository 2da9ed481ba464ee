"""Check 17: a server that pushes, although we said ENABLE_PUSH 0 (RFC 9113 section 8.4)."""

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import Frame, HeadersFrame, PushPromiseFrame, SettingsFrame

from pushsvc.delivery.wire import Limits, Unknown
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import is_replaced, nothing_leaks
from tests.integration.wire.raw_peer import RawPeer, RawWire, answer_all, raw
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls

pytestmark = pytest.mark.integration

ONE = Limits(max_connections=1, backoff_first_seconds=0.01)
PUSH_PROMISE = 0x5
#: :method GET, :scheme https, :path /, all from the static table.
GET = b"\x82\x87\x84"


def promise(stream_id: int, promised: int, *flags: str) -> Frame:
    """A promise of GET /, in one frame unless flags say otherwise."""
    return PushPromiseFrame(stream_id, promised, GET, flags=["END_HEADERS", *flags])


CASES: dict[str, list[Frame | bytes]] = {
    "on an open stream": [promise(3, 2)],
    "on an answered stream": [promise(1, 2)],
    "on an idle stream": [promise(99, 2)],
    "on the connection": [raw(PUSH_PROMISE, 4, 0, b"\x00\x00\x00\x02" + GET)],
    "of an odd stream": [promise(3, 101)],
    "padded": [PushPromiseFrame(3, 2, GET, flags=["END_HEADERS", "PADDED"], pad_length=9)],
    "to be continued": [PushPromiseFrame(3, 2, GET)],
    "cut off": [raw(PUSH_PROMISE, 4, 3, b"\x00\x00")],
    "with the pushed answer": [
        promise(3, 2),
        HeadersFrame(2, b"\x88", flags=["END_HEADERS", "END_STREAM"]),
        HeadersFrame(3, b"\x88", flags=["END_HEADERS", "END_STREAM"]),
    ],
    "a stream of the server's, not promised": [
        HeadersFrame(2, b"\x88", flags=["END_HEADERS", "END_STREAM"])
    ],
    "SETTINGS that allow it": [SettingsFrame(0, {SettingsFrame.ENABLE_PUSH: 1})],
}


@pytest.mark.parametrize("frames", CASES.values(), ids=CASES)
async def test_pushes_are_refused(
    authority: Authority, open_pool: OpenPool, frames: list[Frame | bytes]
) -> None:
    """Any push ends the connection with PROTOCOL_ERROR; what is under way is unknown."""

    async def push(wire: RawWire) -> None:
        wire.greet()
        await wire.requests(3)
        wire.answer(1, fields=[("apns-id", "0")])
        wire.say(*frames)

    async with RawPeer(push, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
            assert told.own() == [0]
            assert told.keys(Unknown) == [1, 2]
            assert all("PROTOCOL_ERROR: " in str(told.verdicts[key]) for key in (1, 2))
            await peer.wires[0].until(peer.wires[0].ended.is_set)
            assert peer.wires[0].goaways == [ErrorCodes.PROTOCOL_ERROR]
            assert peer.wires[0].resets == []
            await is_replaced(pool)


async def test_our_settings_forbid_push(authority: Authority, open_pool: OpenPool) -> None:
    """The first frame of ours says ENABLE_PUSH 0."""
    async with RawPeer().listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, ONE), Told()
        async with nothing_leaks(pool):
            await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
            assert told.own() == [1]
        first = peer.wires[0].frames[0]
        assert isinstance(first, SettingsFrame)
        assert first.settings[SettingsFrame.ENABLE_PUSH] == 0
