"""A piece of a push: what a worker leases, works through, and writes down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from pushsvc.model.outcome import Counts
from pushsvc.model.token import Evidence, Weights


class BatchState(IntEnum):
    """Where a batch is; `LEASED` falls back to `OPEN` when its lease runs out."""

    OPEN = 0
    LEASED = 1
    DONE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """An explicit device that is no installation of the app, of a push or of a delivery."""

    device_type: str
    #: of a Windows device its channel URI; empty for nowhere
    token: str
    app_identifier: str | None = None
    locale: str | None = None
    badge: int | None = None
    #: Parse's `pushType`
    push_type: str | None = None
    time_zone: str | None = None
    #: the caller's own name of it
    id: str | None = None
    #: epoch milliseconds; what a gateway says against the token is about a time after this, or
    #: proves nothing
    registered_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A piece of one push, of `batch_size` devices at most, leased to this worker."""

    push_id: int
    seq: int
    #: empty where the recipients are explicit
    installation_ids: tuple[int, ...]
    recipients: tuple[Recipient, ...]
    attempt: int
    #: when its devices were first tried; None in what the plan wrote
    first_tried_at: datetime | None = None
    #: its time was granted by what paces it, which is not asked again
    paced: bool = False
    #: leases so far, this one included; more than one means that a worker died on it
    leases: int
    #: by the database's clock
    leased_at: datetime
    #: until the push expires, counted from the lease; None where it never does
    seconds_left: float | None
    #: one OutcomeClass for each device; the plan may have settled some
    outcomes: bytes
    #: the zone of all of its devices, where the push is planned by zone; empty: they have none
    zone: str | None = None
    #: the variant that its devices get
    variant: str | None = None
    #: of the batch, where that is not the push's own
    expires_at: datetime | None = None
    #: installation -> badge after the push's change; empty where the push changes none
    badges: Mapping[int, int]

    @property
    def size(self) -> int:
        """Devices in the batch."""
        return len(self.outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """A batch to be written: by the plan, or for devices that must be tried again."""

    installation_ids: Sequence[int] = ()
    recipients: Sequence[Recipient] = ()
    #: None while nothing is settled
    outcomes: bytes | None = None
    attempt: int = 1
    first_tried_at: datetime | None = None
    paced: bool = False
    delay_seconds: float = 0.0
    badges_applied: bool = False
    zone: str | None = None
    variant: str | None = None
    expires_at: datetime | None = None

    @property
    def size(self) -> int:
        """Devices in the batch."""
        return len(self.installation_ids) or len(self.recipients)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadgeChange:
    """A change to a device's badge before it is sent to: exactly one of the two is set."""

    increment: int | None = None
    absolute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What came of a batch: written at once or not at all."""

    outcomes: bytes
    counts: Counts
    #: reason -> places in the batch
    exceptions: Mapping[str, Sequence[int]]
    follow_ups: Sequence[NewBatch]
    evidence: Sequence[Evidence] = ()
    answered: Weights = field(default_factory=dict)
