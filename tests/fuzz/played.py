"""A connection core in a fuzzed conversation, and the laws that hold whatever is said to it."""

from collections.abc import Callable, Iterable
from math import inf

from pushsvc.delivery.wire.connection import Connection
from pushsvc.delivery.wire.deadlines import SLOT_SECONDS
from pushsvc.delivery.wire.events import Answered, NotProcessed, Verdict
from pushsvc.delivery.wire.frames import (
    DATA,
    END_STREAM,
    HEADER,
    HEADER_BYTES,
    HEADERS,
    MAX_FRAME_BYTES,
    MAX_STREAM_ID,
    PREFACE,
)
from pushsvc.delivery.wire.headers import Template
from pushsvc.delivery.wire.hpack import FIELD_OVERHEAD
from pushsvc.delivery.wire.limits import Limits
from pushsvc.delivery.wire.requests import Settled
from tests.fuzz.bounds import check_connection
from tests.fuzz.script import CANCEL, EXPIRE, FLOOD, OPEN, SETTINGS, SLOW_SETTING, TAKE, TICK

#: Usual limits; ones so narrow that few octets reach them; and a connection that waits.
LIMITS = (
    Limits(),
    Limits(max_streams=3, max_body_bytes=40, max_header_list_bytes=150, connection_window_bytes=0),
    Limits(await_settings=True, max_streams=2, max_header_list_bytes=0),
)
TEMPLATE = Template(
    [(b"apns-topic", b"com.example.app"), (b"apns-push-type", b"alert")],
    varying=(b"apns-id",),
    literal=[(b"authorization", b"bearer secret")],
)

#: A flood is one read of so much: more empty frames than a connection will bear.
_FLOOD_BYTES = 11 * 1024

#: What we may write, DATA apart: our SETTINGS and window, a request's HEADERS, its RST_STREAM,
#: a GOAWAY with its reason; and for each octet that we hear.
_GREETING_BYTES = 60
_HEADERS_BYTES = 250
_RESET_BYTES = HEADER_BYTES + 4
_GOODBYE_BYTES = 150
_HEARD_FACTOR = 3
#: What one frame can make us say: it may have been heard in part when we last wrote.
_ANSWER_BYTES = 40


class Owner:
    """Who is told verdicts: one for each request."""

    def __init__(self) -> None:
        self.verdicts: dict[int, Verdict] = {}

    def settle(self, settled: Iterable[Settled]) -> None:
        """A request has no second verdict."""
        for owner, key, verdict in settled:
            assert owner is self
            assert key not in self.verdicts
            self.verdicts[key] = verdict


