"""The claim of a batch that is open and due, which every way to lease one begins with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pushsvc.model import BadgeChange, Halt, OutcomeClass
from pushsvc.storage import caps
from pushsvc.storage.by_key import BATCH_STATE
from pushsvc.storage.halted import may_lease

#: A time that was granted holds for so long: what comes later must ask again.
IN_TURN: Final = "paced AND now() < not_before + interval '5 seconds'"

# The plan's own batches may be paced by their push, which is no matter of their credentials.
#: Takes push, seq, expiry and halt of the push as $1 to $4.
CLAIM: Final = f"""
    SELECT installation_ids, recipients, outcomes, attempt, first_tried_at, leases,
        badges_applied AND {IN_TURN} AS paced,
        badges_applied, zone, variant, expires_at, now() AS now,
        extract(epoch FROM coalesce(expires_at, $3::timestamptz) - now())::float8 AS seconds_left
    FROM batches
    WHERE push_id = $1 AND seq = $2 AND {BATCH_STATE} = 0 AND not_before <= now()
        AND {may_lease(halt="$4::text", expires_at="$3::timestamptz")}
"""  # noqa: S608 - no value of a caller's


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a batch is leased by: for how long, and what its push says of it."""

    seconds: float
    expires_at: datetime | None
    halt: Halt | None
    badge: BadgeChange | None
    validate_only: bool
    #: why none of its devices is sent to
    left_out: OutcomeClass | None
    cap: caps.Cap | None

    @property
    def are_usual(self) -> bool:
        """Whether all of its devices may be sent to, for what is known before it is claimed."""
        return not self.validate_only and self.left_out is None and self.cap is None
