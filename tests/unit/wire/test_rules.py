"""What the peer may not do, what it may, and how much of it."""

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Unknown, frames as ours
from pushsvc.delivery.wire.errors import ErrorCode
from tests.unit.wire.played_peer import PlayedPeer, reset, settings, window

FLOW = ErrorCode.FLOW_CONTROL_ERROR
PROTOCOL = ErrorCode.PROTOCOL_ERROR
SIZE = ErrorCode.FRAME_SIZE_ERROR
CALM = ErrorCode.ENHANCE_YOUR_CALM


def raw(kind: int, flags: int, stream_id: int, size: int) -> bytes:
    """A frame that no well-behaved library would write."""
    return ours.frame(kind, flags, stream_id, payload=b"\x00" * size)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(raw(ours.DATA, 0, 0, 1), PROTOCOL, id="DATA on 0"),
        pytest.param(HeadersFrame(2, b"\x88", flags=["END_HEADERS"]), PROTOCOL, id="even stream"),
        pytest.param(raw(ours.HEADERS, 4, 0, 0), PROTOCOL, id="HEADERS on 0"),
        pytest.param(HeadersFrame(9, b"\x88", flags=["END_HEADERS"]), PROTOCOL, id="HEADERS idle"),
        pytest.param(DataFrame(9, b"x"), PROTOCOL, id="DATA on idle"),
        pytest.param(reset(9, 0), PROTOCOL, id="RST on idle"),
        pytest.param(window(9, 1), PROTOCOL, id="WINDOW_UPDATE on idle"),
        pytest.param(raw(ours.RST_STREAM, 0, 0, 4), PROTOCOL, id="RST on 0"),
        pytest.param(raw(ours.PRIORITY, 0, 0, 5), PROTOCOL, id="PRIORITY on 0"),
        pytest.param(raw(ours.SETTINGS, 0, 1, 0), PROTOCOL, id="SETTINGS on a stream"),
        pytest.param(raw(ours.PING, 0, 1, 8), PROTOCOL, id="PING on a stream"),
        pytest.param(raw(ours.GOAWAY, 0, 1, 8), PROTOCOL, id="GOAWAY on a stream"),
        pytest.param(raw(ours.RST_STREAM, 0, 1, 5), SIZE, id="RST of 5"),
        pytest.param(raw(ours.PRIORITY, 0, 1, 4), SIZE, id="PRIORITY of 4"),
        pytest.param(raw(ours.PING, 0, 0, 7), SIZE, id="PING of 7"),
        pytest.param(raw(ours.WINDOW_UPDATE, 0, 0, 5), SIZE, id="WINDOW_UPDATE of 5"),
        pytest.param(raw(ours.GOAWAY, 0, 0, 7), SIZE, id="GOAWAY of 7"),
        pytest.param(raw(ours.SETTINGS, 0, 0, 7), SIZE, id="SETTINGS of 7"),
        pytest.param(raw(ours.SETTINGS, 1, 0, 6), SIZE, id="SETTINGS ACK of 6"),
        pytest.param(b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", SIZE, id="frame of 16,385"),
        pytest.param(ContinuationFrame(1, b"\x88"), PROTOCOL, id="CONTINUATION of nothing"),
        pytest.param(
            PushPromiseFrame(1, 2, b"\x82", flags=["END_HEADERS"]), PROTOCOL, id="PUSH_PROMISE"
        ),
        pytest.param(raw(ours.WINDOW_UPDATE, 0, 0, 4), PROTOCOL, id="WINDOW_UPDATE 0"),
        pytest.param(window(0, 2**31 - 1), FLOW, id="window overflow"),
        pytest.param(settings(enable_push=1), PROTOCOL, id="ENABLE_PUSH 1"),
        pytest.param(settings(initial_window_size=2**31), FLOW, id="INITIAL_WINDOW_SIZE"),
        pytest.param(settings(max_frame_size=16_383), PROTOCOL, id="MAX_FRAME_SIZE small"),
        pytest.param(settings(max_frame_size=2**24), PROTOCOL, id="MAX_FRAME_SIZE large"),
        pytest.param(
            HeadersFrame(1, b"\x80", flags=["END_HEADERS"]),
            ErrorCode.COMPRESSION_ERROR,
            id="HPACK index 0",
        ),
    ],
)
def test_illegal_frames(frame: Frame | bytes, code: ErrorCode) -> None:
    """An illegal frame ends the connection with the right code (E3.9, 17, 18, 19)."""
    peer = PlayedPeer()
    peer.open(1)
    peer.sent()
    peer.hear(frame)
    assert peer.goaway_code() == code
    assert peer.core.closed is not None
    verdict = peer.verdict(1)
    assert isinstance(verdict, Unknown)
    assert verdict.why == peer.core.closed


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(PingFrame(0, b"12345678"), id="PING"),
        pytest.param(SettingsFrame(0, flags=["ACK"]), id="SETTINGS ACK"),
        pytest.param(GoAwayFrame(0, 0, 0), id="GOAWAY"),
    ],
)
def test_the_first_frame_must_be_settings(frame: Frame) -> None:
    """Anything else before SETTINGS is no HTTP/2 peer (RFC 9113 3.4, E3.3)."""
    peer = PlayedPeer(greet=False)
    peer.hear(frame)
    assert peer.goaway_code() == PROTOCOL


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(PingFrame(0, b"12345678"), id="PING"),
        pytest.param(DataFrame(1, b"x"), id="DATA"),
        pytest.param(ContinuationFrame(3, b""), id="CONTINUATION of another"),
        pytest.param(ExtensionFrame(0xFA, 1), id="unknown type"),
    ],
)
def test_a_header_block_may_not_be_interrupted(between: Frame) -> None:
    """Between HEADERS and its CONTINUATION nothing else may come (RFC 9113 6.10, E3.9)."""
    peer = PlayedPeer()
    peer.open(1)
    peer.open(2)
    peer.sent()
    peer.hear(HeadersFrame(1, b"\x88"), between)
    assert peer.goaway_code() == PROTOCOL


