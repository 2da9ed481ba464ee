"""Every request ends in exactly one verdict, and the verdict is honest."""

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
)
from hypothesis import given, strategies as st

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Unknown, Verdict
from pushsvc.delivery.wire.errors import ErrorCode
from pushsvc.delivery.wire.frames import HEADER
from tests.unit.wire.played_peer import (
    OK,
    PATH,
    TEMPLATE,
    PlayedPeer,
    parsed,
    reset,
    settings,
    window,
)


def test_an_answer_without_a_body() -> None:
    """HEADERS alone are an answer; fields keep their order."""
    peer = PlayedPeer()
    peer.open(1)
    peer.hear(peer.headers(1, [(":status", "200"), ("apns-id", "x"), ("date", "today")]))
    assert peer.verdict(1) == Answered(200, ((b"apns-id", b"x"), (b"date", b"today")), b"")
    assert not peer.core.streams


def test_header_lookup() -> None:
    """The first value of a name, or None."""
    answer = Answered(429, ((b"retry-after", b"1"), (b"retry-after", b"2")), b"")
    assert answer.header(b"retry-after") == b"1"
    assert answer.header(b"date") is None


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b'{"reason":"BadDeviceToken"}'], id="one"),
        pytest.param([b'{"reason":', b'"BadDeviceToken"}', b""], id="some, the last empty"),
        pytest.param([bytes([octet]) for octet in b'{"reason":"BadDeviceToken"}'], id="octets"),
        pytest.param([b"", b"", b'{"reason":"BadDeviceToken"}'], id="empty ones first"),
    ],
)
def test_a_body_in_pieces(pieces: list[bytes]) -> None:
    """A body is the same in whatever DATA frames it comes (E3.12)."""
    peer = PlayedPeer()
    peer.open(1)
    peer.hear(peer.headers(1, [(":status", "400")], end=False))
    for piece in pieces[:-1]:
        peer.hear(peer.data(1, piece, end=False))
    assert 1 not in peer.verdicts
    peer.hear(peer.data(1, pieces[-1]))
    assert peer.verdict(1) == Answered(400, (), b'{"reason":"BadDeviceToken"}')


def test_padding_and_priority() -> None:
    """Padded HEADERS and DATA, and the priority flag, change nothing (E3.8)."""
    peer = PlayedPeer()
    peer.open(1)
    block = peer.headers(1).data
    head = HeadersFrame(1, block, flags=["END_HEADERS", "PADDED", "PRIORITY"], pad_length=9)
    peer.hear(head, DataFrame(1, b"body", flags=["END_STREAM", "PADDED"], pad_length=200))
    assert peer.verdict(1) == Answered(200, (), b"body")


@pytest.mark.parametrize("pieces", [2, 3, 20])
def test_continuation(pieces: int) -> None:
    """A head may go on over many CONTINUATION frames; END_STREAM stands on HEADERS (E3.9)."""
    peer = PlayedPeer()
    peer.open(1)
    fields = [(":status", "200"), *[(f"x-{number}", "v" * 50) for number in range(20)]]
    block = peer.headers(1, fields).data
    size = len(block) // pieces + 1
    cut = [block[at : at + size] for at in range(0, len(block), size)]
    peer.hear(HeadersFrame(1, cut[0], flags=["END_STREAM"]))
    for piece in cut[1:-1]:
        peer.hear(ContinuationFrame(1, piece))
    peer.hear(ContinuationFrame(1, cut[-1], flags=["END_HEADERS"]))
    answer = peer.verdict(1)
    assert isinstance(answer, Answered)
    assert [(name.decode(), value.decode()) for name, value in answer.headers] == fields[1:]


