"""One request on an HTTP/2 stream."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from h2.connection import H2Connection

from pushsvc.simulators.exchange import Answer, Exchange

if TYPE_CHECKING:
    from pushsvc.simulators.http2 import Connection

HIGHEST_STREAM_ID = 2**31 - 1


class H2Exchange(Exchange):
    """A request on an HTTP/2 stream; `complete` once END_STREAM was read."""

    __slots__ = ("complete", "connection")

    complete: bool
    connection: "Connection"

    def answer(self, answer: Answer) -> None:
        """HEADERS, and DATA if there is a body."""
        if self.connection.answer_head(self.stream_id, answer, end=not answer.body):
            self.settle(answer)
            if answer.body:
                self.connection.answer_rest(self.stream_id, [answer.body])

    def answer_in_pieces(self, answer: Answer, pieces: list[bytes], *, pause: float = 0.0) -> None:
        """HEADERS now; DATA frames as cut, after the pause."""
        if not self.connection.answer_head(self.stream_id, answer):
            return
        self.settle(answer)
        if pause:
            self.after(pause, lambda: self.connection.answer_rest(self.stream_id, pieces))
        else:
            self.connection.answer_rest(self.stream_id, pieces)

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call later, unless the connection is gone by then."""
        self.connection.after(seconds, call)

    def hang_up(self) -> None:
        """Close in good order."""
        self.connection.hang_up()

    def reset_tcp(self) -> None:
        """TCP RST."""
        self.connection.reset_tcp()

    def go_dark(self) -> None:
        """Stop reading and writing."""
        self.connection.go_dark()

    def reset(self, code: int) -> None:
        """RST_STREAM."""
        self.connection.reset(self.stream_id, code)

    def answer_half(self, answer: Answer, code: int) -> None:
        """HEADERS without END_STREAM, RST_STREAM."""
        self.connection.answer_head(self.stream_id, answer)
        self.connection.reset(self.stream_id, code)

    def answer_then_reset(self, answer: Answer, code: int) -> None:
        """The whole answer, RST_STREAM."""
        self.answer(answer)
        self.connection.reset(self.stream_id, code)

    def goaway(self, last: int, *, code: int = 0, debug: bytes = b"") -> None:
        """GOAWAY."""
        self.connection.goaway(max(last, 0), code=code, debug=debug)

    def announce_goaway(self, code: int = 0) -> None:
        """GOAWAY with the highest id."""
        self.connection.goaway(HIGHEST_STREAM_ID, code=code)

    def highest_taken(self) -> int:
        """The highest stream the sender has opened."""
        return self.connection.highest_seen

    def grant_streams(self) -> None:
        """SETTINGS with the limit of authorised senders."""
        self.connection.raise_limit()

    def compose(
        self,
        answer: Answer,
        write: Callable[[H2Connection], None],
        shape: Callable[[bytes], bytes] = bytes,
    ) -> None:
        """The answer in frames that `write` makes with h2; `shape` changes their octets."""
        if self.connection.compose(self.stream_id, write, shape):
            self.settle(answer)