def test_what_is_unknown_is_ignored() -> None:
    """Unknown frames, settings and flags change nothing (E3.10)."""
    peer = PlayedPeer()
    peer.open(1)
    peer.sent()
    peer.hear(
        ours.frame(0xFA, 0xFF, 1, payload=b"x" * 50),
        SettingsFrame(0, {0x99: 7, SettingsFrame.MAX_HEADER_LIST_SIZE: 8000}),
        PriorityFrame(1, 0, 5),
        ours.frame(ours.HEADERS, 0xD5 & ~(ours.PADDED | ours.HAS_PRIORITY), 1, payload=b"\x88"),
    )
    assert peer.verdict(1) == Answered(200, (), b"")
    assert [type(frame) for frame in peer.sent()] == [SettingsFrame]


def test_settings_are_acknowledged_one_by_one() -> None:
    """Each SETTINGS gets its ACK (RFC 9113 6.5.3)."""
    peer = PlayedPeer(greet=False)
    peer.hear(settings(max_concurrent_streams=5), settings(), settings())
    acks = peer.told(SettingsFrame)
    assert [(ack.flags, ack.settings) for ack in acks] == [({"ACK"}, {})] * 3


def test_ping_is_echoed() -> None:
    """A PING gets its own octets back; an ACK gets nothing (E3.16)."""
    peer = PlayedPeer()
    peer.hear(PingFrame(0, b"\x00\xff345678"), PingFrame(0, b"12345678", flags=["ACK"]))
    (echo,) = peer.told(PingFrame)
    assert (echo.opaque_data, echo.flags) == (b"\x00\xff345678", {"ACK"})


def test_our_ping() -> None:
    """We ask with a PING of our own."""
    peer = PlayedPeer()
    peer.core.ping()
    (ping,) = peer.sent()
    assert isinstance(ping, PingFrame)
    assert not ping.flags


