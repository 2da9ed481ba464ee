"""Whatever a peer says, the core neither raises nor forgets a request."""

from hypothesis import given, settings as hypothesis_settings, strategies as st

from pushsvc.delivery.wire.frames import frame
from tests.unit.wire.played_peer import PlayedPeer, parsed, settings

FRAMES = st.builds(
    lambda kind, flags, stream_id, payload: frame(kind, flags, stream_id, payload=payload),
    st.one_of(st.integers(0, 9), st.integers(0, 255)),
    st.sampled_from([0, 1, 4, 5, 8, 0x0D, 0x20, 0x2D, 0xFF]),
    st.sampled_from([0, 1, 3, 5, 7, 9, 2, 2**31 - 1]),
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b"\x88", b"\x88\x5c\x011", b"\x00" * 4, b"\x00\x00\x00\x07", b"\x00" * 8]),
        st.builds(lambda n: n.to_bytes(4, "big"), st.integers(0, 2**31 - 1)),
    ),
)


@given(said=st.lists(st.one_of(FRAMES, FRAMES, st.binary(max_size=30)), max_size=30))
@hypothesis_settings(max_examples=500)
def test_frames_of_any_kind(said: list[bytes]) -> None:
    """Illegal frames end the connection or the stream, and every request has one verdict."""
    peer = PlayedPeer()
    peer.hear(settings(initial_window_size=3))
    peer.sent()
    for key in range(4):
        peer.open(key, b"body" * (key % 2), deadline=1.0)
    for octets in said:
        peer.hear(octets)
        parsed(peer.core.take())
    peer.tell(peer.core.expire(1.0))
    assert sorted(peer.verdicts) == [0, 1, 2, 3]
    assert all(len(verdicts) == 1 for verdicts in peer.verdicts.values())
    assert peer.core._out.reserved == 0
    assert not peer.core._out.stalled