def test_informational_heads_and_trailers() -> None:
    """1xx heads come before the answer and trailers after it; neither changes it (E3.11)."""
    peer = PlayedPeer()
    peer.open(1)
    peer.hear(
        peer.headers(1, [(":status", "100")], end=False),
        peer.headers(1, [(":status", "103"), ("link", "</x>")], end=False),
        peer.headers(1, OK, end=False),
        peer.data(1, b"body", end=False),
        peer.headers(1, [("x-trailer", "late")]),
    )
    assert peer.verdict(1) == Answered(200, (), b"body")


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        pytest.param([([("date", "x")], True)], "no status", id="no status"),
        pytest.param([([(":status", "99")], True)], "status b'99'", id="two digits"),
        pytest.param([([(":status", "2000")], True)], "status b'2000'", id="four digits"),
        pytest.param([([(":status", "101")], False)], "status b'101'", id="101"),
        pytest.param([([(":status", "103")], True)], "ends with 1xx", id="1xx ends the stream"),
        pytest.param([([*OK, (":status", "200")], True)], "field name b':status'", id="two"),
        pytest.param([([("a", "b"), *OK], True)], "field name b':status'", id="pseudo after field"),
        pytest.param([([*OK, (":path", "/")], True)], "field name b':path'", id="wrong pseudo"),
        pytest.param([([*OK, ("Date", "x")], True)], "field name b'Date'", id="upper case"),
        pytest.param([([*OK, ("connection", "close")], True)], "field connection", id="HTTP/1.1"),
        pytest.param([([*OK, ("x-a", "a\r\nb")], True)], "value of x-a", id="line break"),
        pytest.param([([*OK, ("content-length", "-1")], True)], "content-length", id="bad length"),
        pytest.param([(OK, False), ([("t", "x")], False)], "second head", id="open trailers"),
        pytest.param([(OK, False), (OK, True)], "second head", id="a second head"),
    ],
)
def test_malformed_responses(steps: list[tuple[list[tuple[str, str]], bool]], why: str) -> None:
    """What is malformed resets its stream only, and the outcome is unknown (RFC 9113 8.1.1)."""
    peer = PlayedPeer()
    peer.open(1)
    peer.open(2)
    peer.sent()
    for fields, end in steps:
        peer.hear(peer.headers(1, fields, end=end))
    verdict = peer.verdict(1)
    assert isinstance(verdict, Unknown)
    assert why in verdict.why
    (frame,) = peer.sent()
    assert isinstance(frame, RstStreamFrame)
    assert (frame.stream_id, frame.error_code) == (1, ErrorCode.PROTOCOL_ERROR)
    peer.hear(peer.headers(3))
    assert isinstance(peer.verdict(2), Answered)


@pytest.mark.parametrize(("stated", "sent"), [("5", b"four"), ("3", b"four"), ("0", b"four")])
def test_a_body_of_another_length_than_stated(stated: str, sent: bytes) -> None:
    """content-length must be what came (RFC 9113 8.1.1)."""
    peer = PlayedPeer()
    peer.open(1)
    peer.hear(peer.headers(1, [*OK, ("content-length", stated)], end=False), peer.data(1, sent))
    assert peer.verdict(1) == Unknown("malformed response: content-length")


def test_data_before_headers() -> None:
    """A body without a head is malformed."""
    peer = PlayedPeer()
    peer.open(1)
    peer.hear(peer.data(1, b"x"))
    assert peer.verdict(1) == Unknown("malformed response: DATA before HEADERS")


def test_an_oversized_body_is_cut() -> None:
    """What is beyond the limit is not kept nor wanted; the status still counts (E3.12)."""
    peer = PlayedPeer(Limits(max_body_bytes=1_000))
    peer.open(1)
    peer.sent()
    peer.hear(peer.headers(1, [(":status", "500")], end=False))
    peer.hear(peer.data(1, b"x" * 900, end=False), peer.data(1, b"y" * 900, end=False))
    assert peer.verdict(1) == Answered(500, (), b"x" * 900 + b"y" * 100)
    assert [frame.error_code for frame in peer.told(RstStreamFrame)] == [ErrorCode.CANCEL]
    peer.hear(peer.data(1, b"z" * 900, end=False), peer.data(1, b"z"))
    assert peer.core.closed is None


def test_an_oversized_body_that_is_over_is_cut() -> None:
    """Where its last frame is in, nothing is left to be reset (RFC 9113 5.1)."""
    peer = PlayedPeer(Limits(max_body_bytes=1_000))
    peer.open(1)
    peer.sent()
    peer.hear(peer.headers(1, [(":status", "500")], end=False), peer.data(1, b"x" * 1_800))
    assert peer.verdict(1) == Answered(500, (), b"x" * 1_000)
    assert peer.told(RstStreamFrame) == []


def test_an_oversized_header_list_is_cut() -> None:
    """Fields beyond the limit are dropped; the status still counts."""
    peer = PlayedPeer(Limits(max_header_list_bytes=1_000))
    peer.open(1)
    peer.hear(peer.headers(1, [*OK, *[("x-a", "v" * 300)] * 10]))
    answer = peer.verdict(1)
    assert isinstance(answer, Answered)
    assert (answer.status, len(answer.headers)) == (200, 2)