def flood(frame: Frame | bytes) -> PlayedPeer:
    """A peer that says one thing over and over, with a request open."""
    peer = PlayedPeer()
    peer.open(1)
    peer.open(2)
    peer.hear(peer.headers(1), peer.headers(3, end=False))
    peer.sent()
    octets = frame if isinstance(frame, bytes) else frame.serialize()
    for _ in range(20):
        peer.hear(octets * 100)
    return peer


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(PingFrame(0, b"12345678"), id="PING"),
        pytest.param(PingFrame(0, b"12345678", flags=["ACK"]), id="PING ACK"),
        pytest.param(settings(), id="SETTINGS"),
        pytest.param(SettingsFrame(0, flags=["ACK"]), id="SETTINGS ACK"),
        pytest.param(reset(1, 0), id="RST of a closed stream"),
        pytest.param(DataFrame(1, b""), id="DATA on a closed stream"),
        pytest.param(DataFrame(3, b""), id="empty DATA"),
        pytest.param(DataFrame(3, b"", flags=["PADDED"], pad_length=3), id="padding"),
        pytest.param(PriorityFrame(3, 0, 1), id="PRIORITY"),
        pytest.param(ExtensionFrame(0xFA, 0), id="unknown"),
        pytest.param(GoAwayFrame(0, 2**31 - 1, 0), id="GOAWAY"),
        pytest.param(HeadersFrame(1, b"\x88", flags=["END_HEADERS"]), id="HEADERS"),
    ],
)
def test_floods(frame: Frame | bytes) -> None:
    """A thousand frames that bring nothing, between two ticks, are a flood (E2)."""
    peer = flood(frame)
    assert peer.goaway_code() == CALM
    assert peer.core.closed is not None


def test_informational_heads_without_end() -> None:
    """1xx heads for ever are a flood as well."""
    peer = PlayedPeer()
    peer.open(1)
    peer.sent()
    for _ in range(1_001):
        peer.hear(peer.headers(1, [(":status", "103")], end=False))
    assert peer.goaway_code() == CALM


def test_noise_over_time_is_no_flood() -> None:
    """A PING every now and then may go on for ever."""
    peer = PlayedPeer()
    for _ in range(3_000):
        peer.hear(PingFrame(0, b"12345678"))
        peer.core.tick()
        assert len(peer.sent()) == 1
    assert peer.core.closed is None


def test_acknowledgements_that_nobody_reads() -> None:
    """However slowly they gather, what waits to be written has a bound (CVE-2019-9512)."""
    peer = PlayedPeer()
    for _ in range(3_000):
        peer.hear(PingFrame(0, b"12345678"))
        peer.core.tick()
    assert peer.goaway_code() == ErrorCode.ENHANCE_YOUR_CALM


def test_noise_with_answers_is_no_flood() -> None:
    """nginx resets each stream that it has answered early: one reset per answer is usual."""
    peer = PlayedPeer()
    for key in range(3_000):
        peer.open(key)
        peer.hear(peer.headers(2 * key + 1), reset(2 * key + 1, 0))
    assert peer.core.closed is None


@pytest.mark.parametrize(("piece", "count"), [(b"", 40), (b"\x00" * 10_000, 7)])
def test_continuation_flood(piece: bytes, count: int) -> None:
    """A header block without end is stopped, by frames and by octets (CVE-2024-28182)."""
    peer = PlayedPeer()
    peer.open(1)
    peer.sent()
    peer.hear(HeadersFrame(1, b"\x88"), *[ContinuationFrame(1, piece)] * count)
    assert peer.goaway_code() == CALM


def test_more_than_the_connection_window() -> None:
    """Overrunning the connection's window ends it."""
    peer = PlayedPeer(Limits(connection_window_bytes=0))
    for key in range(5):
        peer.open(key)
    # Half a window is granted back as soon as it is spent, so only one large read overruns.
    peer.core._in._window._size = 20_000
    peer.hear(peer.headers(1, end=False), DataFrame(1, b"x" * 9_000), DataFrame(1, b"x" * 16_000))
    assert peer.goaway_code() == FLOW


