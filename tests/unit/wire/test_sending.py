"""Requests within every window: what is written, and when."""

import pytest
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, RstStreamFrame
from hypothesis import given, strategies as st

from pushsvc.delivery.wire import Answered, HeaderError, Limits, NotProcessed, Template
from pushsvc.delivery.wire.frames import MAX_STREAM_ID
from tests.unit.wire.played_peer import AUTHORITY, PATH, PlayedPeer, reset, settings, window


def test_a_request_as_the_peer_reads_it() -> None:
    """Pseudo fields, constant fields, secret, varying field and body."""
    peer = PlayedPeer()
    assert peer.open(7, b'{"aps":{}}')
    assert peer.requests() == {
        1: (
            {
                ":method": "POST",
                ":scheme": "https",
                ":authority": AUTHORITY.decode(),
                ":path": PATH.decode(),
                "apns-topic": "com.example.app",
                "apns-push-type": "alert",
                "authorization": "bearer secret",
                "apns-id": "7",
            },
            b'{"aps":{}}',
        )
    }


def test_the_greeting() -> None:
    """Preface, SETTINGS without push and without a table, and a large window (RFC 9113 3.4)."""
    limits = Limits(max_header_list_bytes=9_000, connection_window_bytes=1_000_000)
    ours, grant = PlayedPeer(limits, greet=False).greeting
    assert ours.settings == {1: 0, 2: 0, 4: 64 * 1024 + 16_384, 6: 9_000}
    assert (grant.stream_id, grant.window_increment) == (0, 1_000_000)


def test_many_requests_are_one_write() -> None:
    """Nothing is written until the shell takes it, then everything at once, ids in order."""
    peer = PlayedPeer()
    for key in range(50):
        peer.open(key)
    ids = [frame.stream_id for frame in peer.sent() if isinstance(frame, HeadersFrame)]
    assert ids == list(range(1, 100, 2))
    assert peer.core.take() == b""


def test_no_body_ends_the_stream_with_its_headers() -> None:
    """A request without a body has no DATA and needs no window."""
    peer = PlayedPeer()
    peer.hear(settings(initial_window_size=0))
    peer.sent()
    peer.open(1, b"")
    (headers,) = peer.sent()
    assert headers.flags == {"END_STREAM", "END_HEADERS"}


def test_long_headers_continue() -> None:
    """A header block beyond one frame goes on in CONTINUATION (RFC 9113 6.10)."""
    peer = PlayedPeer()
    template = Template([], literal=[(b"x-long", b"v" * 40_000)])
    assert peer.core.open((1, template, b"/", (), b"body"), peer)
    frames = peer.sent()
    assert [type(frame) for frame in frames] == [
        HeadersFrame,
        ContinuationFrame,
        ContinuationFrame,
        DataFrame,
    ]
    assert [set(frame.flags) for frame in frames] == [set(), set(), {"END_HEADERS"}, {"END_STREAM"}]
    peer.decoder.max_header_list_size = 100_000
    fields = peer.fields(b"".join(frame.data for frame in frames[:3]))
    assert fields["x-long"] == "v" * 40_000


def test_a_large_body_is_cut_into_frames() -> None:
    """No frame exceeds 16,384 octets; only the last ends the stream."""
    peer = PlayedPeer()
    peer.open(1, b"x" * 40_000)
    pieces = [frame for frame in peer.sent() if isinstance(frame, DataFrame)]
    assert [len(piece.data) for piece in pieces] == [16_384, 16_384, 7_232]
    assert ["END_STREAM" in piece.flags for piece in pieces] == [False, False, True]


def test_a_refused_header_uses_no_id() -> None:
    """A call that can never be sent leaves the connection as it was."""
    peer = PlayedPeer()
    template = Template([], varying=[b"apns-id"])
    with pytest.raises(HeaderError):
        peer.core.open((1, template, PATH, (b"a\r\nb",), b""), peer)
    assert not peer.core.streams
    assert peer.sent() == []
    peer.open(2)
    assert list(peer.requests()) == [1]


def test_the_connection_window_is_reserved_before_headers_go() -> None:
    """A body that does not fit keeps its HEADERS back too, until the window grows (E3.6)."""
    peer = PlayedPeer()
    taken = [peer.open(key, b"x" * 4_096) for key in range(17)]
    assert taken == [True] * 15 + [False, False]
    assert len(peer.requests()) == 15
    peer.hear(window(0, 4_000))
    assert peer.open(15, b"x" * 4_096)
    assert not peer.open(16, b"x" * 4_096)
    ((_, body),) = peer.requests().values()
    assert len(body) == 4_096


