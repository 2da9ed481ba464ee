"""What every request was and what became of it: the truth that deliveries are compared with."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

#: Distinct words held for sharing; beyond that each entry has its own.
MAX_SHARED_WORDS = 10_000
#: What a journal is told.
DELIVERED, RETRACTED = "delivered", "retracted"


# Not frozen: an entry is opened when the request is complete and settled when it is answered.
@dataclass(slots=True, kw_only=True)
class Entry:
    """One request, as it was read, and its fate."""

    #: Unix seconds.
    time: float
    gateway: str
    connection: int
    #: HTTP/2 stream id; on HTTP/1.1 the ordinal of the request on its connection.
    stream: int
    #: APNs: lower-case hex. FCM: the token, or `/topics/x`, or the condition. WNS: the channel URI.
    token: str
    #: APNs: `apns-id`. FCM: the name of the message. WNS: `X-WNS-Msg-ID`.
    message_id: str
    #: What makes two deliveries to one token the same message, see `Ledger`.
    identity: bytes
    topic: str = ""
    push_type: str = ""
    priority: str = ""
    expiration: str = ""
    collapse_id: str = ""
    #: Every header field, in its order, names in lower case; `authorization` without its token.
    fields: tuple[tuple[str, str], ...] = ()
    #: First hex digits of the SHA-256 of the bearer token, so that minting can be counted.
    credential: str = ""
    payload_bytes: int = 0
    payload_sha256: bytes = b""
    #: The first bytes only, see `Knobs.ledger_payload_bytes`.
    payload: bytes = b""
    #: Counts from 1 and is the cursor of the ledger's pages.
    seq: int = 0
    #: Which clearing of the ledger the entry came after.
    epoch: int = 0
    #: Name of the fault that the token or a script asked for.
    fault: str = ""
    #: 0 while nothing was answered.
    status: int = 0
    #: The gateway's own string; empty when accepted.
    reason: str = ""
    #: The gateway took the message, even if it never said so.
    delivered: bool = False
    #: An answer was written; a reset may still have destroyed it on its way.
    answered: bool = False
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Every public field, with the digest in hex and the payload as text."""
        return {name: getattr(self, name) for name in PUBLISHED} | {
            "fields": dict(self.fields),
            "payload_sha256": self.payload_sha256.hex(),
            "payload": self.payload.decode(errors="replace"),
        }


PUBLISHED = tuple(name for name in Entry.__slots__ if name not in {"identity", "epoch"})


