"""The provider token: a JWT we sign, one for each key, whoever sends with it.

Apple counts new tokens of a team, across keys and connections, and refuses them all when they
come too often. So the processes of a fleet should show the same one. They do, without asking
each other: `iat` is the start of the present half hour, the same for all, and the signature is
deterministic (RFC 6979). A process that starts anew shows no new token either.
https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns
"""

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pushsvc.clock import Clock
from pushsvc.delivery.credentials import ProviderKey
from pushsvc.delivery.tokens import SharedToken, Token, TokenStore, fingerprint, jwt

#: "Refresh your token no more than once every 20 minutes and no less than once every 60 minutes."
#: The first counts from when a token was first shown, the second from its `iat`: a token that was
#: first shown at the end of its half hour is replaced at 50 minutes.
LEAST_INTERVAL_SECONDS: Final = 20 * 60
PERIOD_SECONDS: Final = 30 * 60
#: A minute less than Apple's hour, for clocks that differ.
LIFE_SECONDS: Final = 59 * 60
#: An ES256 signature is r and s, 32 bytes each (RFC 7518 3.4).
COORDINATE_BYTES: Final = 32


def shared_provider_token(key: ProviderKey, *, store: TokenStore, clock: Clock) -> SharedToken:
    """Return the one token of this team and key."""

    async def mint(stale: Token | None) -> Token:
        now = int(clock.now().timestamp())
        token = mint_provider_token(key, issued_at=now - now % PERIOD_SECONDS, now=now)
        if stale is not None and stale.value == token.value:
            token = mint_provider_token(key, issued_at=now, now=now)
        return token

    return SharedToken(
        f"apns:{key.team_id}:{key.key_id}:{fingerprint(key.key)}",
        mint,
        store=store,
        clock=clock,
        least_interval_seconds=LEAST_INTERVAL_SECONDS,
    )


def mint_provider_token(key: ProviderKey, *, issued_at: int, now: int) -> Token:
    """Sign a provider token whose hour began at `issued_at`; both times are epoch seconds."""
    value = jwt(
        {"alg": "ES256", "kid": key.key_id},
        {"iss": key.team_id, "iat": issued_at},
        lambda signing_input: _es256(key.key, signing_input),
    )
    return Token(
        value=value,
        minted_at=now,
        refresh_at=max(issued_at + PERIOD_SECONDS, now + LEAST_INTERVAL_SECONDS),
        expires_at=issued_at + LIFE_SECONDS,
    )


def _es256(key: ec.EllipticCurvePrivateKey, signing_input: bytes) -> bytes:
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    r, s = decode_dss_signature(key.sign(signing_input, algorithm))
    return r.to_bytes(COORDINATE_BYTES) + s.to_bytes(COORDINATE_BYTES)
