"""Frames are found in whatever pieces they arrive."""

from itertools import pairwise

import pytest
from hyperframe.frame import DataFrame, HeadersFrame, PingFrame
from hypothesis import given, strategies as st

from pushsvc.delivery.wire import frames
from pushsvc.delivery.wire.errors import ErrorCode, PeerError

SOME = [
    frames.frame(frames.PING, 0, 0, payload=b"12345678"),
    frames.frame(frames.HEADERS, 5, 1, payload=b"\x88"),
    frames.frame(frames.DATA, 0, 1, payload=b""),
    frames.frame(0xFA, 0xFF, 2**31 - 1, payload=b"unknown"),
    frames.frame(frames.DATA, 1, 1, payload=b"x" * 300),
]
WHOLE = b"".join(SOME)
READ = list(frames.Reader().frames(WHOLE))


def test_all_frames_of_one_read() -> None:
    """One read may hold many frames."""
    assert [frame[0] for frame in READ] == [6, 1, 0, 0xFA, 0]
    assert READ[3] == (0xFA, 0xFF, 2**31 - 1, b"unknown")


@pytest.mark.parametrize("cut", range(1, len(WHOLE)))
def test_two_pieces(cut: int) -> None:
    """The same frames come out wherever the octets are cut in two."""
    reader = frames.Reader()
    assert [*reader.frames(WHOLE[:cut]), *reader.frames(WHOLE[cut:])] == READ


def test_one_octet_at_a_time() -> None:
    """The same frames come out octet by octet."""
    reader = frames.Reader()
    assert [frame for octet in WHOLE for frame in reader.frames(bytes([octet]))] == READ


@given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=10))
def test_any_pieces(cuts: list[int]) -> None:
    """The same frames come out of any pieces."""
    reader = frames.Reader()
    bounds = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[a:b] for a, b in pairwise(bounds)]
    assert [frame for piece in pieces for frame in reader.frames(piece)] == READ


def test_a_frame_too_large_is_refused_from_its_header() -> None:
    """More than our MAX_FRAME_SIZE is an error before the payload arrives (RFC 9113 4.2)."""
    reader = frames.Reader()
    with pytest.raises(PeerError) as error:
        list(reader.frames(b"\x00\x40\x01\x00\x00\x00\x00\x00\x01"))
    assert error.value.code == ErrorCode.FRAME_SIZE_ERROR


def test_frames_before_the_bad_one_are_read() -> None:
    """An error comes after the frames that precede it."""
    found = frames.Reader().frames(SOME[0] + b"\xff" * 9)
    assert next(found) == READ[0]
    with pytest.raises(PeerError):
        next(found)


def test_our_frames_are_what_hyperframe_writes() -> None:
    """The octets are those of another implementation."""
    assert SOME[0] == PingFrame(0, b"12345678").serialize()
    assert SOME[4] == DataFrame(1, b"x" * 300, flags=["END_STREAM"]).serialize()


@pytest.mark.parametrize("pad", [0, 1, 255])
@pytest.mark.parametrize("flags", [["PADDED"], ["PADDED", "PRIORITY"], ["PRIORITY"]])
def test_padding_and_priority_are_cut_away(flags: list[str], pad: int) -> None:
    """What is left of a padded frame is its content (RFC 9113 6.1, 6.2)."""
    frame = HeadersFrame(1, b"content", flags=flags, pad_length=pad if "PADDED" in flags else 0)
    ((_, bits, _, payload),) = frames.Reader().frames(frame.serialize())
    assert frames.content(bits, payload) == b"content"


@pytest.mark.parametrize(
    ("flags", "payload", "code"),
    [
        pytest.param(frames.PADDED, b"", ErrorCode.FRAME_SIZE_ERROR, id="no pad length"),
        pytest.param(frames.PADDED, b"\x03ab", ErrorCode.PROTOCOL_ERROR, id="all padding and more"),
        pytest.param(frames.HAS_PRIORITY, b"abcd", ErrorCode.FRAME_SIZE_ERROR, id="no priority"),
        pytest.param(
            frames.HAS_PRIORITY | frames.PADDED,
            b"\x02pppppx",
            ErrorCode.PROTOCOL_ERROR,
            id="padding reaches into the priority",
        ),
    ],
)
def test_bad_padding(flags: int, payload: bytes, code: ErrorCode) -> None:
    """Padding beyond the frame is an error."""
    with pytest.raises(PeerError) as error:
        frames.content(flags, payload)
    assert error.value.code == code


def test_padding_may_fill_the_whole_frame() -> None:
    """A frame may be nothing but padding."""
    assert frames.content(frames.PADDED, b"\x02\x00\x00") == b""
