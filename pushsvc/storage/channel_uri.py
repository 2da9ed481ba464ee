"""Channel URIs of Windows devices: which are WNS's, and which one a device is reached by; pure.

The URI comes from a device, and our access token goes to whatever host it names. So it is held
to a strict grammar, and whatever does not match is never dialled.
https://learn.microsoft.com/windows/apps/develop/notifications/push-notifications/wns-overview
"""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

#: WNS documents no length; 1024 was the promise of its first version.
URI_LIMIT_CHARACTERS: Final = 2048
#: Of the channels of a Windows device, Parse's .NET SDK calls the one for WNS so.
DEFAULT_CHANNEL: Final = "_Default"

_LABEL: Final = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#: https, notify.windows.com or a name under it, the default port, no user, no fragment; beyond the
#: authority what can stand in a request line. Written so that Postgres reads it in the same way.
WNS_PATTERN: Final = (
    rf"https://({_LABEL}\.){{0,8}}[Nn][Oo][Tt][Ii][Ff][Yy]\.[Ww][Ii][Nn][Dd][Oo][Ww][Ss]\.[Cc][Oo][Mm]"
    "(:443)?([/?][]!$-;=?-[_a-z~]*)?"
)
#: MPNS, Windows Phone 7 and 8: switched off in February 2018.
RETIRED_PATTERN: Final = (
    rf"[Hh][Tt][Tt][Pp][Ss]?://({_LABEL}\.){{0,8}}[Nn][Oo][Tt][Ii][Ff][Yy]\.[Ll][Ii][Vv][Ee]\."
    "[Nn][Ee][Tt]([:/?][!-~]*)?"
)
_WNS: Final = re.compile(WNS_PATTERN)
_RETIRED: Final = re.compile(RETIRED_PATTERN)
_URI: Final = re.compile(r"https?:", re.IGNORECASE)


class Flaw(StrEnum):
    """Why nothing may be sent to a URI."""

    PROVIDER_RETIRED = "provider_retired"
    BAD_CHANNEL_URI = "bad_channel_uri"


def flaw(uri: str) -> Flaw | None:
    """Return why nothing may be sent to this URI; None where it is a channel of WNS."""
    if len(uri) > URI_LIMIT_CHARACTERS:
        return Flaw.BAD_CHANNEL_URI
    if _WNS.fullmatch(uri):
        return None
    return Flaw.PROVIDER_RETIRED if _RETIRED.fullmatch(uri) else Flaw.BAD_CHANNEL_URI


def chosen(channels: Mapping[str, str], token: str) -> str:
    """Return the URI that a Windows device with these channels and this token is reached by.

    The first that WNS takes: a token that is a URI, the default channel, the others by name.
    Where it takes none it is one that tells why, a retired one before others; empty where there
    is no URI at all.
    """
    retired = other = ""
    for uri in _candidates(channels, token):
        found = flaw(uri)
        if found is None:
            return uri
        if found is Flaw.PROVIDER_RETIRED:
            retired = retired or uri
        else:
            other = other or uri
    return retired or other


def _candidates(channels: Mapping[str, str], token: str) -> Iterator[str]:
    if _URI.match(token):
        yield token
    if DEFAULT_CHANNEL in channels:
        yield channels[DEFAULT_CHANNEL]
    for name in sorted(channels):
        yield channels[name]