def test_alone_a_body_larger_than_the_window_goes_in_pieces() -> None:
    """With nothing under way there is nothing to wait for; the rest follows each update."""
    peer = PlayedPeer()
    body = bytes(range(256)) * 400
    assert peer.open(1, body)
    assert not peer.open(2, b"x")
    written = b"".join(frame.data for frame in peer.told(DataFrame))
    assert len(written) == 65_535
    peer.hear(window(1, 100_000))
    assert peer.told(DataFrame) == []
    peer.hear(window(0, 30_000))
    written += b"".join(frame.data for frame in peer.told(DataFrame))
    peer.hear(window(0, 30_000))
    last = peer.told(DataFrame)
    assert written + b"".join(frame.data for frame in last) == body
    assert "END_STREAM" in last[-1].flags
    assert peer.open(2, b"x")


def test_no_body_needs_no_window() -> None:
    """Also where more is promised than the window has."""
    peer = PlayedPeer()
    assert peer.open(1, b"x" * 100_000)
    assert peer.open(2, b"")
    assert not peer.open(3, b"x")


def test_a_body_that_is_not_bytes_uses_no_id() -> None:
    """It is refused at once: later, it would be found by the write that all requests share."""
    peer = PlayedPeer()
    with pytest.raises(TypeError, match="bytes, not str"):
        peer.open(1, "text")  # type: ignore[arg-type]  # the point of it
    assert peer.sent() == []
    peer.open(2)
    assert list(peer.requests()) == [1]


def test_initial_window_zero_then_grown() -> None:
    """HEADERS go, DATA waits; SETTINGS open every stream's window at once (E3.5)."""
    peer = PlayedPeer()
    peer.hear(settings(initial_window_size=0))
    peer.sent()
    for key in range(3):
        peer.open(key, b"body")
    assert [type(frame) for frame in peer.sent()] == [HeadersFrame] * 3
    peer.hear(window(3, 2))
    (piece,) = peer.told(DataFrame)
    assert (piece.stream_id, piece.data, piece.flags) == (3, b"bo", set())
    peer.hear(settings(initial_window_size=4))
    bodies = {frame.stream_id: frame for frame in peer.told(DataFrame)}
    assert {key: frame.data for key, frame in bodies.items()} == {1: b"body", 3: b"dy", 5: b"body"}
    assert all("END_STREAM" in frame.flags for frame in bodies.values())


def test_a_window_shrunk_below_what_was_sent() -> None:
    """A stream's window may go below zero, and must be earned back (RFC 9113 6.9.2)."""
    peer = PlayedPeer()
    peer.hear(settings(initial_window_size=100))
    peer.sent()
    peer.open(1, b"x" * 150)
    assert len(peer.told(DataFrame)[0].data) == 100
    peer.hear(settings(initial_window_size=40))
    peer.hear(window(1, 60))
    assert peer.told(DataFrame) == []
    peer.hear(window(1, 1))
    assert [frame.data for frame in peer.told(DataFrame)] == [b"x"]


def test_a_stream_that_ends_gives_its_reservation_back() -> None:
    """Reset, refused or answered early: what it had not sent is free for others."""
    peer = PlayedPeer()
    peer.hear(settings(initial_window_size=0))
    for ending in (
        lambda: peer.hear(reset(1, 8)),
        lambda: peer.tell(peer.core.expire(5.0)),
        lambda: peer.core.cancel(peer),
        lambda: peer.hear(peer.headers(7)),
    ):
        peer.open(1, b"x" * 60_000, deadline=5.0)
        assert not peer.open(2, b"x" * 60_000)
        ending()
        assert peer.core._out.reserved == 0
        assert not peer.core._out.stalled


def test_an_early_answer_stops_the_body() -> None:
    """A final answer before the body is sent counts; RST NO_ERROR says no more comes (8.1)."""
    peer = PlayedPeer()
    peer.hear(settings(initial_window_size=3))
    peer.sent()
    peer.open(1, b"body")
    peer.sent()
    peer.hear(peer.headers(1, [(":status", "413")]))
    assert isinstance(peer.verdict(1), Answered)
    (frame,) = peer.told(RstStreamFrame)
    assert (frame.stream_id, frame.error_code) == (1, 0)
    peer.hear(window(1, 10), reset(1, 0))
    assert peer.sent() == []


