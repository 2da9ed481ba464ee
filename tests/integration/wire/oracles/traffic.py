"""Mixed requests whose answers are known in advance, and the ledger of the verdicts they got."""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pushsvc.delivery.wire import Answered, Call, Limits, NotProcessed, Pool, Template, Verdict

#: More than the largest push payload of APNs, so that some bodies outgrow small windows.
MOST_BODY_BYTES = 5_120
#: More than one frame, and with a content in which every misplaced octet shows.
LARGE = b"0123456789" * 2_000
#: More than the wire keeps of a body, and more than a stream's window.
HUGE = b"0123456789" * 10_000
KEPT_BYTES = Limits().max_body_bytes

SENDERS = 4
SECONDS = 300.0
#: A request that a retiring connection did not process may meet the next one's end, and so on.
MOST_ROUNDS = 100
#: A run in which so much is wrong need not go on.
MOST_WRONG = 10

Field = tuple[bytes, bytes]
#: From a request's body to that of its answer.
Body = Callable[[bytes], bytes]

_NOISE = random.Random(7540).randbytes(2 * MOST_BODY_BYTES)


def says(body: bytes) -> Body:
    """The same body for everybody."""
    return lambda _: body


def counts(sent: bytes) -> bytes:
    """The number of octets that the server has read."""
    return b"%d" % len(sent)


def echoes(sent: bytes) -> bytes:
    """What was sent."""
    return sent


NOTHING = says(b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of request, and what must come back."""

    path: bytes
    method: bytes = b"POST"
    #: Sent besides the usual ones.
    fields: tuple[Field, ...] = ()
    status: int = 200
    #: None: a page of the server's own, as long as its content-length says.
    body: Body | None
    #: Must come back, whatever else does.
    headers: tuple[Field, ...] = ()
    #: The answer carries the request's own apns-id.
    own_id: bool = True
    #: The verdict instead of an answer.
    verdict: Verdict | None = None
    #: How many of the requests are of this kind, in proportion to the others.
    weight: int = 40

    @property
    def is_cut(self) -> bool:
        """The body is more than the wire keeps: it resets the stream, and calls it answered."""
        return self.body is not None and len(self.body(b"")) > KEPT_BYTES


def apns_id(key: int) -> bytes:
    """Different for each request, and as long as real ones."""
    return b"%08x-7540-4000-8000-%012x" % (key, key * 40_503)


class Traffic:
    """So many requests of all kinds; what belongs to a key is the same whenever it is asked."""

    def __init__(self, kinds: Sequence[Kind], requests: int) -> None:
        self.requests = requests
        self._kinds = [kind for kind in kinds for _ in range(kind.weight)]
        self._templates = {kind: _template(kind) for kind in kinds}

    def kind(self, key: int) -> Kind:
        """The kinds alternate without a pattern that a sender could share."""
        return self._kinds[(key * 2_654_435_761 >> 9) % len(self._kinds)]

    def body(self, key: int) -> bytes:
        """0 to 5 KiB; one in eight is empty."""
        if self.kind(key).method != b"POST" or key % 8 == 0:
            return b""
        start = key * 31 % MOST_BODY_BYTES
        return _NOISE[start : start + key * 7_919 % (MOST_BODY_BYTES + 1)]

    def calls(self, keys: Sequence[int]) -> Iterator[Call]:
        """The requests of these keys."""
        for key in keys:
            kind = self.kind(key)
            path = b"%b?%08x" % (kind.path, key)
            yield key, self._templates[kind], path, (apns_id(key),), self.body(key)


def _template(kind: Kind) -> Template:
    return Template(
        [(b"apns-topic", b"com.example.app"), (b"apns-push-type", b"alert"), *kind.fields],
        varying=(b"apns-id",),
        literal=[(b"authorization", b"bearer secret")],
        method=kind.method,
    )


class Ledger:
    """Takes verdicts, and keeps what is not exactly as expected."""

    def __init__(self, traffic: Traffic, *, resend: bool) -> None:
        self._traffic = traffic
        self._resend = resend
        self._over = bytearray(traffic.requests)
        self.again: list[int] = []
        self.wrong: list[str] = []
        #: Answers that were longer than what the wire keeps.
        self.cuts = 0
        #: Requests that the server was to reset.
        self.resets = 0

    def __call__(self, key: int, verdict: Verdict) -> None:
        """Take one verdict; a request may be sent again only if it was not processed."""
        kind = self._traffic.kind(key)
        if self._resend and type(verdict) is NotProcessed and verdict != kind.verdict:
            self.again.append(key)
            return
        self._over[key] += 1
        self.cuts += kind.is_cut
        self.resets += kind.verdict is not None
        if problem := self._problem(kind, key, verdict):
            self.wrong.append(f"{kind.method!r} {kind.path!r} {key}: {problem}")
            assert len(self.wrong) < MOST_WRONG, self.wrong

    def take_again(self) -> list[int]:
        """The keys to send again."""
        keys, self.again = self.again, []
        return keys

    @property
    def complete(self) -> bool:
        """Whether every request has one final verdict."""
        return self._over == b"\1" * self._traffic.requests

    def _problem(self, kind: Kind, key: int, verdict: Verdict) -> str | None:
        if not isinstance(verdict, Answered) or kind.verdict is not None:
            return None if verdict == kind.verdict else f"{verdict}"[:200]
        if verdict.status != kind.status:
            return f"status {verdict.status}"
        if kind.own_id and verdict.header(b"apns-id") != apns_id(key):
            return f"the id of another: {verdict.headers}"
        if any(verdict.header(name) != value for name, value in kind.headers):
            return f"headers {verdict.headers}"
        return _body_problem(kind, verdict, self._traffic.body(key))


def _body_problem(kind: Kind, answer: Answered, sent: bytes) -> str | None:
    length = answer.header(b"content-length")
    if kind.body is None:
        expected = int(length or 0)
        return None if len(answer.body) == expected else f"{len(answer.body)} of {expected} octets"
    body = kind.body(sent)
    if answer.body != body[:KEPT_BYTES]:
        return f"a body of {len(answer.body)} octets: {answer.body[:60]!r}"
    if length not in {None, b"%d" % len(body)} and kind.method != b"HEAD" and kind.status != 304:
        return f"content-length {length!r} for {len(body)} octets"
    return None


async def carry(pool: Pool, traffic: Traffic, ledger: Ledger) -> None:
    """Send everything through the pool from several senders, what was not processed again."""
    keys: Sequence[int] = range(traffic.requests)
    for _ in range(MOST_ROUNDS):
        async with asyncio.TaskGroup() as group:
            for start in range(SENDERS):
                calls = traffic.calls(keys[start::SENDERS])
                group.create_task(pool.send_many(calls, ledger, timeout_seconds=SECONDS))
        keys = ledger.take_again()
        if not keys:
            return
    message = f"{len(keys)} requests were not processed in {MOST_ROUNDS} rounds"
    raise AssertionError(message)
