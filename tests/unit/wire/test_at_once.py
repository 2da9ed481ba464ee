"""What is taken at once is what would be taken one by one."""

from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from pushsvc.delivery.wire import Call, Template
from pushsvc.delivery.wire.usual import Usual
from tests.unit.wire.played_peer import TEMPLATE, PlayedPeer, reset, settings, window

PATHS = st.sampled_from([b"/3/device/aaaa", b"/3/device/bbbb", b"/c", b"", b"d", b"/\n", "/text"])
VALUES = st.sampled_from([b"1", b"2", b"three", b"a b", b"\r\n", b"", "text"])
BODIES = st.sampled_from([b"{}", b"{ }", b"x" * 20_000, b"", "text"])
OTHER = Template([(b"x-other", b"1")])
TWO = Template([(b"x-other", b"2")], varying=(b"x-a", b"x-b"))
TEMPLATES = st.sampled_from([(TEMPLATE, 1), (TEMPLATE, 2), (OTHER, 0), (TWO, 2)])


@st.composite
def lists(draw: st.DrawFn) -> list[Any]:
    """Calls that are alike, and perhaps one that is not."""
    template, values = draw(TEMPLATES)
    path, body = draw(PATHS), draw(BODIES)
    varying = [draw(VALUES) for _ in range(values)]
    calls = [(key, template, path, tuple(varying), body) for key in range(draw(st.integers(1, 5)))]
    if draw(st.booleans()):
        odd = (9, draw(TEMPLATES)[0], draw(PATHS), (draw(VALUES),), draw(BODIES))
        calls.insert(draw(st.integers(0, len(calls))), odd)
    return calls


def one_by_one(peer: PlayedPeer, calls: list[Call]) -> bool:
    """Whether every one could be opened."""
    return all(peer.core.open(call, peer) for call in calls)


def state(peer: PlayedPeer) -> tuple[object, ...]:
    """What later requests depend on, and what was written."""
    core, encoder = peer.core, peer.core._out.encoder
    return (
        core.next_id,
        core.window,
        list(core.streams.items()),
        {**core._out.stalled},
        (encoder._plans, encoder._table, encoder._epoch),
    )


def peers() -> tuple[PlayedPeer, PlayedPeer]:
    """Two that have sent the same, so that the templates are known."""
    both = PlayedPeer(), PlayedPeer()
    for peer in both:
        peer.hear(settings(initial_window_size=30_000))
        for key, (template, values) in enumerate([(TEMPLATE, 1), (OTHER, 0), (TWO, 2)] * 2):
            peer.core.open((-key, template, b"/", (b"1",) * values, b"{}"), both[0])
        peer.sent()
    return both


USUAL = [(key, TEMPLATE, b"/%04d" % key, (b"%04d" % key,), b"x" * key) for key in range(1, 50)]


@given(calls=lists())
@example(calls=USUAL)
@example(calls=[(1, OTHER, b"/3/device/aaaa", (), b"{}")] * 3)
@example(calls=[(1, TWO, b"/3/device/aaaa", (b"1", b"2"), b"{}")] * 3)
@example(calls=[(1, TEMPLATE, b"/3/device/aaaa", (b"1",), b"{}"), (2, TEMPLATE)])
def test_many_requests_at_once(calls: list[Any]) -> None:
    """The same octets and the same state; or nothing at all, and each is looked at by itself."""
    peer, other = peers()
    before = state(other)
    if peer.core.open_at_once(calls, other):
        assert one_by_one(other, calls)
        assert state(peer) == state(other)
        assert peer.core.take() == other.core.take()
    else:
        assert state(peer) == before
        assert peer.core.take() == b""


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param(USUAL, id="bodies of any size"),
        pytest.param([(1, OTHER, b"/a", (), b"{}")] * 9, id="nothing varies"),
        pytest.param([(1, TWO, b"/a", (b"1", b"2"), b"{}")] * 9, id="two values vary"),
    ],
)
def test_the_usual_goes_at_once(calls: list[Call]) -> None:
    """Else all of this would be for nothing."""
    peer, _ = peers()
    assert peer.core.open_at_once(calls, peer)


def test_what_does_not_fit_the_window_does_not_go_at_once() -> None:
    """Which of them do fit is found one by one."""
    peer, _ = peers()
    left = peer.core.window
    calls: list[Call] = [(key, TEMPLATE, b"/", (b"1",), b"x" * 16_000) for key in range(5)]
    assert not peer.core.open_at_once(calls, peer)
    assert peer.core.open_at_once(calls[:4], peer)
    assert peer.core.window == left - 64_000


def test_bodies_of_more_than_two_turns_do_not_go_at_once() -> None:
    """One small body makes the next look small, and a transport would have to hold them all."""
    peer, _ = peers()
    peer.hear(window(0, 1_000_000))
    calls: list[Call] = [(key, TEMPLATE, b"/", (b"1",), b"x" * 16_000) for key in range(17)]
    assert not peer.core.open_at_once(calls, peer)
    assert peer.core.open_at_once(calls[:16], peer)


