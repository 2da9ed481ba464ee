"""The access token: what Google gives for an assertion signed with a service account's key.

https://developers.google.com/identity/protocols/oauth2/service-account
"""

from datetime import datetime
from typing import Final

import aiohttp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from pushsvc.clock import Clock
from pushsvc.delivery.credentials import ServiceAccount
from pushsvc.delivery.tokens import SharedToken, Token, TokenStore, exchange, fingerprint, jwt
from pushsvc.delivery.wire import Proxy

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: The longest that Google allows.
ASSERTION_SECONDS: Final = 3600


def shared_access_token(
    account: ServiceAccount,
    *,
    session: aiohttp.ClientSession,
    store: TokenStore,
    clock: Clock,
    proxy: Proxy | None = None,
) -> SharedToken:
    """Return the one token of this service account."""

    async def mint(_stale: Token | None) -> Token:
        form = {"grant_type": GRANT_TYPE, "assertion": assertion(account, now=clock.now())}
        return await exchange(session, account.token_uri, form, clock=clock, proxy=proxy)

    name = f"fcm:{account.client_email}:{fingerprint(account.private_key)}"
    return SharedToken(name, mint, store=store, clock=clock)


def assertion(account: ServiceAccount, *, now: datetime) -> str:
    """Sign the claim to be this account, good for an hour."""
    issued_at = int(now.timestamp())
    return jwt(
        {"alg": "RS256", "typ": "JWT", "kid": account.private_key_id},
        {
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": account.token_uri,
            "iat": issued_at,
            "exp": issued_at + ASSERTION_SECONDS,
        },
        lambda signing_input: account.private_key.sign(
            signing_input, padding.PKCS1v15(), hashes.SHA256()
        ),
    )
