"""The access token: what Microsoft gives for a client secret, in one of two places.

https://learn.microsoft.com/windows/apps/develop/notifications/push-notifications/push-quickstart
"""

from collections.abc import Mapping
from typing import Final

import aiohttp

from pushsvc.clock import Clock
from pushsvc.delivery.credentials import WnsIdentity
from pushsvc.delivery.tokens import SharedToken, Token, TokenStore, exchange, fingerprint
from pushsvc.delivery.wire import Proxy

#: Partner Center's sign-in, for package SIDs.
LIVE_URL: Final = "https://login.live.com/accesstoken.srf"
LIVE_SCOPE: Final = "notify.windows.com"
#: Microsoft Entra's, for applications of a tenant.
ENTRA_URL: Final = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
ENTRA_SCOPE: Final = "https://wns.windows.com/.default"


def shared_access_token(
    identity: WnsIdentity,
    *,
    session: aiohttp.ClientSession,
    store: TokenStore,
    clock: Clock,
    live_url: str = LIVE_URL,
    entra_url: str = ENTRA_URL,
    proxy: Proxy | None = None,
) -> SharedToken:
    """Return the one token of this app.

    Args:
        identity: who signs in.
        session: the connections to the token endpoint.
        store: shared by all who send as this app.
        clock: dates the token.
        live_url: where package SIDs sign in.
        entra_url: where applications of a `{tenant}` sign in.
        proxy: the way to both.
    """
    url = live_url if identity.tenant is None else entra_url.replace("{tenant}", identity.tenant)

    async def mint(_stale: Token | None) -> Token:
        return await exchange(session, url, sign_in_form(identity), clock=clock, proxy=proxy)

    name = f"wns:{identity.client_id}:{fingerprint(identity.client_secret)}"
    return SharedToken(name, mint, store=store, clock=clock)


def sign_in_form(identity: WnsIdentity) -> Mapping[str, str]:
    """Return the form that the identity's endpoint takes."""
    return {
        "grant_type": "client_credentials",
        "client_id": identity.client_id,
        "client_secret": identity.client_secret,
        "scope": LIVE_SCOPE if identity.tenant is None else ENTRA_SCOPE,
    }
