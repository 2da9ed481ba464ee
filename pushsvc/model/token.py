"""What gateways say against tokens, and what happens to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pushsvc.model.outcome import OutcomeClass
from pushsvc.model.push import GatewayName


class TokenEventKind(StrEnum):
    """What happened to a token; the first four are what becomes of evidence against it."""

    #: nothing is done for it: its push is still on its way, or too much of it looked like this
    HELD = "held"
    #: nothing came of it: the token is another one by now, or nothing proves the credential good
    SPARED = "spared"
    #: the token is out of use
    RETIRED = "retired"
    #: the token is out of use for some days
    QUARANTINED = "quarantined"
    #: its days in quarantine are over
    RELEASED = "released"
    #: an operator has taken it into use again
    RESTORED = "restored"
    #: the device has registered a token, after its former one was out of use
    REGISTERED = "registered"
    #: another token, or none, took its place
    REPLACED = "replaced"


class TokenState(StrEnum):
    """Whether an installation's token is sent to."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"
    RETIRED = "retired"
    #: the installation has no token
    NONE = "none"


def token_state(
    token: str | None, *, retired_at: datetime | None, quarantined_until: datetime | None
) -> TokenState:
    """Tell whether a token is sent to; what was in quarantine may have been registered since."""
    if not token:
        return TokenState.NONE
    if retired_at is None:
        return TokenState.ACTIVE
    return TokenState.QUARANTINED if quarantined_until else TokenState.RETIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a gateway says against the token of an installation."""

    installation_id: int
    token: str
    gateway: GatewayName
    #: what the credential must be proven good for, where the token is only suspected
    scope: str
    outcome: OutcomeClass
    reason: str
    #: when the gateway saw the token die, where it says so
    since: datetime | None


class Weight(NamedTuple):
    """What a gateway said of the devices of one scope; only what tells of their tokens."""

    accepted: int
    #: called dead, or suspected
    blamed: int


#: scope -> its answers
Weights = Mapping[str, Weight]