@dataclass(slots=True, kw_only=True)
class TokenSummary:
    """All requests to one token, added up."""

    seq: int
    gateway: str
    token: str
    attempts: int = 0
    delivered: int = 0
    duplicates: int = 0
    #: How often a "first N, then ok" fault has struck this token.
    strikes: int = 0
    last_status: int = 0
    last_reason: str = ""
    entries: list[int] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The sums, without the list of entries."""
        return {name: getattr(self, name) for name in TokenSummary.__slots__ if name != "entries"}


@dataclass(slots=True, kw_only=True)
class Counts:
    """The sums of one gateway; they go on when entries are no longer kept."""

    requests: int = 0
    delivered: int = 0
    answered: int = 0
    tokens: int = 0
    duplicates: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """The sums; `unanswered` is what was read and got no answer (yet)."""
        return {
            "requests": self.requests,
            "delivered": self.delivered,
            "answered": self.answered,
            "unanswered": self.requests - self.answered,
            "tokens": self.tokens,
            "duplicates": self.duplicates,
            "verdicts": dict(self.verdicts),
            "faults": dict(self.faults),
            "warnings": dict(self.warnings),
        }


class Journal(Protocol):
    """Where deliveries are kept beyond this process, see `ledger_file`."""

    def note(self, entry: Entry, change: str) -> None:
        """Take down a delivery or a retraction."""

    def write(self) -> None:
        """Make what was noted durable."""


class Ledger:
    """Entries in the order of arrival, the sums by token, and the sums by gateway.

    A duplicate is a second delivery of the same message to the same token. APNs messages are the
    same when their `apns-id` is; FCM and WNS name messages themselves, so there it is the payload.

    Bounded: the first `entries` requests are kept in full, the first `tokens` tokens have a summary
    and the first `tokens` deliveries are watched for duplicates; after that `truncated` is true.
    """

    def __init__(self, *, entries: int, tokens: int) -> None:
        self._max_entries = entries
        self._max_tokens = tokens
        self._epoch = 0
        self._journal: Journal | None = None
        self.clear()

    def keep(self, journal: Journal, before: Mapping[tuple[str, str, bytes], int]) -> None:
        """Note deliveries in a journal too; `before` are those that it has from earlier runs."""
        self._journal = journal
        self._delivered.update(
            (hash(message), number)
            for message, number in before.items()
            if len(self._delivered) < self._max_tokens
        )

    def make_durable(self) -> None:
        """Call before an answer is written: the journal must know of it first."""
        if self._journal:
            self._journal.write()

    def clear(self) -> None:
        """Forget everything; what requests still in flight come to is forgotten too."""
        self._epoch += 1
        self.truncated = False
        self.counts: dict[str, Counts] = {}
        self._entries: list[Entry] = []
        self._summaries: dict[tuple[str, str], TokenSummary] = {}
        self._order: list[TokenSummary] = []
        self._delivered: dict[int, int] = {}
        # Broadcasts repeat payloads, topics and priorities; each is held once (fields: `as_text`).
        self._payloads: dict[bytes, bytes] = {}
        self._words: dict[str, str] = {}

    def open(self, entry: Entry) -> None:
        """Take down a request that was read to its end."""
        counts = self._counts(entry)
        entry.epoch = self._epoch
        counts.requests += 1
        if entry.warnings:
            counts.warnings.update(entry.warnings)
        summary = self._summary(entry)
        if summary is not None:
            summary.attempts += 1
        if len(self._entries) >= self._max_entries:
            self.truncated = True
            return
        entry.payload = self._payloads.setdefault(entry.payload_sha256, entry.payload)
        self._share_words(entry)
        self._entries.append(entry)
        entry.seq = len(self._entries)
        if summary is not None:
            summary.entries.append(entry.seq)

    def deliver(self, entry: Entry) -> None:
        """The gateway takes the message, whether or not it will say so."""
        if not entry.delivered:
            entry.delivered = True
            self._shift(entry, +1)
            self._note(entry, DELIVERED)

    def retract(self, entry: Entry) -> None:
        """The gateway disowns the message: a GOAWAY has told the sender that it was not taken."""
        if entry.delivered:
            entry.delivered = False
            self._shift(entry, -1)
            self._note(entry, RETRACTED)

    def strike(self, entry: Entry) -> int:
        """Count a "first N, then ok" fault of this token; returns the count including this one."""
        summary = self._summary(entry)
        if summary is None:
            return 0
        summary.strikes += 1
        return summary.strikes

    def fault(self, entry: Entry, name: str) -> None:
        """Note which fault was asked for."""
        entry.fault = name
        self._counts(entry).faults[name] += 1

    def warn(self, entry: Entry, warning: str) -> None:
        """Note what the real gateway would let pass and a reader wants to know."""
        entry.warnings = (*entry.warnings, warning)
        self._counts(entry).warnings[warning] += 1

    def settle(self, entry: Entry, *, status: int, reason: str) -> None:
        """An answer with this status and reason was written."""
        entry.status, entry.reason, entry.answered = status, reason, True
        if entry.epoch != self._epoch:
            return
        counts = self._counts(entry)
        counts.answered += 1
        counts.verdicts[f"{status} {reason}".rstrip()] += 1
        summary = self._summaries.get((entry.gateway, entry.token))
        if summary is not None:
            summary.last_status, summary.last_reason = status, reason

    def page(
        self, *, gateway: str | None, token: str | None, after: int, limit: int
    ) -> tuple[list[Entry], int | None]:
        """Up to `limit` entries with seq > `after`, and the cursor of the next page if any."""
        found: list[Entry] = []
        for entry in self._walk(gateway, token, after):
            if gateway in (None, entry.gateway):
                if len(found) == limit:
                    return found, found[-1].seq
                found.append(entry)
        return found, None

    def token_page(
        self, *, gateway: str | None, after: int, limit: int
    ) -> tuple[list[TokenSummary], int | None]:
        """Up to `limit` token summaries with seq > `after`, and the cursor of the next page."""
        found: list[TokenSummary] = []
        for position in range(after, len(self._order)):
            summary = self._order[position]
            if gateway in (None, summary.gateway):
                if len(found) == limit:
                    return found, found[-1].seq
                found.append(summary)
        return found, None

    def sums(self, gateway: str) -> Counts:
        """The sums of one gateway."""
        return self.counts.get(gateway) or Counts()

    def summary(self, gateway: str, token: str) -> TokenSummary | None:
        """The sums of one token."""
        return self._summaries.get((gateway, token))

    def _share_words(self, entry: Entry) -> None:
        if len(self._words) < MAX_SHARED_WORDS:
            share = self._words.setdefault
            entry.topic = share(entry.topic, entry.topic)
            entry.push_type = share(entry.push_type, entry.push_type)
            entry.priority = share(entry.priority, entry.priority)
            entry.expiration = share(entry.expiration, entry.expiration)
            entry.credential = share(entry.credential, entry.credential)

    def _walk(self, gateway: str | None, token: str | None, after: int) -> Iterator[Entry]:
        if token is None:
            for position in range(after, len(self._entries)):
                yield self._entries[position]
            return
        names = [gateway] if gateway else list(self.counts)
        found = [self._summaries.get((name, token)) for name in names]
        seqs = (seq for summary in found if summary for seq in summary.entries)
        for seq in sorted(seq for seq in seqs if seq > after):
            yield self._entries[seq - 1]

    def _summary(self, entry: Entry) -> TokenSummary | None:
        key = (entry.gateway, entry.token)
        summary = self._summaries.get(key)
        if summary is None:
            if len(self._order) >= self._max_tokens:
                self.truncated = True
                return None
            summary = TokenSummary(
                seq=len(self._order) + 1, gateway=entry.gateway, token=entry.token
            )
            self._summaries[key] = summary
            self._order.append(summary)
            self._counts(entry).tokens += 1
        return summary

    def _shift(self, entry: Entry, by: int) -> None:
        """Add (or take back) one delivery in the sums."""
        if entry.epoch != self._epoch:
            return
        counts, summary = self._counts(entry), self._summaries.get((entry.gateway, entry.token))
        # 64 bits of hash stand for the message: 16 bytes a delivery instead of 200.
        key = hash((entry.gateway, entry.token, entry.identity))
        before = self._delivered.get(key, 0)
        if before or len(self._delivered) < self._max_tokens:
            self._delivered[key] = before + by
        else:
            self.truncated = True
        again = by if max(before, before + by) > 1 else 0
        counts.delivered += by
        counts.duplicates += again
        if summary is not None:
            summary.delivered += by
            summary.duplicates += again

    def _note(self, entry: Entry, change: str) -> None:
        if self._journal:
            self._journal.note(entry, change)

    def _counts(self, entry: Entry) -> Counts:
        return self.counts.get(entry.gateway) or self.counts.setdefault(entry.gateway, Counts())