ERROR_CODES = [*ErrorCode, 0xBEEF]


@pytest.mark.parametrize("code", ERROR_CODES)
def test_reset_before_any_answer(code: int) -> None:
    """Only REFUSED_STREAM says that nothing was done (RFC 9113 8.7, E3.13)."""
    peer = PlayedPeer()
    peer.open(1)
    peer.hear(reset(1, code))
    verdict = peer.verdict(1)
    expected = NotProcessed if code == ErrorCode.REFUSED_STREAM else Unknown
    assert type(verdict) is expected
    assert verdict.why.startswith("reset: ")
    assert peer.core.room() == (1 if code == ErrorCode.ENHANCE_YOUR_CALM else 1000)


@pytest.mark.parametrize("code", ERROR_CODES)
def test_reset_within_an_answer(code: int) -> None:
    """A head without its end is no answer, and whoever sent one cannot have refused."""
    peer = PlayedPeer()
    peer.open(1)
    peer.hear(peer.headers(1, end=False), reset(1, code))
    assert isinstance(peer.verdict(1), Unknown)


@pytest.mark.parametrize("code", ERROR_CODES)
def test_reset_after_the_answer(code: int) -> None:
    """An answer is an answer: nginx resets with NO_ERROR what it has answered early."""
    peer = PlayedPeer()
    peer.open(1)
    peer.hear(peer.headers(1), reset(1, code), reset(1, code))
    assert peer.verdict(1) == Answered(200, (), b"")
    assert peer.core.closed is None


def test_reset_before_the_request_was_sent_in_full() -> None:
    """Without END_STREAM nobody has seen the whole request: it is safe to send again."""
    peer = PlayedPeer()
    peer.hear(settings(initial_window_size=0))
    peer.open(1, b"body")
    peer.hear(reset(1, ErrorCode.INTERNAL_ERROR))
    assert peer.verdict(1) == NotProcessed("reset: INTERNAL_ERROR, not sent in full")


def test_reset_of_a_begun_answer_to_half_a_request() -> None:
    """Who has begun to answer may have acted, even on half a request."""
    peer = PlayedPeer()
    peer.hear(settings(initial_window_size=0))
    peer.open(1, b"body")
    peer.hear(peer.headers(1, end=False), reset(1, ErrorCode.INTERNAL_ERROR))
    assert peer.verdict(1) == Unknown("reset: INTERNAL_ERROR")


@pytest.mark.parametrize(
    ("goaways", "refused"),
    [
        pytest.param([(0, 0)], {1, 2, 3, 4}, id="last 0"),
        pytest.param([(3, 0)], {3, 4}, id="in the middle"),
        pytest.param([(7, 0)], set(), id="all accepted"),
        pytest.param([(2**31 - 1, 0)], set(), id="graceful notice"),
        pytest.param([(2**31 - 1, 0), (5, 0)], {4}, id="notice, then the word"),
        pytest.param([(3, 0), (7, 0)], {3, 4}, id="raised: still refused"),
        pytest.param([(5, 7), (1, 2)], {2, 3, 4}, id="lowered, with errors"),
    ],
)
def test_goaway(goaways: list[tuple[int, int]], refused: set[int]) -> None:
    """Above the last id nothing was done; the others may still be answered (6.8, E3.14)."""
    peer = PlayedPeer()
    for key in (1, 2, 3, 4):
        peer.open(key)
    for last_id, code in goaways:
        peer.hear(GoAwayFrame(0, last_id, code))
    assert set(peer.verdicts) == refused
    assert all(isinstance(peer.verdict(key), NotProcessed) for key in refused)
    assert peer.core.room() == 0
    for stream_id in [*peer.core.streams]:
        peer.hear(peer.headers(stream_id))
    assert {key for key in peer.verdicts if isinstance(peer.verdict(key), Answered)} == (
        {1, 2, 3, 4} - refused
    )


def test_goaway_that_disowns_what_is_being_answered() -> None:
    """The peer contradicts itself: it may have acted on it."""
    peer = PlayedPeer()
    peer.open(1)
    peer.hear(peer.headers(1, end=False), GoAwayFrame(0, 0, 0))
    assert peer.verdict(1) == Unknown("GOAWAY NO_ERROR")