def test_ids_end() -> None:
    """A connection that has used its last stream id has no more room (E3.23)."""
    peer = PlayedPeer()
    peer.core._out.next_id = MAX_STREAM_ID - 2
    assert peer.core.room() == peer.core.ids_left == 2
    peer.open(1)
    peer.open(2)
    assert list(peer.requests()) == [MAX_STREAM_ID - 2, MAX_STREAM_ID]
    assert peer.core.room() == 0
    peer.hear(peer.headers(MAX_STREAM_ID - 2), peer.headers(MAX_STREAM_ID))
    assert peer.core.room() == 0
    assert isinstance(peer.verdict(2), Answered)


def test_room_follows_the_peer() -> None:
    """MAX_CONCURRENT_STREAMS 1, 1000, 1, 0, 5 while requests are under way (E3.4)."""
    peer = PlayedPeer(Limits(await_settings=True), greet=False)
    assert peer.core.room() == 0
    assert not peer.core.greeted
    rooms: list[int] = []
    peer.hear(settings(max_concurrent_streams=1))
    assert peer.core.greeted
    rooms.append(peer.core.room())
    peer.hear(settings(max_concurrent_streams=1000))
    for key in range(10):
        peer.open(key)
    for value in (1, 0, 5):
        peer.hear(settings(max_concurrent_streams=value))
        rooms.append(peer.core.room())
    for stream_id in range(1, 20, 2):
        peer.hear(peer.headers(stream_id))
    rooms.append(peer.core.room())
    assert rooms == [1, -9, -10, -5, 5]
    assert len(peer.verdicts) == 10


@pytest.mark.parametrize(
    ("limits", "values", "room"),
    [
        pytest.param(Limits(), None, 100, id="before SETTINGS we assume 100"),
        pytest.param(Limits(streams_before_settings=1), None, 1, id="or what we are told"),
        pytest.param(Limits(), {}, 1000, id="a peer that sets no limit gets ours"),
        pytest.param(Limits(max_streams=50), {"max_concurrent_streams": 500}, 50, id="the lesser"),
    ],
)
def test_room_at_the_start(limits: Limits, values: dict[str, int] | None, room: int) -> None:
    """How many requests a fresh connection takes."""
    peer = PlayedPeer(limits, greet=False)
    if values is not None:
        peer.hear(settings(**values))
    assert peer.core.room() == room


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.integers(0, 70_000)),
        st.tuples(st.just("widen"), st.integers(1, 50_000)),
        st.tuples(st.just("stream"), st.integers(1, 50_000)),
        st.tuples(st.just("initial"), st.integers(0, 100_000)),
        st.tuples(st.just("refuse"), st.integers(0, 5)),
    ),
    max_size=40,
)


@given(events=EVENTS)
def test_no_window_is_ever_exceeded(events: list[tuple[str, int]]) -> None:
    """Whatever the peer does to its windows, DATA stays within all of them, in order."""
    peer = PlayedPeer()
    connection, initial, key = 65_535, 65_535, 0
    granted: dict[int, int] = {}
    bodies: dict[int, int] = {}
    got: dict[int, int] = {}
    for what, number in events:
        opened = sorted(stream_id for stream_id in peer.core.streams if got[stream_id] >= 0)
        if what == "open" and peer.open(key, b"x" * number):
            stream_id = 2 * len(bodies) + 1
            bodies[stream_id], got[stream_id], granted[stream_id] = number, 0, 0
            key += 1
        elif what == "widen":
            connection += number
            peer.hear(window(0, number))
        elif what == "stream" and opened:
            granted[opened[0]] += number
            peer.hear(window(opened[0], number))
        elif what == "initial":
            initial = number
            peer.hear(settings(initial_window_size=number))
        elif what == "refuse" and opened:
            peer.hear(reset(opened[number % len(opened)], 7))
        for frame in peer.sent():
            if isinstance(frame, DataFrame):
                connection -= len(frame.data)
                got[frame.stream_id] += len(frame.data)
                allowed = initial + granted[frame.stream_id]
                assert got[frame.stream_id] <= allowed
                assert ("END_STREAM" in frame.flags) == (
                    got[frame.stream_id] == bodies[frame.stream_id]
                )
        assert connection >= 0
    assert all(isinstance(verdict, NotProcessed) for [verdict] in peer.verdicts.values())
