"""The sending half of a connection: requests to frames, within every window (RFC 9113 5.2, 6.9).

A request reserves its whole body from the connection's window before its HEADERS are written,
so a stream never stalls half sent for want of what others took. Only its own stream's window
can hold it back then; what is left of such bodies waits in `stalled`.
"""

from collections.abc import Sequence
from typing import Final

from pushsvc.delivery.wire import frames
from pushsvc.delivery.wire.encoder import Encoder
from pushsvc.delivery.wire.errors import ErrorCode, PeerError, StreamError
from pushsvc.delivery.wire.flow import DEFAULT_WINDOW, MAX_WINDOW, widened
from pushsvc.delivery.wire.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_FRAME_BYTES,
)
from pushsvc.delivery.wire.headers import Call

_LAST_CLIENT_ID: Final = frames.MAX_STREAM_ID
_NONE: Final = range(0)

#: Octets of bodies that are queued at once: twice what a sender may queue in its turn. It guesses
#: how many calls that will be, by the size of its last body.
_MOST_AT_ONCE: Final = 256 * 1024

#: Pieces that wait to be written when one more acknowledgement is due. A turn of requests is half
#: of it, and all is written with each read unless the peer has stopped reading.
_MAX_UNREAD: Final = 2_000


class Stalled:
    """A request body that is not yet written in full: END_STREAM is still to come."""

    __slots__ = ("unsent", "window")

    def __init__(self, unsent: bytes, window: int) -> None:
        self.unsent = unsent
        #: How much of it the stream's own window allows.
        self.window = window