def test_a_long_block_does_not_go_at_once() -> None:
    """It takes more than one frame."""
    peer, _ = peers()
    long = Template([], literal=[(b"x-long", b"v" * 17_000)])
    call: Call = (1, long, b"/", (), b"{}")
    assert peer.core.open(call, peer)
    assert not peer.core.open_at_once([call], peer)


class _Unusual(Usual):
    """Nothing is usual here."""

    def __init__(self) -> None:
        """It needs nothing."""

    def take(self, octets: bytes, at: int) -> int:  # noqa: ARG002 - as the other is asked
        """Leave everything."""
        return at


def answered(body: bytes) -> tuple[PlayedPeer, PlayedPeer]:
    """Two that know what an answer looks like, and have five requests on their way.

    The second takes each frame by itself.
    """
    both = PlayedPeer(), PlayedPeer()
    both[1].core._usual = _Unusual()
    for peer in both:
        for key in range(-4, 0):
            peer.open(key)
        fields = [(":status", "200"), ("apns-id", "0")]
        for stream_id in (1, 3):
            peer.hear(peer.headers(stream_id), peer.headers(stream_id + 4, fields))
        peer.core.tick()
        for key in range(5):
            peer.open(key, body)
    return both


KINDS = ["answer", "both", "id", "reset", "begin", "end", "error", "window", "interim"]
#: Of the open ones mostly: 7 is over, 19 was never opened, and 2 cannot be.
STREAMS = [*[9, 11, 13, 15, 17] * 3, 7, 19, 2]
WORD = st.tuples(st.sampled_from([*KINDS, *KINDS, "cut", "huffman"]), st.sampled_from(STREAMS))
SAID = st.lists(WORD, max_size=20)


def octets(peer: PlayedPeer, what: str, stream_id: int) -> bytes:
    """A few octets that a peer may say about a stream, or should not."""
    plain = peer.headers(stream_id).serialize()
    with_id = [(":status", "200"), ("apns-id", f"{stream_id:09}")]
    return {
        "answer": plain,
        "reset": reset(stream_id, stream_id % 9).serialize(),
        "both": plain + reset(stream_id, 0).serialize(),
        "id": peer.headers(stream_id, with_id).serialize(),
        "error": peer.headers(stream_id, [(":status", "410")]).serialize(),
        "begin": peer.headers(stream_id, end=False).serialize(),
        "end": peer.data(stream_id, b"body").serialize(),
        "window": window(stream_id, 1).serialize(),
        "interim": peer.headers(stream_id, [(":status", "103")]).serialize(),
        "cut": plain[:-1],
        # The start of an answer with an id, whose last octet is no padding.
        "huffman": peer.headers(stream_id, with_id).serialize()[:-1] + b"\x00",
    }[what]


@given(said=SAID, body=st.sampled_from([b"{}", b"x" * 70_000]), cut=st.integers(0, 200))
@example(said=[("answer", 9), ("id", 11)], body=b"{}", cut=30)
@example(said=[("answer", 9), ("huffman", 11)], body=b"{}", cut=0)
def test_answers_in_one_loop(said: list[tuple[str, int]], body: bytes, cut: int) -> None:
    """Whatever the peer says, and however it is cut: the same verdicts, words and counts."""
    both = answered(body)
    for peer in both:
        words = b"".join(octets(peer, what, stream_id) for what, stream_id in said)
        peer.hear(words[:cut])
        peer.hear(words[cut:])
    fast, slow = both
    assert fast.verdicts == slow.verdicts
    assert fast.core.counts == slow.core.counts
    assert fast.core.closed == slow.core.closed
    assert fast.core.take() == slow.core.take()
    assert fast.core._patience._spent == slow.core._patience._spent
    assert fast.core._requests._reset_debt == slow.core._requests._reset_debt


@pytest.mark.parametrize("late", [999, 1_000, 1_003, 1_004, 1_005, 5_000])
def test_late_resets_are_borne_as_long_by_either_way(late: int) -> None:
    """A thousand, and four for each answer, from that answer on."""
    ends = []
    for peer in answered(b"{}"):
        peer.hear(peer.headers(9), *[reset(9, 0)] * late, peer.headers(11), reset(11, 0))
        ends.append((peer.core.closed, peer.core.counts, sorted(peer.verdicts)))
    assert ends[0] == ends[1]
    assert (ends[0][0] is None) == (late <= 1_004)


def test_resets_of_ours_are_paid_back_by_answers() -> None:
    """However those are taken, and never below nothing."""
    for peer in answered(b"{}"):
        for key in range(5, 20):
            peer.open(key, deadline=1.0)
        peer.tell(peer.core.expire(2.0))
        owed = peer.core._requests._reset_debt
        peer.hear(*[peer.headers(stream_id) for stream_id in range(9, 19, 2)])
        assert peer.core._requests._reset_debt == owed - 5
