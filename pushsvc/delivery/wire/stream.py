"""One request under way."""

from typing import Protocol

from pushsvc.delivery.wire.events import Answered, Verdict
from pushsvc.delivery.wire.flow import ReceiveWindow
from pushsvc.delivery.wire.response import Head


class Owner(Protocol):
    """Who is told the verdicts of its requests."""

    def settle(self, key: int, verdict: Verdict) -> None:
        """Take the one verdict of request `key`."""


class Stream:
    """What a connection remembers of one open stream.

    A closed stream is not remembered at all: its id is below the next one, which is how late
    frames are told from illegal ones.
    """

    __slots__ = (
        "body",
        "deadline",
        "head",
        "key",
        "owner",
        "receiving",
        "unsent",
        "window",
    )

    def __init__(self, key: int, owner: Owner, deadline: float) -> None:
        self.key = key
        self.owner = owner
        #: On the shell's clock.
        self.deadline = deadline
        #: The final head, once there is one; what follows is body and trailers.
        self.head: Head | None = None
        self.body: bytes | bytearray = b""
        #: Body octets not yet written. Empty means END_STREAM has been written.
        self.unsent = b""
        #: How much of `unsent` the stream's own window allows; meaningless when that is empty.
        self.window = 0
        #: Made with the first DATA that does not end the stream.
        self.receiving: ReceiveWindow | None = None

    @property
    def length(self) -> int | None:
        """What the response says its body measures."""
        return self.head.length if self.head else None

    def add(self, payload: bytes) -> None:
        """Add to the response body; the usual one comes in one piece and is not copied."""
        if not self.body:
            self.body = payload
        elif isinstance(self.body, bytes):
            self.body = bytearray(self.body + payload)
        else:
            self.body += payload

    def answered(self, max_body_bytes: int) -> Answered:
        """The answer, once the head is in."""
        assert self.head is not None
        assert self.head.answered is not None
        answered = self.head.answered
        if not self.body:
            return answered
        body = bytes(self.body[:max_body_bytes])
        return Answered(answered.status, answered.headers, body)


#: A stream that is over, and its verdict.
Settled = tuple[Stream, Verdict]