def test_goaway_debug_data_is_the_reason() -> None:
    """APNs says why in the debug data; a second GOAWAY without any keeps it."""
    peer = PlayedPeer()
    peer.open(1)
    debug = b'{"reason":"BadCertificateEnvironment"}'
    peer.hear(GoAwayFrame(0, 1, 0, debug), GoAwayFrame(0, 0, 0))
    assert peer.verdict(1) == NotProcessed(f"GOAWAY NO_ERROR {debug.decode()}")


def test_end_of_connection_after_goaway() -> None:
    """What GOAWAY accepted and the end swallowed is unknown (E3.14)."""
    peer = PlayedPeer()
    peer.open(1)
    peer.open(2)
    peer.hear(GoAwayFrame(0, 1, ErrorCode.INTERNAL_ERROR))
    peer.tell(peer.core.lose("end of connection"))
    assert isinstance(peer.verdict(2), NotProcessed)
    assert peer.verdict(1) == Unknown("end of connection after GOAWAY INTERNAL_ERROR")


@pytest.mark.parametrize(
    ("before", "verdict"),
    [
        pytest.param("written", Unknown("end of connection"), id="written in full"),
        pytest.param(
            "stalled", NotProcessed("end of connection, not sent in full"), id="half written"
        ),
        pytest.param("head", Unknown("end of connection"), id="a head but no end"),
        pytest.param("answered", Answered(200, (), b""), id="answered before"),
    ],
)
def test_end_of_connection(before: str, verdict: Verdict) -> None:
    """What the end of the connection means depends on what was written (E3.15)."""
    peer = PlayedPeer()
    if before == "stalled":
        peer.hear(settings(initial_window_size=1))
    peer.open(1, b"body")
    if before in {"head", "answered"}:
        peer.hear(peer.headers(1, end=before == "answered"))
    peer.tell(peer.core.lose("end of connection"))
    assert peer.verdict(1) == verdict
    assert peer.core.room() == 0


def test_a_deadline_for_nothing() -> None:
    """Where nothing was opened, nothing is due."""
    peer = PlayedPeer()
    peer.core.set_deadline(peer.core.next_id, 1.0)
    assert peer.core.expire(2.0) == []


def test_deadline() -> None:
    """A request out of time is reset and unknown; others stay (E3.21)."""
    peer = PlayedPeer()
    peer.open(1, deadline=10.0)
    peer.open(2, deadline=20.0)
    peer.sent()
    peer.tell(peer.core.expire(9.9))
    assert not peer.verdicts
    peer.tell(peer.core.expire(10.0))
    assert peer.verdict(1) == Unknown("deadline")
    (frame,) = peer.sent()
    assert (type(frame), frame.stream_id) == (RstStreamFrame, 1)
    assert frame.error_code == ErrorCode.CANCEL


def test_deadline_before_the_body_went() -> None:
    """A request that never ended on our side was not acted on."""
    peer = PlayedPeer()
    peer.hear(settings(initial_window_size=0))
    peer.open(1, b"body", deadline=1.0)
    peer.tell(peer.core.expire(1.0))
    assert peer.verdict(1) == NotProcessed("deadline, not sent in full")


def test_a_late_answer_after_the_deadline() -> None:
    """What comes late disturbs nobody: it is decoded, credited and dropped (E3.21, E3.22)."""
    peer = PlayedPeer(Limits(connection_window_bytes=0), greet=False)
    peer.hear(settings())
    peer.open(1, deadline=1.0)
    peer.open(2)
    peer.tell(peer.core.expire(1.0))
    peer.sent()
    # Our table is still the default here: the late head inserts what the next one refers to.
    peer.hear(
        peer.headers(1, [*OK, ("x-new", "value")], end=False),
        peer.data(1, b"x" * 16_000, end=False),
        peer.data(1, b"x" * 16_000, end=False),
        peer.data(1, b"x" * 1_000),
        peer.headers(3, [*OK, ("x-new", "value")]),
    )
    assert peer.verdict(1) == Unknown("deadline")
    assert peer.verdict(2) == Answered(200, ((b"x-new", b"value"),), b"")
    (grant,) = peer.sent()
    assert (grant.stream_id, grant.window_increment) == (0, 33_000)