def test_more_than_the_stream_window() -> None:
    """Overrunning one stream's window resets that stream."""
    peer = PlayedPeer()
    peer.open(1)
    peer.hear(peer.headers(1, end=False), DataFrame(1, b"x"))
    receiving = peer.core._requests.responses[1].window
    assert receiving is not None
    receiving._size = 5_000
    peer.hear(DataFrame(1, b"x" * 6_000))
    assert peer.verdict(1) == Unknown("more DATA than the window")
    assert peer.core.closed is None


def test_padding_is_credited_to_the_stream() -> None:
    """Padding spends the stream's window too, so it must be granted again."""
    peer = PlayedPeer()
    peer.open(1)
    peer.sent()
    peer.hear(peer.headers(1, end=False))
    frame = DataFrame(1, b"x", flags=["PADDED"], pad_length=255)
    peer.hear(*[frame] * 400)
    grants = [f for f in peer.told(WindowUpdateFrame) if f.stream_id == 1]
    assert sum(grant.window_increment for grant in grants) >= 40_960


@pytest.mark.parametrize(("octets", "code"), [(0, PROTOCOL), (2**31 - 1, FLOW)])
def test_stream_window_updates(octets: int, code: ErrorCode) -> None:
    """Zero and overflow on a stream reset that stream only (RFC 9113 6.9)."""
    peer = stalled_by_the_connection()
    peer.hear(ours.frame(ours.WINDOW_UPDATE, 0, 1, payload=octets.to_bytes(4, "big")))
    (frame,) = peer.sent()
    assert isinstance(frame, RstStreamFrame)
    assert (frame.stream_id, frame.error_code) == (1, code)
    assert peer.core.closed is None
    assert isinstance(peer.verdict(1), NotProcessed)


def test_initial_window_overflow() -> None:
    """A SETTINGS change that overflows a stream's window ends the connection (6.9.2)."""
    peer = stalled_by_the_connection()
    peer.hear(window(1, 2**31 - 1 - (100_000 - 65_535)))
    assert peer.sent() == []
    peer.hear(settings(initial_window_size=100_001))
    assert peer.goaway_code() == FLOW


def stalled_by_the_connection() -> PlayedPeer:
    """A peer whose stream 1 has window left, but no connection window to use it."""
    peer = PlayedPeer()
    peer.hear(settings(initial_window_size=100_000))
    peer.open(1, b"x" * 100_000)
    peer.sent()
    return peer


def test_table_sizes_of_the_peer() -> None:
    """0, less, more: our encoder follows, and the peer still reads us (E3.20)."""
    peer = PlayedPeer()
    for key, size in enumerate([4096, 0, 100, 65536, 0]):
        peer.hear(settings(header_table_size=size))
        peer.decoder.max_allowed_table_size = size
        for _ in range(2):
            peer.open(key)
            ((fields, _),) = peer.requests().values()
            assert fields["apns-topic"] == "com.example.app"


def test_leaving() -> None:
    """We say GOAWAY NO_ERROR and open nothing more."""
    peer = PlayedPeer()
    peer.open(1)
    peer.sent()
    peer.tell(peer.core.leave())
    assert peer.goaway_code() == ErrorCode.NO_ERROR
    assert peer.verdict(1) == Unknown("closed by us")
    assert peer.core.room() == 0
    assert peer.core.leave() == []


def test_repr_shows_the_state() -> None:
    """One line says what a connection is doing."""
    peer = PlayedPeer()
    peer.open(1)
    assert repr(peer.core).startswith("<Connection open, 1/1000 streams")
    peer.hear(GoAwayFrame(0, 1, 0, b"bye"))
    assert "GOAWAY NO_ERROR bye" in repr(peer.core)