class Played:
    """The core with two owners whose requests have even and odd keys."""

    def __init__(self, setting: int) -> None:
        self.limits = LIMITS[setting % len(LIMITS)]
        self.core = Connection(b"push.example", self.limits)
        self.owners = (Owner(), Owner())
        self.now = 0.0
        self.floods = setting % SETTINGS == SLOW_SETTING
        self.opened = 0
        self.cancelled = 0
        self.deadlines: dict[int, float] = {}
        #: Streams whose end we have written.
        self.ended: set[int] = set()
        #: So many octets may wait to be written, DATA apart; and of DATA.
        self.due = _GREETING_BYTES
        self.bodies = 0
        self.preface = PREFACE

    # -- Steps --------------------------------------------------------------------------------

    def hear(self, octets: bytes) -> None:
        """The peer says something."""
        self.due += _HEARD_FACTOR * len(octets)
        over = self.core.closed
        settled = self.core.receive(octets)
        assert not (over and settled)
        self.tell(settled)

    def flood(self, octets: bytes) -> None:
        """The peer says it again and again; but once, since that is slow."""
        self.hear(octets * (_FLOOD_BYTES // max(len(octets), 1)) if self.floods else octets)
        self.floods = False

    def open(self, argument: bytes) -> None:
        """A request whose body has as many octets as the first two of the argument say."""
        if self.core.room() <= 0:
            return
        body = bytes(int.from_bytes(argument[:2], "big"))
        key = self.opened
        call = (key, TEMPLATE, b"/3/device/%d" % key, (b"%d" % key,), body)
        first_id = self.core.next_id
        if self.core.open(call, self.owners[key % 2]):
            self.deadlines[first_id] = self.now + len(argument)
            self.core.set_deadline(first_id, self.deadlines[first_id])
            self.opened += 1
            self.due += _HEADERS_BYTES
            self.bodies += len(body)

    def take(self, _argument: bytes = b"") -> None:
        """Write what there is: no more than the peer has given cause for."""
        octets = self.core.take()
        if octets:
            assert octets.startswith(self.preface)
            self.due -= self.spent(octets[len(self.preface) :])
            self.preface = b""
        assert self.due >= (-_GOODBYE_BYTES if self.core.closed else 0)
        assert self.bodies >= 0
        self.due = min(self.due, _ANSWER_BYTES)

    def spent(self, octets: bytes) -> int:
        """The octets of whole frames that any peer must take, DATA apart."""
        at = spent = 0
        while at < len(octets):
            high, low, kind, flags, stream_id = HEADER.unpack_from(octets, at)
            assert not high
            assert low <= MAX_FRAME_BYTES
            at += HEADER_BYTES + low
            if kind == DATA:
                self.bodies -= low
            else:
                spent += HEADER_BYTES + low
            if kind in {DATA, HEADERS} and flags & END_STREAM:
                assert stream_id not in self.ended
                self.ended.add(stream_id)
        assert at == len(octets)
        return spent

    def expire(self, argument: bytes) -> None:
        """Time passes, and with it deadlines: not one early, none much later."""
        self.now += len(argument)
        before = list(self.core.streams)
        settled = self.core.expire(self.now)
        self.due += _RESET_BYTES * len(settled)
        self.tell(settled)
        for stream_id in before:
            late = self.now - self.deadlines[stream_id]
            assert late < 2 * SLOT_SECONDS if stream_id in self.core.streams else late >= 0

    def cancel(self, argument: bytes) -> None:
        """One owner wants no verdicts any more."""
        cancelled = self.core.cancel(self.owners[len(argument) % 2])
        self.due += _RESET_BYTES * cancelled
        self.cancelled += cancelled

    def tick(self, _argument: bytes) -> None:
        """Floods are counted anew; we ask for a sign of life."""
        self.core.tick()
        if self.core.closed is None:
            self.due += HEADER_BYTES + 8
            self.core.ping()

    # -- Laws ---------------------------------------------------------------------------------

    def tell(self, settled: Iterable[Settled]) -> None:
        """Tell verdicts, as the shell does."""
        for owner, key, verdict in settled:
            owner.settle([(owner, key, verdict)])
            if isinstance(verdict, Answered):
                self.check_answer(verdict)

    def check_answer(self, answer: Answered) -> None:
        """An answer has a final status, and is cut to the limits."""
        assert 200 <= answer.status <= 999
        assert len(answer.body) <= self.limits.max_body_bytes
        measure = sum(len(n) + len(v) + FIELD_OVERHEAD for n, v in answer.headers)
        assert measure <= self.limits.max_header_list_bytes

    def check(self) -> None:
        """After each step: every request is open, told or cancelled; every buffer has its bound."""
        told = sum(len(owner.verdicts) for owner in self.owners)
        assert len(self.core.streams) == self.opened - told - self.cancelled
        assert not (self.core.closed and self.core.streams)
        assert not any(stream_id > self.last_id() for stream_id in self.core.streams)
        check_connection(self.core, self.limits.max_body_bytes + MAX_FRAME_BYTES)

    def last_id(self) -> int:
        """The last stream that the peer may act on, as far as it has said."""
        return self.core.goaway.last_id if self.core.goaway else MAX_STREAM_ID

    def end(self, how: int) -> None:
        """All deadlines pass, the connection is lost, or we leave: no request lacks its verdict."""
        self.due += _RESET_BYTES * len(self.core.streams)
        core = self.core
        ends = (lambda: core.expire(inf), lambda: core.lose("EOF"), core.leave)
        self.tell(ends[how % len(ends)]())
        self.check()
        assert not core.streams
        self.take()
        for owner in self.owners:
            for key, verdict in owner.verdicts.items():
                stream_id = 2 * key + 1
                sent, beyond = stream_id in self.ended, stream_id > self.last_id()
                assert may_be_said(verdict, sent=sent, beyond=beyond)


def may_be_said(verdict: Verdict, *, sent: bool, beyond: bool) -> bool:
    """Safe to send again is what was not written in full, or by the peer's own word.

    That is a reset, or a GOAWAY where the stream is beyond its last one.
    """
    if not isinstance(verdict, NotProcessed):
        return True
    if verdict.why.startswith("GOAWAY"):
        return beyond
    return not sent or verdict.why == "reset: REFUSED_STREAM"


OPERATIONS: dict[int, Callable[[Played, bytes], None]] = {
    OPEN: Played.open,
    TAKE: Played.take,
    EXPIRE: Played.expire,
    CANCEL: Played.cancel,
    TICK: Played.tick,
    FLOOD: Played.flood,
}