def test_cancel_resets_one_owner_only() -> None:
    """A sender that leaves takes its own requests along, and hears no more of them."""
    peer, other = PlayedPeer(), PlayedPeer()
    peer.open(1)
    assert peer.core.open((2, TEMPLATE, PATH, (b"x",), b"{}"), other)
    peer.sent()
    assert peer.core.cancel(peer) == 1
    assert [frame.stream_id for frame in peer.told(RstStreamFrame)] == [1]
    peer.hear(peer.headers(1), peer.headers(3))
    assert not peer.verdicts
    assert other.verdict(2) == Answered(200, (), b"")


def test_many_resets_wear_a_connection_out() -> None:
    """A hundred resets beyond one in ten answers ask for another connection."""
    peer = PlayedPeer()
    for key in range(101):
        assert not peer.core.resets_too_much
        peer.open(key, deadline=1.0)
        peer.tell(peer.core.expire(1.0))
    assert peer.core.resets_too_much
    for key in range(10):
        peer.open(1_000 + key)
    for stream_id in sorted(peer.core.streams):
        peer.hear(peer.headers(stream_id))
    assert not peer.core.resets_too_much


def test_three_thousand_error_bodies() -> None:
    """More than 65,535 octets of bodies flow, since all are credited (E3.7)."""
    peer = PlayedPeer(Limits(connection_window_bytes=0))
    credit = 65_535
    body = b'{"reason":"BadDeviceToken"}'
    for key in range(3_000):
        peer.open(key)
        peer.sent()
        assert credit >= len(body)
        credit -= len(body)
        head = peer.headers(2 * key + 1, [(":status", "400")], end=False)
        peer.hear(head, peer.data(2 * key + 1, body))
        credit += sum(frame.window_increment for frame in peer.sent())
    assert len(peer.verdicts) == 3_000


def test_all_frames_in_one_read_and_octet_by_octet() -> None:
    """However the bytes arrive, the verdicts are the same (E3.1, E3.2)."""
    results = []
    for size in (10**6, 1, 7):
        peer = PlayedPeer()
        for key in range(4):
            peer.open(key)
        octets = b"".join(
            frame.serialize()
            for frame in (
                peer.headers(1, [(":status", "200"), ("apns-id", "a")]),
                peer.headers(3, [(":status", "400")], end=False),
                peer.data(3, b"x" * 300, end=False),
                window(0, 500),
                peer.data(3, b"y"),
                reset(5, ErrorCode.REFUSED_STREAM),
                reset(7, ErrorCode.INTERNAL_ERROR),
            )
        )
        for at in range(0, len(octets), size):
            peer.hear(octets[at : at + size])
        results.append(peer.verdicts)
        assert len(peer.verdicts) == 4
    assert results[0] == results[1] == results[2]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "answer", "head", "data", "reset", "refuse", "goaway", "expire"]),
        st.integers(0, 9),
    ),
    max_size=40,
)


@given(steps=STEPS)
def test_exactly_one_verdict_each(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order, each request has one verdict at the end, no more."""
    peer = PlayedPeer()
    opened = 0
    for what, number in steps:
        stream_id = 2 * number + 1
        if what == "open":
            if peer.core.room() > 0:
                opened += peer.open(opened, deadline=float(number))
        elif what == "goaway":
            peer.hear(GoAwayFrame(0, stream_id, 0))
        elif what == "expire":
            peer.tell(peer.core.expire(float(number)))
        elif stream_id < 2 * opened:
            frames: dict[str, Frame] = {
                "answer": peer.headers(stream_id),
                "head": peer.headers(stream_id, end=False),
                "data": peer.data(stream_id, b"x", end=False),
                "reset": reset(stream_id, ErrorCode.CANCEL),
                "refuse": reset(stream_id, ErrorCode.REFUSED_STREAM),
            }
            peer.hear(frames[what])
        parsed(peer.core.take())
    peer.tell(peer.core.lose("end of connection"))
    assert sorted(peer.verdicts) == list(range(opened))
    assert all(len(verdicts) == 1 for verdicts in peer.verdicts.values())
    counts = peer.core.counts
    assert counts.answered + counts.not_processed + counts.unknown == opened


def test_no_bytes_after_the_end() -> None:
    """A connection that is over reads nothing more."""
    peer = PlayedPeer()
    peer.tell(peer.core.lose("end of connection"))
    peer.hear(HEADER.pack(255, 1, 1, 1, 1))
    assert peer.sent() == []
