"""What came of a message: the bytes of the ledger, the words for them, and answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from typing import Final


class OutcomeClass(IntEnum):
    """What came of one device: the byte the ledger keeps.

    The first ten classes after `OPEN` are the vocabulary of the gateways' answers; the others
    are our own decisions. `CARRIED` and `RESENT` are no outcomes: the device went on into a
    follow-up batch. `RESENT` says that its message was written and never answered, so that it may
    get the push twice; nobody else can.
    """

    OPEN = 0
    OK = 1
    TOKEN_DEAD = 2
    TOKEN_SUSPECT = 3
    REQUEST_BAD = 4
    CREDENTIAL = 5
    THROTTLED_DEVICE = 6
    THROTTLED_SENDER = 7
    RETRY_SAFE = 8
    RETRY_BACKOFF = 9
    UNKNOWN = 10
    EXPIRED = 11
    DEDUPLICATED = 12
    CANCELLED = 13
    CARRIED = 14
    VALIDATED = 15
    RESENT = 16
    HOLDOUT = 17
    CAPPED = 18
    QUIET_HOURS = 19
    NO_TIME_ZONE = 20
    LATE = 21


class Outcome(StrEnum):
    """The word for a device's end that people read; each class has one."""

    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    DEDUPLICATED = "deduplicated"
    CANCELLED = "cancelled"
    VALIDATED = "validated"
    #: of the audience, and left out by a rule of the push; the class says by which
    EXCLUDED = "excluded"


#: The device is in a follow-up batch, and has its end there.
GONE_ON: Final = frozenset({OutcomeClass.CARRIED, OutcomeClass.RESENT})

#: What speaks against the device's token.
AGAINST_TOKENS: Final = frozenset({OutcomeClass.TOKEN_DEAD, OutcomeClass.TOKEN_SUSPECT})

#: `OPEN`, `CARRIED` and `RESENT` have no outcome.
OUTCOME_OF: Final[Mapping[OutcomeClass, Outcome]] = {
    OutcomeClass.OK: Outcome.SENT,
    OutcomeClass.TOKEN_DEAD: Outcome.FAILED,
    OutcomeClass.TOKEN_SUSPECT: Outcome.FAILED,
    OutcomeClass.REQUEST_BAD: Outcome.FAILED,
    OutcomeClass.CREDENTIAL: Outcome.FAILED,
    OutcomeClass.THROTTLED_DEVICE: Outcome.FAILED,
    OutcomeClass.THROTTLED_SENDER: Outcome.FAILED,
    OutcomeClass.RETRY_SAFE: Outcome.FAILED,
    OutcomeClass.RETRY_BACKOFF: Outcome.FAILED,
    OutcomeClass.UNKNOWN: Outcome.UNKNOWN,
    OutcomeClass.EXPIRED: Outcome.EXPIRED,
    OutcomeClass.DEDUPLICATED: Outcome.DEDUPLICATED,
    OutcomeClass.CANCELLED: Outcome.CANCELLED,
    OutcomeClass.VALIDATED: Outcome.VALIDATED,
    OutcomeClass.HOLDOUT: Outcome.EXCLUDED,
    OutcomeClass.CAPPED: Outcome.EXCLUDED,
    OutcomeClass.QUIET_HOURS: Outcome.EXCLUDED,
    OutcomeClass.NO_TIME_ZONE: Outcome.EXCLUDED,
    OutcomeClass.LATE: Outcome.EXCLUDED,
}


class Deferral(Enum):
    """Why no gateway was asked about a message yet; to be put off is no attempt."""

    #: it cannot go now (a pause, a worker that stops), and is looked at again
    HELD = "held"
    #: its time is `retry_after`, and was reserved for it by what paces the credential
    PACED = "paced"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway's answer to one message means.

    Positional, because one is made for every device that was not simply accepted.
    """

    outcome: OutcomeClass
    #: the gateway's own word, or ours where it gave none
    reason: str
    #: seconds to wait before the next attempt, where the gateway named them
    retry_after: float | None = None
    #: when the gateway saw the token become invalid (APNs 410), epoch milliseconds
    invalid_since_ms: int | None = None
    #: None where a gateway was asked
    deferral: Deferral | None = None


#: The answer nearly every message gets; shared, so that success costs no object.
ACCEPTED: Final = Answer(OutcomeClass.OK, "")
#: What it is where the message was only to be looked at.
VALIDATED: Final = Answer(OutcomeClass.VALIDATED, "")


#: device type -> class -> devices, of all classes with an outcome, and of `RESENT`
Counts = Mapping[str, Mapping[OutcomeClass, int]]
