"""Our ledger against the simulators': what we say of a device is what its gateway saw. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pushsvc.cli.demo.fleet import extra_sends
from pushsvc.model import OUTCOME_OF, Outcome, OutcomeClass
from pushsvc.storage.ledger import Line

#: Mismatches that are told; there may be as many as devices.
SHOWN: Final = 10
OK_STATUS: Final = 200
#: Ends that no gateway ever hears of.
NEVER_SENT: Final = frozenset({Outcome.DEDUPLICATED, Outcome.EXPIRED, Outcome.CANCELLED})


@dataclass(frozen=True, slots=True)
class Seen:
    """What a gateway saw of one token."""

    attempts: int
    #: how often it took the message
    delivered: int
    #: of its last answer; 0 when it never answered
    status: int
    #: its own word; empty when it accepted
    reason: str

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Seen":
        """Take over an entry of the simulators' ledger by token."""
        return cls(
            entry["attempts"], entry["delivered"], entry["last_status"], entry["last_reason"]
        )


@dataclass(slots=True, kw_only=True)
class Comparison:
    """Compares line after line; `mismatches` are the first of `mismatched`."""

    #: token -> what its gateway saw
    theirs: Mapping[str, Seen]
    mismatches: list[str] = field(default_factory=list)
    mismatched: int = 0
    #: (device type, outcome) -> devices, as our ledger has it
    counted: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    #: (device type, reason) -> devices that were not sent to
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    _ours: set[str] = field(default_factory=set)

    def take(self, lines: Iterable[Line]) -> None:
        """Compare some devices of our ledger."""
        for line in lines:
            if line.token in self._ours:
                self._note(line.token, "has two ends in our ledger")
            self._ours.add(line.token)
            outcome = OUTCOME_OF.get(line.outcome)
            if outcome is not None:
                self.counted[line.device_type, outcome] += 1
            if line.outcome is not OutcomeClass.OK:
                self.reasons[line.device_type, line.reason] += 1
            wrong = difference(line, self.theirs.get(line.token))
            if wrong:
                self._note(line.token, wrong)

    def finish(self, push: Mapping[str, Any], *, wished: int) -> bool:
        """Compare what is left: tokens we know nothing of, and what the API told.

        Two ledgers of nothing agree, too: the push must have been for all, and have reached some.

        Args:
            push: as GET /v1/pushes/{id} has it.
            wished: the devices that the push was for.

        Returns:
            Whether everything matches.
        """
        for token in self.theirs.keys() - self._ours:
            self._note(token, "was sent to, and is not in our ledger")
        told = {
            (device_type, Outcome(word)): n
            for device_type, words in push["by_device_type"].items()
            for word, n in words.items()
            if n
        }
        if told != dict(self.counted):
            self._note("counts", f"the API counts {told}, the ledger {dict(self.counted)}")
        if push["devices"] != wished:
            self._note("devices", f"the push was for {wished}, and the API tells {push['devices']}")
        if len(self._ours) != wished:
            self._note("devices", f"the push was for {wished}, the ledger has {len(self._ours)}")
        if not any(n for (_, outcome), n in told.items() if outcome is Outcome.SENT):
            self._note("counts", "no device was sent to")
        return self.mismatched == 0

    def _note(self, token: str, wrong: str) -> None:
        self.mismatched += 1
        if len(self.mismatches) < SHOWN:
            self.mismatches.append(f"{token}: {wrong}")


def difference(line: Line, seen: Seen | None) -> str | None:
    """Return what we say of a device that its gateway did not see; None when they agree."""
    outcome = OUTCOME_OF.get(line.outcome)
    if outcome is None:
        return "has no outcome"
    if outcome in NEVER_SENT:
        return f"is {outcome}, and its gateway saw {seen}" if seen else None
    if seen is None:
        # Of what is only looked at, FCM alone is asked.
        unasked = outcome is Outcome.VALIDATED
        return None if unasked else f"is {outcome} ({line.reason}), and its gateway saw nothing"
    attempts = line.attempt + extra_sends(line.token)
    if seen.attempts != attempts:
        return f"took {attempts} requests by our ledger, and its gateway saw {seen}"
    if not _AGREES[outcome](line, seen):
        return f"is {outcome} ({line.reason}), and its gateway saw {seen}"
    return None


def _sent(line: Line, seen: Seen) -> bool:
    accepted = seen.status == OK_STATUS and not seen.reason
    return line.outcome is OutcomeClass.OK and accepted and seen.delivered == 1


def _failed(line: Line, seen: Seen) -> bool:
    # Where the gateway's word alone is too coarse, ours is the word and what it is about.
    same = line.reason == seen.reason or line.reason.startswith(f"{seen.reason} ")
    return bool(seen.reason) and same and seen.delivered == 0


def _unknown(_line: Line, seen: Seen) -> bool:
    return seen.status == 0


def _validated(_line: Line, seen: Seen) -> bool:
    return seen.status == OK_STATUS and seen.delivered == 0


_AGREES: Final = {
    Outcome.SENT: _sent,
    Outcome.FAILED: _failed,
    Outcome.UNKNOWN: _unknown,
    Outcome.VALIDATED: _validated,
}
