"""Channel URIs: whom WNS's bearer token may be shown (pure).

The URI comes from a device, and our access token goes to whatever host it names. So it is held
to a strict grammar, and whatever does not match is never dialled.
https://learn.microsoft.com/windows/apps/develop/notifications/push-notifications/wns-overview
"""

import re
from typing import Final

from pushsvc.model import Answer, OutcomeClass

#: WNS documents no length; 1024 was the promise of its first version.
URI_LIMIT_CHARACTERS: Final = 2048

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
#: https, notify.windows.com or a name under it, the default port, no user, no fragment; beyond the
#: authority anything that can stand in a request line.
_CHANNEL: Final = re.compile(
    rf"https://(?i:(?:{_LABEL}\.){{0,8}}notify\.windows\.com)(?::443)?(?:[/?][!-~]*)?",
    # Without it a dotless i passes for an i.
    re.ASCII,
)
_NOT_IN_A_TARGET: Final = frozenset('#\\"<>^`{|}')
#: MPNS, Windows Phone 7 and 8: switched off in February 2018.
_RETIRED: Final = re.compile(
    rf"https?://(?:{_LABEL}\.){{0,8}}notify\.live\.net(?:[:/?][!-~]*)?",
    re.ASCII | re.IGNORECASE,
)

BAD_CHANNEL_URI: Final = Answer(OutcomeClass.REQUEST_BAD, "bad_channel_uri")
PROVIDER_RETIRED: Final = Answer(OutcomeClass.REQUEST_BAD, "provider_retired")


def refusal(uri: str) -> Answer | None:
    """Return why nothing may be sent to this URI; None where it is a channel of WNS."""
    if len(uri) > URI_LIMIT_CHARACTERS:
        return BAD_CHANNEL_URI
    if _CHANNEL.fullmatch(uri) and _NOT_IN_A_TARGET.isdisjoint(uri):
        return None
    return PROVIDER_RETIRED if _RETIRED.fullmatch(uri) else BAD_CHANNEL_URI