class Outbound:
    """Turns requests into bytes; the shell takes the bytes in one piece."""

    def __init__(self, authority: bytes) -> None:
        self.encoder = Encoder(authority)
        self.next_id = 1
        #: Octets of DATA the connection may carry; `reserved` of them are promised.
        self.window = DEFAULT_WINDOW
        self.reserved = 0
        self.initial_window = DEFAULT_WINDOW
        self.stalled: dict[int, Stalled] = {}
        self._out: list[bytes] = []

    @property
    def ids_left(self) -> int:
        """Streams this connection can still open in its life (section 5.1.1)."""
        return (_LAST_CLIENT_ID - self.next_id) // 2 + 1

    def take(self) -> bytes:
        """Everything to be written now."""
        if not self._out:
            return b""
        written = b"".join(self._out)
        self._out.clear()
        return written

    def put(self, frame: bytes) -> None:
        """Queue a control frame, in its order."""
        self._out.append(frame)

    def acknowledge(self, frame: bytes) -> None:
        """Queue what the peer makes us say.

        Raises:
            PeerError: it makes us say more and more, and reads none of it (CVE-2019-9512, -9515).
        """
        if len(self._out) > _MAX_UNREAD:
            raise PeerError(ErrorCode.ENHANCE_YOUR_CALM, "flood of frames to acknowledge")
        self._out.append(frame)

    # -- Requests -----------------------------------------------------------------------------

    def request(self, call: Call, *, alone: bool) -> int:
        """Queue HEADERS and as much DATA as may go; the answer is the stream's id.

        Ids are given here, where the frames are made: their order on the wire must be the
        order of the ids (section 5.1.1). The answer is 0, and nothing has happened, where the
        body has to wait for the connection's window; one that is `alone` here goes in pieces.

        Raises:
            HeaderError: nothing was queued and no id used.
            TypeError: a value or the body is not bytes; the same.
        """
        _, template, path, varying, body = call
        octets = len(body)
        if type(body) is not bytes:
            # Found later, it would be everybody's connection that breaks.
            message = f"a body is bytes, not {type(body).__name__}"
            raise TypeError(message)
        fits = not octets or octets <= self.window - self.reserved
        if not fits and not alone:
            return 0
        block = self.encoder.block(template, path, varying)
        stream_id = self.next_id
        self.next_id = stream_id + 2
        if fits and 0 < octets <= self.initial_window and octets <= MAX_FRAME_BYTES >= len(block):
            pack = frames.HEADER.pack
            self.window -= octets
            self._out += (
                pack(0, len(block), HEADERS, END_HEADERS, stream_id),
                block,
                pack(0, octets, DATA, END_STREAM, stream_id),
                body,
            )
            return stream_id
        self._put_headers(stream_id, block, 0 if body else END_STREAM)
        if body:
            self.reserved += len(body)
            self.stalled[stream_id] = stalled = Stalled(body, self.initial_window)
            self._send_some(stream_id, stalled)
        return stream_id

    def requests(self, calls: Sequence[Call]) -> range:
        """Queue many requests at once, as `request` would one by one; the answer is their ids.

        It is empty, and nothing has happened, unless they are the usual: one template, known by
        now, paths and values of one size each, bodies that go in one frame, fit the windows and
        are not much more than a turn.
        The pieces are put together column by column: no line of ours is run for a single request.
        """
        try:
            _, templates, paths, varying, bodies = zip(*calls, strict=True)
            sizes = [*map(len, bodies)]
            if not self._take_at_once(bodies, sizes) or templates.count(templates[0]) < len(calls):
                return _NONE
            block = self.encoder.columns(templates[0], paths, varying)
        except (TypeError, ValueError):
            # Of wrong types or lengths: which one it is, is found one by one.
            return _NONE
        count, octets = len(calls), sum(len(column[0]) for column in block or ())
        if block is None or octets > MAX_FRAME_BYTES:
            return _NONE
        ids = range(self.next_id, self.next_id + 2 * count, 2)
        head = frames.HEAD.pack(0, octets, HEADERS, END_HEADERS)
        heads = {size: frames.HEAD.pack(0, size, DATA, END_STREAM) for size in set(sizes)}
        words = [*map(frames.stream_word, ids)]
        columns = ([head] * count, words, *block, map(heads.__getitem__, sizes), words, bodies)
        pieces = [b""] * (count * len(columns))
        for at, column in enumerate(columns):
            pieces[at :: len(columns)] = column
        self._out.append(b"".join(pieces))
        self.next_id = ids.stop
        self.window -= sum(sizes)
        return ids

    def _take_at_once(self, bodies: Sequence[bytes], sizes: list[int]) -> bool:
        """Whether bodies go in one frame each, and all of them now."""
        return (
            set(map(type, bodies)) == {bytes}
            and 0 < min(sizes) <= max(sizes) <= min(self.initial_window, MAX_FRAME_BYTES)
            and sum(sizes) <= min(self.window - self.reserved, _MOST_AT_ONCE)
        )

    def _put_headers(self, stream_id: int, block: bytes, flags: int) -> None:
        """HEADERS, with CONTINUATION for what does not fit (section 6.10)."""
        kind = HEADERS
        for at in range(0, len(block), MAX_FRAME_BYTES):
            piece = block[at : at + MAX_FRAME_BYTES]
            last = END_HEADERS if at + MAX_FRAME_BYTES >= len(block) else 0
            self.put(frames.frame(kind, flags | last, stream_id, payload=piece))
            kind, flags = CONTINUATION, 0

    def _send_some(self, stream_id: int, stalled: Stalled) -> None:
        """Write what both windows allow of a stalled body."""
        octets = min(len(stalled.unsent), stalled.window, self.window)
        if octets <= 0:
            return
        piece, stalled.unsent = stalled.unsent[:octets], stalled.unsent[octets:]
        stalled.window -= octets
        self.window -= octets
        self.reserved -= octets
        for at in range(0, octets, MAX_FRAME_BYTES):
            last = not stalled.unsent and at + MAX_FRAME_BYTES >= octets
            payload = piece[at : at + MAX_FRAME_BYTES]
            self.put(frames.frame(DATA, END_STREAM if last else 0, stream_id, payload=payload))
        if not stalled.unsent:
            del self.stalled[stream_id]

    def send_stalled(self) -> None:
        """Write what the windows allow by now of every stalled body."""
        for stream_id, stalled in list(self.stalled.items()):
            self._send_some(stream_id, stalled)

    # -- What the peer changes ----------------------------------------------------------------

    def widen(self, octets: int) -> None:
        """WINDOW_UPDATE of the connection."""
        self.window = widened(self.window, octets, PeerError)
        self.send_stalled()

    def widen_stream(self, stream_id: int, octets: int) -> None:
        """WINDOW_UPDATE of one stream; one that has been sent in full no longer counts."""
        stalled = self.stalled.get(stream_id)
        window = widened(stalled.window if stalled is not None else 0, octets, StreamError)
        if stalled is not None:
            stalled.window = window
            self._send_some(stream_id, stalled)

    def resize_initial_window(self, size: int) -> None:
        """INITIAL_WINDOW_SIZE moves every open stream's window, below zero too (6.9.2).

        Nothing is written yet: the acknowledgement goes first, or the peer counts by its old value.
        """
        delta = size - self.initial_window
        self.initial_window = size
        for stalled in self.stalled.values():
            stalled.window += delta
            if stalled.window > MAX_WINDOW:
                raise PeerError(ErrorCode.FLOW_CONTROL_ERROR, "window above 2^31-1")

    # -- Ends ---------------------------------------------------------------------------------

    def abandon(self, stream_id: int) -> None:
        """Give back what an ended stream had reserved."""
        stalled = self.stalled.pop(stream_id, None)
        if stalled is not None:
            self.reserved -= len(stalled.unsent)

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """End a stream from our side."""
        self.abandon(stream_id)
        self.put(frames.reset(stream_id, code))
