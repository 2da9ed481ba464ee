"""The requests under way on a connection: whose they are, what has come back, how they end."""

from collections.abc import Iterable
from typing import Final, Protocol

from pushsvc.delivery.wire.errors import ErrorCode
from pushsvc.delivery.wire.events import Answered, NotProcessed, Unknown, Verdict
from pushsvc.delivery.wire.flow import ReceiveWindow
from pushsvc.delivery.wire.outbound import Outbound
from pushsvc.delivery.wire.stats import Counts

#: Servers punish clients that reset much. Each reset costs ten, each answer pays one back, and
#: a connection that owes more than this (100 resets beyond one in ten) should be replaced.
_RESET_COST: Final = 10
_MAX_RESET_DEBT: Final = 1_000

FIRST_ERROR_STATUS: Final = 400


class Owner(Protocol):
    """Who is told the verdicts of its requests."""

    def settle(self, settled: Iterable["Settled"]) -> None:
        """Take the one verdict of each of these requests, all of which are its own."""


#: Who sent it, and the owner's key. This is all that is kept of an open stream until its answer
#: begins. A closed one is not remembered at all: its id is below the next one, which is how late
#: frames are told from illegal ones.
Sent = tuple[Owner, int]

#: A stream that is over: its owner, the owner's key, its one verdict.
Settled = tuple[Owner, int, Verdict]


class Response:
    """A response whose final head is in, and whose end is not."""

    __slots__ = ("body", "head", "window")

    def __init__(self, head: Answered) -> None:
        #: The answer, were there no body.
        self.head = head
        self.body: bytes | bytearray = b""
        #: Made with the first DATA that does not end the stream.
        self.window: ReceiveWindow | None = None

    def add(self, payload: bytes) -> None:
        """Add to the body; the usual one comes in one piece and is not copied."""
        if not self.body:
            self.body = payload
        elif isinstance(self.body, bytes):
            self.body = bytearray(self.body + payload)
        else:
            self.body += payload

    @property
    def is_as_long_as_stated(self) -> bool:
        """Whether content-length, where there is one, tells the octets of the body (8.1.1).

        A head for which no body came may state the length of what it stands for (304).
        """
        stated = self.head.header(b"content-length")
        return stated is None or not self.body or int(stated) == len(self.body)

    def answered(self, max_body_bytes: int) -> Answered:
        """The answer, as far as its body has come."""
        status, headers, _ = self.head
        return Answered(status, headers, bytes(self.body[:max_body_bytes]))


class Requests:
    """Every request in `open` leaves it once: with one verdict, or forgotten by its owner."""

    def __init__(self, outbound: Outbound) -> None:
        #: By stream id, in the order of the ids.
        self.open: dict[int, Sent] = {}
        self.responses: dict[int, Response] = {}
        self.counts = Counts()
        self._out = outbound
        #: What has ended since last asked.
        self.settled: list[Settled] = []
        self._reset_debt = 0

    def take_settled(self) -> list[Settled]:
        """What has ended since last asked."""
        settled, self.settled = self.settled, []
        return settled

    @property
    def reset_too_much(self) -> bool:
        """Whether a server may take offence."""
        return self._reset_debt > _MAX_RESET_DEBT

    def answer(self, stream_id: int, answered: Answered) -> None:
        """An answer before we have sent all is an answer; the rest is not sent (8.1)."""
        owner, key = self.open.pop(stream_id)
        self.settled.append((owner, key, answered))
        counts = self.counts
        counts.answered += 1
        if answered[0] >= FIRST_ERROR_STATUS:
            counts.errors += 1
        if self._reset_debt:
            self._reset_debt -= 1
        if stream_id in self._out.stalled:
            self.reset(stream_id, ErrorCode.NO_ERROR)

    def count_answers(self, answers: int) -> None:
        """So many were answered, none of them with an error."""
        self.counts.answered += answers
        self._reset_debt = max(0, self._reset_debt - answers)

    def give_up(self, stream_id: int, why: str) -> None:
        """The stream ends without an answer.

        Nobody acts on a request without END_STREAM; but a peer that has begun to answer one may.
        """
        in_part = stream_id in self._out.stalled and stream_id not in self.responses
        self.fail(stream_id, NotProcessed(f"{why}, not sent in full") if in_part else Unknown(why))

    def disown(self, stream_id: int, why: str) -> None:
        """The peer says that it did not act on the request (RFC 9113 sections 6.8 and 8.7).

        One that has begun to answer contradicts itself, and is not believed.
        """
        begun = stream_id in self.responses
        self.fail(stream_id, Unknown(why) if begun else NotProcessed(why))

    def fail(self, stream_id: int, verdict: NotProcessed | Unknown) -> None:
        """The stream ends with this verdict."""
        owner, key = self.forget(stream_id)
        self.settled.append((owner, key, verdict))
        if isinstance(verdict, NotProcessed):
            self.counts.not_processed += 1
        else:
            self.counts.unknown += 1

    def forget(self, stream_id: int) -> Sent:
        """The stream ends, and nobody is told."""
        self.responses.pop(stream_id, None)
        self._out.abandon(stream_id)
        return self.open.pop(stream_id)

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """Tell the peer that we want no more of a stream."""
        self.counts.resets_sent += 1
        self._reset_debt += _RESET_COST
        self._out.reset(stream_id, code)
