"""What is known of one device of a push afterwards: its attempts, and how it stands now."""

from dataclasses import dataclass
from datetime import datetime

from pushsvc.model.batch import BatchState
from pushsvc.model.outcome import OutcomeClass
from pushsvc.model.token import TokenState, token_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A device in one batch of a push; it goes on into another where it is tried again."""

    #: 1 for what the plan wrote
    number: int
    #: of the batch
    seq: int
    #: in the batch
    place: int
    state: BatchState
    #: not tried before then
    due_at: datetime
    finished_at: datetime | None
    #: `OPEN` while nothing came of it
    outcome: OutcomeClass
    #: the gateway's word, or ours; empty where there is nothing to say
    reason: str
    #: of the batch, where the push is planned by zone; empty: its devices have none
    zone: str | None = None
    #: that its devices get
    variant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An installation as it is now; of an explicit device what its push says of it."""

    #: those of an installation
    id: int | None = None
    object_id: str | None = None
    installation_id: str | None = None
    device_type: str
    push_type: str | None = None
    time_zone: str | None = None
    #: APNs or FCM token, or WNS channel URI; empty where there is none
    token: str
    token_set_at: datetime | None = None
    token_retired_at: datetime | None = None
    #: set where it is not retired for good
    token_quarantined_until: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def token_state(self) -> TokenState:
        """Whether its token is sent to."""
        return token_state(
            self.token,
            retired_at=self.token_retired_at,
            quarantined_until=self.token_quarantined_until,
        )

    @property
    def quarantined_until(self) -> datetime | None:
        """When its token is tried again by itself; None where it is not in quarantine."""
        in_quarantine = self.token_state is TokenState.QUARANTINED
        return self.token_quarantined_until if in_quarantine else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Whether an installation is of an audience now."""

    is_member: bool
    #: or would be, whatever its token is
    but_for_token: bool
