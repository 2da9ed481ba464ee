"""What a gateway's answers say of its credential: that it works, is throttled, or is in trouble.

Trouble of the whole credential opens its circuit, for all workers (`pacing`): nobody asks until a
pause is over, and then one worker alone tries a few messages. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pushsvc.model import Answer, OutcomeClass


class Trouble(StrEnum):
    """Why a circuit is open."""

    #: no connection, or nothing on it was processed
    UNREACHED = "unreached"
    #: it answers that it cannot
    FAILING = "failing"
    #: it takes messages, and says nothing
    SILENT = "silent"
    #: it does not accept who we are
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """How long nobody asks, and how much is tried after that."""

    #: the first pause; each one is twice as long as the one before
    first_seconds: float
    most_seconds: float
    probe_messages: int


#: A probe of a gateway that says nothing may be delivered all the same, and one that is refused has
#: failed for good: of these there are few.
CIRCUITS: Final[Mapping[Trouble, Circuit]] = {
    Trouble.UNREACHED: Circuit(first_seconds=1, most_seconds=60, probe_messages=20),
    Trouble.FAILING: Circuit(first_seconds=1, most_seconds=60, probe_messages=20),
    Trouble.SILENT: Circuit(first_seconds=1, most_seconds=60, probe_messages=3),
    Trouble.REFUSED: Circuit(first_seconds=30, most_seconds=600, probe_messages=1),
}

#: So many messages without one answer between them that shows life: a few tokens that a gateway
#: stumbles over do not stop a credential.
FAILURES_IN_A_ROW: Final = 20
#: Nor do they while others of the same process get answers.
LIFE_SECONDS: Final = 1.0
#: Nothing was settled for so long, while at least as many wait: the gateway hangs. Its deadlines
#: take four times as long.
STALL_SECONDS: Final = 5.0
STALLED: Final = f"nothing settled for {STALL_SECONDS:.0f} s"
#: A share of 5xx beside good answers from which on the gateway is overloaded.
BUSY_SHARE: Final = 0.1

#: We say these ourselves, too, of tokens and messages that no gateway needs to see: beside trouble
#: they are no sign of life.
_OURS_TOO: Final = frozenset({OutcomeClass.TOKEN_SUSPECT, OutcomeClass.REQUEST_BAD})

_TROUBLES: Final[Mapping[OutcomeClass, Trouble]] = {
    OutcomeClass.RETRY_SAFE: Trouble.UNREACHED,
    OutcomeClass.RETRY_BACKOFF: Trouble.FAILING,
    OutcomeClass.UNKNOWN: Trouble.SILENT,
    OutcomeClass.CREDENTIAL: Trouble.REFUSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came of some messages that one credential was used for."""

    #: answers that only a working gateway gives
    alive: int = 0
    #: the others, by far most of which are of this kind and reason
    failures: int = 0
    trouble: Trouble | None = None
    reason: str = ""
    #: it asks us to send less: its word, and how long nobody is to send anything
    slower: str | None = None
    pause_seconds: float = 0.0


def heard(answers: Iterable[Answer], *, accepted: int, narrow: AbstractSet[str]) -> Heard:
    """Sum up what came of some messages.

    Args:
        answers: all but a plain yes.
        accepted: how many yeses there were.
        narrow: refusals of the credential that are of one topic or platform alone.
    """
    alive, ours = accepted, 0
    failed: Counter[tuple[Trouble, str]] = Counter()
    slow: list[Answer] = []
    busy: list[Answer] = []
    for answer in answers:
        trouble = _TROUBLES.get(answer.outcome)
        if answer.outcome in _OURS_TOO:
            ours += 1
        elif trouble is None or (trouble is Trouble.REFUSED and _word(answer) in narrow):
            alive += 1
        else:
            failed[trouble, answer.reason] += 1
        if answer.outcome is OutcomeClass.THROTTLED_SENDER:
            slow.append(answer)
        elif trouble is Trouble.FAILING:
            busy.append(answer)
    failures = failed.total()
    if alive or not failures:
        alive += ours
    share = BUSY_SHARE * (alive + failures)
    if alive and len(busy) >= max(FAILURES_IN_A_ROW, share):
        slow += busy
    kind, reason = max(failed, key=failed.__getitem__) if failed else (None, "")
    return Heard(
        alive=alive,
        failures=failures,
        trouble=kind,
        reason=reason,
        slower=slow[0].reason if slow else None,
        pause_seconds=_pause(slow) if len(slow) >= min(FAILURES_IN_A_ROW, share) else 0.0,
    )


def _pause(slow: Iterable[Answer]) -> float:
    return max((answer.retry_after or 0.0 for answer in slow), default=0.0)


def _word(answer: Answer) -> str:
    """Return the gateway's own word; in brackets behind it stands what we have made of it."""
    return answer.reason.partition(" (")[0]
