"""Channel URIs: whom WNS's bearer token may be shown (pure)."""

from collections.abc import Mapping
from typing import Final

from pushsvc.model import Answer, OutcomeClass
from pushsvc.storage.channel_uri import Flaw, flaw

_REFUSALS: Final[Mapping[Flaw, Answer]] = {
    told: Answer(OutcomeClass.REQUEST_BAD, told.value) for told in Flaw
}
BAD_CHANNEL_URI: Final = _REFUSALS[Flaw.BAD_CHANNEL_URI]
PROVIDER_RETIRED: Final = _REFUSALS[Flaw.PROVIDER_RETIRED]


def refusal(uri: str) -> Answer | None:
    """Return why nothing may be sent to this URI; None where it is a channel of WNS."""
    found = flaw(uri)
    return None if found is None else _REFUSALS[found]
